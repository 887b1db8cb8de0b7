/* The slot, and its witness. */
#include "tree-fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/text.h"

struct tree_slot slot = { .slot_fd = -1, .admin_fd = -1 };
struct fault slot_fault;
struct tree_stats slot_stats;

void slot_open(void)
{
	cr_assert(sh("git -C r worktree add -q --no-checkout --detach ../s HEAD"));
	slot.common_dir = in_dir("r/.git");
	slot.slot_fd = open(in_dir("s"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	slot.admin_fd = open(in_dir("r/.git/worktrees/s"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert(slot.slot_fd >= 0 && slot.admin_fd >= 0);
}

void slot_close(void)
{
	if (slot.slot_fd >= 0)
		close(slot.slot_fd);
	if (slot.admin_fd >= 0)
		close(slot.admin_fd);
	slot.slot_fd = slot.admin_fd = -1;
}

git_oid commit_of(const char *rev)
{
	git_oid oid;

	cr_assert_eq(git_oid_fromstr(&oid, sh_text("git -C r rev-parse '%s^{commit}'", rev)), 0);
	return oid;
}

/* every name with type, link target and files' permissions, without what git keeps for itself */
#define LISTING                                                                    \
	"find . -mindepth 1 -path ./.git -prune -o -type d -printf 'd %%p\\0' -o " \
	"-printf '%%y %%m %%p %%l\\0' | sort -z"

void assert_slot_is_clean_at(const char *rev)
{
	cr_assert(
		sh("git -C s update-ref --no-deref HEAD $(git -C r rev-parse '%s^{commit}')", rev));
	cr_assert(sh("rm -rf w && git -C r worktree prune && "
		     "git -C r worktree add -q --detach ../w '%s'",
		     rev));
	cr_assert_str_eq(sh_text("git -C s status --porcelain"), "", "%s: status: %s", rev,
			 sh_text("git -C s status --porcelain"));
	cr_assert(sh("cd w && " LISTING " > ../w.list; cd ../s && " LISTING
		     " > ../s.list; cmp ../w.list ../s.list"),
		  "%s",
		  sh_text("tr '\\0' '\\n' < w.list > w.l; tr '\\0' '\\n' < s.list | diff w.l -; "
			  "true"));
	cr_assert(sh("diff -r --no-dereference -x .git w s"));
	cr_assert_str_eq(sh_text("git -C s diff-files --raw; git -C s diff-index --cached HEAD"),
			 "");
	cr_assert(sh("git -C s ls-files -s -z | sed -z 's/ 0\\t/\\t/' > s.ls && "
		     "git -C s ls-tree -r -z HEAD | sed -z 's/ [a-z]* / /' > s.tree && "
		     "cmp s.ls s.tree"));
	cr_assert(sh("git -C s fsck --no-dangling --no-progress 2>&1"));
	cr_assert(sh("! ls s/.slotd-tmp-* 2>/dev/null && test ! -e r/.git/worktrees/s/index.lock"));
}

void commit_made_by(const char *make)
{
	cr_assert(sh("cd r && { %s; } && git add -A && git commit -q --allow-empty -m x", make),
		  "%s", make);
}

int create_at(const char *rev)
{
	git_oid commit = commit_of(rev);

	return tree_create(&slot, &commit, 2, &slot_stats, &slot_fault);
}

int switch_to(const char *rev)
{
	git_oid commit = commit_of(rev);
	struct tree_stats stats;

	return tree_switch(&slot, &commit, 2, &stats, &slot_fault);
}

int reset_to(const char *rev, bool keep_ignored)
{
	git_oid commit = commit_of(rev);
	struct tree_reset_options options = { .policy.wipe_ignored = !keep_ignored, .threads = 2 };
	struct tree_stats stats;

	return tree_reset(&slot, &commit, &options, &stats, &slot_fault);
}

static int collect(enum tree_change change, const char *path, void *userdata)
{
	text_addf(userdata, "%s %s\n", tree_change_to_string(change), path);
	return 0;
}

static char *sweep(const char *rev, const struct tree_sweep_options *options)
{
	git_oid commit = rev ? commit_of(rev) : (git_oid){ { 0 } };
	struct text t = { 0 };
	int r;

	r = tree_sweep(&slot, rev ? &commit : NULL, options, collect, &t, NULL, &slot_fault);
	if (r < 0) {
		text_deinit(&t);
		t = (struct text){ 0 };
		text_addf(&t, "fault %d %s", r, slot_fault.text);
	}
	return fixture_keep(text_take(&t));
}

char *sweep_text(const char *rev, bool want_ignored)
{
	return sweep(rev, &(struct tree_sweep_options){ .want_ignored = want_ignored, .threads = 2 });
}

char *sweep_by(const char *rev, const struct tree_policy *policy)
{
	return sweep(rev, &(struct tree_sweep_options){ .policy = *policy, .threads = 2 });
}
