/* Stat data first, content when in doubt. */
#include "git/tree-check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "git/sha1.h"
#include "util/cleanup.h"
#include "util/fs.h"

#define PIECE_BYTES (128 << 10)

int tree_stat_at(int dir_fd, const char *name, struct stat *ret, uint64_t *ret_mount_id)
{
	struct statx sx;

	if (statx(dir_fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_SYNC_AS_STAT,
		  STATX_BASIC_STATS | STATX_MNT_ID, &sx) < 0)
		return -errno;
	*ret = (struct stat){
		.st_dev = makedev(sx.stx_dev_major, sx.stx_dev_minor),
		.st_ino = sx.stx_ino,
		.st_mode = sx.stx_mode,
		.st_nlink = sx.stx_nlink,
		.st_uid = sx.stx_uid,
		.st_gid = sx.stx_gid,
		.st_size = (off_t)sx.stx_size,
		.st_blocks = (blkcnt_t)sx.stx_blocks,
		.st_mtim = { sx.stx_mtime.tv_sec, sx.stx_mtime.tv_nsec },
		.st_ctim = { sx.stx_ctime.tv_sec, sx.stx_ctime.tv_nsec },
	};
	*ret_mount_id = sx.stx_mask & STATX_MNT_ID ? sx.stx_mnt_id : 0;
	return 0;
}

static bool stat_is_same(const struct tree_stat *a, const struct tree_stat *b)
{
	return a->size == b->size && a->mtime_sec == b->mtime_sec &&
	       a->mtime_nsec == b->mtime_nsec && a->ctime_sec == b->ctime_sec &&
	       a->ctime_nsec == b->ctime_nsec && a->ino == b->ino;
}

static bool type_is_same(const struct tree_checker *checker, uint32_t mode, const struct stat *st)
{
	if (mode == TREE_MODE_LINK)
		return S_ISLNK(st->st_mode);
	if (!S_ISREG(st->st_mode))
		return false;
	if (checker->want_access && (st->st_mode & 0600) != 0600)
		return false;
	return !checker->trust_filemode ||
	       (mode == TREE_MODE_EXEC) == ((st->st_mode & S_IXUSR) != 0);
}

/* hashes without keeping: a large file costs no memory. 1: the same, 0: not */
static int stream_is_same(int fd, size_t size, const git_oid *oid)
{
	_cleanup_(freep) char *piece = malloc(PIECE_BYTES);
	char header[64];
	struct sha1 s;
	size_t left = size;
	git_oid found;
	int n = snprintf(header, sizeof(header), "blob %zu", size);

	if (!piece)
		return -ENOMEM;
	sha1_init(&s);
	sha1_update(&s, header, (size_t)n + 1);
	while (left > 0) {
		ssize_t got = read(fd, piece, left < PIECE_BYTES ? left : PIECE_BYTES);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			sha1_deinit(&s);
			return got < 0 ? -errno : 0;
		}
		sha1_update(&s, piece, (size_t)got);
		left -= (size_t)got;
	}
	if (sha1_final(&s, &found) < 0)
		return -ENOMEM;
	return git_oid_equal(&found, oid);
}

static int read_whole(int fd, size_t size, char **ret, size_t *ret_len)
{
	_cleanup_(freep) char *data = malloc(size + 1);
	ssize_t n;

	if (!data)
		return -ENOMEM;
	n = fs_read_up_to(fd, data, size);
	if (n < 0)
		return (int)n;
	*ret = TAKE(data);
	*ret_len = (size_t)n;
	return 0;
}

static void odb_object_freep(git_odb_object **o)
{
	git_odb_object_free(*o);
}

static int hash_is(const void *data, size_t len, const git_oid *oid)
{
	git_oid found;

	if (sha1_object(GIT_OBJECT_BLOB, data, len, &found) < 0)
		return -ENOMEM;
	return git_oid_equal(&found, oid);
}

/* as git would store it: what the index has there decides about CR LF under "auto" */
static int stored_is_same(const struct tree_checker *checker, const char *data, size_t len, const struct tree_entry *e,
			  git_odb_object *o)
{
	_cleanup_(text_deinit) struct text stored = { 0 };
	int r = convert_to_store(checker->convert, e->path, data, len, o ? git_odb_object_data(o) : NULL,
				 o ? git_odb_object_size(o) : 0, &stored);

	if (r < 0)
		return r;
	if (r > 0)
		return hash_is(stored.data ? stored.data : "", stored.len, &e->oid);
	return hash_is(data, len, &e->oid);
}

