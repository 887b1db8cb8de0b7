/* Agents can write everything in slot and store: nothing of it leads a worker astray. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "util/json.h"
#include "worker-fixture.h"

static struct worker_end w;
static struct slot slot, sibling;

static void init(void)
{
	fixture_init();
	make_origin();
	worker_start(&w, NULL);
	store_open(&w);
	slot_create(&w, "a-1", &slot);
	slot_create(&w, "a-2", &sibling);
	/* a directory outside that looks like a worktree with work in it, and work in the sibling */
	cr_assert(sh("git clone -q o victim && echo precious > victim/f && echo u > victim/untracked && "
		     "echo precious > slots/a-2/f && echo u > slots/a-2/untracked && "
		     "cat victim/f victim/untracked slots/a-2/f slots/a-2/untracked > before && "
		     "find victim slots/a-2 -type f -not -path '*/.git/*' | sort >> before"));
}

static void deinit(void)
{
	int status;

	cr_assert(sh("{ cat victim/f victim/untracked slots/a-2/f slots/a-2/untracked; "
		     "find victim slots/a-2 -type f -not -path '*/.git/*' | sort; } | cmp - before"),
		  "the victims were touched");
	status = worker_stop(&w);
	worker_forget();
	fixture_deinit();
	cr_assert_eq(status, 0, "the worker ended with %d", status);
}

TestSuite(hostile, .init = init, .fini = deinit, .timeout = 120);

static json_object *clean(const char *flag)
{
	json_object *o = worker_call(&w, "SlotClean", "{%s, 'commit': '%s', 'discard': %s}",
				     slot_params(&slot), slot.commit, flag);

	cr_assert(o != NULL, "the worker died");
	return o;
}

/* the slot is put right by cleaning */
static void assert_cleaned(void)
{
	clean("true");
	cr_assert_str_eq(w.error, "", "%s: %s", w.error, w.message);
	assert_clean_at(&slot, slot.commit);
}

static void assert_damaged(void)
{
	cr_assert_str_eq(w.error, "Damaged", "%s: %s", w.error, w.message);
}

static const char *const rewritten[] = {
	"echo $PWD/victim/.git > s.git/worktrees/slotd-a-1/gitdir",
	"echo $PWD/slots/a-2/.git > s.git/worktrees/slotd-a-1/gitdir",
	"rm s.git/worktrees/slotd-a-1/gitdir",
	"rm s.git/worktrees/slotd-a-1/gitdir; mkfifo s.git/worktrees/slotd-a-1/gitdir",
	"rm s.git/worktrees/slotd-a-1/gitdir; mkdir -p s.git/worktrees/slotd-a-1/gitdir/x",
	"rm s.git/worktrees/slotd-a-1/gitdir; ln -s $PWD/victim/f s.git/worktrees/slotd-a-1/gitdir",
	"ln -f victim/f s.git/worktrees/slotd-a-1/gitdir",
	"echo $PWD/victim/.git > s.git/worktrees/slotd-a-1/commondir",
	": > s.git/worktrees/slotd-a-1/commondir",
	"rm s.git/worktrees/slotd-a-1/locked",
	"echo \"gitdir: $PWD/s.git/worktrees/slotd-a-2\" > slots/a-1/.git",
	"echo \"gitdir: $PWD/victim/.git\" > slots/a-1/.git",
	"rm slots/a-1/.git",
	"rm slots/a-1/.git; mkfifo slots/a-1/.git",
	"rm slots/a-1/.git; ln -s $PWD/victim/.git slots/a-1/.git",
	"rm slots/a-1/.git; ln -s $PWD/victim/f slots/a-1/.git",
	"ln -f victim/f slots/a-1/.git",
	"ln -f victim/f slots/a-1/.git.slotd; rm slots/a-1/.git",
	"rm -f slots/a-1/.git.slotd; mkdir slots/a-1/.git.slotd; rm slots/a-1/.git",
	"git -C victim config core.worktree $PWD/slots/a-1",
	"git -C s.git config core.worktree $PWD/victim",
	"rm -rf s.git/worktrees/slotd-a-1/logs; ln -s $PWD/victim s.git/worktrees/slotd-a-1/logs",
	"ln -f victim/f s.git/worktrees/slotd-a-1/logs/HEAD",
	"rm s.git/worktrees/slotd-a-1/logs/HEAD; mkfifo s.git/worktrees/slotd-a-1/logs/HEAD",
	"rm s.git/worktrees/slotd-a-1/logs/HEAD; mkdir s.git/worktrees/slotd-a-1/logs/HEAD",
	"ln -s $PWD/victim/f s.git/worktrees/slotd-a-1/HEAD.lock",
	"mkdir s.git/worktrees/slotd-a-1/HEAD.lock",
	"mkfifo s.git/worktrees/slotd-a-1/HEAD.slotd",
	"ln -s $PWD/victim s.git/worktrees/slotd-a-1/info",
	"ln -s $PWD/victim s.git/worktrees/slotd-a-1/rebase-merge",
	"ln -s $PWD/victim s.git/worktrees/slotd-a-1/refs",
	"rm -rf slots/a-1/d; ln -s $PWD/victim slots/a-1/d",
	"ln -sf $PWD/victim/f slots/a-1/f",
	"ln -f victim/f slots/a-1/f",
	"rm slots/a-1/f; mkfifo slots/a-1/f",
	"rm -f slots/a-1/.gitignore; mkfifo slots/a-1/.gitignore",
	"ln -s $PWD/victim slots/a-1/untracked-link",
	"rm s.git/worktrees/slotd-a-1/index; mkfifo s.git/worktrees/slotd-a-1/index",
	"rm s.git/worktrees/slotd-a-1/index; ln -s $PWD/victim/f s.git/worktrees/slotd-a-1/index",
	"rm s.git/worktrees/slotd-a-1/HEAD; mkfifo s.git/worktrees/slotd-a-1/HEAD",
	"rm s.git/worktrees/slotd-a-1/HEAD; ln -s $PWD/victim/f s.git/worktrees/slotd-a-1/HEAD",
	"echo 'ref: ../../../victim/f' > s.git/worktrees/slotd-a-1/HEAD",
	"head -c 100000 /dev/zero > s.git/worktrees/slotd-a-1/HEAD",
	"echo 'ref: refs/heads/loop' > s.git/worktrees/slotd-a-1/HEAD; "
	"git -C s.git symbolic-ref refs/heads/loop refs/heads/loop2; "
	"git -C s.git symbolic-ref refs/heads/loop2 refs/heads/loop",
};

