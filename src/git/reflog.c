/* Where HEAD has been. */
#include "git/reflog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "git/admin.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fs.h"
#include "util/text.h"

#define REFLOG_READ_BYTES (16 * 1024 * 1024)
#define IDENTITY	  "slotd <slotd@localhost>"

/* opens the directory that holds path, made where missing */
static int open_parent(int dirfd, const char *path, const char **ret_name, struct fault *f)
{
	int fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return fault_errno(f, -errno, "cannot duplicate a descriptor");
	for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
		_cleanup_(freep) char *part = strndup(path, (size_t)(slash - path));
		int below = part ? admin_open_dir_at(fd, part, f) : fault_oom(f);

		close(fd);
		if (below < 0)
			return below;
		fd = below;
	}
	*ret_name = path;
	return fd;
}

/* a log that somebody linked to elsewhere becomes ours again */
static int unshare(int dirfd, const char *name, int fd, off_t size, struct fault *f)
{
	_cleanup_(freep) char *beside = text_printf("%s.slotd", name);
	_cleanup_(closep) int copy = -1;
	int r;

	if (!beside)
		return fault_oom(f);
	r = admin_remove_at(dirfd, beside, f);
	if (r < 0)
		return r;
	copy = openat(dirfd, beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (copy < 0)
		return fault_errno(f, -errno, "cannot copy the log %s", name);
	for (off_t at = 0; at < size;) {
		ssize_t n = sendfile(copy, fd, &at, (size_t)(size - at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_errno(f, -errno, "cannot copy the log %s", name);
		if (n == 0)
			break;
	}
	if (renameat(dirfd, beside, dirfd, name) < 0)
		return fault_errno(f, -errno, "cannot replace the log %s", name);
	return 0;
}

/* 1: looked at and put right, open again */
static int open_log_once(int dirfd, const char *name, int *ret, struct fault *f)
{
	_cleanup_(closep) int fd = -1;
	struct stat st;
	int r;

	fd = openat(dirfd, name,
		    O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		    0644);
	if (fd < 0 && errno != ELOOP && errno != EISDIR && errno != ENXIO)
		return fault_errno(f, -errno, "cannot open the log %s", name);
	if (fd < 0) {
		r = admin_remove_at(dirfd, name, f);
		return r < 0 ? r : 1;
	}
	if (fstat(fd, &st) < 0)
		return fault_errno(f, -errno, "cannot look at the log %s", name);
	if (!S_ISREG(st.st_mode)) {
		r = admin_remove_at(dirfd, name, f);
		return r < 0 ? r : 1;
	}
	if (st.st_nlink > 1) {
		r = unshare(dirfd, name, fd, st.st_size, f);
		return r < 0 ? r : 1;
	}
	*ret = TAKE_FD(fd);
	return 0;
}

static int open_log(int dirfd, const char *name, struct fault *f)
{
	int fd = -1;

	for (int tries = 0; tries < 3; tries++) {
		int r = open_log_once(dirfd, name, &fd, f);

		if (r <= 0)
			return r < 0 ? r : fd;
	}
	return fault(f, -EUCLEAN, "the log %s keeps being replaced", name);
}

/* the log, open for appending */
static int open_path(int dirfd, const char *path, struct fault *f)
{
	_cleanup_(closep) int parent = -1;
	const char *name = NULL;

	parent = open_parent(dirfd, path, &name, f);
	return parent < 0 ? parent : open_log(parent, name, f);
}

int reflog_put_right(int dirfd, const char *path, struct fault *f)
{
	_cleanup_(closep) int fd = open_path(dirfd, path, f);

	return fd < 0 ? fd : 0;
}

int reflog_append_as(int dirfd, const char *path, const char *who, const git_oid *from,
		     const git_oid *to, const char *why, struct fault *f)
{
	_cleanup_(closep) int fd = open_path(dirfd, path, f);
	_cleanup_(freep) char *line = NULL;
	char a[GIT_OID_HEXSZ + 1], b[GIT_OID_HEXSZ + 1];
	int r;

	if (fd < 0)
		return fd;
	line = text_printf("%s %s %s %llu +0000\t%s\n", git_oid_tostr(a, sizeof(a), from),
			   git_oid_tostr(b, sizeof(b), to), who,
			   (unsigned long long)(clock_wall_usec() / USEC_PER_SEC), why);
	if (!line)
		return fault_oom(f);
	r = fs_write_all(fd, line, strlen(line));
	return r < 0 ? fault_errno(f, r, "cannot write the log %s", path) : 0;
}

int reflog_append(int dirfd, const char *path, const git_oid *from, const git_oid *to,
		  const char *why, struct fault *f)
{
	return reflog_append_as(dirfd, path, IDENTITY, from, to, why, f);
}

static int open_for_reading(int dirfd, const char *path, struct fault *f)
{
	int fd = fs_open_beneath(dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	struct stat st;

	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
		return -ENOENT;
	if (fd < 0)
		return fault_errno(f, fd, "cannot open the log %s", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -ENOENT;
	}
	if (st.st_size > REFLOG_READ_BYTES)
		lseek(fd, st.st_size - REFLOG_READ_BYTES, SEEK_SET);
	return fd;
}

/* "<from> <to> <name> <mail> <seconds> <zone>\t<message>"; false: it is no such line */
static bool parse_line(char *line, struct reflog_entry *ret)
{
	size_t ids = 2 * (GIT_OID_HEXSZ + 1);
	char *tab, *mail;

	line[strcspn(line, "\n")] = '\0';
	if (strlen(line) < ids || line[GIT_OID_HEXSZ] != ' ' || line[ids - 1] != ' ' ||
	    git_oid_fromstrn(&ret->from, line, GIT_OID_HEXSZ) < 0 ||
	    git_oid_fromstrn(&ret->to, line + GIT_OID_HEXSZ + 1, GIT_OID_HEXSZ) < 0)
		return false;
	tab = strchr(line, '\t');
	if (tab)
		*tab = '\0';
	mail = strrchr(line, '>');
	ret->message = tab ? tab + 1 : "";
	ret->time = mail ? strtoll(mail + 1, NULL, 10) : 0;
	ret->is_ours = text_has_prefix(line + ids, IDENTITY " ");
	return true;
}

int reflog_foreach_entry(int dirfd, const char *path,
			 int (*fn)(const struct reflog_entry *entry, void *userdata), void *userdata,
			 struct fault *f)
{
	_cleanup_(fclosep) FILE *file = NULL;
	_cleanup_(freep) char *line = NULL;
	size_t size = 0;
	int fd, r = 0;

	fd = open_for_reading(dirfd, path, f);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	file = fdopen(fd, "re");
	if (!file) {
		close(fd);
		return fault_oom(f);
	}
	while (r >= 0 && getline(&line, &size, file) > 0) {
		struct reflog_entry entry;

		if (parse_line(line, &entry))
			r = fn(&entry, userdata);
	}
	return r < 0 ? r : 0;
}

struct each_oid {
	int (*fn)(const git_oid *oid, void *userdata);
	void *userdata;
};

static int each_oid(const struct reflog_entry *entry, void *userdata)
{
	const struct each_oid *each = userdata;
	int r = git_oid_is_zero(&entry->from) ? 0 : each->fn(&entry->from, each->userdata);

	return r < 0 || git_oid_is_zero(&entry->to) ? r : each->fn(&entry->to, each->userdata);
}

int reflog_foreach(int dirfd, const char *path, int (*fn)(const git_oid *oid, void *userdata),
		   void *userdata, struct fault *f)
{
	struct each_oid each = { fn, userdata };

	return reflog_foreach_entry(dirfd, path, each_oid, &each, f);
}
