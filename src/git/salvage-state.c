/*
 * What the administration says: HEAD, an operation in progress, and commits that only this slot knows.
 *
 * The files of an operation name commits in many ways; every object id in them that is a commit counts.
 */
#include "git/salvage-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/admin-work.h"
#include "git/op-state.h"
#include "git/reflog.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fs.h"
#include "util/text.h"

#define FILES_MAX	1000000
#define LEVELS_MAX	32
#define SCAN_BYTES	((size_t)1 << 20) /* of a file that may name commits */
#define NAMED_MAX	256
#define STASHES_MAX	100

/* --- the files of an operation --- */

struct look {
	struct salvage_state *s;
	struct worktree *w;
	const struct salvage_spec *spec;
	struct fault *f;
	struct salvage_oids logged; /* where HEAD was */
	struct salvage_oids made;   /* commits that were made here, by the log */
};

static bool is_commit(struct worktree *w, const git_oid *oid)
{
	git_object_t type = GIT_OBJECT_INVALID;
	size_t len;

	return git_odb_read_header(&len, &type, repo_odb(w->repo), oid) == 0 && type == GIT_OBJECT_COMMIT;
}

/* every object id in a text that is a commit */
static int scan_for_commits(struct look *l, const char *text)
{
	struct salvage_oids *named = &l->s->named;
	git_oid oid;
	int r = 0;

	for (const char *p = text; r == 0 && *p && named->n < NAMED_MAX;) {
		size_t len = strspn(p, "0123456789abcdef");

		if (len == GIT_OID_HEXSZ && git_oid_fromstrn(&oid, p, len) == 0 && is_commit(l->w, &oid))
			r = salvage_oids_add(named, &oid);
		p += len;
		p += *p != '\0';
	}
	return r;
}

/* the log of HEAD names every commit that it ever had: those are looked at by themselves */
static bool may_name_commits(const char *path)
{
	return !text_has_prefix(path, "modules/") && !text_has_prefix(path, "logs/") && !text_has_prefix(path, "sharedindex.") &&
	       strcmp(path, "config.worktree") != 0;
}

static bool is_too_deep(const char *path)
{
	unsigned levels = 0;

	for (; *path; path++)
		levels += *path == '/';
	return levels > LEVELS_MAX;
}

static int keep_file(struct look *l, const struct tree_descent_item *item)
{
	_cleanup_(freep) char *text = NULL;
	size_t len = 0;
	int r;

	if (text_has_prefix(item->path, "refs/worktree/"))
		l->s->has_refs = true;
	if (l->s->files.n >= FILES_MAX)
		return fault(l->f, -EUCLEAN, "the administration of slot %s has more than %d files", l->w->name,
			     FILES_MAX);
	if (is_too_deep(item->path))
		return fault(l->f, -EUCLEAN, "%s in the administration of slot %s is too deep", item->path,
			     l->w->name);
	r = salvage_paths_add(&l->s->files, item->path);
	if (r < 0 || !may_name_commits(item->path))
		return r;
	r = fs_read_file_at(item->dir_fd, item->name, SCAN_BYTES, &text, &len);
	return r == 0 ? scan_for_commits(l, text) : 0;
}

static int keep(enum tree_descent_event event, const struct tree_descent_item *item, void *userdata)
{
	struct look *l = userdata;

	switch (event) {
	case TREE_DESCENT_FILE:
		return S_ISREG(item->st.st_mode) ? keep_file(l, item) : 0;
	case TREE_DESCENT_MOUNT:
		return fault(l->f, -EXDEV, "something is mounted on .git/%s", item->path);
	case TREE_DESCENT_UNREADABLE:
		return fault(l->f, -EACCES, "cannot open the directory .git/%s", item->path);
	default:
		return TREE_DESCENT_GO_ON;
	}
}

int salvage_state_keep(struct salvage_state *s, struct worktree *w, const char *path, struct fault *f)
{
	struct look l = { .s = s, .w = w, .f = f };
	int r = admin_work_foreach(w->tree.admin_fd, path, keep, &l, f);

	return r == -ENOMEM ? fault_oom(f) : r;
}

static int look_at_files(struct look *l)
{
	int r = admin_work_foreach(l->w->tree.admin_fd, NULL, keep, l, l->f);

	if (r == 0)
		r = op_state_find(l->w->tree.admin_fd, l->f);
	if (r < 0)
		return r;
	l->s->operations = r;
	return 0;
}

/* --- HEAD --- */

static int look_at_head(struct look *l)
{
	struct salvage_state *s = l->s;
	int r = admin_read_at(l->w->tree.admin_fd, "HEAD", &s->head_text, NULL);

	if (r == -ENOMEM)
		return r;
	/* what is broken is no obstacle: it is saved against the last commit that is known */
	if (worktree_head(l->w, &s->branch, &s->head, NULL) < 0 || !is_commit(l->w, &s->head))
		memset(&s->head, 0, sizeof(s->head));
	return 0;
}

