/* What git will believe about the slot. */
#include "git/index-write.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "git/admin.h"
#include "git/sha1.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"

#define BUFFER_BYTES (128 << 10)
#define NAME_MASK    0x0fff

struct writer {
	int fd;
	struct sha1 sha1;
	size_t used;
	int r; /* the first failure; nothing is written after it */
	char buffer[BUFFER_BYTES];
};

static void put_flush(struct writer *w)
{
	sha1_update(&w->sha1, w->buffer, w->used);
	if (w->r == 0)
		w->r = fs_write_all(w->fd, w->buffer, w->used);
	w->used = 0;
}

static void put(struct writer *w, const void *data, size_t len)
{
	while (len > 0) {
		size_t room = BUFFER_BYTES - w->used;
		size_t n = len < room ? len : room;

		memcpy(w->buffer + w->used, data, n);
		w->used += n;
		data = (const char *)data + n;
		len -= n;
		if (w->used == BUFFER_BYTES)
			put_flush(w);
	}
}

static void put_u32(struct writer *w, uint32_t value)
{
	value = htonl(value);
	put(w, &value, sizeof(value));
}

static void put_u16(struct writer *w, uint16_t value)
{
	value = htons(value);
	put(w, &value, sizeof(value));
}

/* Source: gitformat-index(5), "Index entry", version 2: padded with 1 to 8 NULs to 8 bytes */
static void put_entry(struct writer *w, const struct tree_entry *e)
{
	static const char nuls[8];
	size_t len = e->path_len;

	put_u32(w, e->stat.ctime_sec);
	put_u32(w, e->stat.ctime_nsec);
	put_u32(w, e->stat.mtime_sec);
	put_u32(w, e->stat.mtime_nsec);
	put_u32(w, e->stat.dev);
	put_u32(w, e->stat.ino);
	put_u32(w, e->mode);
	put_u32(w, e->stat.uid);
	put_u32(w, e->stat.gid);
	put_u32(w, e->stat.size);
	put(w, e->oid.id, GIT_OID_RAWSZ);
	put_u16(w, len < NAME_MASK ? (uint16_t)len : NAME_MASK);
	put(w, e->path, len);
	put(w, nuls, 8 - (62 + len) % 8);
}

static size_t put_entries(struct writer *w, const struct tree_list *list)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++)
		n += !(list->entries[i].flags & TREE_ENTRY_GONE);
	put(w, "DIRC", 4);
	put_u32(w, 2);
	put_u32(w, (uint32_t)n);
	for (size_t i = 0; i < list->n; i++)
		if (!(list->entries[i].flags & TREE_ENTRY_GONE))
			put_entry(w, &list->entries[i]);
	return n;
}

/* git keeps the children of a cache-tree by length, then by name */
static int child_compare(const void *a, const void *b)
{
	const struct tree_dir *x = *(const struct tree_dir *const *)a;
	const struct tree_dir *y = *(const struct tree_dir *const *)b;
	const char *x_name = x->path + tree_path_dir(x->path, strlen(x->path));
	const char *y_name = y->path + tree_path_dir(y->path, strlen(y->path));
	size_t x_len = strlen(x_name), y_len = strlen(y_name);

	return x_len != y_len ? (x_len > y_len) - (x_len < y_len) : memcmp(x_name, y_name, x_len);
}

/* the children of every directory, each group in git's order; offsets[i] is where i's begin */
static int children_index(const struct tree_list *list, const struct tree_dir ***ret,
			  size_t **ret_offsets)
{
	_cleanup_(freep) const struct tree_dir **children = calloc(list->n_dirs, sizeof(*children));
	_cleanup_(freep) size_t *offsets = calloc(list->n_dirs + 1, sizeof(*offsets));
	_cleanup_(freep) size_t *filled = calloc(list->n_dirs, sizeof(*filled));

	if (!children || !offsets || !filled)
		return -ENOMEM;
	for (size_t i = 0; i < list->n_dirs; i++)
		offsets[i + 1] = offsets[i] + list->dirs[i].n_children;
	for (size_t i = 1; i < list->n_dirs; i++) {
		size_t parent = list->dirs[i].parent;

		children[offsets[parent] + filled[parent]++] = &list->dirs[i];
	}
	for (size_t i = 0; i < list->n_dirs; i++)
		qsort(children + offsets[i], list->dirs[i].n_children, sizeof(*children),
		      child_compare);
	*ret = TAKE(children);
	*ret_offsets = TAKE(offsets);
	return 0;
}

struct cache_tree {
	const struct tree_list *list;
	const struct tree_dir **children;
	size_t *offsets;
	char *data;
	size_t len, size;
};

static int cache_tree_add(struct cache_tree *t, const void *data, size_t len)
{
	if (t->size - t->len < len) {
		size_t size = (t->size + len) * 2;
		char *more = realloc(t->data, size);

		if (!more)
			return -ENOMEM;
		t->data = more;
		t->size = size;
	}
	memcpy(t->data + t->len, data, len);
	t->len += len;
	return 0;
}

