#include "files-fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "git-fixture.h"
#include "util/cleanup.h"
#include "util/clock.h"

TestSuite(worktrees_check, .init = files_init, .fini = files_deinit);

/* a worktree of a user, w, with the administration W */
#define USERS "g worktree add -q ../w -b users; W=$G/worktrees/w; "

Test(worktrees_check, each_damage_has_its_name)
{
	static const struct files_row rows[] = {
		/* from the administration to the store */
		{ ": >$A/commondir && touch -d yesterday $A/commondir", "bad-commondir" },
		{ "echo >$A/commondir", "bad-commondir" },
		{ "rm $A/commondir", "bad-commondir" },
		{ "echo ../../.. >$A/commondir", "bad-commondir" },
		{ "echo /nowhere >$A/commondir", "bad-commondir" },
		{ "head -c 6 /dev/zero >$A/commondir", "bad-commondir" },
		{ "rm $A/commondir; mkfifo $A/commondir", "unreadable-file" },
		/* to the worktree */
		{ ": >$A/gitdir && touch -d yesterday $A/gitdir", "bad-gitdir" },
		{ "rm $A/gitdir", "bad-gitdir" },
		{ "echo $PWD/r/.git >$A/gitdir", "bad-gitdir" },
		{ "echo $S >$A/gitdir", "bad-gitdir" },
		{ "rm $A/gitdir; ln -s $G/config $A/gitdir", "unreadable-file" },
		/* and back */
		{ "rm $S/.git", "bad-gitdir" },
		{ ": >$S/.git", "bad-gitdir" },
		{ "echo \"gitdir: \" >$S/.git", "bad-gitdir" },
		{ "echo \"$A\" >$S/.git", "bad-gitdir" },
		{ "echo \"gitdir: $G\" >$S/.git", "bad-gitdir" },
		{ "rm $S/.git; mkfifo $S/.git", "bad-gitdir" },
		{ "mv $S/.git x; ln -s $PWD/x $S/.git", "bad-gitdir" },
		{ "rm $S/.git; git init -q $S", "bad-gitdir" },
		/* the administration itself */
		{ "rm -r $A", "bad-gitdir" },
		{ "rm -r $A; touch $A", "bad-gitdir stray-file" },
		{ "mv $A x; ln -s $PWD/x $A", "bad-gitdir" },
		{ "chmod 500 $A", "unreadable-file" },
		{ "touch $G/worktrees/file", "stray-file" },
		{ "mv $G/worktrees x; ln -s $PWD/x $G/worktrees", "bad-gitdir unreadable-file" },
		/* the slot */
		{ "rm -r $S", "missing-worktree" },
		{ "rm -r $T", "missing-worktree" },
		{ "mv $S x; ln -s $PWD/x $S", "moved-slot" },
		{ "rm -r $S; touch $S", "moved-slot" },
		{ "cp -a $S x; mv $S y; mv x $S", "moved-slot" },
		{ "chmod 500 $S", "unreadable-file" },
		/* others */
		{ USERS "rm -r w", "missing-worktree" },
		{ USERS "mv w v", "missing-worktree" },
		{ USERS ": >$W/commondir", "bad-commondir" },
		{ USERS "rm $W/HEAD", "bad-head" },
		{ USERS "rm w/.git; git init -q w", "bad-gitdir" },
		{ USERS "cp -a $W $G/worktrees/copy", "bad-gitdir duplicate-worktree" },
		{ USERS "rm $W/gitdir", "bad-gitdir" },
		{ "mkdir $G/worktrees/empty; cp $A/HEAD $G/worktrees/empty", "bad-commondir bad-gitdir" },
		{ "mkdir -p $G/worktrees/slotd-a-9; echo slotd >$G/worktrees/slotd-a-9/locked; echo ../.. >$G/worktrees/slotd-a-9/commondir; "
		  "echo $T/a-9/.git >$G/worktrees/slotd-a-9/gitdir; cp $A/HEAD $G/worktrees/slotd-a-9", "missing-worktree" },
		{ "mkdir $T/a-2; echo \"gitdir: $G/worktrees/slotd-a-2\" >$T/a-2/.git", "unknown-worktree" },
		{ "mkdir $T/a-2", "stray-file" },
		{ "cp -a $S $T/copy", "unknown-worktree" },
	};

	files_run(rows, ARRAY_SIZE(rows));
}

