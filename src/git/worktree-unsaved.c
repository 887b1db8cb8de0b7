/* What would be lost, in sentences. */
#include "git/worktree-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "git/admin.h"
#include "git/op-state.h"
#include "git/reach.h"
#include "git/reflog.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define NAMES_SHOWN	 3
#define NAME_SHOWN_BYTES 120

enum kind {
	KIND_CHANGED,
	KIND_CONFLICT,
	KIND_STAGED,
	KIND_UNTRACKED,
	KIND_NESTED,
	KIND_SPECIAL,
	KIND_MOUNT,
	KIND_UNREADABLE,
	KINDS,
};

static const char *const kind_names[KINDS][2] = {
	[KIND_CHANGED] = { "changed file", "changed files" },
	[KIND_CONFLICT] = { "file in conflict", "files in conflict" },
	[KIND_STAGED] = { "staged file", "staged files" },
	[KIND_UNTRACKED] = { "untracked file", "untracked files" },
	[KIND_NESTED] = { "nested repository", "nested repositories" },
	[KIND_SPECIAL] = { "special file", "special files" },
	[KIND_MOUNT] = { "mounted directory", "mounted directories" },
	[KIND_UNREADABLE] = { "unreadable name", "unreadable names" },
};

struct report {
	int slot_fd;
	struct {
		size_t count;
		struct text names;
	} kinds[KINDS];
	unsigned wanted; /* bits of the kinds that this sweep is asked for */
	int (*fn)(const char *sentence, void *userdata);
	void *userdata;
	struct fault *f;
};

static void report_deinit(struct report *report)
{
	for (int i = 0; i < KINDS; i++)
		text_deinit(&report->kinds[i].names);
}

static int kind_of(enum tree_change change)
{
	switch (change) {
	case TREE_CHANGE_MODIFIED:
	case TREE_CHANGE_DELETED:
	case TREE_CHANGE_HIDDEN:
		return KIND_CHANGED;
	case TREE_CHANGE_CONFLICT:
		return KIND_CONFLICT;
	case TREE_CHANGE_STAGED:
		return KIND_STAGED;
	case TREE_CHANGE_UNTRACKED:
		return KIND_UNTRACKED;
	case TREE_CHANGE_NESTED:
		return KIND_NESTED;
	case TREE_CHANGE_SPECIAL:
		return KIND_SPECIAL;
	case TREE_CHANGE_MOUNT:
		return KIND_MOUNT;
	case TREE_CHANGE_UNREADABLE:
		return KIND_UNREADABLE;
	case TREE_CHANGE_IGNORED:
		break;
	}
	return -1;
}

/* a quoted name of bounded length, cut at a character */
static void add_name(struct text *names, const char *path)
{
	_cleanup_(freep) char *quoted = text_quote_path(path);
	size_t len;

	if (!quoted) {
		names->failed = true;
		return;
	}
	if (names->len > 0)
		text_add_string(names, ", ");
	len = strlen(quoted);
	if (len > NAME_SHOWN_BYTES) {
		len = NAME_SHOWN_BYTES;
		while (len > 0 && ((unsigned char)quoted[len] & 0xC0) == 0x80)
			len--;
	}
	text_add(names, quoted, len);
	if (quoted[len])
		text_add_string(names, "...");
}

static bool is_absent(int slot_fd, const char *path)
{
	_cleanup_(closep) int fd = fs_open_beneath(slot_fd, path, O_PATH | O_NOFOLLOW, 0);

	return fd == -ENOENT;
}

static int on_change(enum tree_change change, const char *path, void *userdata)
{
	struct report *report = userdata;
	int kind = kind_of(change);

	/* a sparse checkout: what is not there is not work */
	if (change == TREE_CHANGE_HIDDEN && is_absent(report->slot_fd, path))
		return 0;
	if (kind < 0 || !(report->wanted & 1U << kind))
		return 0;
	if (report->kinds[kind].count++ < NAMES_SHOWN)
		add_name(&report->kinds[kind].names, path);
	return 0;
}

static int say(struct report *report, char *sentence)
{
	_cleanup_(freep) char *owned = sentence;

	return owned ? report->fn(owned, report->userdata) : fault_oom(report->f);
}

static int say_kind(struct report *report, enum kind kind)
{
	size_t count = report->kinds[kind].count;
	_cleanup_(freep) char *names = text_take(&report->kinds[kind].names);

	if (!names)
		return fault_oom(report->f);
	if (count > NAMES_SHOWN)
		return say(report, text_printf("%zu %s: %s and %zu more", count,
					       kind_names[kind][1], names, count - NAMES_SHOWN));
	return say(report,
		   text_printf("%zu %s: %s", count, kind_names[kind][count > 1], names));
}

/*
 * Two sweeps when HEAD and target differ: what is staged shows against HEAD, but what the
 * reset would delete as untracked is for the target's ignore rules to say.
 */
static int report_tree(struct worktree *w, const git_oid *head, const git_oid *target,
		       struct report *report)
{
	unsigned all = (1U << KINDS) - 1, untracked = 1U << KIND_UNTRACKED | 1U << KIND_NESTED;
	int r;

	report->wanted = git_oid_equal(head, target) ? all : all & ~untracked;
	r = tree_sweep(&w->tree, head, NULL, on_change, report, NULL, report->f);
	if (r == 0 && report->wanted != all) {
		report->wanted = untracked;
		r = tree_sweep(&w->tree, target, NULL, on_change, report, NULL, report->f);
	}
	for (enum kind kind = 0; r == 0 && kind < KINDS; kind++)
		if (report->kinds[kind].count > 0)
			r = say_kind(report, kind);
	return r;
}