/* "<name>\0<files> <children>\n<oid>", then each child. Source: gitformat-index(5), "Cache tree" */
static int cache_tree_dir(struct cache_tree *t, const struct tree_dir *dir)
{
	size_t at = (size_t)(dir - t->list->dirs);
	size_t slash = tree_path_dir(dir->path, strlen(dir->path));
	const char *name = dir->path + slash + (slash > 0);
	char counts[48];
	int n = snprintf(counts, sizeof(counts), "%zu %zu\n", dir->n_files, dir->n_children);
	int r;

	r = cache_tree_add(t, name, strlen(name) + 1);
	if (r == 0)
		r = cache_tree_add(t, counts, (size_t)n);
	if (r == 0)
		r = cache_tree_add(t, dir->oid.id, GIT_OID_RAWSZ);
	for (size_t i = t->offsets[at]; i < t->offsets[at + 1] && r == 0; i++)
		r = cache_tree_dir(t, t->children[i]);
	return r;
}

static int put_cache_tree(struct writer *w, const struct tree_list *list)
{
	struct cache_tree t = { .list = list };
	int r;

	r = children_index(list, &t.children, &t.offsets);
	if (r == 0)
		r = cache_tree_dir(&t, &list->dirs[0]);
	if (r == 0) {
		put(w, "TREE", 4);
		put_u32(w, (uint32_t)t.len);
		put(w, t.data, t.len);
	}
	free(t.data);
	free(t.children);
	free(t.offsets);
	return r;
}

static int put_trailer(struct writer *w)
{
	git_oid digest;
	int r;

	put_flush(w);
	r = sha1_final(&w->sha1, &digest);
	if (w->r == 0)
		w->r = r < 0 ? r : fs_write_all(w->fd, digest.id, GIT_OID_RAWSZ);
	return w->r;
}

static bool is_newer(const struct stat *st, uint32_t sec, uint32_t nsec)
{
	return (uint32_t)st->st_mtim.tv_sec > sec ||
	       ((uint32_t)st->st_mtim.tv_sec == sec && (uint32_t)st->st_mtim.tv_nsec > nsec);
}

/*
 * The clock of the file system moves in steps of up to 10 ms. An index with the mtime of its
 * newest file would make that file racy: it waits for the next step. A file from the future
 * (mtime set by hand) is simply racy.
 */
static int index_age(int fd, const struct tree_list *list)
{
	const struct timespec step = { .tv_nsec = 1000000 };
	uint32_t sec = 0, nsec = 0;
	struct stat st;

	for (size_t i = 0; i < list->n; i++) {
		const struct tree_stat *s = &list->entries[i].stat;

		if (s->mtime_sec > sec || (s->mtime_sec == sec && s->mtime_nsec > nsec)) {
			sec = s->mtime_sec;
			nsec = s->mtime_nsec;
		}
	}
	for (int i = 0; i < 20; i++) {
		if (fstat(fd, &st) < 0)
			return -errno;
		if (is_newer(&st, sec, nsec) || (uint32_t)st.st_mtim.tv_sec + 1 < sec)
			return 0;
		nanosleep(&step, NULL);
		if (futimens(fd, NULL) < 0)
			return -errno;
	}
	return 0;
}

static int write_lock(int fd, const struct tree_list *list, const struct tree_list *cached)
{
	_cleanup_(freep) struct writer *w = malloc(sizeof(*w));
	int r = 0;

	if (!w)
		return -ENOMEM;
	w->fd = fd;
	w->used = 0;
	w->r = 0;
	sha1_init(&w->sha1);
	if (put_entries(w, list) == (cached ? cached->n : 0) && cached && !cached->odd)
		r = put_cache_tree(w, cached);
	if (r == 0)
		r = put_trailer(w);
	sha1_deinit(&w->sha1);
	return r < 0 ? r : index_age(fd, list);
}

/* whatever is called "index" goes, a directory as well */
static int index_publish(int admin_fd)
{
	int r;

	if (renameat(admin_fd, INDEX_LOCK, admin_fd, "index") == 0)
		return 0;
	if (errno != EISDIR)
		return -errno;
	r = fs_remove_tree_at(admin_fd, "index", NULL);
	if (r < 0)
		return r;
	return renameat(admin_fd, INDEX_LOCK, admin_fd, "index") < 0 ? -errno : 0;
}

int index_lock(int admin_fd, struct fault *f)
{
	int r = fs_remove_tree_at(admin_fd, INDEX_LOCK, f);

	return r < 0 ? r : admin_lock_at(admin_fd, INDEX_LOCK, f);
}

void index_unlock(int admin_fd, int fd)
{
	admin_unlock_at(admin_fd, INDEX_LOCK, fd);
}

int index_write_locked(int admin_fd, int fd, const struct tree_list *list, const struct tree_list *cached,
		       struct fault *f)
{
	int r;

	CRASH_POINT("tree.index.lock");
	r = write_lock(fd, list, cached);
	CRASH_POINT("tree.index.written");
	if (r == 0)
		r = index_publish(admin_fd);
	if (r < 0)
		return fault_errno(f, r, "cannot write the index");
	CRASH_POINT("tree.index.renamed");
	return 0;
}

int index_write(int admin_fd, const struct tree_list *list, const struct tree_list *cached,
		struct fault *f)
{
	int fd = index_lock(admin_fd, f);
	int r = fd < 0 ? fd : index_write_locked(admin_fd, fd, list, cached, f);

	index_unlock(admin_fd, fd);
	return r;
}
