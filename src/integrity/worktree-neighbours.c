/* Directories among the slots that are none. */
#include "integrity/worktrees-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/text.h"

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static bool is_slot(const struct check *c, const char *name)
{
	for (size_t i = 0; i < c->spec->n_slots; i++) {
		const char *slash = strrchr(c->spec->slots[i].path, '/');

		if (strcmp(slash ? slash + 1 : c->spec->slots[i].path, name) == 0)
			return true;
	}
	return false;
}

static bool exists(int dirfd, const char *name)
{
	return faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* what has one is looked at with all the others in worktrees/ */
static bool has_administration(const struct check *c, const char *name)
{
	_cleanup_(freep) char *admin = text_printf("worktrees/slotd-%s", name);

	/* while it is made it moves from the one place to the other, so the first is asked again */
	return admin && (exists(c->common_fd, admin) || worktree_is_in_transit(c, name) ||
			 exists(c->common_fd, admin));
}

static int check_name(struct check *c, int dirfd, const char *dir, const char *name)
{
	_cleanup_(freep) char *path = text_printf("%s/%s", dir, name);
	_cleanup_(freep) char *gitfile = text_printf("%s/.git", name);
	struct finding_place place = { .where = path };
	struct stat st;

	if (!path || !gitfile)
		return -ENOMEM;
	if (name[0] == '.' || is_slot(c, name) || has_administration(c, name) ||
	    fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	if (exists(dirfd, gitfile))
		return finding_add(c->findings, "unknown-worktree", &place,
				   "a worktree of this name is not known, neither to slotd nor to the store");
	return finding_add(c->findings, "stray-file", &place, "it is the directory of no slot");
}

static int check_dir(struct check *c, const char *path)
{
	_cleanup_(closedirp) DIR *dir = opendir(path);
	struct dirent *entry;
	int r = 0;

	/* slots whose place is gone were told one by one */
	while (dir && r == 0 && (entry = readdir(dir)))
		r = check_name(c, dirfd(dir), path, entry->d_name);
	return r;
}

/* the directory of a slot's path, if no slot before it lies there too; NULL: it was seen, or no memory */
static char *parent_of(const struct check *c, size_t i)
{
	const char *path = c->spec->slots[i].path, *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	for (size_t k = 0; k < i; k++) {
		const char *other = c->spec->slots[k].path, *end = strrchr(other, '/');

		if (end && (size_t)(end - other) == len && memcmp(other, path, len) == 0)
			return NULL;
	}
	return strndup(path, len);
}

int worktree_check_neighbours(struct check *c)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->spec->n_slots; i++) {
		_cleanup_(freep) char *parent = parent_of(c, i);

		if (parent && *parent)
			r = check_dir(c, parent);
	}
	return r;
}
