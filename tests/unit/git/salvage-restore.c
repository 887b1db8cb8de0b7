#include "git/salvage-restore.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "git/ignore.h"
#include "salvage-slots.h"

TestSuite(salvage_restore, .init = salvage_slots_init, .fini = salvage_slots_deinit,
	  .timeout = 300);

static void silence(const char *script)
{
	(void)sh("cd slots/r-1 && { %s\n} >../../agent.out 2>&1; true", script);
}

/* from wherever the slot stands, on whatever branch */
Test(salvage_restore, a_slot_at_another_commit_takes_it)
{
	git_oid commit;

	slot_make("r-1");
	silence("git switch -qc agent/x side && echo x > new && git add new && rm a && chmod 600 "
		"id.c && "
		"git mv deep/y moved");
	remember_slot("slots/r-1", false);
	remember_slot("slots/r-1", true);
	commit = slot_capture("r-1");
	slot_clean("r-1");
	cr_assert(sh(
		"cd slots/r-1 && git switch -qc elsewhere main~1 && echo 1 > more && git add . && "
		"git commit -qm more && git rm -rq a && git commit -qm less && mkdir build && "
		"echo cache > build/cache"));
	cr_assert_eq(slot_restore("r-1", commit), 0, "%s", salvage_fault.text);
	cr_assert(sh("cat slots/r-1/build/cache && rm -r slots/r-1/build"));
	assert_is_as_remembered("slots/r-1", false, "elsewhere");
	assert_is_as_remembered("slots/r-1", true, "elsewhere");
	cr_assert_str_eq(slot_restored.branch, "agent/x");
	cr_assert(sh("git -C r rev-parse --verify -q elsewhere"));
}

/* its store is in the administration, and each names the other by paths */
Test(salvage_restore, a_submodule_comes_back_in_another_slot)
{
	git_oid commit;

	cr_assert(sh("git init -q -b main inner && cd inner && echo i > i && git add i && git "
		     "commit -qm inner && "
		     "cd ../r && git -c protocol.file.allow=always submodule --quiet add ../inner "
		     "sub && "
		     "git commit -qm submodule"));
	slot_make("r-1");
	cr_assert(sh(
		"cd slots/r-1 && git -c protocol.file.allow=always submodule --quiet update --init "
		"&& cd sub && "
		"git switch -qc mine && echo more > more && git add more && git commit -qm mine && "
		"echo changed > i"));
	commit = slot_save("r-1");
	cr_assert(!git_oid_is_zero(&commit), "it cannot be saved");
	slot_make("r-2");
	cr_assert_eq(slot_restore("r-2", commit), 0, "%s", salvage_fault.text);
	cr_assert(sh("cd slots && test \"$(git -C r-1 status --porcelain)\" = \"$(git -C r-2 "
		     "status --porcelain)\" && "
		     "rm -rf r-1 ../r/.git/worktrees/slotd-r-1 && cd r-2/sub && test $(git log -1 "
		     "--format=%%s) = mine && "
		     "test \"$(git status --porcelain)\" = ' M i' && git rev-parse --show-toplevel "
		     "| grep -q r-2/sub && "
		     "git fsck --strict"));
	/* another one's work in such a store is not overwritten */
	slot_make("r-2");
	cr_assert(sh("cd slots/r-2 && git -c protocol.file.allow=always submodule --quiet update "
		     "--init && "
		     "git submodule --quiet deinit -f sub"));
	cr_assert_eq(slot_restore("r-2", commit), -EBUSY);
	cr_assert(strstr(salvage_fault.text, "modules/sub/"), "%s", salvage_fault.text);
}

/* --- HEAD --- */

static git_oid left_on_branch(void)
{
	git_oid commit;

	slot_make("r-1");
	silence("git switch -qc agent/x && echo 1 > one && git add . && git commit -qm one && echo "
		"x >> a");
	commit = slot_capture("r-1");
	slot_clean("r-1");
	return commit;
}

