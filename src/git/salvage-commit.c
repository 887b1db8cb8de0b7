/* W and what hangs on it: trees and commits, in the pack. */
#include "git/salvage-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "git/op-state.h"
#include "git/salvage-path.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/text.h"

#define IDENTITY      "slotd <slotd@localhost>"
#define META_VERSION  1
#define NAMES_MAX     200  /* of each list in the meta */
#define NAME_BYTES    1024

/* --- objects --- */

static int write_tree(const void *data, size_t len, git_oid *ret, void *userdata, struct fault *f)
{
	struct salvage_writer *x = userdata;

	return pack_writer_add(x->pack, GIT_OBJECT_TREE, data, len, ret, f);
}

static int add_blob(struct salvage_writer *x, const char *path, const void *data, size_t len)
{
	git_oid oid;
	int r = pack_writer_add(x->pack, GIT_OBJECT_BLOB, data, len, &oid, x->f);

	x->bytes += len;
	return r < 0 ? r : salvage_edits_add(&x->extras, path, TREE_MODE_FILE, &oid);
}

static int add_commit(struct salvage_writer *x, const git_oid *tree, const git_oid *parents, size_t n,
		      const char *message, git_oid *ret)
{
	unsigned long long at = x->spec->at_usec / USEC_PER_SEC;
	_cleanup_(text_deinit) struct text t = { 0 };
	char hex[GIT_OID_HEXSZ + 1];

	text_addf(&t, "tree %s\n", git_oid_tostr(hex, sizeof(hex), tree));
	for (size_t i = 0; i < n; i++)
		text_addf(&t, "parent %s\n", git_oid_tostr(hex, sizeof(hex), &parents[i]));
	text_addf(&t, "author " IDENTITY " %llu +0000\ncommitter " IDENTITY " %llu +0000\n\n%s", at, at, message);
	if (t.failed)
		return fault_oom(x->f);
	return pack_writer_add(x->pack, GIT_OBJECT_COMMIT, t.data, t.len, ret, x->f);
}

static int base_tree(struct salvage_writer *x, git_oid *ret)
{
	git_commit *commit = NULL;
	int r = git_commit_lookup(&commit, repo_git(x->w->repo), &x->tree->base);

	if (r < 0)
		return git_fault(x->f, r, "cannot read the commit of the slot");
	git_oid_cpy(ret, git_commit_tree_id(commit));
	git_commit_free(commit);
	return 0;
}

/* --- I and W: what is staged, and what is there --- */

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct tree_edit *)a)->path, ((const struct tree_edit *)b)->path);
}

static int copy_contents(struct salvage_writer *x, const struct salvage_edits *edits)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < edits->n; i++)
		if (edits->v[i].mode && edits->v[i].mode != TREE_MODE_GITLINK)
			r = salvage_object_copy(x, &edits->v[i].oid);
	return r;
}

/* borrowed paths: what is staged, but where the files of the slot say something else */
static int edits_of_files(const struct salvage_edits *staged, struct salvage_edits *files, struct tree_edit **ret,
			  size_t *ret_n)
{
	struct tree_edit *all = malloc((staged->n + files->n + 1) * sizeof(*all));
	size_t n = 0;

	if (!all)
		return -ENOMEM;
	if (files->n > 0)
		qsort(files->v, files->n, sizeof(*files->v), by_path);
	for (size_t i = 0; i < files->n; i++)
		all[n++] = files->v[i];
	for (size_t i = 0; i < staged->n; i++)
		if (files->n == 0 || !bsearch(&staged->v[i], files->v, files->n, sizeof(*files->v), by_path))
			all[n++] = staged->v[i];
	*ret = all;
	*ret_n = n;
	return 0;
}

/* the trees of I and of W, both on top of the base's */
static int write_trees(struct salvage_writer *x, git_oid *ret_index, git_oid *ret_files)
{
	_cleanup_(salvage_edits_deinit) struct salvage_edits staged = { 0 };
	_cleanup_(freep) struct tree_edit *all = NULL;
	struct repo *repo = x->w->repo;
	git_oid base;
	size_t n = 0;
	int r;

	if (salvage_tree_staged(x->tree, &staged) < 0 || edits_of_files(&staged, &x->files, &all, &n) < 0)
		return fault_oom(x->f);
	r = base_tree(x, &base);
	if (r == 0)
		r = copy_contents(x, &staged);
	if (r == 0)
		r = tree_build(repo, &base, staged.v, staged.n, write_tree, x, ret_index, x->f);
	return r < 0 ? r : tree_build(repo, &base, all, n, write_tree, x, ret_files, x->f);
}

