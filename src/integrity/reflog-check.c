/* A log may be longer than memory; a line need not be kept beyond its ids. */
#include "integrity/reflog-check.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "integrity/refs-private.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fs.h"
#include "util/text.h"

#define BLOCK_BYTES 65536
#define IDS_BYTES   (2 * (GIT_OID_HEXSZ + 1))

#define TAIL_TRIES	10
#define TAIL_PAUSE_NSEC (5 * 1000 * 1000)

/* "<seconds> +0000" at the beginning of what is behind the mail */
static bool time_is_valid(const char *s, size_t len)
{
	size_t digits = 0;

	while (digits < len && isdigit((unsigned char)s[digits]))
		digits++;
	if (digits == 0 || len < digits + 6 || s[digits] != ' ')
		return false;
	s += digits + 1;
	return (s[0] == '+' || s[0] == '-') && isdigit((unsigned char)s[1]) &&
	       isdigit((unsigned char)s[2]) && isdigit((unsigned char)s[3]) &&
	       isdigit((unsigned char)s[4]);
}

bool reflog_line_parse(const char *line, size_t len, git_oid *ret_from, git_oid *ret_to)
{
	const char *mail;
	size_t left;

	if (len < IDS_BYTES || line[GIT_OID_HEXSZ] != ' ' || line[IDS_BYTES - 1] != ' ' ||
	    !oid_parse(line, GIT_OID_HEXSZ, ret_from) ||
	    !oid_parse(line + GIT_OID_HEXSZ + 1, GIT_OID_HEXSZ, ret_to))
		return false;
	mail = memchr(line + IDS_BYTES, '>', len - IDS_BYTES);
	if (!mail || memchr(line + IDS_BYTES, '\0', (size_t)(mail - line) - IDS_BYTES))
		return false;
	left = len - (size_t)(mail + 1 - line);
	return left > 0 && mail[1] == ' ' && time_is_valid(mail + 2, left - 1);
}

static void count_bad(struct reflog_scan *scan)
{
	if (scan->n_bad++ == 0)
		scan->first_bad = scan->n_lines;
}

static int end_line(struct reflog_scan *scan)
{
	git_oid from, to;
	size_t len = scan->len;

	scan->n_lines++;
	scan->len = 0;
	scan->has_more = false;
	if (reflog_line_parse(scan->buffer, len, &from, &to))
		return scan->entry(&from, &to, scan->n_lines, scan->userdata);
	count_bad(scan);
	return 0;
}

int reflog_scan_feed(struct reflog_scan *scan, const char *data, size_t len)
{
	while (len > 0) {
		const char *eol = memchr(data, '\n', len);
		size_t n = eol ? (size_t)(eol - data) : len;
		size_t room = sizeof(scan->buffer) - scan->len;
		size_t kept = n < room ? n : room;
		int r;

		memcpy(scan->buffer + scan->len, data, kept);
		scan->len += kept;
		scan->has_more = scan->has_more || kept < n;
		if (!eol)
			return 0;
		r = end_line(scan);
		if (r < 0)
			return r;
		data += n + 1;
		len -= n + 1;
	}
	return 0;
}

void reflog_scan_end(struct reflog_scan *scan)
{
	if (scan->len == 0 && !scan->has_more)
		return;
	scan->n_lines++;
	count_bad(scan);
}

/* one log */
struct log {
	const struct check_dir *dir;
	char *where;
	git_oid last; /* the root that was added before: each id stands in two lines */
};

static int add_root(struct log *log, const git_oid *oid)
{
	struct root root = { .oid = *oid, .type = GIT_OBJECT_ANY, .kind = ROOT_REFLOG };

	if (git_oid_is_zero(oid) || git_oid_equal(oid, &log->last))
		return 0;
	git_oid_cpy(&log->last, oid);
	root.name = log->where;
	root.file = log->where;
	root.slot = log->dir->slot;
	return roots_add(log->dir->c->roots, &root);
}

