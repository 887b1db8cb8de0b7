#include "git/tree.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

#include "tree-fixture.h"

static void init(void)
{
	fixture_init();
	cr_assert(sh("git init -q -b main r"));
	commit_made_by("echo a > a; mkdir -p d/e b; echo f > d/f; echo g > d/e/g; ln -s a l; "
		       "echo x > b/x; chmod +x b/x; printf '*.o\\nbuild/\\n' > .gitignore");
	slot_open();
	cr_assert_eq(create_at("HEAD"), 0, "%s", slot_fault.text);
}

static void deinit(void)
{
	slot_close();
	fixture_deinit();
}

TestSuite(tree_sweep, .init = init, .fini = deinit, .timeout = 120);

static const struct {
	const char *change; /* shell, in the slot */
	const char *wanted;
} changes[] = {
	{ "true", "" },
	{ "echo b > a", "modified a\n" },
	{ "echo aa > a; echo a > a", "" },
	{ "touch -d '2020-01-01' a d/f", "" },
	{ "cp a t; mv t a", "" },
	{ "rm a", "deleted a\n" },
	{ "rm -r d", "deleted d/e/g\ndeleted d/f\n" },
	{ "chmod +x a", "modified a\n" },
	{ "chmod -x b/x", "modified b/x\n" },
	{ "chmod 600 a", "" },
	{ "ln -sf b l", "modified l\n" },
	{ "rm l; echo a > l", "modified l\n" },
	{ "rm a; ln -s l a", "modified a\n" },
	{ "rm a; mkfifo a", "special a\n" },
	{ "mkfifo fifo d/fifo", "special d/fifo\nspecial fifo\n" },
	{ "rm a; mkdir a; touch a/x", "deleted a\nuntracked a/\n" },
	{ "rm -r d; ln -s b d", "untracked d\ndeleted d/e/g\ndeleted d/f\n" },
	{ "rm -r d; echo > d", "untracked d\ndeleted d/e/g\ndeleted d/f\n" },
	{ "touch new d/new", "untracked d/new\nuntracked new\n" },
	{ "mkdir n n/m; touch n/1 n/m/2", "untracked n/\n" },
	{ "mkdir n n/m", "" },
	{ "touch n.o d/n.o; mkdir build; touch build/x",
	  "ignored build/\nignored d/n.o\nignored n.o\n" },
	{ "mkdir n; touch n/a n/b.o", "untracked n/a\nignored n/b.o\n" },
	{ "mkdir n; touch n/b.o", "ignored n/b.o\n" },
	{ "git init -q n; touch n/x", "nested n/\n" },
	{ "git init -q m/n; touch m/x", "nested m/n/\nuntracked m/x\n" },
	{ "git init -q build/n", "ignored build/\n" },
	{ "git init -q d", "nested d/\n" },
	{ "touch d/.git", "nested d/\n" },
	{ "echo b > a; git add a", "staged a\n" },
	{ "git rm -q --cached a", "staged a\nuntracked a\n" },
	{ "touch n; git add -N n", "staged n\n" },
	{ "echo b > a; git update-index --assume-unchanged a", "hidden a\n" },
	{ "rm a; git update-index --skip-worktree a", "hidden a\n" },
	{ "git update-index --assume-unchanged a", "" },
	{ "touch .slotd-tmp-1.o", "untracked .slotd-tmp-1.o\n" },
	{ "echo '!n.o' > .gitignore; touch n.o", "modified .gitignore\nignored n.o\n" },
	{ "touch \"$(printf 'n\\377\\nx')\"", "untracked n\377\nx\n" },
	{ "git update-index --index-version 4; echo b > d/e/g", "modified d/e/g\n" },
	{ "git update-index --index-version 3; git add -N . ; echo b > d/e/g", "modified d/e/g\n" },
	{ "o=$(git hash-object -w a); printf '100644 %s 1\\tc\\n100644 %s 2\\tc\\n' $o $o | "
	  "git update-index --index-info; touch c",
	  "conflict c\n" },
};

Test(tree_sweep, tells_each_kind_of_change)
{
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		char *found;

		cr_assert_eq(reset_to("HEAD", false), 0, "after %s: %s", changes[i].change,
			     slot_fault.text);
		cr_assert_str_eq(sweep_text("HEAD", true), "");
		cr_assert(sh("cd s && { %s; }", changes[i].change), "%s", changes[i].change);
		found = sweep_text("HEAD", true);
		cr_expect_str_eq(found, changes[i].wanted, "%s: found: %s", changes[i].change,
				 found);
	}
}
