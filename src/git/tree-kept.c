/* What stays, though nobody committed it; and the secrets in it, which do not. */
#include "git/tree-walker.h"

#include <string.h>
#include <unistd.h>

#include "git/tree-descent.h"
#include "util/cleanup.h"

struct look {
	struct tree_walker *w;
	unsigned fate; /* of the directory that is looked through */
};

/* what a repository keeps for itself has names of its own, which no pattern means */
static bool is_in_git_dir(const char *path)
{
	const char *git = path;

	while ((git = strstr(git, "/.git"))) {
		git += strlen("/.git");
		if (*git == '/' || *git == '\0')
			return true;
	}
	return false;
}

static bool is_wiped(const struct look *look, const struct tree_descent_item *item)
{
	const struct ignore *wipe = look->w->walk->policy.wipe;

	return wipe && !is_in_git_dir(item->path) &&
	       ignore_match(wipe, item->path, strlen(item->path), S_ISDIR(item->st.st_mode));
}

/* what is kept, but not ignored, is somebody's work all the same */
static int report_wiped(const struct look *look, const struct tree_descent_item *item)
{
	struct tree_walker *w = look->w;
	bool is_dir = S_ISDIR(item->st.st_mode);
	bool ignored = look->fate & TREE_FATE_IGNORED ||
		       ignore_is_ignored(w->walk->ignore, item->path, is_dir);

	return tree_walker_report(w, ignored ? TREE_FOUND_WIPED : TREE_CHANGE_UNTRACKED, item->path,
				  is_dir, NULL);
}

static int on_item(enum tree_descent_event event, const struct tree_descent_item *item,
		   void *userdata)
{
	struct look *look = userdata;
	int r;

	switch (event) {
	case TREE_DESCENT_MOUNT:
		return tree_walker_report(look->w, TREE_CHANGE_MOUNT, item->path,
					  S_ISDIR(item->st.st_mode), NULL);
	case TREE_DESCENT_FILE:
	case TREE_DESCENT_ENTER:
		look->w->disk_bytes += (uint64_t)item->st.st_blocks * 512;
		if (!is_wiped(look, item))
			return TREE_DESCENT_GO_ON;
		r = report_wiped(look, item);
		return r < 0 ? r : TREE_DESCENT_SKIP;
	case TREE_DESCENT_LEAVE:
	case TREE_DESCENT_UNREADABLE: /* it stays as it is */
		break;
	}
	return TREE_DESCENT_GO_ON;
}

int tree_look_through(struct tree_walker *w, int dir_fd, const char *name, const char *path,
		      unsigned fate)
{
	const struct tree_walk *walk = w->walk;
	struct look look = { w, fate };
	_cleanup_(closep) int fd = -1;
	uint64_t mount_id;
	struct stat st;

	if (!walk->policy.wipe && !walk->want_disk)
		return 0;
	if (tree_stat_at(dir_fd, name, &st, &mount_id) < 0)
		return 0;
	w->disk_bytes += (uint64_t)st.st_blocks * 512;
	if (!S_ISDIR(st.st_mode))
		return 0;
	fd = tree_open_dir(dir_fd, name, walk->make_writable);
	return fd < 0 ? 0 : tree_descent(fd, path, walk->make_writable, on_item, &look, &w->fault);
}