Test(salvage_restore, a_branch_that_is_gone_is_made_again)
{
	git_oid commit = left_on_branch();

	cr_assert(sh("git -C r branch -qD agent/x"));
	cr_assert_eq(slot_restore("r-1", commit), 0, "%s", salvage_fault.text);
	cr_assert_str_eq(slot_restored.branch, "agent/x");
	cr_assert_str_eq(slot_restored.notes.data,
			 "the branch agent/x was gone and was made again\n");
	cr_assert(sh("test $(git -C slots/r-1 symbolic-ref HEAD) = refs/heads/agent/x && "
		     "test $(git -C slots/r-1 rev-parse HEAD) = %s",
		     git_oid_tostr_s(&slot_restored.head)));
}

Test(salvage_restore, a_branch_that_moved_on_is_left_alone)
{
	git_oid commit = left_on_branch();

	cr_assert(sh("git -C r branch -qf agent/x side"));
	cr_assert_eq(slot_restore("r-1", commit), 0, "%s", salvage_fault.text);
	cr_assert_null(slot_restored.branch);
	cr_assert(strstr(slot_restored.notes.data, "the branch agent/x has moved on"), "%s",
		  slot_restored.notes.data);
	cr_assert(sh("cd slots/r-1 && ! git symbolic-ref -q HEAD && test \"$(git log -1 "
		     "--format=%%s)\" = one && "
		     "test $(git rev-parse agent/x) = $(git rev-parse side) && "
		     "test \"$(git status --porcelain)\" = ' M a'"));
}

Test(salvage_restore, a_branch_that_another_worktree_has_is_left_alone)
{
	git_oid commit = left_on_branch();

	cr_assert(sh("git -C r worktree add -q ../other agent/x"));
	cr_assert_eq(slot_restore("r-1", commit), 0, "%s", salvage_fault.text);
	cr_assert_null(slot_restored.branch);
	cr_assert(strstr(slot_restored.notes.data, "the branch agent/x is checked out in "), "%s",
		  slot_restored.notes.data);
	cr_assert(strstr(slot_restored.notes.data, "/other: HEAD is detached"));
}

Test(salvage_restore, the_log_of_head_goes_on)
{
	git_oid commit = left_on_branch();

	cr_assert_eq(slot_restore("r-1", commit), 0, "%s", salvage_fault.text);
	cr_assert(sh("cd slots/r-1 && git reflog | head -1 | grep -q 'restored a salvage' && "
		     "test $(git reflog | grep -c 'commit: one') = 1"));
	slot_make("r-1");
	cr_assert_eq(slot_restore("r-1", commit), 0, "%s", salvage_fault.text);
	cr_assert(sh("cd slots/r-1 && test $(git reflog | grep -c 'commit: one') = 1 && git fsck"));
}

/* --- what is in the way --- */

struct obstacle {
	const char *script; /* in the clean slot */
	const char *says;
};

static const struct obstacle obstacles[] = {
	{ "echo x >> a", "the slot is not clean: a (modified)" },
	{ "echo x > untracked", "untracked" },
	{ "git rm -q --cached a", "a (staged)" },
	{ "git merge -q side", "a merge is in progress" },
	{ "touch $(git rev-parse --git-dir)/index.lock", "index.lock" },
	{ "git checkout -q --orphan none", "no commit" },
	{ "git update-index --split-index", "split" },
	{ "echo mine > keep.log", "\"keep.log\" is there and is something else" },
	{ "mkdir keep.log && echo mine > keep.log/f",
	  "\"keep.log\" is there and is something else" },
	{ "mkfifo keep.log", "\"keep.log\" is there" },
	{ "ln -s elsewhere build", "\"build/cache\" has a file or a link in its way" },
};

/* ignored files that were saved as precious come back, but over nothing */
static git_oid left_with_precious(void)
{
	return salvage_made_by("files[b'keep.log'] = (0o100644, blob(repo, b'saved'))\n"
			       "files[b'build/cache'] = (0o100644, blob(repo, b'saved'))\n"
			       "files[b'new'] = (0o100644, blob(repo, b'new'))\n"
			       "del files[b'id.c']");
}

