/* Look, write, make it last, and only then say so. */
#include "git/salvage-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/admin-work.h"
#include "git/op-state.h"
#include "git/ref-write.h"
#include "git/salvage-read.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/parse.h"
#include "util/text.h"

#define NO_LEASE  "00000000000000000000000000000000"
#define N_MAX	  1000000
#define REF_TRIES 5

void salvage_taken_deinit(struct salvage_taken *s)
{
	free(s->ref);
	free(s->summary);
	*s = (struct salvage_taken){ 0 };
}

/* --- the refs of a lease --- */

static char *ref_prefix(const char *slot, const char *lease)
{
	return text_printf(SALVAGE_REFS "%s/%s/", slot, lease ? lease : NO_LEASE);
}

/* the number at its end; 0: it is none of ours */
static unsigned number_of(const char *ref, const char *prefix)
{
	int64_t n;

	if (!text_has_prefix(ref, prefix) || parse_int(ref + strlen(prefix), &n) < 0 || n < 1 || n > N_MAX)
		return 0;
	return (unsigned)n;
}

/* what W and its meta say; a commit that cannot be read, or is no salvage, says less or nothing */
static void describe(struct repo *repo, struct salvage_taken *s)
{
	_cleanup_(salvage_freep) struct salvage *whole = NULL;
	git_commit *commit = NULL;

	if (git_commit_lookup(&commit, repo_git(repo), &s->commit) < 0)
		return;
	s->taken_usec = (uint64_t)git_commit_time(commit) * USEC_PER_SEC;
	s->summary = text_dup(git_commit_summary(commit));
	git_commit_free(commit);
	if (salvage_open(repo, &s->commit, &whole, NULL) < 0)
		return;
	s->taken_usec = (uint64_t)json_get_int(whole->meta, "takenAtUsec", (int64_t)s->taken_usec);
	s->bytes = (uint64_t)json_get_int(whole->meta, "bytes", 0);
}

int salvage_foreach_taken(struct repo *repo, const char *slot, const char *lease,
		    int (*fn)(const struct salvage_taken *s, void *userdata), void *userdata, struct fault *f)
{
	_cleanup_(freep) char *prefix = ref_prefix(slot, lease);
	_cleanup_(freep) char *glob = prefix ? text_printf("%s*", prefix) : NULL;
	git_reference_iterator *it = NULL;
	git_reference *ref = NULL;
	int rc, r = 0;

	if (!glob)
		return fault_oom(f);
	rc = git_reference_iterator_glob_new(&it, repo_git(repo), glob);
	while (r >= 0 && rc == 0 && (rc = git_reference_next(&ref, it)) == 0) {
		const git_oid *oid = git_reference_target(ref);
		struct salvage_taken s = { .n = number_of(git_reference_name(ref), prefix) };

		if (oid && s.n > 0) {
			git_oid_cpy(&s.commit, oid);
			s.ref = strdup(git_reference_name(ref));
			describe(repo, &s);
			r = s.ref ? fn(&s, userdata) : fault_oom(f);
		}
		salvage_taken_deinit(&s);
		git_reference_free(ref);
	}
	git_reference_iterator_free(it);
	if (r >= 0 && rc != 0 && rc != GIT_ITEROVER)
		return git_fault(f, rc, "cannot list the salvages of slot %s", slot);
	return r < 0 ? r : 0;
}

struct place {
	const git_oid *commit;
	unsigned n;  /* of the ref that has it; 0: none */
	unsigned most;
};

static int find_place(const struct salvage_taken *s, void *userdata)
{
	struct place *p = userdata;

	if (git_oid_equal(&s->commit, p->commit))
		p->n = s->n;
	if (s->n > p->most)
		p->most = s->n;
	return 0;
}

/* --- words --- */

static void add_part(struct text *t, char *part)
{
	if (t->len > 0)
		text_add_string(t, ", ");
	text_add_string(t, part ? part : "");
	free(part);
}