static int on_entry(const git_oid *from, const git_oid *to, size_t line, void *userdata)
{
	int r = add_root(userdata, from);

	(void)line;
	return r < 0 ? r : add_root(userdata, to);
}

/* the last line has no end, and somebody may be writing it: in a moment it has one */
static bool is_coming(int fd, const struct reflog_scan *scan, int tries)
{
	const struct timespec pause = { .tv_nsec = TAIL_PAUSE_NSEC };
	struct stat st;

	if (scan->len == 0 || tries >= TAIL_TRIES || fstat(fd, &st) < 0 ||
	    (uint64_t)st.st_mtim.tv_sec + 2 < clock_wall_usec() / USEC_PER_SEC)
		return false;
	nanosleep(&pause, NULL);
	return true;
}

static int scan_file(int fd, struct reflog_scan *scan)
{
	_cleanup_(freep) char *block = malloc(BLOCK_BYTES);
	int r = 0, tries = 0;

	if (!block)
		return -ENOMEM;
	while (r == 0) {
		ssize_t n = read(fd, block, BLOCK_BYTES);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && !is_coming(fd, scan, tries++))
			break;
		if (n > 0)
			r = reflog_scan_feed(scan, block, (size_t)n);
	}
	return r;
}

/* -ENOENT: it has gone meanwhile */
static int open_log(const struct check_dir *dir, const char *path)
{
	_cleanup_(closep) int fd = fs_open_beneath(
		dir->fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	struct stat st;

	if (fd < 0)
		return fd == -ENOTDIR ? -ENOENT : fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? TAKE_FD(fd) : -EINVAL;
}

static int tell_bad(const struct log *log, const char *path, const struct reflog_scan *scan)
{
	if (scan->n_bad == 0)
		return 0;
	if (scan->n_bad == 1)
		return check_dir_tell(log->dir, "bad-reflog", path, scan->first_bad,
				      "git cannot read the line, and passes it over");
	return check_dir_tell(log->dir, "bad-reflog", path, scan->first_bad,
			      "git cannot read this line and %zu more, and passes them over",
			      scan->n_bad - 1);
}

static int check_log(const struct check_dir *dir, const char *path)
{
	_cleanup_(freep) char *where = check_dir_name(dir, path, 0);
	_cleanup_(freep) struct reflog_scan *scan = calloc(1, sizeof(*scan));
	_cleanup_(closep) int fd = -1;
	struct log log = { .dir = dir, .where = where };
	int r;

	if (!where || !scan)
		return -ENOMEM;
	scan->entry = on_entry;
	scan->userdata = &log;
	fd = open_log(dir, path);
	if (fd == -ENOENT)
		return 0;
	r = fd < 0 ? fd : scan_file(fd, scan);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return check_dir_tell_unreadable(dir, path, r);
	reflog_scan_end(scan);
	return tell_bad(&log, path, scan);
}

static int check_file(const struct check_dir *dir, const char *path, mode_t mode, void *userdata)
{
	const bool *is_own = userdata;
	const char *ref = path + strlen("logs/"), *slash = strrchr(path, '/');

	if (lock_name_is(path))
		return lock_tell(dir, path);
	if (slash[1] == '.')
		return check_dir_tell(dir, "stray-file", path, 0, "git passes it over");
	if (!S_ISREG(mode))
		return check_dir_tell(dir, "unreadable-file", path, 0, "it is not a regular file");
	if (*is_own && !ref_name_is_own(ref))
		return check_dir_tell(dir, "stray-file", path, 0,
				      "such a ref belongs to all worktrees; git does not look for its log here");
	if (!ref_name_is_valid(ref, true))
		return check_dir_tell(dir, "bad-reflog", path, 0, "no ref may have such a name");
	return check_log(dir, path);
}

int reflogs_check(const struct check_dir *dir, bool is_own)
{
	return check_dir_walk(dir, "logs", check_file, &is_own);
}
