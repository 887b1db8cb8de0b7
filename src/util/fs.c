/* No link followed, nothing half written. */
#include "util/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/text.h"

#define MAX_OPEN_TRIES 100

static int open_by_kernel(int dirfd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_XDEV,
	};
	unsigned tries = 0;
	long fd;

	/* EAGAIN: something was renamed meanwhile, or somebody holds a lease on the file */
	do {
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	} while (fd < 0 && (errno == EINTR || (errno == EAGAIN && ++tries < MAX_OPEN_TRIES)));
	return fd < 0 ? -errno : (int)fd;
}

/* which mount a descriptor is on */
static int mount_of(int fd, uint64_t *ret)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_MNT_ID, &st) < 0)
		return -errno;
	*ret = st.stx_mask & STATX_MNT_ID ? st.stx_mnt_id :
					    (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor;
	return 0;
}

/* one component, which is a name and no way out */
static int open_component(int dirfd, const char *name, int flags, mode_t mode)
{
	_cleanup_(closep) int fd = -1;
	uint64_t here, there;
	int r;

	if (strcmp(name, "..") == 0)
		return -EXDEV;
	fd = openat(dirfd, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	r = mount_of(dirfd, &here);
	if (r == 0)
		r = mount_of(fd, &there);
	if (r == 0 && here != there)
		r = -EXDEV;
	return r < 0 ? r : TAKE_FD(fd);
}

/* a link, which is not followed, or a file: as openat2 tells them apart */
static int no_directory(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISLNK(st.st_mode) ? -ENOTDIR : -ELOOP;
}

/* the same step by step, where a sandbox or an instrument does not know openat2 */
static int open_by_steps(int dirfd, const char *path, int flags, mode_t mode)
{
	_cleanup_(freep) char *copy = strdup(path);
	_cleanup_(closep) int at = -1;
	char *name = copy, *rest;

	if (!copy)
		return -ENOMEM;
	if (path[0] == '/')
		return -EXDEV;
	while ((rest = strchr(name, '/'))) {
		int next;

		*rest++ = '\0';
		if (*name) {
			next = open_component(at < 0 ? dirfd : at, name, O_PATH | O_DIRECTORY, 0);
			if (next == -ENOTDIR)
				return no_directory(at < 0 ? dirfd : at, name);
			if (next < 0)
				return next;
			closep(&at);
			at = next;
		}
		name = rest;
	}
	return open_component(at < 0 ? dirfd : at, *name ? name : ".", flags, mode);
}

static int open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
	static bool is_missing;
	int fd;

	if (is_missing)
		return open_by_steps(dirfd, path, flags, mode);
	fd = open_by_kernel(dirfd, path, flags, mode);
	if (fd != -ENOSYS)
		return fd;
	is_missing = true;
	return open_by_steps(dirfd, path, flags, mode);
}

/* how much of a path the kernel takes at once, up to a slash; 0: it has a name that is too long */
static size_t piece_of(const char *path)
{
	size_t len = PATH_MAX - 1;

	while (len > 0 && path[len] != '/')
		len--;
	return len;
}

int fs_open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
	_cleanup_(closep) int fd = -1;

	while (strlen(path) >= PATH_MAX) {
		size_t len = piece_of(path);
		_cleanup_(freep) char *piece = len ? strndup(path, len) : NULL;
		int next = piece ? open_beneath(fd < 0 ? dirfd : fd, piece, O_PATH | O_DIRECTORY, 0) :
				   len ? -ENOMEM : -ENAMETOOLONG;

		if (next < 0)
			return next;
		closep(&fd);
		fd = next;
		path += len + strspn(path + len, "/");
	}
	return open_beneath(fd < 0 ? dirfd : fd, *path ? path : ".", flags, mode);
}

