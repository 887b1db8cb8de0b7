/* Nobody sees it before it is whole. */
#include "git/pack-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"

#define PROC_FD_MAX 32

static void proc_fd(int fd, char ret[PROC_FD_MAX])
{
	snprintf(ret, PROC_FD_MAX, "/proc/self/fd/%d", fd);
}

/* -EOPNOTSUPP where there is no such thing */
static int open_unnamed(int dir_fd)
{
	_cleanup_(closep) int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0444);
	char path[PROC_FD_MAX];

	/* EISDIR and EINVAL: kernels and file systems that do not know the flag */
	if (fd < 0)
		return errno == EISDIR || errno == EINVAL ? -EOPNOTSUPP : -errno;
	proc_fd(fd, path);
	if (access(path, F_OK) < 0)
		return -EOPNOTSUPP; /* without /proc it could never be named */
	return TAKE_FD(fd);
}

static int open_named(int dir_fd, const char *kind, struct pack_file *ret)
{
	static unsigned counter;

	for (int tries = 0; tries < 100; tries++) {
		unsigned n = __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED);
		int fd;

		snprintf(ret->name, sizeof(ret->name), "tmp_%s_slotd_%d_%u", kind, (int)getpid(),
			 n);
		fd = openat(dir_fd, ret->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			    0444);
		if (fd >= 0 || errno != EEXIST)
			return fd >= 0 ? fd : -errno;
	}
	return -EEXIST;
}

int pack_file_open(int dir_fd, const char *kind, struct pack_file *ret)
{
	struct pack_file file = { .fd = open_unnamed(dir_fd) };

	if (file.fd == -EOPNOTSUPP)
		file.fd = open_named(dir_fd, kind, &file);
	if (file.fd < 0)
		return file.fd;
	*ret = file;
	return 0;
}

void pack_file_close(int dir_fd, struct pack_file *file)
{
	if (file->name[0] != '\0')
		unlinkat(dir_fd, file->name, 0);
	file->name[0] = '\0';
	closep(&file->fd);
	file->fd = -1;
}

int pack_file_write(const struct pack_file *file, const void *data, size_t len, uint64_t at)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = pwrite(file->fd, p, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

int pack_file_read(int fd, void *data, size_t len, uint64_t at)
{
	char *p = data;

	while (len > 0) {
		ssize_t n = pread(fd, p, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

/* by a link, which replaces nothing; by a rename where the file system has no links */
static int place_named(int dir_fd, struct pack_file *file, const char *name)
{
	int r = linkat(dir_fd, file->name, dir_fd, name, 0) < 0 ? -errno : 0;

	if (r == 0)
		unlinkat(dir_fd, file->name, 0);
	else if (r == -EPERM || r == -EOPNOTSUPP || r == -EMLINK)
		r = renameat2(dir_fd, file->name, dir_fd, name, RENAME_NOREPLACE) < 0 ? -errno : 0;
	if (r == 0)
		file->name[0] = '\0';
	return r == -ENOENT ? -EAGAIN : r;
}

int pack_file_place(int dir_fd, struct pack_file *file, const char *name)
{
	char path[PROC_FD_MAX];

	if (file->name[0] != '\0')
		return place_named(dir_fd, file, name);
	proc_fd(file->fd, path);
	return linkat(AT_FDCWD, path, dir_fd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int compare(int a, int b, uint64_t size)
{
	char x[16384], y[sizeof(x)];

	for (uint64_t at = 0; at < size; at += sizeof(x)) {
		size_t n = size - at < sizeof(x) ? (size_t)(size - at) : sizeof(x);
		int r = pack_file_read(a, x, n, at);

		if (r == 0)
			r = pack_file_read(b, y, n, at);
		if (r < 0)
			return r;
		if (memcmp(x, y, n) != 0)
			return -EEXIST;
	}
	return 0;
}

int pack_file_is(int dir_fd, const struct pack_file *file, const char *name)
{
	_cleanup_(closep) int fd = -1;
	struct stat ours, theirs;
	int r;

	fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) /* a link, a socket, or somebody else's */
		return errno == ELOOP || errno == ENXIO || errno == EACCES ? -EEXIST : -errno;
	if (fstat(file->fd, &ours) < 0 || fstat(fd, &theirs) < 0)
		return -errno;
	if (!S_ISREG(theirs.st_mode) || ours.st_size != theirs.st_size)
		return -EEXIST;
	r = compare(file->fd, fd, (uint64_t)ours.st_size);
	if (r < 0)
		return r;
	return fsync(fd) < 0 ? -errno : 0;
}