/* all stages of a conflict, so that their contents stay */
static int add_stages(struct salvage_writer *x)
{
	const struct tree_list *list = &x->tree->index.list;
	int r = 0;

	for (size_t i = 0; r == 0 && i < list->n; i++) {
		const struct tree_entry *e = &list->entries[i];
		_cleanup_(freep) char *escaped = NULL;
		_cleanup_(freep) char *path = NULL;

		if (!(e->flags & TREE_ENTRY_STAGE))
			continue;
		escaped = salvage_path_escape(e->path);
		path = escaped ? text_printf("stages/%u/%s", e->flags & TREE_ENTRY_STAGE, escaped) : NULL;
		if (!path)
			return fault_oom(x->f);
		if (e->mode != TREE_MODE_GITLINK)
			r = salvage_object_copy(x, &e->oid);
		if (r == 0 && e->mode != TREE_MODE_GITLINK)
			r = salvage_edits_add(&x->extras, path, e->mode, &e->oid);
	}
	return r;
}

/* the index byte for byte, where a new one would say less */
static int add_index(struct salvage_writer *x)
{
	const struct salvage_tree *t = x->tree;
	git_oid oid;
	int r;

	if (t->has_index && !t->has_flags && t->counts[SALVAGE_KIND_STAGED] == 0 &&
	    t->counts[SALVAGE_KIND_CONFLICT] == 0)
		return 0;
	r = salvage_file_copy(x, x->w->tree.admin_fd, "index", &oid);
	return r == 0 ? salvage_edits_add(&x->extras, "index", TREE_MODE_FILE, &oid) : r < 0 ? r : 0;
}

/* --- X: state --- */

static int add_state_files(struct salvage_writer *x)
{
	const struct salvage_paths *files = &x->state->files;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < files->n; i++) {
		_cleanup_(freep) char *escaped = salvage_path_escape(files->v[i]);
		_cleanup_(freep) char *path = escaped ? text_printf("state/%s", escaped) : NULL;
		git_oid oid;

		if (!path)
			return fault_oom(x->f);
		/* shared indexes are left behind by old versions of a split one: only it needs them */
		if (text_has_prefix(files->v[i], "sharedindex.") && x->tree->has_index)
			continue;
		r = salvage_file_copy(x, x->w->tree.admin_fd, files->v[i], &oid);
		if (r == 0)
			r = salvage_edits_add(&x->extras, path, TREE_MODE_FILE, &oid);
	}
	return r < 0 ? r : 0;
}

/* bounded: whoever reads it is bounded as well */
static json_object *new_words(const char *text)
{
	_cleanup_(freep) char *words = text_printf("%.*s", NAME_BYTES, text ? text : "?");

	if (words)
		text_mend_utf8(words);
	return json_object_new_string(words ? words : "?");
}

static json_object *names_to_json(const struct salvage_paths *p)
{
	json_object *list = json_object_new_array();

	for (size_t i = 0; i < p->n && i < NAMES_MAX; i++) {
		_cleanup_(freep) char *quoted = text_quote_path(p->v[i]);

		json_object_array_add(list, new_words(quoted));
	}
	return list;
}

static json_object *operations_to_json(int operations)
{
	json_object *list = json_object_new_array();

	for (int op = 1; op <= operations; op <<= 1)
		if (operations & op)
			json_object_array_add(list, json_object_new_string(op_state_to_string((enum op_state)op)));
	return list;
}

static json_object *stashes_to_json(const struct salvage_state *s)
{
	json_object *list = json_object_new_array();
	char hex[GIT_OID_HEXSZ + 1];

	for (size_t i = 0; i < s->n_stashes; i++) {
		json_object *o = json_object_new_object();
		_cleanup_(freep) char *message = text_quote_path(s->stashes[i].message);

		json_set_string(o, "commit", git_oid_tostr(hex, sizeof(hex), &s->stashes[i].commit));
		json_set(o, "message", new_words(message));
		json_object_array_add(list, o);
	}
	return list;
}

static json_object *counts_to_json(const struct salvage_tree *t)
{
	json_object *o = json_object_new_object();

	json_set_int(o, "changed", (int64_t)t->counts[SALVAGE_KIND_CHANGED]);
	json_set_int(o, "untracked", (int64_t)t->counts[SALVAGE_KIND_UNTRACKED]);
	json_set_int(o, "staged", (int64_t)t->counts[SALVAGE_KIND_STAGED]);
	json_set_int(o, "conflicts", (int64_t)t->counts[SALVAGE_KIND_CONFLICT]);
	json_set_int(o, "nested", (int64_t)t->counts[SALVAGE_KIND_NESTED]);
	json_set_int(o, "precious", (int64_t)t->counts[SALVAGE_KIND_PRECIOUS]);
	return o;
}

static void set_oid(json_object *o, const char *key, const git_oid *oid)
{
	char hex[GIT_OID_HEXSZ + 1];

	json_set_string(o, key, git_oid_is_zero(oid) ? NULL : git_oid_tostr(hex, sizeof(hex), oid));
}

