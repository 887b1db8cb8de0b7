/*
 * Repositories inside a slot.
 *
 * What an agent has cloned or begun there is saved file by file, its ".git" included. A submodule that
 * stands where the slot's commit wants it, with nothing in it that its remotes lack, is safe elsewhere.
 */
#include "git/salvage-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/op-state.h"
#include "git/reflog.h"
#include "git/tree-file.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define LEVELS_MAX 16 /* of names of submodules: "a/b/c" */

/* --- the store of a submodule --- */

/* "gitdir: …/worktrees/slotd-<slot>/modules/<name>": "modules/<name>"; NULL: it is not there */
static char *find_module(const struct salvage_tree *t, const char *path)
{
	_cleanup_(freep) char *file = text_printf("%s.git", path);
	_cleanup_(freep) char *mark = text_printf("/worktrees/slotd-%s/modules/", t->w->name);
	_cleanup_(freep) char *text = NULL;
	const char *at;

	if (!file || !mark || admin_read_at(t->w->tree.slot_fd, file, &text, NULL) < 0)
		return NULL;
	at = strstr(text, mark);
	return at && tree_path_is_safe(at + strlen(mark), strlen(at + strlen(mark))) ?
		       text_printf("modules/%s", at + strlen(mark)) :
		       NULL;
}

struct module {
	struct worktree w; /* as if it were a slot of its own store */
	struct reach *reach;
	struct fault *f;
};

static void module_deinit(struct module *m)
{
	reach_free(m->reach);
	repo_close(m->w.repo);
	closep(&m->w.tree.admin_fd);
	closep(&m->w.tree.slot_fd);
	free(m->w.path);
}

/* @checkout: "a/b/", or NULL: only the store; -EUCLEAN and the like: it cannot be told what is in it */
static int module_open(struct module *m, const struct salvage_tree *t, const char *module, const char *checkout,
		       struct fault *f)
{
	const struct tree_slot *slot = &t->w->tree;

	m->f = f;
	m->w.name = (char *)module;
	m->w.tree.slot_fd = checkout ? fs_open_beneath(slot->slot_fd, checkout, O_RDONLY | O_DIRECTORY, 0) : -1;
	m->w.tree.admin_fd = fs_open_beneath(slot->admin_fd, module, O_RDONLY | O_DIRECTORY, 0);
	if ((checkout && m->w.tree.slot_fd < 0) || m->w.tree.admin_fd < 0)
		return fault(f, -EUCLEAN, "the submodule %s cannot be opened", module);
	m->w.path = text_printf("%s/worktrees/slotd-%s/%s", repo_common_dir(t->w->repo), t->w->name, module);
	if (!m->w.path)
		return fault_oom(f);
	m->w.tree.common_dir = m->w.path;
	return repo_open(m->w.path, &m->w.repo, f);
}

static int add_tip(const git_oid *oid, void *userdata)
{
	struct module *m = userdata;

	return reach_add_tip(m->reach, oid, m->f);
}

/* refs that no remote has: branches, the stash; tags come with what they are on */
static int add_own_refs(struct module *m)
{
	git_reference_iterator *it = NULL;
	git_reference *ref = NULL;
	int rc, r = 0;

	rc = git_reference_iterator_new(&it, repo_git(m->w.repo));
	while (r == 0 && rc == 0 && (rc = git_reference_next(&ref, it)) == 0) {
		const char *name = git_reference_name(ref);
		const git_oid *oid = git_reference_target(ref);

		if (oid && !text_has_prefix(name, "refs/remotes/") && !text_has_prefix(name, "refs/tags/"))
			r = add_tip(oid, m);
		git_reference_free(ref);
	}
	git_reference_iterator_free(it);
	return r < 0 || rc == GIT_ITEROVER ? r : git_fault(m->f, rc, "cannot list the refs of a submodule");
}

/* commits that its remotes lack: 1, 0 or a fault */
static int has_own_commits(struct module *m, const git_oid *head)
{
	size_t count = 0;
	git_oid newest;
	int r = reach_new(m->w.repo, &m->reach, m->f);

	if (r == 0)
		r = add_tip(head, m);
	if (r == 0)
		r = add_own_refs(m);
	if (r == 0)
		r = reflog_foreach(m->w.tree.admin_fd, "logs/HEAD", add_tip, m, m->f);
	if (r == 0)
		r = reach_add_refs(m->reach, "refs/remotes/", m->f);
	if (r == 0)
		r = reach_run(m->reach, &count, &newest, m->f);
	return r < 0 ? r : count > 0;
}

static int on_change(enum tree_change change, const char *path, void *userdata)
{
	return fault(userdata, -EBUSY, "%s is %s", path, tree_change_to_string(change));
}