/* slotd's own lines say where it put HEAD: nobody made those commits here */
static int on_log(const struct reflog_entry *e, void *userdata)
{
	struct look *l = userdata;
	int r = salvage_oids_append(&l->logged, &e->to);

	if (e->is_ours)
		return r == 0 ? reach_add_held(l->s->reach, &e->to, l->f) : r;
	if (r == 0 && text_has_prefix(e->message, "commit"))
		r = salvage_oids_append(&l->made, &e->to);
	if (r == 0)
		r = reach_add_tip(l->s->reach, &e->from, l->f);
	return r == 0 ? reach_add_tip(l->s->reach, &e->to, l->f) : r;
}

/* --- commits --- */

static int add_head(const git_oid *oid, void *userdata)
{
	return salvage_oids_append(userdata, oid);
}

/* "<slot>/n/.git": a worktree of the same store below this slot, whose files go with it */
static bool is_inside(const struct look *l, const char *gitdir)
{
	size_t len = strlen(l->w->path);

	return strncmp(gitdir, l->w->path, len) == 0 && gitdir[len] == '/' && strcmp(gitdir + len, "/.git") != 0;
}

static int on_worktree_log(const struct reflog_entry *e, void *userdata)
{
	struct look *l = userdata;

	return reach_add_tip(l->s->reach, &e->to, l->f);
}

/* without its files git prunes a worktree, and with it the only name of its commits */
static int on_worktree(int dirfd, const char *name, void *userdata)
{
	struct look *l = userdata;
	_cleanup_(closep) int fd = fs_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY, 0);
	_cleanup_(freep) char *gitdir = NULL;
	_cleanup_(freep) char *head = NULL;
	git_oid oid;
	int r;

	if (fd < 0 || admin_read_at(fd, "gitdir", &gitdir, NULL) < 0 || !is_inside(l, gitdir))
		return 0;
	r = reflog_foreach_entry(fd, "logs/HEAD", on_worktree_log, l, l->f);
	if (r < 0 || admin_read_at(fd, "HEAD", &head, NULL) < 0 || strlen(head) != GIT_OID_HEXSZ ||
	    git_oid_fromstr(&oid, head) < 0)
		return r;
	return reach_add_tip(l->s->reach, &oid, l->f);
}

static int look_at_worktrees(struct look *l)
{
	_cleanup_(closep) int common = worktree_open_common(l->w->repo, l->f);

	return common < 0 ? common : admin_foreach_at(common, "worktrees", on_worktree, l, l->f);
}

static int look_at_commits(struct look *l)
{
	struct salvage_state *s = l->s;
	int r = reach_new(l->w->repo, &s->reach, l->f);

	if (r == 0)
		r = reflog_foreach_entry(l->w->tree.admin_fd, "logs/HEAD", on_log, l, l->f);
	if (r == 0 && !git_oid_is_zero(&s->head))
		r = reach_add_tip(s->reach, &s->head, l->f);
	for (size_t i = 0; r == 0 && i < s->named.n; i++)
		r = reach_add_tip(s->reach, &s->named.v[i], l->f);
	if (r == 0)
		r = look_at_worktrees(l);
	if (r == 0 && !git_oid_is_zero(&l->spec->held))
		r = reach_add_held(s->reach, &l->spec->held, l->f);
	if (r == 0)
		r = reach_add_refs(s->reach, NULL, l->f);
	if (r == 0)
		r = reach_run(s->reach, &s->n_commits, &s->newest, l->f);
	return r == 0 ? reach_foreach_head(s->reach, add_head, &s->heads) : r;
}

/* --- stashes --- */

/* "WIP on topic: 1234567 subject" or "On (no branch): words" */
static bool names_branch(const char *message, const char *branch)
{
	const char *on = text_has_prefix(message, "WIP on ") ? message + strlen("WIP on ") :
			 text_has_prefix(message, "On ")     ? message + strlen("On ") :
							       "";
	size_t len = strlen(branch);

	return strncmp(on, branch, len) == 0 && on[len] == ':';
}

/*
 * refs/stash belongs to all worktrees, and says nothing of which one made it. A stash is taken for one of
 * this lease when it is on a commit that was made here, or when it was made while the lease lasted, on a
 * commit where HEAD was, and on the branch that the slot has.
 */
