#include "git/op-state.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "git-fixture.h"

static struct fault f;

TestSuite(op_state, .init = fixture_init, .fini = fixture_deinit, .timeout = 60);

struct expected {
	const char *commands;
	int ops;
};

/* "side" and main change the same line */
static const struct expected expected[] = {
	{ "true", 0 },
	{ "git merge -q side", OP_STATE_MERGE },
	{ "git rebase -q side", OP_STATE_REBASE },
	{ "git rebase -q --apply side", OP_STATE_REBASE },
	{ "git cherry-pick side", OP_STATE_CHERRY_PICK },
	{ "git cherry-pick side~1 side", OP_STATE_CHERRY_PICK },
	{ "git revert --no-edit HEAD~1", OP_STATE_REVERT },
	{ "git bisect start HEAD HEAD~2", OP_STATE_BISECT },
	{ "git merge -q --squash side", 0 },
};

static void make(void)
{
	cr_assert(sh("rm -rf r w && git init -q -b main r && cd r && echo 1 > f && git add f && "
		     "git commit -qm one && git checkout -qb side && echo 0 > g && git add g && "
		     "git commit -qm zero && echo side > f && git commit -qam side && "
		     "git checkout -q main && echo 2 > f && git commit -qam two && echo 3 > f && "
		     "git commit -qam three && git worktree add -q --detach ../w"));
}

Test(op_state, every_operation_of_git_is_told)
{
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		int fd;

		make();
		sh("cd w && %s >/dev/null 2>&1", expected[i].commands);
		fd = open(in_dir("r/.git/worktrees/w"), O_RDONLY | O_DIRECTORY);
		cr_assert_geq(fd, 0);
		cr_assert_eq(op_state_find(fd, &f), expected[i].ops, "%s: %d", expected[i].commands,
			     op_state_find(fd, &f));
		close(fd);
	}
}

Test(op_state, each_operation_has_a_name)
{
	for (int op = 1; op <= OP_STATE_SEQUENCE; op <<= 1)
		cr_assert(strcmp(op_state_to_string(op), "operation") != 0);
}
