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
		       "echo x > b/x; chmod +x b/x; echo '*.o' > .gitignore; echo k > keep");
	slot_open();
	cr_assert_eq(create_at("HEAD"), 0, "%s", slot_fault.text);
}

static void deinit(void)
{
	slot_close();
	fixture_deinit();
}

TestSuite(tree_switch, .init = init, .fini = deinit, .timeout = 120);

static const char *const commits[] = {
	"echo b > a",
	"rm a; ln -s b a",
	"chmod +x a; chmod -x b/x",
	"rm -r d; echo file > d",
	"rm a; mkdir -p a/b/c; echo x > a/b/c/d",
	"rm -r d; ln -s b d",
	"rm l; mkdir l; echo l > l/l",
	"rm -r d b",
	"mkdir -p n/m; echo x > n/m/x; ln -s ../l n/l",
	"echo '* text eol=crlf' > .gitattributes",
	"rm -r *",
};

Test(tree_switch, moves_there_and_back_through_every_kind_of_difference)
{
	char *base = sh_text("git -C r rev-parse HEAD");

	for (size_t i = 0; i < sizeof(commits) / sizeof(commits[0]); i++) {
		cr_assert(sh("git -C r reset -q --hard %s", base));
		commit_made_by(commits[i]);
		cr_assert_eq(switch_to("HEAD"), 0, "%s: %s", commits[i], slot_fault.text);
		cr_assert_str_eq(sweep_text("HEAD", true), "", "%s", commits[i]);
		assert_slot_is_clean_at("HEAD");
		cr_assert_eq(switch_to(base), 0, "back from %s: %s", commits[i], slot_fault.text);
		assert_slot_is_clean_at(base);
	}
}

static const struct {
	const char *commit; /* what the other commit changes */
	const char *slot;   /* what the agent did */
	const char *named;  /* NULL: it is none of the switch's business */
} conflicts[] = {
	{ "echo b > a", "echo mine > a", "\"a\"" },
	{ "echo b > a", "rm a", "\"a\"" },
	{ "echo b > a", "chmod +x a", "\"a\"" },
	{ "rm a", "echo mine > a", "\"a\"" },
	{ "echo n > n", "echo mine > n", "\"n\"" },
	{ "echo n > n.o; git add -f n.o", "echo mine > n.o", "\"n.o\"" },
	{ "mkdir n; echo n > n/n", "echo mine > n", "\"n/n\"" },
	{ "mkdir n; echo n > n/n", "ln -s d n", "\"n/n\"" },
	{ "rm -r d; echo d > d", "echo mine > d/e/mine", "\"d/e/mine\"" },
	{ "rm -r d; echo d > d", "echo mine > d/mine.o", "\"d/mine.o\"" },
	{ "echo b > d/f", "rm -r d; ln -s ../r/d d", "\"d/f\"" },
	{ "echo b > a", "rm a; mkfifo a", "\"a\"" },
	{ "echo b > a", "touch $(git rev-parse --git-dir)/index.lock", "index.lock" },
	{ "echo b > a", "git update-index --skip-worktree keep", "\"keep\"" },
	{ "echo b > a", "echo mine > keep; touch other", NULL },
	{ "rm -r d", "echo mine > d/mine", NULL },
	{ "rm -r d; echo d > d", "mkdir d/empty", NULL },
	{ "echo b > a", "touch a b/x", NULL },
};

Test(tree_switch, overwrites_nothing_that_is_not_what_the_index_says)
{
	char *base = sh_text("git -C r rev-parse HEAD");

	for (size_t i = 0; i < sizeof(conflicts) / sizeof(conflicts[0]); i++) {
		char *before;
		int r;

		cr_assert_eq(reset_to(base, false), 0, "%s", slot_fault.text);
		cr_assert(sh("git -C r reset -q --hard %s; rm -f r/.git/worktrees/s/index.lock",
			     base));
		commit_made_by(conflicts[i].commit);
		cr_assert(sh("cd s && { %s; }", conflicts[i].slot));
		before = sh_text("cd s && find . -printf '%%p %%i %%y %%l %%s %%C@\\n' | sort");
		r = switch_to("HEAD");
		if (!conflicts[i].named) {
			cr_assert_eq(r, 0, "%s / %s: %s", conflicts[i].commit, conflicts[i].slot,
				     slot_fault.text);
			continue;
		}
		cr_assert_eq(r, -EBUSY, "%s / %s: %d", conflicts[i].commit, conflicts[i].slot, r);
		cr_assert_neq(strstr(slot_fault.text, conflicts[i].named), NULL, "%s / %s: %s",
			      conflicts[i].commit, conflicts[i].slot, slot_fault.text);
		cr_assert_str_eq(
			sh_text("cd s && find . -printf '%%p %%i %%y %%l %%s %%C@\\n' | sort"),
			before);
	}
}
