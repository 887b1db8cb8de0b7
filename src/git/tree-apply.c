/* First make sure, then take away, then put. */
#include "git/tree-apply.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/text.h"

#define CHUNK 8

int tree_picks_add(struct tree_picks *picks, struct tree_entry *e)
{
	if (picks->n == picks->size) {
		size_t size = picks->size ? picks->size * 2 : 64;
		struct tree_entry **more = realloc(picks->entries, size * sizeof(*more));

		if (!more)
			return -ENOMEM;
		picks->entries = more;
		picks->size = size;
	}
	picks->entries[picks->n++] = e;
	return 0;
}

void tree_picks_deinit(struct tree_picks *picks)
{
	free(picks->entries);
	*picks = (struct tree_picks){ 0 };
}

int tree_apply_verify(struct repo *repo, const struct tree_picks *picks, struct fault *f)
{
	for (size_t i = 0; i < picks->n; i++) {
		const struct tree_entry *e = picks->entries[i];
		_cleanup_(freep) char *quoted = NULL;
		char hex[GIT_OID_HEXSZ + 1];

		if (e->mode == TREE_MODE_GITLINK || git_odb_exists(repo_odb(repo), &e->oid))
			continue;
		quoted = text_quote_path(e->path);
		git_oid_tostr(hex, sizeof(hex), &e->oid);
		return fault(f, -EUCLEAN, "the blob %s (%s) is missing from the store", hex,
			     quoted ? quoted : "");
	}
	return 0;
}

int tree_apply_remove(struct tree_worker *w, const char *path)
{
	size_t len = strlen(path), dir_len;
	_cleanup_(freep) char *copy = NULL;
	int dir_fd, r;

	while (len > 0 && path[len - 1] == '/')
		len--;
	copy = strndup(path, len);
	if (!copy)
		return fault_oom(w->f);
	dir_len = tree_path_dir(copy, len);
	dir_fd = tree_worker_dir(w, copy, dir_len);
	if (dir_fd == -ENOENT || dir_fd == -ENOTDIR || dir_fd == -ELOOP)
		return 0; /* its directory is gone, or is none: so is the name */
	if (dir_fd < 0)
		return fault_errno(w->f, dir_fd, "cannot open the directory of %s", copy);
	r = fs_remove_tree_at(dir_fd, copy + dir_len + (dir_len > 0), w->f);
	CRASH_POINT("tree.reset.unlink");
	if (r == 0)
		w->stats.removed++;
	return r;
}

void tree_apply_prune(struct tree_worker *w, const char *path)
{
	size_t len = strlen(path);

	while (len > 0 && path[len - 1] == '/')
		len--;
	tree_worker_forget_dir(w);
	while ((len = tree_path_dir(path, len)) > 0) {
		_cleanup_(freep) char *dir = strndup(path, len);
		size_t above = tree_path_dir(path, len);
		int fd = dir ? tree_worker_dir(w, dir, above) : -ENOMEM;

		if (fd == -ENOENT)
			continue;
		if (fd < 0 || unlinkat(fd, dir + above + (above > 0), AT_REMOVEDIR) < 0)
			return;
	}
}

struct write {
	const struct tree_picks *picks;
	struct tree_apply_how *how;
};

/* somebody's name is where ours belongs: it stays, and the index knows nothing about the entry */
static int spare(const struct tree_worker *w, struct tree_entry *e, int r, size_t *blocked)
{
	if (w->beside_fd < 0 || (r != -EEXIST && r != -ENOTDIR && r != -ELOOP))
		return r;
	e->stat = (struct tree_stat){ 0 };
	__atomic_add_fetch(blocked, 1, __ATOMIC_RELAXED);
	return 0;
}

static int write_one(struct tree_worker *w, size_t i, void *userdata)
{
	struct write *write = userdata;
	struct tree_entry *e = write->picks->entries[i];
	int r;

	w->beside_fd = write->how->beside_fd;
	r = tree_file_write(w, e, write->how->convert, TREE_FILE_REPLACE);
	CRASH_POINT("tree.reset.write");
	return r < 0 ? spare(w, e, r, &write->how->blocked) : r;
}

int tree_apply_write(const struct tree_slot *slot, struct repo *repo,
		     const struct tree_picks *picks, struct tree_apply_how *how,
		     struct tree_stats *stats, struct fault *f)
{
	struct write write = { picks, how };

	return tree_work(slot, repo, picks->n, CHUNK, how->threads, write_one, &write, stats, f);
}

int tree_apply_gitlinks(struct tree_worker *w, struct tree_list *list, size_t *blocked)
{
	int r = 0;

	for (size_t i = 0; i < list->n && r == 0; i++) {
		struct tree_entry *e = &list->entries[i];

		if (e->mode != TREE_MODE_GITLINK || (e->flags & TREE_ENTRY_GONE))
			continue;
		r = tree_file_write(w, e, NULL, TREE_FILE_NEW);
		if (r < 0)
			r = spare(w, e, r, blocked);
	}
	return r;
}
