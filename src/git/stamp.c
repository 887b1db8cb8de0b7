/* Content, not times: a checkout of the same commit is no change. */
#include "git/stamp.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git/sha1.h"
#include "util/cleanup.h"
#include "util/fs.h"

#define READ_BYTES 65536

/* what stands there, in front of its content */
enum kind { KIND_FILE = 'f', KIND_LINK = 'l', KIND_ABSENT = '-', KIND_OTHER = '?' };

static void add_kind(struct sha1 *sha1, enum kind kind)
{
	char c = (char)kind;

	sha1_update(sha1, &c, 1);
}

static void add_link(struct sha1 *sha1, int slot_fd, const char *file)
{
	_cleanup_(closep) int fd = fs_open_beneath(slot_fd, file, O_PATH | O_NOFOLLOW, 0);
	char to[PATH_MAX];
	ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", to, sizeof(to));

	add_kind(sha1, n < 0 ? KIND_OTHER : KIND_LINK);
	if (n > 0)
		sha1_update(sha1, to, (size_t)n);
}

/* its end is known by its size, so that no two lists of files look alike */
static int add_content(struct sha1 *sha1, int fd, off_t size)
{
	_cleanup_(freep) char *buf = malloc(READ_BYTES);
	ssize_t n;

	if (!buf)
		return -ENOMEM;
	sha1_update(sha1, &size, sizeof(size));
	while ((n = read(fd, buf, READ_BYTES)) > 0)
		sha1_update(sha1, buf, (size_t)n);
	return n < 0 ? -errno : 0;
}

static int add_file(struct sha1 *sha1, int slot_fd, const char *file)
{
	_cleanup_(closep) int fd = fs_open_beneath(slot_fd, file, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	struct stat st;

	sha1_update(sha1, file, strlen(file) + 1);
	if (fd == -ENOENT || fd == -ENOTDIR) {
		add_kind(sha1, KIND_ABSENT);
		return 0;
	}
	if (fd == -ELOOP) {
		add_link(sha1, slot_fd, file);
		return 0;
	}
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	add_kind(sha1, S_ISREG(st.st_mode) ? KIND_FILE : KIND_OTHER);
	return S_ISREG(st.st_mode) ? add_content(sha1, fd, st.st_size) : 0;
}

int stamp_files(int slot_fd, const char *const *files, size_t n, git_oid *ret, struct fault *f)
{
	struct sha1 sha1;
	int r = 0;

	sha1_init(&sha1);
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = add_file(&sha1, slot_fd, files[i]);
		if (r < 0)
			fault_errno(f, r, "cannot read %s", files[i]);
	}
	if (r == 0 && sha1_final(&sha1, ret) < 0)
		r = fault_oom(f);
	sha1_deinit(&sha1);
	return r;
}