Test(worktrees_check, whatever_is_healthy_is_let_alone)
{
	static const struct files_row rows[] = {
		{ USERS, "" },
		{ USERS "g worktree lock w; rm -r w", "" },
		{ USERS "g worktree move w v", "" },
		{ "mv r moved; ln -s moved r", "" },
		{ "echo $G >$A/commondir", "" },
		{ "echo ../../../../slots/a-1/.git >$A/gitdir; echo \"gitdir: ../../r/.git/worktrees/slotd-a-1\" >$S/.git", "" },
		{ "rm $A/locked", "" },
		{ "printf '%s' ../.. >$A/commondir; printf '%s' \"$S/.git\" >$A/gitdir; printf 'gitdir: %s' $A >$S/.git", "" },
		{ "rm -r $G/worktrees/slotd-a-1/index", "" },
		{ "rm -r $G/index r/f", "" },
		{ "mkdir -p $G/worktrees/empty/logs", "leftover" }, /* git passes it over */
		{ "mkdir $T/.trash-a-1 $T/.tmp-a-1", "" },
		{ "mkdir $G/slotd/slotd-a-2.new $T/a-2", "" },
		/* "git worktree add" at work */
		{ "mkdir $G/worktrees/new; echo initializing >$G/worktrees/new/locked; : >$G/worktrees/new/commondir", "lock-file" },
	};

	files_run(rows, ARRAY_SIZE(rows));
}

Test(worktrees_check, a_slot_that_is_being_removed_misses_nothing)
{
	cr_assert(sh(FILES_VARIABLES "mv $A $G/slotd/slotd-a-1.old"));
	cr_expect_str_eq(files_found(files_check(CHECK_FULL)), "");
	cr_assert(sh(FILES_VARIABLES "rm -r $S"));
	cr_expect_str_eq(files_found(files_check(CHECK_FULL)), "");
}

Test(worktrees_check, whose_it_is_matters_for_slots_alone)
{
	if (!sh("chown 65534 slots/a-1"))
		cr_skip_test("needs root");
	cr_expect_str_eq(files_found(files_check(CHECK_QUICK)), "wrong-owner");
	files_restore();
	cr_assert(sh("chown 65534 r/.git/worktrees/slotd-a-1"));
	cr_expect_str_eq(files_found(files_check(CHECK_QUICK)), "wrong-owner");
	files_restore();
	cr_assert(sh("chown 65534 slots/a-1/.git"));
	cr_expect_str_eq(files_found(files_check(CHECK_QUICK)), "wrong-owner");
	files_restore();
	cr_assert(sh("git -C r worktree add -q ../w -b users && chown -R 65534 w"));
	cr_expect_str_eq(files_found(files_check(CHECK_FULL)), "");
}

Test(worktrees_check, what_concerns_one_slot_says_so)
{
	const struct files_result *result;

	cr_assert(sh(FILES_VARIABLES ": >$A/index; : >$A/HEAD; : >$S/.git; echo x >>$A/logs/HEAD"));
	result = files_check(CHECK_PLAIN);
	cr_assert_eq(findings_kept(result->findings), 4);
	for (size_t i = 0; i < 4; i++)
		cr_expect_str_eq(findings_at(result->findings, i)->slot, "a-1");
}

/* the branch is nobody else's to look at there */
Test(worktrees_check, quick_follows_head_to_its_branch)
{
	cr_assert(sh(FILES_VARIABLES "s checkout -q -b work && : >$G/refs/heads/work"));
	cr_expect_str_eq(files_found(files_check(CHECK_QUICK)), "broken-ref");
	cr_expect_str_eq(files_found(files_check(CHECK_PLAIN)), "empty-ref");
}

/* each byte of each small file, one at a time: no crash, no hang, and no silence where git says an error */
Test(worktrees_check, every_byte_flipped, .timeout = 240)
{
	static const char *const files[] = { "r/.git/worktrees/slotd-a-1/gitdir", "r/.git/worktrees/slotd-a-1/commondir",
					     "r/.git/worktrees/slotd-a-1/HEAD", "slots/a-1/.git", "r/.git/HEAD",
					     "r/.git/packed-refs", "r/.git/refs/heads/loose",
					     "r/.git/worktrees/slotd-a-1/logs/HEAD" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		files_flip(files[i], 0xff, 1);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		files_flip(files[i], 0x01, 1);
}
