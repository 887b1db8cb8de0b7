/* Left in any state, saved, restored, and the same. */
#include <criterion/criterion.h>

#include "salvage-slots.h"

TestSuite(salvage_round_trip, .init = salvage_slots_init, .fini = salvage_slots_deinit,
	  .timeout = 300);

struct left {
	const char *script;
	const char *go_on; /* what must work after it was restored, too; NULL: nothing */
};

/* in a slot at main, detached */
static const struct left left[] = {
	{ "echo x >> a" },
	{ "rm a deep/y" },
	{ "git rm -q a && echo again > a" },
	{ "echo staged >> a && git add a && echo more >> a" },
	{ "git switch -qc agent/one && echo x > new && git add new && git commit -qm c && echo y > "
	  "new2" },
	{ "git checkout -q --orphan nothing && echo x > q" },
	{ "git checkout -q --orphan empty && git rm -rqf . && echo x > q" },
	{ "git commit -q --allow-empty -m loose && echo x > new && git add -N new" },
	{ "chmod 755 a && chmod 644 run && echo z >> d/b && chmod 600 d/b && echo s > secret && "
	  "chmod 400 secret" },
	{ "rm -rf d && ln -s deep d && rm link && mkdir link && echo x > link/file" },
	{ "rm a && mkdir a && echo x > a/b && rm -rf deep && echo file > deep" },
	{ "printf 'x\\r\\n' >> dos.bat && printf '/* $Id: old $ */ int x;\\n' > id.c && "
	  "printf 'a\\r\\nb\\r\\n' > n.txt" },
	{ "echo new > 'back\\slash' && echo x > \"$(printf 'line\\nbreak\\377\\001')\" && echo x > "
	  "-n && "
	  "mkdir '100%' && echo x > '100%/%2e' && echo x > 'git~1' && ln -s 'to nowhere' ' l '" },
	{ "git init -q nested && cd nested && echo n > n && git add n && git commit -qm n && echo "
	  "m >> n && "
	  "mkdir -p empty/dir && ln -s n l && chmod 600 n" },
	{ "git update-index --assume-unchanged a && git update-index --skip-worktree d/b && echo "
	  "hidden > a && "
	  "echo hidden > d/b" },
	{ "git update-index --split-index && echo x > new && git add new" },
	{ "git merge -q side; echo half >> a; echo u > untracked",
	  "echo done > a && git add a && git commit -qm merged && test $(git log -1 --format=%P | "
	  "wc -w) = 2" },
	{ "git merge -q side; echo resolved > a && git add a", "git merge --continue" },
	{ "git switch -qc work && git rebase -q side",
	  "echo done > a && git add a && git -c core.editor=true rebase --continue && "
	  "test $(git symbolic-ref HEAD) = refs/heads/work && git merge-base --is-ancestor side "
	  "HEAD" },
	{ "git switch -qc work2 && git rebase -q --apply side",
	  "echo done > a && git add a && git rebase --continue && test -z \"$(git status "
	  "--porcelain)\"" },
	{ "git cherry-pick side~1 side; echo t > t",
	  "echo d > a && git add a && git -c core.editor=true cherry-pick --continue; echo d2 > a "
	  "&& "
	  "git add a && git -c core.editor=true cherry-pick --continue && "
	  "test $(git rev-list --count main..HEAD) = 2" },
	{ "git revert --no-edit HEAD~1 HEAD~3; true" },
	{ "git bisect start HEAD HEAD~2", "git bisect good && git bisect reset" },
	{ "git update-ref refs/worktree/mine HEAD~1 && echo x >> a" },
	{ "git reset -q --hard HEAD~2 && echo back > a" },
};

static void silence(const char *script)
{
	(void)sh("cd slots/r-1 && { %s\n} >../../agent.out 2>&1; true", script);
}

static void restore_each(size_t first, size_t step, git_oid (*save)(const char *slot))
{
	for (size_t i = first; i < sizeof(left) / sizeof(left[0]); i += step) {
		const char *what = left[i].script;
		git_oid commit;

		slot_make("r-1");
		silence(what);
		remember_slot("slots/r-1", false);
		remember_slot("slots/r-1", true);
		commit = save("r-1");
		if (git_oid_is_zero(&commit))
			continue; /* then it is isolated, and as it was */

		cr_assert_eq(dir_restore(commit), 0, "%s: %s", what, salvage_fault.text);
		assert_is_as_remembered("out", false, what);

		slot_clean("r-1");
		cr_assert_eq(slot_restore("r-1", commit), 0, "%s: %s", what, salvage_fault.text);
		assert_is_as_remembered("slots/r-1", false, what);
		assert_is_as_remembered("slots/r-1", true, what);
		cr_assert(sh("! test -e r/.git/worktrees/slotd-r-1/slotd-restoring && git -C r "
			     "fsck --strict "
			     "2>&1 | grep -v -E '^dangling|^notice' | (! grep .)"),
			  "%s", what);
		if (left[i].go_on)
			cr_assert(sh("cd slots/r-1 && export GIT_EDITOR=true && { %s\n} 2>&1",
				     left[i].go_on),
				  "%s: %s", what, left[i].go_on);
	}
}

/* several tests, for they run side by side */
Test(salvage_round_trip, every_state_comes_back_byte_for_byte)
{
	restore_each(0, 2, slot_capture);
}

Test(salvage_round_trip, and_so_does_every_other)
{
	restore_each(1, 2, slot_capture);
}

Test(salvage_round_trip, what_slotd_has_saved_comes_back_byte_for_byte)
{
	restore_each(0, 2, slot_save);
}

Test(salvage_round_trip, and_all_the_rest_of_it)
{
	restore_each(1, 2, slot_save);
}