Test(salvage_restore, nothing_is_lost_in_a_slot_that_is_not_clean)
{
	git_oid commit;

	cr_assert(sh("printf 'build\\n*.log\\n' > r/.git/info/exclude"));
	commit = left_with_precious();
	for (size_t i = 0; i < sizeof(obstacles) / sizeof(obstacles[0]); i++) {
		slot_make("r-1");
		silence(obstacles[i].script);
		remember_slot("slots/r-1", false);
		remember_slot("slots/r-1", true);
		cr_assert_eq(slot_restore("r-1", commit), -EBUSY, "%s", obstacles[i].script);
		cr_assert(strstr(salvage_fault.text, obstacles[i].says), "%s: %s",
			  obstacles[i].script, salvage_fault.text);
		assert_is_as_remembered("slots/r-1", false, obstacles[i].script);
		assert_is_as_remembered("slots/r-1", true, obstacles[i].script);
	}
	slot_make("r-1");
	silence("printf saved > keep.log");
	cr_assert_eq(slot_restore("r-1", commit), 0, "%s", salvage_fault.text);
	cr_assert(sh("test $(cat slots/r-1/keep.log slots/r-1/build/cache) = savedsaved"));
}

/* --- what the pool keeps --- */

static const struct obstacle kept[] = {
	{ "echo mine > kept.file", "\"kept.file\" is there and is something else" },
	{ "ln -s saved kept.file", "\"kept.file\" is there and is something else" },
	{ "mkdir kept.file && echo mine > kept.file/f", "\"kept.file\" is there and is something else" },
	{ "echo mine > kept.dir", "\"kept.dir/f\" has a file or a link in its way" },
	{ "echo mine > kept.empty", "\"kept.empty\" has a file or a link in its way" },
	{ "echo mine > d/kept", "\"d/kept\" is where the salvage has no directory" },
	{ "mkdir -p d/kept.e/f && echo mine > d/kept.e/f/g", "\"d/kept.e/f/g\" is where the salvage has no directory" },
	{ "echo mine > other", "the slot is not clean: other (untracked)" },
};

Test(salvage_restore, what_the_pool_keeps_is_in_the_way_only_where_it_would_be_lost)
{
	static const char *const lines[] = { "kept*" };
	struct ignore *keep = NULL;
	git_oid commit = salvage_made_by("files = {k: v for k, v in files.items() if not k.startswith(b'd/')}\n"
					 "files[b'd'] = (0o100644, blob(repo, b'a file'))\n"
					 "files[b'kept.file'] = (0o100644, blob(repo, b'saved'))\n"
					 "files[b'kept.dir/f'] = (0o100644, blob(repo, b'saved'))\n"
					 "state[b'dirs'] = b'kept.empty\\x00'");

	cr_assert_eq(ignore_from_lines(lines, 1, &keep), 0);
	slot_keep = keep;
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		slot_make("r-1");
		silence(kept[i].script);
		remember_slot("slots/r-1", false);
		remember_slot("slots/r-1", true);
		cr_assert_eq(slot_restore("r-1", commit), -EBUSY, "%s", kept[i].script);
		cr_assert(strstr(salvage_fault.text, kept[i].says), "%s: %s", kept[i].script, salvage_fault.text);
		assert_is_as_remembered("slots/r-1", false, kept[i].script);
		assert_is_as_remembered("slots/r-1", true, kept[i].script);
	}
	slot_make("r-1");
	silence("printf saved > kept.file && mkdir kept.dir kept.cache && echo mine > kept.dir/mine && "
		"echo mine > kept.cache/x");
	cr_assert_eq(slot_restore("r-1", commit), 0, "%s", salvage_fault.text);
	cr_expect_str_eq(sh_text("cd slots/r-1 && cat d kept.file kept.dir/f kept.dir/mine kept.cache/x && "
				 "test -d kept.empty"),
			 "a filesavedsavedmine\nmine");
	slot_keep = NULL;
	ignore_free(keep);
}

Test(salvage_restore, a_directory_with_something_in_it_is_refused)
{
	git_oid commit = left_with_precious();
	struct tree_stats stats;
	int fd;

	cr_assert(sh("mkdir out && touch out/.hidden"));
	fd = open(in_dir("out"), O_RDONLY | O_DIRECTORY);
	cr_assert_eq(salvage_restore_dir(salvage_repo, &commit, fd, 1, &stats, &salvage_fault),
		     -EEXIST);
	close(fd);
	cr_assert(sh("test \"$(ls -A out)\" = .hidden"));
}

