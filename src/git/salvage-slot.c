/* A slot goes on where another one was left. */
#include "git/worktree-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/branch.h"
#include "git/seed.h"
#include "git/index-write.h"
#include "git/op-state.h"
#include "git/reflog.h"
#include "git/salvage-apply.h"
#include "git/salvage-restore.h"
#include "git/salvage-admin.h"
#include "git/salvage-module.h"
#include "git/tree-file.h"
#include "git/tree-walk.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/json.h"

#define WHY	  "restored a salvage"
#define LOGGED_BY "slotd-salvage <slotd@localhost>"

struct restore {
	struct worktree *w;
	struct salvage *s;
	struct salvage_goal goal;
	git_oid before;		 /* where the slot stood */
	bool again;		 /* a killed one is taken up */
	struct index index;	 /* of the slot; empty when it is taken up */
	struct tree_list commit; /* the files of @before, then */
	struct convert *convert; /* of those */
	struct salvage_apply apply;
	struct salvage_restored done;
};

static void restore_deinit(struct restore *r)
{
	salvage_restored_deinit(&r->done);
	convert_free(r->convert);
	tree_list_deinit(&r->commit);
	index_deinit(&r->index);
	salvage_goal_deinit(&r->goal);
	salvage_free(r->s);
}

/* --- is there room for it? --- */

struct proof {
	struct worktree *w;
	struct seed_notes *seeds; /* the operator has put them in: they are in nobody's way */
	struct fault *f;
};

static int on_change(enum tree_change change, const char *path, void *userdata)
{
	_cleanup_(freep) char *quoted = text_quote_path(path);
	const struct proof *proof = userdata;

	if (change == TREE_CHANGE_UNTRACKED && seed_notes_cover(proof->seeds, proof->w->tree.slot_fd, path))
		return 0;
	return fault(proof->f, -EBUSY, "the slot is not clean: %s (%s)", quoted ? quoted : "?",
		     tree_change_to_string(change));
}

