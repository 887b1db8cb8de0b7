/* What a thread of a walk needs at every step. */
#include "git/tree-walker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "git/tree-descent.h"
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

unsigned tree_fate(const struct tree_walk *walk, const char *path, bool is_dir)
{
	size_t len = strlen(path);
	unsigned fate = 0;

	if (ignore_match(walk->ignore, path, len, is_dir))
		fate |= TREE_FATE_IGNORED;
	if (walk->policy.wipe_ignored)
		return fate ? fate | TREE_FATE_WIPED : 0;
	if (ignore_match(walk->policy.keep, path, len, is_dir))
		fate |= TREE_FATE_KEPT;
	if (ignore_match(walk->policy.wipe, path, len, is_dir))
		fate |= TREE_FATE_WIPED;
	return fate;
}

int tree_walker_open(struct tree_walker *w, int dir_fd, const char *name, DIR **ret)
{
	int fd = tree_open_dir(dir_fd, name, w->walk->make_writable), r;

	if (fd < 0)
		return fd;
	*ret = fdopendir(fd);
	if (*ret)
		return 0;
	r = -errno;
	close(fd);
	return r;
}