/* --- hostile --- */

struct hostile {
	const char *script;
	int code;
};

static const struct hostile hostile[] = {
	{ "files[b'../victim/f'] = (0o100644, blob(repo, b'x'))", -EUCLEAN },
	{ "files[b'.git/config'] = (0o100644, blob(repo, b'x'))", -EUCLEAN },
	{ "files[b'.git'] = (0o100644, blob(repo, b'x'))", -EUCLEAN },
	{ "state[b'files/%2egit'] = b'gitdir: elsewhere'", -EUCLEAN },
	{ "state[b'files/%2egit/config'] = b'x'", -EUCLEAN },
	{ "state[b'files/%2e./victim/f'] = b'x'", -EUCLEAN },
	{ "files[b'l'] = (0o120000, blob(repo, b'../../victim'))\nstate[b'files/l/f'] = b'x'",
	  -EUCLEAN },
	{ "state[b'files/l'] = (0o120000, blob(repo, b'../../victim'))\n"
	  "files[b'l/f'] = (0o100644, blob(repo, b'x'))",
	  -EUCLEAN },
	{ "state[b'files/l'] = (0o120000, blob(repo, b'../../victim'))\nstate[b'files/l/f'] = b'x'",
	  -EUCLEAN },
	{ "files[b'l'] = (0o120000, blob(repo, b'../../victim'))\nstate[b'dirs'] = b'l/made\\x00'",
	  -ELOOP },
	{ "state[b'dirs'] = b'../victim/made\\x00'", -EUCLEAN },
	{ "files[b'x'] = (0o100644, '1' * 40)", -EUCLEAN },
	{ "files[b'x'] = (0o100644, base)", -EUCLEAN },
	{ "files[b'x'] = (0o120000, blob(repo, b''))", -EUCLEAN },
	{ "files[b'x'] = (0o120000, blob(repo, b'y' * 5000))", -EUCLEAN },
	{ "files[b'l'] = (0o120000, blob(repo, b'../../victim'))\n"
	  "state[b'modes'] = b'040000 l\\x00' + b'100000 l\\x00'",
	  -EUCLEAN },
	{ "files[b'l'] = (0o120000, blob(repo, b'../../victim'))\nstate[b'modes'] = b'040000 "
	  "l\\x00'",
	  0 },
	{ "files[b'l'] = (0o120000, blob(repo, b'../../victim/f'))\nstate[b'modes'] = b'100000 "
	  "l\\x00'",
	  0 },
	{ "state[b'state/%2e./%2e./config'] = b'x'", -EUCLEAN },
	{ "state[b'state/HEAD'] = b'ref: refs/heads/victim'\nstate[b'state/gitdir'] = b'/x'\n"
	  "state[b'state/commondir'] = b'/x'\nstate[b'state/index.lock'] = b'/x'\n"
	  "state[b'state/hooks/post-checkout'] = b'/x'\nstate[b'state/slotd-switching'] = b'x'\n"
	  "state[b'state/refs/heads/main'] = b'x'\nstate[b'state/logs/x.lock'] = b'x'\n"
	  "state[b'state/MERGE_MSG'] = (0o120000, blob(repo, b'/etc/passwd'))",
	  0 },
	{ "state[b'head'] = b'ref: refs/heads/../../victim'", 0 },
	{ "state[b'head'] = b'ref: /etc/passwd'", 0 },
	{ "state[b'head'] = b'\\xff' * 100", 0 },
	{ "state[b'index'] = b'garbage'", 0 },
	{ "state[b'head'] = None", 0 },
};