Test(hostile, whatever_is_rewritten_is_put_right_and_victims_stay)
{
	for (size_t i = 0; i < sizeof(rewritten) / sizeof(rewritten[0]); i++) {
		slot_create(&w, "a-1", &slot);
		cr_assert(sh("%s", rewritten[i]), "%s", rewritten[i]);
		clean("false");
		cr_log_info("%s: %s %s", rewritten[i], w.error, w.message);
		clean("true");
		cr_assert_str_eq(w.error, "", "%s: %s: %s", rewritten[i], w.error, w.message);
		cr_assert_str_eq(sh_text("cat slots/a-1/.git"),
				 sh_text("echo gitdir: $PWD/s.git/worktrees/slotd-a-1"), "%s",
				 rewritten[i]);
		cr_assert_str_eq(sh_text("cd s.git/worktrees/slotd-a-1 && cat gitdir commondir locked HEAD"),
				 sh_text("printf '%%s\\n' $PWD/slots/a-1/.git ../.. slotd %s", slot.commit),
				 "%s", rewritten[i]);
		cr_assert(sh("cd slots/a-1 && timeout 20 git -c core.worktree=$PWD status --porcelain > ../../out && "
			     "! test -s ../../out"),
			  "%s: %s", rewritten[i], sh_text("cat out"));
		cr_assert(sh("{ cat victim/f victim/untracked; } | cmp - /dev/fd/3 3<<E\nprecious\nu\nE"),
			  "%s", rewritten[i]);
		sh("git -C s.git config --unset core.worktree");
	}
}

/* whatever the commit that is cleaned to ignores, and whatever git would convert */
static const char *const rules[] = {
	"true",
	"printf '*\n' >> s.git/info/exclude",
	"printf '/replaced*\nobjects/\n*.log\n' >> s.git/info/exclude",
	"printf '* text eol=crlf\n' >> s.git/info/attributes",
};

Test(hostile, a_repository_in_the_place_of_the_git_file_is_saved_whole_with_its_commits)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		json_object *salvage;

		slot_create(&w, "a-1", &slot);
		cr_assert(sh("rm -rf back aside && mkdir -p s.git/info && : > s.git/info/exclude && { %s; } && cd slots/a-1 && "
			     "rm .git && git init -q -b mine && git commit -q --allow-empty -m own && "
			     "git config core.worktree ../../victim && echo l > .git/x.log && "
			     "printf 'a\r\nb\n' > .git/notes && cp -a .git ../../aside && chmod 555 .git", rules[i]),
			  "%s", rules[i]);
		salvage = json_get_array(clean("false"), "salvage");
		cr_assert_str_eq(w.error, "", "%s: %s", rules[i], w.message);
		cr_assert_geq(json_object_array_length(salvage), 1, "%s", rules[i]);
		cr_assert(sh("rm -f s.git/info/attributes && mkdir back && git -C s.git archive %s^3 files | tar x -C back",
			     json_get_string(json_object_array_get_idx(salvage, json_object_array_length(salvage) - 1),
					     "ref")));
		cr_expect_str_eq(sh_text("cd back/files/replaced.git-1/%%2egit && find -type f -exec sha1sum {} + | sort -k 2"),
				 sh_text("cd aside && find -type f -exec sha1sum {} + | sort -k 2"), "%s", rules[i]);
		assert_clean_at(&slot, slot.commit);
		cr_assert(sh("test ! -e slots/a-1/replaced.git-1"), "%s", rules[i]);
	}
}

