/* If it looks like the name of an object, it is one. */
#include "git/mention.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/maintain.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define PIECE_BYTES (64 << 10)
#define ROUNDS	    5
#define DEPTH_MAX   64

/* a filter before the table: one bit for each beginning of a name */
#define FILTER_BYTES 3
#define FILTER_SIZE  ((1u << (8 * FILTER_BYTES)) / 8)

struct scan {
	const struct oid_set *among;
	struct oid_set *ret;
	uint8_t *filter;
	uint8_t *piece;
	struct fault *f;
	const char *top; /* the directory below the common one that it is in */
	unsigned depth;
	bool vanished; /* a file that was listed: it has another name now, which may have been read before */
};

static uint32_t filter_bit(const uint8_t *p)
{
	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static void fill_filter(struct scan *s)
{
	for (size_t i = 0; i < oid_set_count(s->among); i++) {
		uint32_t bit = filter_bit(oid_set_at(s->among, i, NULL)->id);

		s->filter[bit / 8] |= (uint8_t)(1u << bit % 8);
	}
}

static int look_up(struct scan *s, const uint8_t *bytes)
{
	uint32_t bit = filter_bit(bytes);
	git_oid oid;

	if (!(s->filter[bit / 8] & 1u << bit % 8))
		return 0;
	memcpy(oid.id, bytes, GIT_OID_RAWSZ);
	return oid_set_has(s->among, &oid) && oid_set_add(s->ret, &oid, 0) < 0 ? fault_oom(s->f)
									       : 0;
}

static int digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int look_up_hex(struct scan *s, const uint8_t *text)
{
	uint8_t bytes[GIT_OID_RAWSZ];

	for (size_t i = 0; i < GIT_OID_RAWSZ; i++)
		bytes[i] = (uint8_t)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
	return look_up(s, bytes);
}

/* all that begins in data; the last 39 bytes come again with the next piece */
static int look_through(struct scan *s, const uint8_t *data, size_t len)
{
	size_t digits = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < len; i++) {
		digits = digit(data[i]) < 0 ? 0 : digits + 1;
		if (digits >= GIT_OID_HEXSZ)
			r = look_up_hex(s, data + i + 1 - GIT_OID_HEXSZ);
		if (r == 0 && i + 1 >= GIT_OID_RAWSZ)
			r = look_up(s, data + i + 1 - GIT_OID_RAWSZ);
	}
	return r;
}

static int scan_fd(struct scan *s, int fd, const char *name)
{
	size_t kept = 0;
	int r = 0;

	while (r == 0) {
		ssize_t n = read(fd, s->piece + kept, PIECE_BYTES - kept);
		size_t len;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_errno(s->f, -errno, "cannot read %s", name);
		if (n == 0)
			return 0;
		len = kept + (size_t)n;
		r = look_through(s, s->piece, len);
		kept = len < GIT_OID_HEXSZ - 1 ? len : GIT_OID_HEXSZ - 1;
		memmove(s->piece, s->piece + len - kept, kept);
	}
	return r;
}

static int odd(struct scan *s, const char *name)
{
	return fault(s->f, -EUCLEAN, "%s is not where it seems to be", name);
}

/* no repository of ours; or our own packs in the making, which name whatever they hold */
static bool is_passed_over(const struct scan *s, const char *name)
{
	if (strcmp(s->top, "worktrees") == 0 && s->depth == 2)
		return strcmp(name, "modules") == 0 || strcmp(name, "lfs") == 0;
	return strcmp(s->top, "slotd") == 0 && s->depth == 1 && strcmp(name, MAINTAIN_DIR) == 0;
}

static int scan_file(struct scan *s, int dirfd, const char *name)
{
	_cleanup_(closep) int fd =
		fs_open_beneath(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	struct stat st;

	if (fd == -ENOENT) {
		s->vanished = true;
		return 0;
	}
	if (fd == -ELOOP || fd == -EXDEV)
		return odd(s, name);
	if (fd < 0)
		return fault_errno(s->f, fd, "cannot open %s", name);
	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? scan_fd(s, fd, name) : 0;
}

static int scan_entry(int dirfd, const char *name, void *userdata)
{
	struct scan *s = userdata;
	struct stat st;
	int r;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		s->vanished |= errno == ENOENT;
		return errno == ENOENT ? 0 : fault_errno(s->f, -errno, "cannot look at %s", name);
	}
	if (S_ISREG(st.st_mode))
		return scan_file(s, dirfd, name);
	/* a FIFO or a socket keeps nothing; what a link leads to may */
	if (!S_ISDIR(st.st_mode))
		return S_ISLNK(st.st_mode) ? odd(s, name) : 0;
	if (is_passed_over(s, name))
		return 0;
	if (s->depth >= DEPTH_MAX)
		return odd(s, name);
	s->depth++;
	r = admin_foreach_at(dirfd, name, scan_entry, s, s->f);
	s->depth--;
	return r;
}

/* refs that are packed meanwhile are met as files, or in packed-refs, which comes last */
static int scan_top(int dirfd, const char *name, void *userdata)
{
	static const char *const others[] = { "objects", "packed-refs", "hooks", "modules", "lfs" };
	struct scan *s = userdata;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (strcmp(name, others[i]) == 0)
			return 0;
	s->top = name;
	return scan_entry(dirfd, name, userdata);
}

static int scan_round(struct scan *s, int common_fd)
{
	int r;

	s->vanished = false;
	s->depth = 0;
	r = admin_foreach_at(common_fd, ".", scan_top, s, s->f);
	s->top = "objects";
	if (r == 0)
		r = admin_foreach_at(common_fd, "objects/info", scan_entry, s, s->f);
	if (r == 0 && faccessat(common_fd, "packed-refs", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		r = scan_file(s, common_fd, "packed-refs");
	return r;
}

int mention_find(int common_fd, const struct oid_set *among, struct oid_set *ret, struct fault *f)
{
	struct scan s = { .among = among, .ret = ret, .f = f };
	int r = 0;

	s.filter = calloc(1, FILTER_SIZE);
	s.piece = malloc(PIECE_BYTES);
	if (!s.filter || !s.piece)
		r = fault_oom(f);
	else
		fill_filter(&s);
	for (int round = 0; r == 0 && (round == 0 || s.vanished); round++)
		r = round == ROUNDS ? MENTION_E_BUSY : scan_round(&s, common_fd);
	free(s.filter);
	free(s.piece);
	return r == -EUCLEAN ? MENTION_E_ODD : r;
}