Test(salvage_restore, no_salvage_writes_outside_of_the_slot)
{
	slot_make("r-2");
	cr_assert(sh(
		"mkdir victim slots/victim && echo canary > victim/f && echo canary > "
		"slots/victim/f && "
		"find victim slots/victim slots/r-2 r/.git/config r/.git/HEAD r/.git/refs/heads "
		"r/.git/worktrees/slotd-r-2 -type f -o -type d -printf '%%p %%m\\n' | sort > was; "
		"find victim slots/victim slots/r-2 r/.git/config r/.git/HEAD r/.git/refs/heads "
		"r/.git/worktrees/slotd-r-2 -type f -exec sha1sum {} + | sort >> was"));
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		const char *what = hostile[i].script;
		git_oid commit = salvage_made_by(what);
		bool later =
			strncmp(what, "state[b'state", 13) == 0; /* no matter for a directory */

		slot_make("r-1");
		cr_assert_eq(dir_restore(commit), later ? 0 : hostile[i].code, "%s: %s", what,
			     salvage_fault.text);
		cr_assert_eq(slot_restore("r-1", commit), hostile[i].code, "%s: %s", what,
			     salvage_fault.text);
		cr_assert(sh("find victim slots/victim slots/r-2 r/.git/config r/.git/HEAD "
			     "r/.git/refs/heads "
			     "r/.git/worktrees/slotd-r-2 -type f -o -type d -printf '%%p %%m\\n' | "
			     "sort > is; "
			     "find victim slots/victim slots/r-2 r/.git/config r/.git/HEAD "
			     "r/.git/refs/heads "
			     "r/.git/worktrees/slotd-r-2 -type f -exec sha1sum {} + | sort >> is; "
			     "diff was is"),
			  "%s", what);
		cr_assert(sh("cd r/.git/worktrees/slotd-r-1 && cat HEAD | grep -q -E "
			     "'^[0-9a-f]{40}$|^ref: "
			     "refs/heads/main$' && ! test -e hooks && ! test -e slotd-switching && "
			     "! test -L MERGE_MSG && ! test -e refs/heads && grep -q slots/r-1 "
			     "gitdir"),
			  "%s", what);
	}
}

Test(salvage_restore, no_program_of_somebody_else_gets_his_rights)
{
	git_oid commit = salvage_made_by("files[b'tool'] = (0o100755, blob(repo, b'x'))\n"
					 "state[b'modes'] = b'106755 tool\\x00'");

	cr_assert_eq(dir_restore(commit), 0, "%s", salvage_fault.text);
	cr_assert_str_eq(sh_text("stat -c %%a out/tool"), "755");
}

Test(salvage_restore, names_longer_than_the_kernel_takes_come_back)
{
	git_oid commit = salvage_made_by(
		"state[b'files/' + b'/'.join([b'n' * 200] * 40) + b'/f'] = b'deep'");

	cr_assert_eq(dir_restore(commit), 0, "%s", salvage_fault.text);
	cr_assert_str_eq(sh_text("cd out && python3 -c \"import os; [os.chdir('n' * 200) for i in "
				 "range(40)]; "
				 "print(open('f').read())\""),
			 "deep");
	cr_assert(sh("rm -rf out"));
}

/* --- a branch --- */

Test(salvage_restore, a_branch_has_the_files_on_top_of_the_commit)
{
	git_oid commit = left_on_branch(), made, again;

	cr_assert_eq(salvage_branch(salvage_repo, &commit, "rescue/x", &made, &salvage_fault), 0,
		     "%s", salvage_fault.text);
	cr_assert(sh(
		"cd r && test $(git rev-parse rescue/x) = %s && test $(git rev-parse rescue/x^) = "
		"$(git rev-parse agent/x) && git diff --quiet rescue/x " SALVAGE_FIXTURE_REF " && "
		"test \"$(git log -1 --format=%%an,%%ae,%%at rescue/x)\" = "
		"slotd,slotd@localhost,1700000000 && "
		"git log -1 --format=%%B rescue/x | grep -q '^Lease: ' && git fsck --strict",
		git_oid_tostr_s(&made)));
	cr_assert_eq(salvage_branch(salvage_repo, &commit, "rescue/x", &again, &salvage_fault), 0);
	cr_assert(git_oid_equal(&made, &again));
	cr_assert_eq(salvage_branch(salvage_repo, &commit, "main", &again, &salvage_fault),
		     -EEXIST);
	cr_assert_eq(salvage_branch(salvage_repo, &commit, "a..b", &again, &salvage_fault),
		     -EINVAL);
	cr_assert_eq(salvage_branch(salvage_repo, &made, "other", &again, &salvage_fault),
		     -EUCLEAN);
	cr_assert(sh("cd r && ! git rev-parse -q --verify other"));
}