char *salvage_summary(const struct salvage_tree *tree, const struct salvage_state *s)
{
	struct text t = { 0 };

	for (int kind = 0; kind < SALVAGE_KINDS; kind++)
		if (tree->counts[kind] > 0)
			add_part(&t, salvage_kind_sentence(tree, (enum salvage_kind)kind, false));
	if (s->n_commits > 0)
		add_part(&t, text_printf("%zu %s on no branch", s->n_commits,
					 text_plural(s->n_commits, "commit", "commits")));
	for (int op = 1; op <= s->operations; op <<= 1)
		if (s->operations & op)
			add_part(&t, text_printf("a %s in progress", op_state_to_string((enum op_state)op)));
	if (s->n_stashes > 0)
		add_part(&t, text_printf("%zu %s", s->n_stashes, text_plural(s->n_stashes, "stash", "stashes")));
	if (s->has_refs)
		add_part(&t, text_printf("refs of this worktree alone"));
	return text_take(&t);
}

/* special files have no content: alone they are no reason */
static bool has_something(const struct salvage_tree *t, const struct salvage_state *s)
{
	return t->paths.n > 0 || t->verbatim.n > 0 || t->modules.n > 0 || t->counts[SALVAGE_KIND_STAGED] > 0 || s->n_commits > 0 || s->operations != 0 ||
	       s->n_stashes > 0 || s->has_refs;
}

static int tell(const struct salvage_tree *t, salvage_note_fn fn, void *userdata, struct fault *f)
{
	int r = 0, cannot = 0;

	for (size_t i = 0; r >= 0 && i < t->special.n; i++)
		r = fn(SALVAGE_NOTE_SPECIAL, t->special.v[i], userdata);
	for (int kind = SALVAGE_KIND_MOUNT; r >= 0 && kind < SALVAGE_KINDS; kind++) {
		_cleanup_(freep) char *sentence = NULL;

		if (t->counts[kind] == 0)
			continue;
		cannot = SALVAGE_E_CANNOT;
		sentence = salvage_kind_sentence(t, (enum salvage_kind)kind, true);
		r = sentence ? fn(SALVAGE_NOTE_CANNOT, sentence, userdata) : fault_oom(f);
	}
	return r < 0 ? r : cannot;
}

/* --- writing --- */

static void writer_deinit(struct salvage_writer *x)
{
	pack_writer_free(x->pack);
	tree_worker_deinit(&x->dir);
	salvage_edits_deinit(&x->files);
	salvage_edits_deinit(&x->extras);
	salvage_paths_deinit(&x->unstable);
	text_deinit(&x->modes);
	map_free(x->noted_by_path);
	salvage_paths_deinit(&x->noted);
}