/* as a checkout would write it */
static int written_is_same(const struct tree_checker *checker, const char *data, size_t len, const struct tree_entry *e,
			   git_odb_object *o)
{
	_cleanup_(text_deinit) struct text written = { 0 };
	const char *blob = git_odb_object_data(o);
	size_t blob_len = git_odb_object_size(o);
	int r = convert_to_slot(checker->convert, e->path, &e->oid, blob, blob_len, &written);

	if (r < 0)
		return r;
	if (r > 0) {
		blob = written.data ? written.data : "";
		blob_len = written.len;
	}
	return blob_len == len && memcmp(blob, data, len) == 0;
}

static int converted_is_same(struct tree_worker *w, const struct tree_checker *checker, int fd,
			     size_t size, const struct tree_entry *e)
{
	_cleanup_(odb_object_freep) git_odb_object *o = NULL;
	_cleanup_(freep) char *data = NULL;
	struct repo *repo;
	size_t len = 0;
	int r;

	r = tree_worker_repo(w, &repo);
	if (r == 0)
		r = read_whole(fd, size, &data, &len);
	if (r < 0)
		return r;
	(void)git_odb_read(&o, repo_odb(repo), &e->oid); /* without it: as if it had no CR LF */
	return checker->want_bytes && o ? written_is_same(checker, data, len, e, o) :
					  stored_is_same(checker, data, len, e, o);
}

static int file_is_same(struct tree_worker *w, const struct tree_checker *checker, int dir_fd,
			const char *name, const struct tree_entry *e, struct stat *st)
{
	_cleanup_(closep) int fd = -1;

	fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, st) < 0)
		return -errno;
	if (!S_ISREG(st->st_mode))
		return 0;
	if (convert_is_plain(checker->convert, e->path))
		return stream_is_same(fd, (size_t)st->st_size, &e->oid);
	return converted_is_same(w, checker, fd, (size_t)st->st_size, e);
}

static int link_is_same(int dir_fd, const char *name, const struct tree_entry *e)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir_fd, name, target, sizeof(target));

	return n < 0 ? -errno : hash_is(target, (size_t)n, &e->oid);
}

static int content_check(struct tree_worker *w, const struct tree_checker *checker, int dir_fd,
			 const char *name, struct tree_entry *e, struct stat *st)
{
	int r = e->mode == TREE_MODE_LINK ? link_is_same(dir_fd, name, e)
					  : file_is_same(w, checker, dir_fd, name, e, st);

	if (r == -EACCES || r == -EPERM)
		return TREE_CHECK_UNREADABLE;
	if (r == -ENOENT || r == -ELOOP || r == -EINVAL || r == -ENXIO)
		return TREE_CHECK_MODIFIED; /* swapped under our eyes */
	if (r < 0)
		return fault_errno(w->f, r, "cannot read %s", e->path);
	if (r == 0)
		return TREE_CHECK_MODIFIED;
	tree_stat_fill(&e->stat, st);
	return TREE_CHECK_SAME;
}

bool tree_check_by_stat(const struct tree_checker *checker, const struct tree_entry *e,
			const struct stat *st)
{
	struct tree_stat now = { 0 };

	tree_stat_fill(&now, st);
	return type_is_same(checker, e->mode, st) && checker->index &&
	       stat_is_same(&now, &e->stat) && !index_is_racy(checker->index, &e->stat);
}

int tree_check(struct tree_worker *w, const struct tree_checker *checker, int dir_fd,
	       const char *name, struct tree_entry *e, struct stat *ret_st)
{
	uint64_t mount_id = 0;
	struct stat st;
	int r;

	r = tree_stat_at(dir_fd, name, &st, &mount_id);
	if (r == -ENOENT || r == -ENOTDIR)
		return TREE_CHECK_ABSENT;
	if (r < 0)
		return fault_errno(w->f, r, "cannot look at %s", e->path);
	if (ret_st)
		*ret_st = st;
	if (mount_id && checker->mount_id && mount_id != checker->mount_id)
		return TREE_CHECK_MOUNT;
	if (S_ISDIR(st.st_mode))
		return TREE_CHECK_DIRECTORY;
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return TREE_CHECK_SPECIAL;
	if (!type_is_same(checker, e->mode, &st))
		return TREE_CHECK_MODIFIED;
	if (tree_check_by_stat(checker, e, &st))
		return TREE_CHECK_SAME;
	return content_check(w, checker, dir_fd, name, e, &st);
}