static int add_meta(struct salvage_writer *x, const char *summary)
{
	const struct salvage_spec *spec = x->spec;
	_cleanup_json_ json_object *o = json_object_new_object();
	const char *text;

	json_set_int(o, "version", META_VERSION);
	json_set_string(o, "slot", x->w->name);
	json_set_string(o, "lease", spec->lease);
	json_set_string(o, "pool", spec->pool);
	json_set_string(o, "agent", spec->agent);
	json_set_string(o, "task", spec->task);
	json_set_string(o, "branch", x->state->branch ? x->state->branch : spec->branch);
	set_oid(o, "headCommit", &x->state->head);
	set_oid(o, "base", &x->tree->base);
	set_oid(o, "target", &spec->target);
	json_set_int(o, "takenAtUsec", (int64_t)spec->at_usec);
	json_set(o, "operations", operations_to_json(x->state->operations));
	json_set(o, "special", names_to_json(&x->tree->special));
	json_set(o, "hidden", names_to_json(&x->tree->hidden));
	json_set(o, "unstable", names_to_json(&x->unstable));
	json_set(o, "stashes", stashes_to_json(x->state));
	json_set_int(o, "commits", (int64_t)x->state->n_commits);
	json_set(o, "counts", counts_to_json(x->tree));
	json_set_int(o, "bytes", (int64_t)x->bytes);
	json_set_string(o, "summary", summary);
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
	return add_blob(x, "meta", text, strlen(text));
}

/* one path a record, a directory without its slash */
static int add_paths(struct salvage_writer *x, const char *name, const struct salvage_paths *paths)
{
	_cleanup_(text_deinit) struct text t = { 0 };

	for (size_t i = 0; i < paths->n; i++) {
		text_add(&t, paths->v[i], strlen(paths->v[i]) - text_has_suffix(paths->v[i], "/"));
		text_add(&t, "", 1);
	}
	if (t.failed)
		return fault_oom(x->f);
	return paths->n > 0 ? add_blob(x, name, t.data, t.len) : 0;
}

static int write_state_tree(struct salvage_writer *x, const char *summary, git_oid *ret)
{
	const char *head = x->state->head_text ? x->state->head_text : "";
	int r = add_blob(x, "head", head, strlen(head));

	if (r == 0)
		r = add_index(x);
	if (r == 0)
		r = add_stages(x);
	if (r == 0)
		r = add_state_files(x);
	if (r == 0)
		r = add_paths(x, "dirs", &x->tree->dirs);
	if (r == 0)
		r = add_paths(x, "absent", &x->tree->absent);
	if (r == 0 && x->modes.failed)
		r = fault_oom(x->f);
	if (r == 0 && x->modes.len > 0)
		r = add_blob(x, "modes", x->modes.data, x->modes.len);
	if (r == 0)
		r = add_meta(x, summary);
	return r < 0 ? r : tree_build(x->w->repo, NULL, x->extras.v, x->extras.n, write_tree, x, ret, x->f);
}

/* the commits that only this slot knew; the base is held by W itself */
static int state_parents(const struct salvage_writer *x, struct salvage_oids *ret)
{
	const struct salvage_state *s = x->state;
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->heads.n; i++)
		if (!git_oid_equal(&s->heads.v[i], &x->tree->base))
			r = salvage_oids_append(ret, &s->heads.v[i]);
	for (size_t i = 0; r == 0 && i < s->named.n; i++)
		r = salvage_oids_add(ret, &s->named.v[i]);
	for (size_t i = 0; r == 0 && i < s->n_stashes; i++)
		r = salvage_oids_add(ret, &s->stashes[i].commit);
	return r;
}

static int write_state(struct salvage_writer *x, const char *summary, git_oid *ret)
{
	struct salvage_oids parents = { 0 };
	git_oid tree;
	int r = write_state_tree(x, summary, &tree);

	if (r == 0 && state_parents(x, &parents) < 0)
		r = fault_oom(x->f);
	if (r == 0)
		r = add_commit(x, &tree, parents.v, parents.n, "slotd: state of the slot\n", ret);
	free(parents.v);
	return r;
}

/* --- W --- */

static void add_trailer(struct text *t, const char *name, const char *value)
{
	_cleanup_(freep) char *quoted = value ? text_quote_path(value) : NULL;

	if (quoted && *quoted)
		text_addf(t, "%s: %s\n", name, quoted);
}

static char *message(const struct salvage_writer *x, const char *summary)
{
	struct text t = { 0 };

	text_addf(&t, "%s\n\n", summary);
	add_trailer(&t, "Slot", x->w->name);
	add_trailer(&t, "Lease", x->spec->lease);
	add_trailer(&t, "Agent", x->spec->agent);
	add_trailer(&t, "Task", x->spec->task);
	return text_take(&t);
}

int salvage_commit_write(struct salvage_writer *x, const char *summary, git_oid *ret)
{
	_cleanup_(freep) char *words = message(x, summary);
	git_oid index_tree, tree, parents[3];
	int r;

	if (!words)
		return fault_oom(x->f);
	git_oid_cpy(&parents[0], &x->tree->base);
	r = write_trees(x, &index_tree, &tree);
	if (r == 0)
		r = add_commit(x, &index_tree, parents, 1, "slotd: what was staged\n", &parents[1]);
	if (r == 0)
		r = write_state(x, summary, &parents[2]);
	return r < 0 ? r : add_commit(x, &tree, parents, 3, words, ret);
}