/* 1: all of it is safe elsewhere; 0: it is not, or it cannot be told */
static int is_safe(const struct salvage_tree *t, const char *module, const char *checkout, const git_oid *wanted)
{
	_cleanup_(module_deinit) struct module m = { .w.tree = { NULL, -1, -1 } };
	_cleanup_(freep) char *branch = NULL;
	struct fault why = FAULT_NONE;
	git_oid head;
	int r = module_open(&m, t, module, checkout, &why);

	if (r == 0)
		r = worktree_head(&m.w, &branch, &head, &why);
	if (r == 0 && (git_oid_is_zero(&head) || (wanted && !git_oid_equal(&head, wanted))))
		return 0;
	if (r == 0)
		r = op_state_find(m.w.tree.admin_fd, &why);
	if (r == 0)
		r = has_own_commits(&m, &head);
	if (r == 0 && checkout)
		r = tree_sweep(&m.w.tree, &head, NULL, on_change, &why, NULL, &why);
	return r == -ENOMEM ? r : r == 0;
}

/* --- what is found --- */

/* its files may go: gathered before it is looked whether they are safe, so that what is changed later shows */
static int know_files(struct salvage_tree *t, const char *path, const char *module, const git_oid *wanted,
		      struct fault *f)
{
	_cleanup_(tree_saved_freep) struct tree_saved *known = tree_saved_new();
	int r;

	if (!known)
		return -ENOMEM;
	t->known = known;
	r = salvage_tree_dir(t, SALVAGE_KIND_NESTED, path, f);
	t->known = NULL;
	if (r == 0)
		r = is_safe(t, module, path, wanted);
	if (r > 0 && tree_saved_join(t->saved, known) < 0)
		return -ENOMEM;
	return r;
}

/* files of the slot's own may lie beside its ".git": they are looked at like any other */
static bool is_tracked_dir(const struct salvage_tree *t, const char *path)
{
	size_t len = strlen(path), at = tree_list_lower(t->list, path, len);

	return at < t->list->n && strncmp(t->list->entries[at].path, path, len) == 0;
}

static int save_git_of(struct salvage_tree *t, const char *path, struct fault *f)
{
	_cleanup_(freep) char *file = text_printf("%s.git", path);
	_cleanup_(freep) char *dir = text_printf("%s.git/", path);
	_cleanup_(closep) int fd = -1;

	if (!file || !dir)
		return -ENOMEM;
	fd = fs_open_beneath(t->w->tree.slot_fd, dir, O_PATH | O_DIRECTORY, 0);
	return fd >= 0 ? salvage_tree_dir(t, SALVAGE_KIND_NESTED, dir, f) :
			 salvage_tree_leaf(t, SALVAGE_KIND_NESTED, file);
}

int salvage_tree_nested(struct salvage_tree *t, const char *path, const struct tree_entry *entry, struct fault *f)
{
	_cleanup_(freep) char *module = find_module(t, path);
	int r = 0;

	if (!entry && !text_has_prefix(path, TREE_ASIDE_PREFIX) && salvage_tree_dir_stays(t, path))
		return 0;
	if (module && entry && entry->mode == TREE_MODE_GITLINK)
		r = know_files(t, path, module, &entry->oid, f);
	if (r != 0)
		return r < 0 ? r : salvage_paths_add(&t->safe_modules, module);
	r = salvage_tree_count(t, SALVAGE_KIND_NESTED, path);
	if (r == 0 && module)
		r = salvage_paths_add(&t->modules, module);
	if (r == 0 && is_tracked_dir(t, path))
		return save_git_of(t, path, f);
	return r == 0 ? salvage_tree_dir(t, SALVAGE_KIND_NESTED, path, f) : r;
}

/* --- stores without a checkout --- */

struct search {
	struct salvage_tree *t;
	const char *dir; /* "modules", "modules/a" */
	unsigned level;
	struct fault *f;
};

static bool has_path(const struct salvage_paths *p, const char *path)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->v[i], path) == 0)
			return true;
	return false;
}

static int found_module(struct salvage_tree *t, const char *module)
{
	int r;

	if (has_path(&t->modules, module) || has_path(&t->safe_modules, module))
		return 0;
	r = is_safe(t, module, NULL, NULL);
	if (r != 0)
		return r < 0 ? r : 0;
	r = salvage_tree_count(t, SALVAGE_KIND_NESTED, module);
	return r == 0 ? salvage_paths_add(&t->modules, module) : r;
}

static int search(int dirfd, const char *name, void *userdata)
{
	const struct search *s = userdata;
	_cleanup_(freep) char *path = text_printf("%s/%s", s->dir, name);
	_cleanup_(freep) char *objects = text_printf("%s/objects", name);
	struct search below = { s->t, path, s->level + 1, s->f };

	if (!path || !objects)
		return -ENOMEM;
	if (faccessat(dirfd, objects, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return found_module(s->t, path);
	return s->level < LEVELS_MAX ? admin_foreach_at(dirfd, name, search, &below, s->f) : 0;
}

int salvage_tree_modules(struct salvage_tree *t, struct fault *f)
{
	struct search s = { t, "modules", 0, f };

	return admin_foreach_at(t->w->tree.admin_fd, "modules", search, &s, f);
}