static int open_objects(struct worktree *w, struct fault *f)
{
	_cleanup_(closep) int common = worktree_open_common(w->repo, f);
	int fd = common < 0 ? common : openat(common, "objects", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 && common >= 0 ? fault_errno(f, -errno, "cannot open the objects of the store") : fd;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* in the order of directories, each once */
static int save_files(struct salvage_writer *x, struct salvage_paths *paths)
{
	int r = 0;

	if (paths->n > 0)
		qsort(paths->v, paths->n, sizeof(*paths->v), by_name);
	for (size_t i = 0; r == 0 && i < paths->n; i++)
		if (i == 0 || strcmp(paths->v[i - 1], paths->v[i]) != 0)
			r = salvage_file_save(x, paths->v[i]);
	return r;
}

/* files whose content the base has: with an index nobody would have to say so */
static int note_unchanged(struct salvage_writer *x)
{
	const struct salvage_tree *t = x->tree;
	size_t found = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->list->n; i++) {
		const struct tree_entry *e = &t->list->entries[i];
		struct tree_stat now = { 0 };
		size_t dir_len = tree_path_dir(e->path, e->path_len);
		struct stat st;
		int fd;

		while (found < t->walk.n_found && strcmp(t->walk.found[found].path, e->path) < 0)
			found++;
		if (found < t->walk.n_found && strcmp(t->walk.found[found].path, e->path) == 0)
			continue;
		fd = tree_worker_dir(&x->dir, e->path, dir_len);
		if (fd < 0 || fstatat(fd, e->path + dir_len + (dir_len > 0), &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		tree_stat_fill(&now, &st);
		if (memcmp(&now, &e->stat, sizeof(now)) == 0)
			r = tree_saved_add(x->saved, e->path, &st);
	}
	return r < 0 ? fault_oom(x->f) : 0;
}

struct keeps {
	int objects_fd;
	const char *text;
	struct fault *f;
};

/* a pack of ours that is still kept, though its ref is there */
static int drop_keep(int dirfd, const char *name, void *userdata)
{
	const struct keeps *k = userdata;
	_cleanup_(freep) char *text = NULL;
	char pack[PACK_NAME_SIZE];
	size_t len;

	if (!text_has_suffix(name, ".keep") || admin_read_at(dirfd, name, &text, NULL) < 0)
		return 0;
	len = strlen(name) - strlen(".keep");
	if (len + 1 != sizeof(pack) || strlen(text) + 1 != strlen(k->text) || strncmp(k->text, text, strlen(text)) != 0)
		return 0;
	memcpy(pack, name, len);
	pack[len] = '\0';
	return pack_drop_keep(k->objects_fd, pack, k->f);
}

static char *keep_text(const struct salvage_writer *x)
{
	return text_printf("slotd salvage %s%s\n", SALVAGE_REFS, x->w->name);
}

/* whoever was killed may not have come to sync the ref, nor to give the pack to git */
static int settle(struct salvage_writer *x, int objects_fd, const char *ref)
{
	_cleanup_(closep) int common = worktree_open_common(x->w->repo, x->f);
	_cleanup_(freep) char *text = keep_text(x);
	_cleanup_(freep) char *dir = strdup(ref);
	struct keeps k = { objects_fd, text, x->f };

	if (common < 0 || !text || !dir)
		return common < 0 ? common : fault_oom(x->f);
	for (char *slash; (slash = strrchr(dir, '/'));) {
		_cleanup_(closep) int fd = -1;

		*slash = '\0';
		fd = fs_open_beneath(common, dir, O_RDONLY | O_DIRECTORY, 0);
		/* a packed ref has no directory: git has synced packed-refs */
		if (fd >= 0 && fsync(fd) < 0)
			return fault_errno(x->f, -errno, "cannot sync %s", dir);
	}
	return admin_foreach_at(objects_fd, "pack", drop_keep, &k, x->f);
}

/* the pack lasts, the ref lasts, and the pack is git's like any other */
static int publish(struct salvage_writer *x, int objects_fd, const git_oid *commit, struct salvage_taken *ret)
{
	char pack[PACK_NAME_SIZE];
	_cleanup_(freep) char *keep = NULL;
	struct repo *repo = x->w->repo;
	int r = REF_E_EXISTS;

	for (int tries = 0; r == REF_E_EXISTS && tries < REF_TRIES; tries++) {
		_cleanup_(freep) char *prefix = ref_prefix(x->w->name, x->spec->lease);
		struct place place = { .commit = commit };

		r = prefix ? salvage_foreach_taken(repo, x->w->name, x->spec->lease, find_place, &place, x->f) :
			     fault_oom(x->f);
		if (r < 0)
			return r;
		ret->n = place.n ? place.n : place.most + 1;
		free(ret->ref);
		ret->ref = text_printf("%s%u", prefix, ret->n);
		if (!ret->ref)
			return fault_oom(x->f);
		if (place.n)
			return settle(x, objects_fd, ret->ref); /* by a try that was killed after it */
		if (!keep) {
			keep = keep_text(x);
			r = keep ? pack_writer_finish(x->pack, keep, pack, x->f) : fault_oom(x->f);
			if (r < 0)
				return r;
			CRASH_POINT("salvage.packed");
		}
		r = ref_write(repo, x->w->name, ret->ref, commit, true, x->f);
	}
	CRASH_POINT("salvage.ref");
	if (r == REF_E_EXISTS)
		return fault(x->f, -EAGAIN, "somebody else writes refs below " SALVAGE_REFS);
	return r < 0 ? r : pack_drop_keep(objects_fd, pack, x->f);
}

static int write_all(struct salvage_writer *x, struct salvage_tree *t, struct salvage_taken *ret)
{
	_cleanup_(closep) int objects_fd = open_objects(x->w, x->f);
	int r = objects_fd < 0 ? objects_fd : pack_writer_new(objects_fd, &x->pack, x->f);

	if (r == 0)
		r = save_files(x, &t->paths);
	if (t->verbatim.n > 0)
		qsort(t->verbatim.v, t->verbatim.n, sizeof(*t->verbatim.v), by_name);
	for (size_t i = 0; r == 0 && i < t->verbatim.n; i++)
		r = salvage_file_save_verbatim(x, t->verbatim.v[i]);
	if (r == 0 && !t->has_index)
		r = note_unchanged(x);
	if (r == 0)
		r = salvage_commits_copy(x);
	if (r == 0)
		r = salvage_commit_write(x, ret->summary, &ret->commit);
	CRASH_POINT("salvage.written");
	if (r == 0)
		r = publish(x, objects_fd, &ret->commit, ret);
	ret->bytes = x->bytes;
	return r;
}

static int write_salvage(struct worktree *w, const struct salvage_spec *spec, struct salvage_tree *t,
			 const struct salvage_state *s, struct tree_saved *saved, struct salvage_taken *ret, struct fault *f)
{
	_cleanup_(writer_deinit) struct salvage_writer x = {
		.w = w, .spec = spec, .tree = t, .state = s, .saved = saved, .f = f
	};
	int r;

	tree_worker_init(&x.dir, &w->tree, w->repo, f);
	x.noted_by_path = map_new();
	if (!x.noted_by_path)
		return fault_oom(f);
	ret->taken_usec = spec->at_usec;
	ret->summary = salvage_summary(t, s);
	r = ret->summary ? write_all(&x, t, ret) : fault_oom(f);
	if (r < 0)
		salvage_taken_deinit(ret);
	return r;
}

/* the base is HEAD's commit if its files can be told, else the last one that slotd knows */
static int look_at_files(struct salvage_tree *t, struct worktree *w, const struct salvage_spec *spec,
			 const git_oid *head, struct fault *f)
{
	int r = -EUCLEAN;

	if (!git_oid_is_zero(head))
		r = salvage_tree_look(t, w, spec, head, f);
	if (r != -EUCLEAN || git_oid_equal(head, &spec->fallback))
		return r;
	if (git_oid_is_zero(&spec->fallback))
		return git_oid_is_zero(head) ?
			       fault(f, -EUCLEAN, "slot %s has no commit to compare with", w->name) :
			       r;
	salvage_tree_deinit(t);
	*t = (struct salvage_tree){ .saved = t->saved };
	return salvage_tree_look(t, w, spec, &spec->fallback, f);
}

int salvage_take(struct worktree *w, const struct salvage_spec *spec, struct tree_saved *saved,
		 salvage_note_fn fn, void *userdata, struct salvage_taken *ret, struct fault *f)
{
	_cleanup_(salvage_tree_deinit) struct salvage_tree tree = { .saved = saved };
	_cleanup_(salvage_state_deinit) struct salvage_state state = { 0 };
	_cleanup_(tree_saved_freep) struct tree_saved *admin = tree_saved_new();
	struct salvage_taken salvage = { 0 };
	int r = admin ? admin_work_note(w->tree.admin_fd, admin, f) : fault_oom(f);

	if (r == 0)
		r = salvage_state_look(&state, w, spec, f);
	if (r == 0)
		r = look_at_files(&tree, w, spec, &state.head, f);
	if (r == 0)
		r = tell(&tree, fn, userdata, f);
	for (size_t i = 0; r == 0 && i < tree.modules.n; i++)
		r = salvage_state_keep(&state, w, tree.modules.v[i], f);
	if (r == 0 && tree_saved_join(saved, admin) < 0)
		r = fault_oom(f);
	if (r != 0)
		return r;
	if (!has_something(&tree, &state))
		return SALVAGE_E_NOTHING;
	r = write_salvage(w, spec, &tree, &state, saved, &salvage, f);
	if (r == 0)
		*ret = salvage;
	return r;
}