/* a lock of git's; ours are gone with whoever held them */
static int check_locks(struct worktree *w, struct fault *f)
{
	static const char *const locks[] = { "index.lock", "HEAD.lock" };

	for (size_t i = 0; i < ARRAY_SIZE(locks); i++)
		if (faccessat(w->tree.admin_fd, locks[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return fault(f, -EBUSY, "%s is there: is git at work in the slot?",
				     locks[i]);
	return 0;
}

/* -EBUSY or 0; the commit that it is clean at */
static int prove_clean(struct worktree *w, const struct ignore *keep, unsigned threads, git_oid *ret,
		       struct fault *f)
{
	struct tree_sweep_options sweep = { .policy.keep = keep, .threads = threads };
	struct proof proof = { w, NULL, f };
	_cleanup_(freep) char *branch = NULL;
	int r = worktree_head(w, &branch, ret, f);

	if (r == 0 && git_oid_is_zero(ret))
		return fault(f, -EBUSY, "the slot is not clean: its branch %s has no commit",
			     branch);
	if (r == 0)
		r = check_locks(w, f);
	if (r == 0)
		r = op_state_find(w->tree.admin_fd, f);
	if (r > 0)
		return fault(f, -EBUSY, "the slot is not clean: a %s is in progress",
			     op_state_to_string((enum op_state)(r & -r)));
	if (r == 0)
		r = seed_notes_load(w->tree.admin_fd, &proof.seeds) < 0 ? fault_oom(f) : 0;
	if (r == 0)
		r = tree_sweep(&w->tree, ret, &sweep, on_change, &proof, NULL, f);
	seed_notes_free(proof.seeds);
	return r == -EUCLEAN ? -EBUSY : r;
}

/* the mark of a killed one: 1, or 0 when there is none that can be read */
static int read_mark(struct worktree *w, git_oid *ret_commit, git_oid *ret_before)
{
	_cleanup_(freep) char *text = NULL;

	if (admin_read_at(w->tree.admin_fd, SALVAGE_RESTORING, &text, NULL) < 0)
		return 0;
	return strlen(text) == 2 * GIT_OID_HEXSZ + 1 && text[GIT_OID_HEXSZ] == ' ' &&
	       git_oid_fromstrn(ret_commit, text, GIT_OID_HEXSZ) == 0 &&
	       git_oid_fromstr(ret_before, text + GIT_OID_HEXSZ + 1) == 0;
}

static int write_mark(struct restore *r, struct fault *f)
{
	char commit[GIT_OID_HEXSZ + 1], before[GIT_OID_HEXSZ + 1], text[2 * GIT_OID_HEXSZ + 2];
	int fd = r->w->tree.admin_fd, rc;

	git_oid_tostr(commit, sizeof(commit), &r->s->commit);
	git_oid_tostr(before, sizeof(before), &r->before);
	snprintf(text, sizeof(text), "%s %s", commit, before);
	rc = admin_write_at(fd, SALVAGE_RESTORING, text, f);
	if (rc == 0)
		rc = admin_sync(fd, f);
	CRASH_POINT("salvage.slot.marked");
	return rc;
}

static int remove_mark(struct worktree *w, struct fault *f)
{
	int r = admin_remove_at(w->tree.admin_fd, SALVAGE_RESTORING, f);

	return r == 0 ? admin_sync(w->tree.admin_fd, f) : r;
}

/* a clean slot is begun with; another one only where this very salvage was on its way into it */
static int begin(struct restore *r, const struct ignore *keep, unsigned threads, struct fault *f)
{
	git_oid commit, before;
	struct fault why = FAULT_NONE;
	int rc = prove_clean(r->w, keep, threads, &r->before, f);

	if (rc != -EBUSY)
		return rc;
	if (!read_mark(r->w, &commit, &before))
		return rc;
	if (!git_oid_equal(&commit, &r->s->commit)) {
		if (f)
			why = *f;
		return fault(f, -EBUSY,
			     "%s; restoring %s into it was interrupted: restore that again first",
			     why.text, git_oid_tostr_s(&commit));
	}
	r->again = true;
	r->before = before;
	return 0;
}

/* --- files --- */

/* what the slot has: by its index, or, where that may be the salvage's, by the commit */
static int load_before(struct restore *r, struct fault *f)
{
	struct repo *repo = r->w->repo;
	int rc = r->again ? tree_list_load(repo, &r->before, &r->commit, f)
			  : index_read(r->w->tree.admin_fd, &r->index, f);

	if (rc == 0)
		rc = convert_load(repo, r->again ? &r->commit : &r->index.list, &r->convert, f);
	return rc;
}

static int prepare(struct restore *r, unsigned threads, struct fault *f)
{
	int rc = load_before(r, f);

	if (rc == 0)
		rc = salvage_goal_load(r->s, &r->goal, f);
	if (rc == 0)
		rc = salvage_module_gitfiles(r->s, &r->goal, r->w->name, f);
	r->apply = (struct salvage_apply){
		.slot = &r->w->tree,
		.repo = r->w->repo,
		.goal = &r->goal,
		.before = r->again ? &r->commit : &r->index.list,
		.checker = { .index = r->again ? NULL : &r->index,
			     .convert = r->convert,
			     .trust_filemode = tree_trust_filemode(r->w->repo) },
		.threads = threads,
	};
	return rc == 0 ? salvage_apply_check(&r->apply, f) : rc;
}

/* what a killed one was writing */
static int remove_tmp(int dirfd, const char *name, void *userdata)
{
	return text_has_prefix(name, TREE_TMP_PREFIX) ? admin_remove_at(dirfd, name, userdata) : 0;
}

static int remove_tmp_in_admin(int admin_fd, struct fault *f)
{
	static const char *const dirs[] = {
		".",	       "logs",		"rebase-apply",	  "rebase-merge",
		"refs/bisect", "refs/worktree", "refs/rewritten", "sequencer"
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(dirs); i++)
		r = admin_foreach_at(admin_fd, dirs[i], remove_tmp, f, f);
	return r;
}

static int remove_tmp_in_slot(struct restore *r, struct fault *f)
{
	const char *dir = "";
	size_t len = 0;
	int rc = admin_foreach_at(r->w->tree.slot_fd, ".", remove_tmp, f, f);

	for (size_t i = 0; rc == 0 && i < r->goal.files.n; i++) {
		const struct tree_entry *e = &r->goal.files.entries[i];
		size_t n = tree_path_dir(e->path, e->path_len);
		_cleanup_(freep) char *copy = NULL;

		if (n == 0 || n > TREE_MAX_PATH || (n == len && memcmp(dir, e->path, n) == 0))
			continue;
		dir = e->path;
		len = n;
		copy = strndup(e->path, n);
		rc = copy ? admin_foreach_at(r->w->tree.slot_fd, copy, remove_tmp, f, f)
			  : fault_oom(f);
	}
	return rc == 0 ? remove_tmp_in_admin(r->w->tree.admin_fd, f) : rc;
}

/* --- HEAD --- */

static void note(struct restore *r, const char *branch, const char *what, const git_oid *at)
{
	char hex[13] = "";

	if (at)
		git_oid_tostr(hex, sizeof(hex), at);
	text_addf(&r->done.notes, "the branch %s %s%s\n", branch, what, hex);
}

/* the branch that HEAD was on, if git could have been on it; NULL: detached */
static const char *branch_of(struct restore *r)
{
	static const char prefix[] = "ref: refs/heads/";
	const char *head = r->s->head;

	if (!head || !text_has_prefix(head, "ref:"))
		return NULL;
	if (!text_has_prefix(head, prefix) || branch_check_name(head + strlen(prefix), NULL) < 0) {
		text_addf(&r->done.notes,
			  "HEAD was on no branch that can be made: it is detached\n");
		return NULL;
	}
	return head + strlen(prefix);
}

/* 1: HEAD goes on the branch; 0: it is detached, and a note says why */
static int take_branch(struct restore *r, const char *branch, struct fault *f)
{
	_cleanup_(freep) char *path = NULL;
	struct repo *repo = r->w->repo;
	bool created = false;
	git_oid at;
	int rc = branch_find_user(repo, branch, r->w->name, &path, f);

	if (rc == BRANCH_E_IN_USE) {
		text_addf(&r->done.notes, "the branch %s is checked out in %s: HEAD is detached\n",
			  branch, path);
		return 0;
	}
	if (rc < 0)
		return rc;
	rc = branch_find(repo, branch, &at, f);
	if (rc == -EUCLEAN) {
		note(r, branch, "is damaged: HEAD is detached", NULL);
		return 0;
	}
	if (rc == 0 && !git_oid_equal(&at, &r->s->base)) {
		note(r, branch, "has moved on: HEAD is detached where it was, the branch is at ",
		     &at);
		return 0;
	}
	if (rc != BRANCH_E_ABSENT)
		return rc < 0 ? rc : 1;
	rc = branch_create(repo, r->w->name, branch, &r->s->base, &created, f);
	if (rc == -EEXIST) {
		note(r, branch, "is gone and another one has its place: HEAD is detached", NULL);
		return 0;
	}
	if (rc == 0 && created)
		note(r, branch, "was gone and was made again", NULL);
	return rc < 0 ? rc : 1;
}

/* a branch without a commit; free: 1 */
static int take_unborn(struct restore *r, const char *branch, struct fault *f)
{
	_cleanup_(freep) char *path = NULL;
	git_oid at;
	int rc = branch_find_user(r->w->repo, branch, r->w->name, &path, f);

	if (rc == 0)
		rc = branch_find(r->w->repo, branch, &at, f);
	if (rc == BRANCH_E_ABSENT)
		return 1;
	if (rc == -EUCLEAN) {
		note(r, branch, "is damaged: HEAD is detached", NULL);
		return 0;
	}
	if (rc >= 0)
		note(r, branch, "had no commit and has one now: HEAD is detached", NULL);
	return rc < 0 ? rc : 0;
}

/*
 * The line in the log is not slotd's: commits that slotd put HEAD on are safe elsewhere, and these are
 * not, once the salvage has been dropped.
 */
static int set_head(struct restore *r, const char *branch, bool unborn, struct fault *f)
{
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) char *is = NULL;
	char hex[GIT_OID_HEXSZ + 1];
	int fd = r->w->tree.admin_fd, rc;

	text = branch ? text_printf("ref: refs/heads/%s\n", branch)
		      : text_printf("%s\n", git_oid_tostr(hex, sizeof(hex), &r->s->base));
	if (!text)
		return fault_oom(f);
	if (admin_read_at(fd, "HEAD", &is, NULL) == 0 && strncmp(is, text, strlen(text) - 1) == 0 &&
	    strlen(is) == strlen(text) - 1)
		return 0;
	rc = admin_write_at(fd, "HEAD", text, f);
	CRASH_POINT("salvage.slot.head-set");
	if (rc == 0 && !unborn)
		rc = reflog_append_as(fd, "logs/HEAD", LOGGED_BY, &r->before, &r->s->base, WHY, f);
	return rc == 0 ? admin_sync(fd, f) : rc;
}

static int restore_head(struct restore *r, struct fault *f)
{
	const char *branch = branch_of(r);
	bool unborn = branch && !json_get_string(r->s->meta, "headCommit");
	int rc = !branch ? 0 : unborn ? take_unborn(r, branch, f) : take_branch(r, branch, f);

	if (rc < 0)
		return rc;
	branch = rc > 0 ? branch : NULL;
	unborn = unborn && branch;
	rc = set_head(r, branch, unborn, f);
	if (rc < 0)
		return rc;
	if (!unborn)
		r->done.head = r->s->base;
	r->done.branch = text_dup(branch);
	return branch && !r->done.branch ? fault_oom(f) : 0;
}

/* --- the index --- */

static int write_raw(int admin_fd, const void *data, size_t len)
{
	_cleanup_(closep) int fd = -1;
	int r;

	if (unlinkat(admin_fd, "index.slotd", 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(admin_fd, "index.slotd", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0644);
	if (fd < 0)
		return -errno;
	r = fs_write_all(fd, data, len);
	CRASH_POINT("salvage.slot.index-beside");
	if (r == 0 && renameat(admin_fd, "index.slotd", admin_fd, "index") < 0)
		r = -errno;
	return r;
}

/* B's, with the stat data of the files that are as B has them */
static int write_plain(struct restore *r, struct fault *f)
{
	struct tree_list *base = &r->goal.base;

	for (size_t i = 0; i < base->n; i++) {
		struct tree_entry *e = &base->entries[i];
		const struct tree_entry *is = tree_list_find(&r->goal.files, e->path, e->path_len);

		if (is && !(is->flags & SALVAGE_ENTRY_VERBATIM))
			e->stat = is->stat;
	}
	return index_write(r->w->tree.admin_fd, base, base, f);
}

static int restore_index(struct restore *r, struct fault *f)
{
	git_odb_object *o = NULL;
	int rc = salvage_part(r->s, "index", INDEX_MAX_BYTES, &o, f);

	if (rc < 0)
		return rc == -ENOENT ? write_plain(r, f) : rc;
	rc = write_raw(r->w->tree.admin_fd, git_odb_object_data(o), git_odb_object_size(o));
	git_odb_object_free(o);
	return rc < 0 ? fault_errno(f, rc, "cannot write the index") : 0;
}

/* --- all of it --- */

static void note_special(struct restore *r)
{
	json_object *special = json_get_array(r->s->meta, "special");

	for (size_t i = 0; special && i < json_object_array_length(special) && i < 20; i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(special, i));

		text_addf(&r->done.notes, "%s was a FIFO, a socket or a device: it is not there\n",
			  name ? name : "?");
	}
}

static int run(struct restore *r, struct fault *f)
{
	struct tree_stats stats = { 0 };
	int rc = write_mark(r, f);

	if (rc == 0 && r->again)
		rc = remove_tmp_in_slot(r, f);
	/* from now on no maintenance takes it away */
	if (rc == 0)
		rc = branch_pin(r->w->repo, r->w->name, &r->s->base, f);
	if (rc == 0)
		rc = salvage_apply_run(&r->apply, &stats, f);
	if (rc == 0)
		rc = salvage_admin_restore(r->s, r->w->tree.admin_fd, r->w->name, &r->done.notes,
					   f);
	CRASH_POINT("salvage.slot.state");
	if (rc == 0)
		rc = restore_head(r, f);
	CRASH_POINT("salvage.slot.head");
	if (rc == 0)
		rc = restore_index(r, f);
	CRASH_POINT("salvage.slot.index");
	if (rc == 0)
		rc = salvage_apply_dirs(&r->apply, f);
	CRASH_POINT("salvage.slot.dirs");
	return rc == 0 ? remove_mark(r->w, f) : rc;
}

int salvage_restore_slot(struct worktree *w, const git_oid *commit, const struct ignore *keep,
			 unsigned threads, struct salvage_restored *ret, struct fault *f)
{
	_cleanup_(restore_deinit) struct restore r = { .w = w };
	int rc = salvage_open(w->repo, commit, &r.s, f);

	if (rc == 0)
		rc = begin(&r, keep, threads, f);
	if (rc == 0)
		rc = prepare(&r, threads, f);
	if (rc == 0)
		rc = run(&r, f);
	if (rc < 0)
		return rc;
	note_special(&r);
	if (r.done.notes.failed)
		return fault_oom(f);
	*ret = r.done;
	r.done = (struct salvage_restored){ 0 };
	return 0;
}
