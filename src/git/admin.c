/* Small files that anybody may have replaced by anything. */
#include "git/admin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

int admin_read_at(int dirfd, const char *name, char **ret, struct fault *f)
{
	char *text = NULL;
	size_t len = 0;
	int r;

	r = fs_read_file_at(dirfd, name, ADMIN_FILE_BYTES, &text, &len);
	if (r == -ENOENT || r == -ENOTDIR)
		return fault(f, -ENOENT, "%s is missing", name);
	if (r == -ELOOP || r == -EINVAL || r == -EFBIG || r == -ENXIO)
		return fault(f, -EUCLEAN, "%s is not a small regular file", name);
	if (r < 0)
		return fault_errno(f, r, "cannot read %s", name);
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		text[--len] = '\0';
	if (strlen(text) != len) {
		free(text);
		return fault(f, -EUCLEAN, "%s holds NUL bytes", name);
	}
	*ret = text;
	return 0;
}

static int write_new(int dirfd, const char *name, const void *data, size_t len)
{
	_cleanup_(closep) int fd = -1;
	int r;

	fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = fs_write_all(fd, data, len);
	if (r < 0)
		return r;
	return fsync(fd) < 0 ? -errno : 0;
}

int admin_write_bytes_at(int dirfd, const char *name, const void *data, size_t len,
			 struct fault *f)
{
	_cleanup_(freep) char *beside = text_printf("%s.slotd", name);
	int r;

	if (!beside)
		return fault_oom(f);
	r = admin_remove_at(dirfd, beside, f);
	if (r < 0)
		return r;
	r = write_new(dirfd, beside, data, len);
	if (r == 0 && renameat(dirfd, beside, dirfd, name) < 0)
		r = -errno;
	if (r == -EISDIR) {
		r = fs_remove_tree_at(dirfd, name, f);
		if (r == 0 && renameat(dirfd, beside, dirfd, name) < 0)
			r = -errno;
	}
	if (r < 0) {
		unlinkat(dirfd, beside, 0);
		return fault_errno(f, r, "cannot write %s", name);
	}
	return 0;
}

int admin_write_at(int dirfd, const char *name, const char *text, struct fault *f)
{
	return admin_write_bytes_at(dirfd, name, text, strlen(text), f);
}

int admin_put_right_at(int dirfd, const char *name, const char *text, struct fault *f)
{
	_cleanup_(freep) char *is = NULL;
	size_t len = 0;
	int r;

	r = fs_read_file_at(dirfd, name, ADMIN_FILE_BYTES, &is, &len);
	if (r == 0 && len == strlen(text) && memcmp(is, text, len) == 0)
		return 0;
	r = admin_write_at(dirfd, name, text, f);
	return r < 0 ? r : 1;
}

int admin_remove_at(int dirfd, const char *name, struct fault *f)
{
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT || errno == ENOTDIR)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return fault_errno(f, -errno, "cannot remove %s", name);
	return fs_remove_tree_at(dirfd, name, f);
}

int admin_open_dir_at(int dirfd, const char *name, struct fault *f)
{
	int fd;

	if (mkdirat(dirfd, name, 0755) < 0 && errno != EEXIST)
		return fault_errno(f, -errno, "cannot make the directory %s", name);
	fd = fs_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd != -ENOTDIR && fd != -ELOOP)
		return fd < 0 ? fault_errno(f, fd, "cannot open the directory %s", name) : fd;
	if (unlinkat(dirfd, name, 0) < 0 || mkdirat(dirfd, name, 0755) < 0)
		return fault_errno(f, -errno, "cannot make the directory %s", name);
	fd = fs_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	return fd < 0 ? fault_errno(f, fd, "cannot open the directory %s", name) : fd;
}

int admin_lock_at(int dirfd, const char *name, struct fault *f)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);

	if (fd < 0 && errno == EEXIST)
		return fault(f, -EBUSY, "%s is there: git is at work", name);
	return fd < 0 ? fault_errno(f, -errno, "cannot make %s", name) : fd;
}

void admin_unlock_at(int dirfd, const char *name, int fd)
{
	struct stat ours, st;

	if (fd < 0)
		return;
	/* by now it may be what it was written for, and the lock somebody else's */
	if (fstat(fd, &ours) == 0 && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    ours.st_ino == st.st_ino && ours.st_dev == st.st_dev)
		unlinkat(dirfd, name, 0);
	close(fd);
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

int admin_foreach_at(int dirfd, const char *name,
		     int (*fn)(int dirfd, const char *name, void *userdata), void *userdata,
		     struct fault *f)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	struct dirent *entry;
	int fd, r = 0;

	fd = fs_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
		return 0;
	if (fd < 0)
		return fault_errno(f, fd, "cannot open the directory %s", name);
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return fault_oom(f);
	}
	while (r >= 0 && (errno = 0, entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = fn(fd, entry->d_name, userdata);
	}
	if (r >= 0 && errno)
		return fault_errno(f, -errno, "cannot read the directory %s", name);
	return r < 0 ? r : 0;
}

int admin_sync(int dirfd, struct fault *f)
{
	return fsync(dirfd) < 0 ? fault_errno(f, -errno, "cannot sync a directory") : 0;
}
