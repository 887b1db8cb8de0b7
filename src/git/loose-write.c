/* Beside, synced, renamed: an object is there whole or not at all. */
#include "git/loose.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"

static void deflate_endp(z_stream *z)
{
	deflateEnd(z);
}

/* feeds one piece to the stream and writes what comes out */
static int deflate_piece(z_stream *z, int fd, const void *data, size_t len, int flush)
{
	uint8_t out[16384];
	const uint8_t *in = data;
	int rc = Z_OK;

	do {
		uInt give = len > UINT_MAX ? UINT_MAX : (uInt)len;
		int r;

		z->next_in = (uint8_t *)in;
		z->avail_in = give;
		z->next_out = out;
		z->avail_out = sizeof(out);
		rc = deflate(z, len > UINT_MAX ? Z_NO_FLUSH : flush);
		if (rc == Z_STREAM_ERROR)
			return -EIO;
		in += give - z->avail_in;
		len -= give - z->avail_in;
		r = fs_write_all(fd, out, sizeof(out) - z->avail_out);
		if (r < 0)
			return r;
	} while (len > 0 || (flush == Z_FINISH && rc != Z_STREAM_END));
	return 0;
}

static int write_content(int fd, git_object_t type, const void *data, size_t size)
{
	_cleanup_(deflate_endp) z_stream z = { 0 };
	char header[64];
	int n = snprintf(header, sizeof(header), "%s %zu", git_object_type2string(type), size);
	int r;

	if (deflateInit(&z, Z_BEST_SPEED) != Z_OK)
		return -ENOMEM;
	r = deflate_piece(&z, fd, header, (size_t)n + 1, Z_NO_FLUSH);
	if (r == 0)
		r = deflate_piece(&z, fd, data, size, Z_FINISH);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r;
}

/* the directory "ab", made when it is not there; through no link */
static int fan_open(int objects_fd, const char *path)
{
	char name[3] = { path[0], path[1], '\0' };
	int fd = fs_open_beneath(objects_fd, name, O_RDONLY | O_DIRECTORY, 0);
	int r;

	if (fd != -ENOENT)
		return fd;
	if (mkdirat(objects_fd, name, 0777) < 0 && errno != EEXIST)
		return -errno;
	fd = fs_open_beneath(objects_fd, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	r = fsync(objects_fd) < 0 ? -errno : 0;
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/* a name that git's own prune removes when we are killed: tmp_obj_* */
static int beside_open(int fan_fd, char *name, size_t size)
{
	static unsigned counter;

	for (int tries = 0; tries < 100; tries++) {
		unsigned n = __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED);
		int fd;

		snprintf(name, size, "tmp_obj_slotd_%d_%u", (int)getpid(), n);
		fd = openat(fan_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			    0444);
		if (fd >= 0 || errno != EEXIST)
			return fd >= 0 ? fd : -errno;
	}
	return -EEXIST;
}

static int write_beside(int fan_fd, const char *name, git_object_t type, const void *data,
			size_t size)
{
	_cleanup_(closep) int fd = -1;
	char beside[64];
	int r;

	fd = beside_open(fan_fd, beside, sizeof(beside));
	if (fd < 0)
		return fd;
	r = write_content(fd, type, data, size);
	CRASH_POINT("loose.write");
	if (r == 0 && renameat(fan_fd, beside, fan_fd, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(fan_fd, beside, 0);
		return r;
	}
	CRASH_POINT("loose.rename");
	return fsync(fan_fd) < 0 ? -errno : 0;
}

int loose_write(int objects_fd, const git_oid *oid, git_object_t type, const void *data,
		size_t size, struct fault *f)
{
	_cleanup_(closep) int fan_fd = -1;
	char path[GIT_OID_HEXSZ + 2];
	int r;

	loose_path(oid, path);
	fan_fd = fan_open(objects_fd, path);
	if (fan_fd < 0)
		return fault_errno(f, fan_fd, "cannot open objects/%.2s", path);
	r = write_beside(fan_fd, path + 3, type, data, size);
	return r < 0 ? fault_errno(f, r, "cannot write the object %.2s%s", path, path + 3) : 0;
}
