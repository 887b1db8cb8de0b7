/* Make room. */
#include "git/tree-clear.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "git/ignore.h"
#include "git/tree-apply.h"
#include "git/tree-check.h"
#include "util/cleanup.h"

/* does the commit have files in that directory ("a/b/")? */
static bool is_tracked_dir(const struct tree_clear *c, const char *path)
{
	size_t len = strlen(path), at = tree_list_lower(c->commit, path, len);

	return at < c->commit->n && strncmp(c->commit->entries[at].path, path, len) == 0;
}

/* a repository inside: all of it, or, where files of ours are beside it, its ".git" alone */
static char *nested_target(const struct tree_clear *c, const char *path)
{
	return is_tracked_dir(c, path) ? text_printf("%s.git", path) : strdup(path);
}

static bool is_going(const struct tree_clear *c, const struct tree_found *found)
{
	switch (found->change) {
	case TREE_CHANGE_NESTED:
	case TREE_CHANGE_UNTRACKED:
	case TREE_FOUND_EMPTY_DIR:
	case TREE_FOUND_WIPED:
		return true;
	case TREE_CHANGE_SPECIAL:
	case TREE_CHANGE_UNREADABLE:
	case TREE_CHANGE_MODIFIED:
		/* what is tracked is written over if all may go */
		return c->proof || !found->entry;
	default:
		return false;
	}
}

/* the path that has to go, "/" at its end or not; NULL: none has to */
static int find_target(const struct tree_clear *c, const struct tree_found *found, char **ret)
{
	struct fault *f = c->worker->f;

	*ret = NULL;
	if (!is_going(c, found))
		return 0;
	if (found->change == TREE_CHANGE_UNREADABLE && is_tracked_dir(c, found->path))
		return fault(f, -EACCES, "cannot open %s", found->path);
	*ret = found->change == TREE_CHANGE_NESTED ? nested_target(c, found->path)
						   : strdup(found->path);
	return *ret ? 0 : fault_oom(f);
}

/* ignored, and nothing in it is precious */
static bool is_worthless(const struct tree_clear *c, const struct tree_found *found)
{
	return found->change == TREE_FOUND_WIPED && !c->policy->precious;
}

static int unsaved(const struct tree_clear *c, const char *path)
{
	_cleanup_(freep) char *quoted = text_quote_path(path);

	return fault(c->worker->f, TREE_E_UNSAVED, "%s is not saved", quoted ? quoted : path);
}

static int check_file(const struct tree_clear *c, const char *path)
{
	size_t dir_len = tree_path_dir(path, strlen(path));
	const char *name = path + dir_len + (dir_len > 0);
	int dir_fd = tree_worker_dir(c->worker, path, dir_len), r;
	uint64_t mount_id;
	struct stat st;

	if (dir_fd < 0 || tree_stat_at(dir_fd, name, &st, &mount_id) < 0 || S_ISDIR(st.st_mode))
		return 0; /* it has gone or changed: tree_clear() will tell */
	if (tree_proof_by_stat(c->proof, path, &st))
		return 0;
	r = tree_proof_by_content(c->proof, dir_fd, name, path);
	if (r < 0)
		return r;
	return r == 1 ? 0 : unsaved(c, path);
}

static bool needs_check(const struct tree_clear *c, const struct tree_found *found,
			const char *path)
{
	if (path[strlen(path) - 1] == '/')
		return false;
	return found->change != TREE_FOUND_WIPED ||
	       ignore_is_ignored(c->policy->precious, path, false);
}

int tree_clear_check(const struct tree_clear *c, bool *ret)
{
	*ret = false;
	for (size_t i = 0; i < c->walk->n_found; i++) {
		const struct tree_found *found = &c->walk->found[i];
		_cleanup_(freep) char *path = NULL;
		int r = find_target(c, found, &path);

		*ret |= path != NULL;
		if (r == 0 && path && needs_check(c, found, path))
			r = check_file(c, path);
		if (r != 0)
			return r;
	}
	return 0;
}

static int clear_one(const struct tree_clear *c, const struct tree_found *found)
{
	_cleanup_(freep) char *path = NULL;
	int r = find_target(c, found, &path);

	if (r < 0 || !path)
		return r;
	if (!c->proof || is_worthless(c, found))
		return tree_apply_remove(c->worker, path);
	return tree_trash_move(c->trash, path, found->change == TREE_FOUND_WIPED);
}

int tree_clear(const struct tree_clear *c)
{
	struct fault f = FAULT_NONE;
	int r = 0, settled = 0;

	for (size_t i = 0; i < c->walk->n_found && r == 0; i++)
		r = clear_one(c, &c->walk->found[i]);
	if (!c->proof)
		return r;
	/* whatever went wrong: what was taken away so far is dealt with */
	if (r < 0)
		f = *c->worker->f;
	settled = tree_trash_settle(c->trash);
	return r < 0 ? fault(c->worker->f, r, "%s", f.text) : settled;
}