/* it writes for longer than it takes to save and clean again and again, and then it pauses */
Test(hostile, a_writer_that_pauses_is_survived)
{
	json_object *reply;

	cr_assert(sh("{ python3 -c 'import os, time\n"
		     "end, n = time.monotonic() + 1.2, 0\n"
		     "while time.monotonic() < end:\n"
		     "  n += 1; open(\"slots/a-1/n-%%d\" %% n, \"x\"); open(\"begun\", \"w\"); time.sleep(.003)\n"
		     "' >/dev/null 2>&1 & } && while ! test -e begun; do sleep 0.01; done"));
	reply = clean("false");
	cr_assert_str_eq(w.error, "", "%s", w.message);
	cr_expect_eq(json_object_array_length(json_get_array(reply, "unsaved")), 0, "%s",
		     json_object_to_json_string(reply));
	cr_expect_geq(json_object_array_length(json_get_array(reply, "salvage")), 2);
	assert_clean_at(&slot, slot.commit);
}

Test(hostile, a_slot_swapped_for_a_link_is_refused)
{
	cr_assert(sh("mv slots/a-1 elsewhere && ln -s $PWD/victim slots/a-1"));
	clean("true");
	assert_damaged();
	worker_call(&w, "SlotPrepare", "{%s, 'ref': 'topic'}", slot_params(&slot));
	assert_damaged();
	worker_call(&w, "SlotRemove", "{%s, 'discard': true}", slot_params(&slot));
	cr_assert_str_eq(w.error, "", "%s", w.message);
	cr_assert(sh("test ! -L slots/a-1 && test -f elsewhere/f"));
}

Test(hostile, another_directory_in_the_slot_s_place_is_refused)
{
	cr_assert(sh("mv slots/a-1 elsewhere && cp -r victim slots/a-1"));
	clean("true");
	assert_damaged();
	worker_call(&w, "SlotRemove", "{%s, 'discard': true}", slot_params(&slot));
	assert_damaged();
	cr_assert_str_eq(sh_text("cat slots/a-1/f"), "precious");
	cr_assert(sh("test -d s.git/worktrees/slotd-a-1"));
}

Test(hostile, links_in_the_place_of_shared_directories_are_refused_or_replaced)
{
	static const char *const swaps[] = {
		"mv s.git/worktrees s.git/w && ln -s $PWD/victim s.git/worktrees",
		"rm -rf s.git/slotd && ln -s $PWD/victim s.git/slotd",
		"mv s.git/worktrees/slotd-a-1 s.git/w1 && ln -s $PWD/victim s.git/worktrees/slotd-a-1",
		("mv s.git/worktrees/slotd-a-1 s.git/w2 && "
		 "ln -s $PWD/s.git/worktrees/slotd-a-2 s.git/worktrees/slotd-a-1"),
	};

	for (size_t i = 0; i < sizeof(swaps) / sizeof(swaps[0]); i++) {
		cr_assert(sh("%s", swaps[i]), "%s", swaps[i]);
		clean("true");
		worker_call(&w, "SlotPrepare", "{%s, 'ref': 'topic', 'branch': 'b%zu'}",
			    slot_params(&slot), i);
		worker_call(&w, "SlotRemove", "{%s, 'discard': true}", slot_params(&slot));
		cr_assert(sh("cat victim/f victim/untracked && ls victim/d && test -d victim/.git"));
		if (i == 0)
			cr_assert(sh("rm -rf s.git/worktrees && mv s.git/w s.git/worktrees"));
		slot_create(&w, "a-1", &slot);
	}
}

/* deeper than a path may be long: made from the bottom up */
Test(hostile, depth_is_no_way_out)
{
	cr_assert(sh("cd slots/a-1 && echo x > top && for i in $(seq 300); do "
		     "mkdir new && mv top new/ && mv new top || exit 1; done && "
		     "for i in $(seq 30); do mkdir $(printf 'd%%.0s' $(seq 200)) && "
		     "mv top ddd*/ && mv ddd* top || exit 1; done"));
	assert_cleaned();
	cr_assert(sh("test ! -e slots/a-1/top"));
	worker_call(&w, "SlotRemove", "{%s, 'discard': false}", slot_params(&slot));
	cr_assert_str_eq(w.error, "", "%s", w.message);
}
