#include "git/tree.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tree-fixture.h"

static void init(void)
{
	fixture_init();
	cr_assert(sh("git init -q -b main r"));
}

static void deinit(void)
{
	slot_close();
	fixture_deinit();
}

TestSuite(tree_create, .init = init, .fini = deinit, .timeout = 120);

/* commits what the shell made in r, and creates the slot from it */
static void assert_creates(const char *make)
{
	commit_made_by(make);
	slot_open();
	cr_assert_eq(create_at("HEAD"), 0, "%s", slot_fault.text);
	assert_slot_is_clean_at("HEAD");
	cr_assert_str_eq(sweep_text("HEAD", true), "");
	slot_close();
}

Test(tree_create, writes_files_modes_and_links)
{
	assert_creates("echo a > a; echo b > b; chmod +x b; ln -s a c; ln -s nowhere d; "
		       "ln -s /etc/passwd e; mkdir -p x/y/z; echo f > x/y/z/f; ln -s x g; "
		       "ln -s ../.. x/y/up; : > empty; head -c 3000000 /dev/urandom > big");
}

Test(tree_create, takes_any_bytes_as_names)
{
	assert_creates("printf x > \"$(printf 'new\\nline')\"; printf x > '\"quoted\"'; "
		       "printf x > \"$(printf '\\377\\376')\"; printf x > ./-f; printf x > ' '; "
		       "printf x > $(printf 'n%.0s' $(seq 255)); printf x > 'back\\slash'; "
		       "mkdir -p '.git.x' '.github' 'a b/-c'; printf x > .git.x/.gitx; "
		       "printf x > .github/y; printf x > 'a b/-c/d'; printf x > 'a b.c'; "
		       "printf x > 'a b0'; printf A > case; printf B > CASE; printf B > Case");
}

Test(tree_create, goes_deep)
{
	assert_creates("d=$(printf 'dir/%.0s' $(seq 300)); mkdir -p $d && echo x > $d/f");
}

static int ignore(enum tree_change change, const char *path, void *userdata)
{
	return 0;
}

Test(tree_create, counts_what_du_counts_and_so_does_a_sweep)
{
	uint64_t swept = 0;
	char *created;

	commit_made_by("mkdir -p d/e f; echo a > a; echo b > d.c; echo c > d/e/c; ln -s a l; "
		       "head -c 300000 /dev/urandom > big; : > empty; "
		       "for i in $(seq 500); do echo $i > f/a-name-that-makes-it-grow-$i; done");
	slot_open();
	cr_assert_eq(create_at("HEAD"), 0, "%s", slot_fault.text);
	created = sh_text("test %llu -eq $(du -s --block-size=1 s | cut -f1) || du -s --block-size=1 s",
			  (unsigned long long)slot_stats.disk_bytes);
	cr_expect_str_eq(created, "", "%llu, and %s", (unsigned long long)slot_stats.disk_bytes,
			 created);
	cr_assert_eq(tree_sweep(&slot, NULL, NULL, ignore, NULL, &swept, &slot_fault), 0);
	cr_expect_eq(swept, slot_stats.disk_bytes, "%llu", (unsigned long long)swept);
}

Test(tree_create, makes_nothing_of_an_empty_tree)
{
	assert_creates("true");
}
