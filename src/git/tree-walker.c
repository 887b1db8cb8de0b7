/* What a thread of a walk needs at every step. */
#include "git/tree-walker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

char *tree_walker_path(const char *dir, const char *name)
{
	return *dir ? text_printf("%s/%s", dir, name) : strdup(name);
}

int tree_walker_report(struct tree_walker *w, int change, const char *path, bool is_dir,
		       struct tree_entry *entry)
{
	char *copy;

	if (w->n_found == w->found_size) {
		size_t size = w->found_size ? w->found_size * 2 : 64;
		struct tree_found *more = realloc(w->found, size * sizeof(*more));

		if (!more)
			return fault_oom(&w->fault);
		w->found = more;
		w->found_size = size;
	}
	copy = text_printf("%s%s", path, is_dir ? "/" : "");
	if (!copy)
		return fault_oom(&w->fault);
	w->found[w->n_found++] = (struct tree_found){ change, copy, entry };
	return 0;
}

void tree_walker_forget(struct tree_walker *w, size_t from)
{
	while (w->n_found > from)
		free(w->found[--w->n_found].path);
}

/* gives its owner all rights, through a handle: never through a link that takes its place */
static int make_accessible(int dir_fd, const char *name)
{
	_cleanup_(closep) int fd = fs_open_beneath(dir_fd, name, O_PATH | O_DIRECTORY, 0);
	char link[32];
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return chmod(link, (st.st_mode & 07777) | 0700) < 0 ? -errno : 0;
}

static int make_writable(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_mode & 0700) == 0700)
		return 0;
	return fchmod(fd, (st.st_mode & 07777) | 0700) < 0 ? -errno : 0;
}

int tree_walker_open(struct tree_walker *w, int dir_fd, const char *name, DIR **ret)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK;
	int fd = fs_open_beneath(dir_fd, name, flags, 0);
	int r;

	if (fd == -EACCES && w->walk->make_writable) {
		r = make_accessible(dir_fd, name);
		fd = r < 0 ? r : fs_open_beneath(dir_fd, name, flags, 0);
	}
	if (fd < 0)
		return fd;
	if (w->walk->make_writable) {
		r = make_writable(fd);
		if (r < 0) {
			close(fd);
			return r;
		}
	}
	*ret = fdopendir(fd);
	if (*ret)
		return 0;
	r = -errno;
	close(fd);
	return r;
}