static int report_operations(struct worktree *w, struct report *report)
{
	int ops = op_state_find(w->tree.admin_fd, report->f);
	int r = ops < 0 ? ops : 0;

	for (int op = 1; r == 0 && op <= ops; op <<= 1)
		if (ops & op)
			r = say(report, text_printf("a %s in progress",
						    op_state_to_string((enum op_state)op)));
	return r;
}

struct tips {
	struct worktree *w;
	struct reach *reach;
	struct fault *f;
};

static int add_tip(const git_oid *oid, void *userdata)
{
	struct tips *tips = userdata;

	return reach_add_tip(tips->reach, oid, tips->f);
}

/* refs of this worktree alone go with cleaning; a name is a ref or a directory of them */
static int add_own_ref(int dirfd, const char *name, void *userdata)
{
	struct tips *tips = userdata;
	_cleanup_(freep) char *text = NULL;
	git_oid oid;

	if (admin_read_at(dirfd, name, &text, NULL) < 0)
		return admin_foreach_at(dirfd, name, add_own_ref, userdata, tips->f);
	if (strlen(text) != GIT_OID_HEXSZ || git_oid_fromstr(&oid, text) < 0)
		return 0;
	return reach_add_tip(tips->reach, &oid, tips->f);
}

static int say_commits(struct worktree *w, size_t count, const git_oid *newest, const char *where,
		       struct report *report)
{
	_cleanup_(freep) char *subject = NULL;
	git_commit *commit = NULL;
	char hex[8];

	if (git_commit_lookup(&commit, repo_git(w->repo), newest) == 0) {
		const char *summary = git_commit_summary(commit);

		subject = summary ? text_quote_path(summary) : NULL;
	}
	git_commit_free(commit);
	git_oid_tostr(hex, sizeof(hex), newest);
	return say(report, text_printf("%zu %s %s: %s %.100s", count,
				       text_plural(count, "commit", "commits"), where, hex,
				       subject ? subject : ""));
}

/* commits reachable from tips that add() names, held by no ref */
static int report_reach(struct worktree *w, struct reach *reach, const char *where,
			struct report *report)
{
	size_t count = 0;
	git_oid newest;
	int r;

	r = reach_add_refs(reach, NULL, report->f);
	if (r == 0)
		r = reach_run(reach, &count, &newest, report->f);
	if (r < 0 || count == 0)
		return r;
	return say_commits(w, count, &newest, where, report);
}

static void reach_freep(struct reach **reach)
{
	reach_free(*reach);
}

static int report_commits(struct worktree *w, const git_oid *head, struct report *report)
{
	_cleanup_(reach_freep) struct reach *reach = NULL;
	struct tips tips = { w, NULL, report->f };
	int r;

	r = reach_new(w->repo, &reach, report->f);
	if (r < 0)
		return r;
	tips.reach = reach;
	if (head)
		r = reach_add_tip(reach, head, report->f);
	if (r == 0)
		r = admin_foreach_at(w->tree.admin_fd, "refs", add_own_ref, &tips, report->f);
	return r == 0 ? report_reach(w, reach, "on no branch", report) : r;
}

/* what HEAD has left behind: amended and rebased commits, detached ones of earlier leases */
static int report_reflog(struct worktree *w, const git_oid *head, struct report *report)
{
	_cleanup_(reach_freep) struct reach *reach = NULL;
	struct tips tips = { w, NULL, report->f };
	int r;

	r = reach_new(w->repo, &reach, report->f);
	if (r < 0)
		return r;
	tips.reach = reach;
	r = reflog_foreach(w->tree.admin_fd, "logs/HEAD", add_tip, &tips, report->f);
	/* told already */
	if (r == 0 && head)
		r = reach_add_held(reach, head, report->f);
	return r == 0 ? report_reach(w, reach, "only in the log of this slot's HEAD", report) : r;
}

static int report_all(struct worktree *w, const git_oid *target, bool removing,
		      struct report *report)
{
	_cleanup_(freep) char *branch = NULL;
	const git_oid *born;
	git_oid head;
	int r;

	r = worktree_head(w, &branch, &head, report->f);
	if (r < 0)
		return r;
	/* a branch without commits: all that is staged is new, unless it equals the target */
	born = git_oid_is_zero(&head) ? NULL : &head;
	if (!target)
		target = born;
	if (!target)
		return fault(report->f, -EUCLEAN, "slot %s has no commit to compare with",
			     w->name);
	r = report_tree(w, born ? born : target, target, report);
	if (r == 0)
		r = report_operations(w, report);
	if (r == 0)
		r = report_commits(w, born, report);
	if (r == 0 && removing)
		r = report_reflog(w, born, report);
	return r;
}

int worktree_unsaved(struct worktree *w, const git_oid *target, bool removing,
		     int (*fn)(const char *sentence, void *userdata), void *userdata,
		     struct fault *f)
{
	_cleanup_(report_deinit) struct report report = {
		.slot_fd = w->tree.slot_fd, .fn = fn, .userdata = userdata, .f = f
	};
	int r = worktree_is_switching(w, f);

	if (r != 0)
		return r < 0 ? r : 0;
	return report_all(w, target, removing, &report);
}