static bool is_stash_of_lease(const struct look *l, const git_oid *parent, const struct reflog_entry *e)
{
	uint64_t since = l->spec->since_usec / USEC_PER_SEC, until = l->spec->at_usec / USEC_PER_SEC;
	uint64_t time = e->time > 0 ? (uint64_t)e->time : 0;

	if (since > 0 && (time + 1 < since || time > until + 1))
		return false;
	if (salvage_oids_have(&l->made, parent) || reach_has(l->s->reach, parent))
		return true;
	return since > 0 &&
	       (salvage_oids_have(&l->logged, parent) || git_oid_equal(parent, &l->s->head) ||
		git_oid_equal(parent, &l->spec->held)) &&
	       names_branch(e->message, l->s->branch ? l->s->branch : "(no branch)");
}

static int add_stash(struct salvage_state *s, const git_oid *oid, const char *message)
{
	struct salvage_stash *more = realloc(s->stashes, (s->n_stashes + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	s->stashes = more;
	more[s->n_stashes].message = strdup(message);
	if (!more[s->n_stashes].message)
		return -ENOMEM;
	git_oid_cpy(&more[s->n_stashes++].commit, oid);
	return 0;
}

static int on_stash(const struct reflog_entry *e, void *userdata)
{
	struct look *l = userdata;
	git_commit *commit = NULL;
	int r = 0;

	if (l->s->n_stashes >= STASHES_MAX || git_commit_lookup(&commit, repo_git(l->w->repo), &e->to) < 0)
		return 0;
	if (git_commit_parentcount(commit) > 1 && is_stash_of_lease(l, git_commit_parent_id(commit, 0), e))
		r = add_stash(l->s, &e->to, e->message);
	git_commit_free(commit);
	return r;
}

/* those of other leases; what a killed try made for this one is made again, just so */
static int hold_other_salvages(struct look *l, struct reach *reach)
{
	_cleanup_(freep) char *own = text_printf(SALVAGE_REFS "%s/%s/", l->w->name,
						 l->spec->lease ? l->spec->lease : "");
	git_reference_iterator *it = NULL;
	git_reference *ref = NULL;
	int rc, r = own ? 0 : -ENOMEM;

	rc = r == 0 ? git_reference_iterator_glob_new(&it, repo_git(l->w->repo), SALVAGE_REFS "*") : -1;
	while (r == 0 && rc == 0 && (rc = git_reference_next(&ref, it)) == 0) {
		const git_oid *oid = git_reference_target(ref);

		if (oid && !text_has_prefix(git_reference_name(ref), own))
			r = reach_add_held(reach, oid, l->f);
		git_reference_free(ref);
	}
	git_reference_iterator_free(it);
	return r;
}

static void reach_freep(struct reach **reach)
{
	reach_free(*reach);
}

/* two leases on one commit may both seem to have made a stash: the first that ends takes it */
static int drop_taken_stashes(struct look *l)
{
	_cleanup_(reach_freep) struct reach *reach = NULL;
	struct salvage_state *s = l->s;
	size_t count, kept = 0;
	git_oid newest;
	int r = reach_new(l->w->repo, &reach, l->f);

	for (size_t i = 0; r == 0 && i < s->n_stashes; i++)
		r = reach_add_tip(reach, &s->stashes[i].commit, l->f);
	if (r == 0)
		r = hold_other_salvages(l, reach);
	if (r == 0)
		r = reach_run(reach, &count, &newest, l->f);
	if (r < 0)
		return r;
	for (size_t i = 0; i < s->n_stashes; i++) {
		if (reach_has(reach, &s->stashes[i].commit))
			s->stashes[kept++] = s->stashes[i];
		else
			free(s->stashes[i].message);
	}
	s->n_stashes = kept;
	return 0;
}

static int look_at_stashes(struct look *l)
{
	_cleanup_(closep) int common = -1;
	int r;

	common = worktree_open_common(l->w->repo, l->f);
	r = common < 0 ? common : reflog_foreach_entry(common, "logs/refs/stash", on_stash, l, l->f);
	return r == 0 && l->s->n_stashes > 0 ? drop_taken_stashes(l) : r;
}

/* --- all of it --- */

int salvage_state_look(struct salvage_state *s, struct worktree *w, const struct salvage_spec *spec,
		       struct fault *f)
{
	struct look l = { .s = s, .w = w, .spec = spec, .f = f };
	int r = look_at_files(&l);

	if (r == 0)
		r = look_at_head(&l);
	if (r == 0)
		r = look_at_commits(&l);
	if (r == 0)
		r = look_at_stashes(&l);
	free(l.logged.v);
	free(l.made.v);
	return r == -ENOMEM ? fault_oom(f) : r;
}

void salvage_state_deinit(struct salvage_state *s)
{
	for (size_t i = 0; i < s->n_stashes; i++)
		free(s->stashes[i].message);
	free(s->stashes);
	free(s->heads.v);
	free(s->named.v);
	reach_free(s->reach);
	salvage_paths_deinit(&s->files);
	free(s->branch);
	free(s->head_text);
}