/* reads to the end or to max + 1 bytes */
static int read_all(int fd, size_t max, char **ret, size_t *ret_len)
{
	_cleanup_(freep) char *data = NULL;
	size_t len = 0, size = 0;

	for (;;) {
		ssize_t n;

		if (size - len < 2) {
			char *more;

			size = size ? size * 2 : 4096;
			more = realloc(data, size);
			if (!more)
				return -ENOMEM;
			data = more;
		}
		n = read(fd, data + len, size - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max)
			return -EFBIG;
	}
	data[len] = '\0';
	*ret = TAKE(data);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int fs_read_file_at(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len)
{
	_cleanup_(closep) int fd = -1;
	struct stat st;

	fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	return read_all(fd, max, ret, ret_len);
}

ssize_t fs_read_up_to(int fd, void *data, size_t len)
{
	char *p = data;
	size_t have = 0;

	while (have < len) {
		ssize_t n = read(fd, p + have, len - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

int fs_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int fs_sync_dir_at(int dirfd, const char *path)
{
	_cleanup_(closep) int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

static int sync_parent(int dirfd, const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_(freep) char *parent = NULL;

	parent = !slash ? strdup(".") : slash == path ? strdup("/") :
							strndup(path, (size_t)(slash - path));
	if (!parent)
		return -ENOMEM;
	return fs_sync_dir_at(dirfd, parent);
}

static int write_beside(int dirfd, const char *beside, const void *data, size_t len, mode_t mode)
{
	_cleanup_(closep) int fd = -1;
	int r;

	/* what a dead process of our number left, or somebody laid there: a FIFO, a hard link */
	if (unlinkat(dirfd, beside, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(dirfd, beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	r = fs_write_all(fd, data, len);
	if (r < 0)
		return r;
	return fsync(fd) < 0 ? -errno : 0;
}

int fs_write_file_at(int dirfd, const char *path, const void *data, size_t len, mode_t mode)
{
	_cleanup_(freep) char *beside = text_printf("%s.%d.tmp", path, (int)getpid());
	int r;

	if (!beside)
		return -ENOMEM;
	r = write_beside(dirfd, beside, data, len, mode);
	if (r == 0 && renameat(dirfd, beside, dirfd, path) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dirfd, beside, 0);
		return r;
	}
	return sync_parent(dirfd, path);
}

int fs_mkdir_all(const char *path, mode_t mode, struct fault *f)
{
	_cleanup_(freep) char *copy = strdup(path);
	struct stat st;

	if (!copy)
		return fault_oom(f);
	if (path[0] == '\0')
		return fault(f, -ENOENT, "a directory without a name cannot be made");
	for (char *p = copy + 1;; p++) {
		char was = *p;

		if (was != '/' && was != '\0')
			continue;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return fault_errno(f, -errno, "cannot make the directory %s", copy);
		*p = was;
		if (was == '\0')
			break;
	}
	if (stat(path, &st) < 0)
		return fault_errno(f, -errno, "cannot look at %s", path);
	return S_ISDIR(st.st_mode) ? 0 : fault(f, -ENOTDIR, "%s is not a directory", path);
}

void fs_spread_children(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int flags = 0;

	if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || (flags & FS_TOPDIR_FL))
		return;
	flags |= FS_TOPDIR_FL;
	(void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

/* of a directory that is ours; says nothing when it is not */
static void make_writable(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700)
		(void)fchmod(fd, (st.st_mode & 07777) | 0700);
}

/* a directory that may not even be read; chmod by descriptor, so that no link is followed */
static void make_readable(int dirfd, const char *name)
{
	_cleanup_(closep) int fd = fs_open_beneath(dirfd, name, O_PATH | O_DIRECTORY, 0);
	char proc[32];

	if (fd < 0)
		return;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	(void)chmod(proc, 0700);
}

static int open_dir_for_removal(int dirfd, const char *name)
{
	int fd = fs_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	if (fd == -EACCES) {
		make_readable(dirfd, name);
		fd = fs_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	}
	if (fd >= 0)
		make_writable(fd);
	return fd;
}

/* removes what is no directory; 1: it is one */
static int remove_leaf(int dirfd, const char *name)
{
	int r = unlinkat(dirfd, name, 0);

	if (r < 0 && errno == EACCES) {
		make_writable(dirfd);
		r = unlinkat(dirfd, name, 0);
	}
	if (r == 0 || errno == ENOENT)
		return 0;
	return errno == EISDIR || errno == EPERM ? 1 : -errno;
}

/*
 * Too deep for one descriptor a level: a directory at the limit is moved up to the top of
 * the tree that is being removed, and the top is read once more. Should it all end in
 * between, nothing is left outside of that tree.
 */
#define MAX_OPEN_LEVELS 200

struct removal {
	int topfd;	/* the tree's own root */
	unsigned moved; /* up to it, ever */
};

static int move_up(struct removal *rm, int dirfd, const char *name)
{
	_cleanup_(closep) int fd = open_dir_for_removal(dirfd, name);
	char up[32];

	/* its link to the parent changes, so it has to be writable, too */
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	do {
		snprintf(up, sizeof(up), ".removing-%u", rm->moved++);
		if (renameat2(dirfd, name, rm->topfd, up, RENAME_NOREPLACE) == 0)
			return 0;
	} while (errno == EEXIST);
	return errno == ENOENT ? 0 : -errno;
}

static int remove_level(struct removal *rm, int dirfd, const char *name, unsigned depth);

static int remove_entry(struct removal *rm, int dirfd, const char *name, unsigned depth)
{
	int r;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	r = remove_leaf(dirfd, name);
	if (r != 1)
		return r;
	return depth < MAX_OPEN_LEVELS ? remove_level(rm, dirfd, name, depth + 1) :
					 move_up(rm, dirfd, name);
}

static DIR *open_stream(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);

	if (!dir)
		closep(&copy);
	return dir;
}

static int remove_content(struct removal *rm, int fd, unsigned depth)
{
	DIR *dir = open_stream(fd);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return -errno;
	while (r == 0 && (errno = 0, entry = readdir(dir)))
		r = remove_entry(rm, fd, entry->d_name, depth);
	if (r == 0 && errno)
		r = -errno;
	closedir(dir);
	return r;
}

static int remove_level(struct removal *rm, int dirfd, const char *name, unsigned depth)
{
	_cleanup_(closep) int fd = open_dir_for_removal(dirfd, name);
	unsigned moved;
	int r;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (depth == 0)
		rm->topfd = fd;
	do {
		moved = rm->moved;
		(void)lseek(fd, 0, SEEK_SET);
		r = remove_content(rm, fd, depth);
	} while (r == 0 && depth == 0 && rm->moved != moved);
	if (r < 0)
		return r;
	return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

int fs_remove_tree_at(int dirfd, const char *name, struct fault *f)
{
	struct removal rm = { .topfd = -1 };
	int r;

	r = remove_leaf(dirfd, name);
	if (r == 1)
		r = remove_level(&rm, dirfd, name, 0);
	return r < 0 ? fault_errno(f, r, "cannot remove %s", name) : 0;
}

int fs_remove_tree(const char *path, struct fault *f)
{
	_cleanup_(freep) char *parent = strdup(path);
	_cleanup_(closep) int fd = -1;
	char *slash = parent ? strrchr(parent, '/') : NULL;

	if (!parent)
		return fault_oom(f);
	if (!slash || !slash[1])
		return fault(f, -EINVAL, "%s is no path of something to remove", path);
	*slash = '\0';
	fd = open(parent[0] ? parent : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : fault_errno(f, -errno, "cannot open %s", parent);
	return fs_remove_tree_at(fd, slash + 1, f);
}

enum fs_hold fs_hold(int fd)
{
	if (fcntl(fd, F_SETSIG, SIGURG) < 0) /* SIGIO would end us */
		return FS_HOLD_UNKNOWN;
	if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
		return FS_HOLD_TAKEN;
	return errno == EAGAIN ? FS_HOLD_WRITTEN : FS_HOLD_UNKNOWN;
}

bool fs_is_held(int fd)
{
	return fcntl(fd, F_GETLEASE) == F_RDLCK;
}

void fs_let_go(int fd)
{
	(void)fcntl(fd, F_SETLEASE, F_UNLCK); /* one that was broken is none any more */
}

int fs_free_bytes(const char *path, uint64_t *ret)
{
	struct statvfs st;

	if (statvfs(path, &st) < 0)
		return -errno;
	*ret = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}
