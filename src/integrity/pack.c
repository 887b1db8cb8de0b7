/* Open it, and see that its parts fit together. */
#include "integrity/pack.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "integrity/pack-private.h"
#include "util/cleanup.h"
#include "util/text.h"

#define OPEN_FLAGS   (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define FAN_BYTES    (256 * 4)
#define IDX_MAGIC    0xff744f63 /* of version 2; version 1 begins with its fan-out */
#define IDX_HEADER   8
#define ENTRY_MIN    9 /* bytes: a header, and the shortest stream of deflate */
#define TRAILER	     GIT_OID_RAWSZ
#define DETAIL_BYTES 512

uint32_t pack_be32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

uint64_t pack_be64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

ssize_t pack_pread(int fd, void *data, size_t len, uint64_t at)
{
	size_t done = 0;

	while (done < len && at + done <= INT64_MAX) {
		ssize_t n = pread(fd, (char *)data + done, len - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int tell(struct check *c, const struct pack *p, const char *where, uint32_t pos, const char *id,
		const char *detail)
{
	struct finding_place place = { .where = where };
	char hex[GIT_OID_HEXSZ + 1];
	git_oid oid;

	if (pos != PACK_NONE) {
		git_oid_fromraw(&oid, pack_name(p, pos));
		git_oid_tostr(hex, sizeof(hex), &oid);
		place.object = hex;
	}
	return finding_add(c->findings, id, &place, "%s", detail);
}

int pack_tell(struct check *c, const struct pack *p, uint32_t pos, const char *id, const char *fmt, ...)
{
	char detail[DETAIL_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	return tell(c, p, p->where, pos, id, detail);
}

int pack_tell_index(struct check *c, const struct pack *p, uint32_t pos, const char *id, const char *fmt, ...)
{
	char detail[DETAIL_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	return tell(c, p, p->where_idx, pos, id, detail);
}

/* tells of one of the two files, and that the pack cannot be used */
__attribute__((format(printf, 4, 5))) static int refuse(struct check *c, const char *where,
							const char *id, const char *fmt, ...)
{
	struct finding_place place = { .where = where };
	char detail[DETAIL_BYTES];
	va_list ap;
	int r;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	r = finding_add(c->findings, id, &place, "%s", detail);
	return r < 0 ? r : -EBADMSG;
}

/* a descriptor; -ENOENT; -EBADMSG, and told */
static int open_part(struct check *c, int dir_fd, const char *where, struct stat *ret)
{
	_cleanup_(closep) int fd = openat(dir_fd, strrchr(where, '/') + 1, OPEN_FLAGS);

	if (fd < 0 && errno == ENAMETOOLONG) /* that of the other part is as long as a name can be */
		return -ENOENT;
	if (fd < 0 && (errno == ENOENT || errno == EMFILE || errno == ENFILE || errno == ENOMEM))
		return -errno;
	if (fd < 0 && errno == ELOOP)
		return refuse(c, where, "unreadable-file", "it is a symbolic link");
	if (fd < 0 || fstat(fd, ret) < 0)
		return refuse(c, where, "unreadable-file", "it cannot be opened: %s", strerror(errno));
	if (!S_ISREG(ret->st_mode))
		return refuse(c, where, "unreadable-file", "it is no regular file");
	return TAKE_FD(fd);
}

/* the first bytes of the index tell how many objects there are, and where everything is */
static int parse_layout(struct check *c, struct pack *p, const unsigned char *head, size_t len)
{
	bool is_v2 = len >= IDX_HEADER && pack_be32(head) == IDX_MAGIC;
	uint64_t size = (uint64_t)p->idx_st.st_size, least, most;
	size_t fan_at = is_v2 ? IDX_HEADER : 0;

	p->idx_version = is_v2 ? pack_be32(head + 4) : 1;
	if (p->idx_version != 1 && p->idx_version != 2)
		return refuse(c, p->where_idx, "unsupported-pack", "it is of version %u", p->idx_version);
	if (is_v2 && p->idx_version == 1)
		return refuse(c, p->where_idx, "corrupt-pack-index", "version 1 has no such header");
	if (len < fan_at + FAN_BYTES || size < fan_at + FAN_BYTES + 2 * TRAILER)
		return refuse(c, p->where_idx, "corrupt-pack-index", "it is too short to be one");
	for (unsigned i = 1; i < 256; i++)
		if (pack_be32(head + fan_at + i * 4) < pack_be32(head + fan_at + i * 4 - 4))
			return refuse(c, p->where_idx, "corrupt-pack-index",
				      "its fan-out table decreases at %02x", i);
	p->n = pack_be32(head + fan_at + 255 * 4);
	least = fan_at + FAN_BYTES + (uint64_t)p->n * (is_v2 ? 28 : 24) + 2 * TRAILER;
	most = least + (is_v2 && p->n > 0 ? (uint64_t)(p->n - 1) * 8 : 0);
	if (size < least || size > most || (size - least) % 8 != 0)
		return refuse(c, p->where_idx, "corrupt-pack-index",
			      "it has %llu bytes, which do not fit its %u objects", (unsigned long long)size,
			      p->n);
	if (p->n > PACK_COUNT_MAX)
		return refuse(c, p->where_idx, "unsupported-pack", "it has %u objects", p->n);
	p->n_large = (uint32_t)((size - least) / 8);
	return 0;
}

static void set_tables(struct pack *p)
{
	const unsigned char *table = p->idx + FAN_BYTES + (p->idx_version == 2 ? IDX_HEADER : 0);

	if (p->idx_version == 1) {
		p->stride = 4 + GIT_OID_RAWSZ;
		p->offsets = table;
		p->names = table + 4;
		return;
	}
	p->stride = GIT_OID_RAWSZ;
	p->names = table;
	p->crcs = p->names + (size_t)p->n * GIT_OID_RAWSZ;
	p->offsets = p->crcs + (size_t)p->n * 4;
	p->large = p->offsets + (size_t)p->n * 4;
}

/* header and trailer of the pack, against what the index says */
static int check_pack_header(struct check *c, struct pack *p)
{
	uint64_t size = (uint64_t)p->st.st_size;
	unsigned char head[PACK_HEADER_BYTES];
	ssize_t n;

	if (size < PACK_HEADER_BYTES + TRAILER)
		return refuse(c, p->where, "corrupt-pack", "it is too short to be a pack");
	p->end = size - TRAILER;
	n = pack_pread(p->fd, head, sizeof(head), 0);
	if (n == (ssize_t)sizeof(head))
		n = pack_pread(p->fd, p->trailer.id, TRAILER, p->end);
	if (n != TRAILER)
		return refuse(c, p->where, "unreadable-file", "it cannot be read: %s",
			      n < 0 ? strerror((int)-n) : "it is shorter than it was");
	if (memcmp(head, "PACK", 4) != 0)
		return refuse(c, p->where, "corrupt-pack", "it does not begin like a pack");
	if (pack_be32(head + 4) != 2 && pack_be32(head + 4) != 3)
		return refuse(c, p->where, "unsupported-pack", "it is of version %u", pack_be32(head + 4));
	if (pack_be32(head + 8) != p->n)
		return refuse(c, p->where, "corrupt-pack", "it claims %u objects, and its index %u",
			      pack_be32(head + 8), p->n);
	if ((uint64_t)p->n * ENTRY_MIN > p->end - PACK_HEADER_BYTES)
		return refuse(c, p->where, "corrupt-pack", "it is too short for its %u objects", p->n);
	return 0;
}

static int load_index(struct check *c, struct pack *p, int idx_fd)
{
	unsigned char head[IDX_HEADER + FAN_BYTES];
	ssize_t n = pack_pread(idx_fd, head, sizeof(head), 0);
	int r = n < 0 ? refuse(c, p->where_idx, "unreadable-file", "it cannot be read: %s",
			       strerror((int)-n)) :
			parse_layout(c, p, head, (size_t)n);

	if (r == 0)
		r = check_pack_header(c, p);
	if (r < 0)
		return r;
	p->idx_len = (size_t)p->idx_st.st_size;
	p->idx = malloc(p->idx_len);
	if (!p->idx)
		return -ENOMEM;
	n = pack_pread(idx_fd, p->idx, p->idx_len, 0);
	if (n != (ssize_t)p->idx_len)
		return refuse(c, p->where_idx, "unreadable-file", "it cannot be read: %s",
			      n < 0 ? strerror((int)-n) : "it is shorter than it was");
	if (memcmp(p->idx, head, sizeof(head)) != 0 && p->idx_version == 2)
		return -EIO; /* somebody writes it this very moment */
	set_tables(p);
	if (memcmp(p->idx + p->idx_len - 2 * TRAILER, p->trailer.id, TRAILER) != 0)
		return refuse(c, p->where, "corrupt-pack", "its index belongs to another pack");
	return 0;
}

/* @is_patient: one that is missing is not told of */
static int open_both(struct check *c, struct pack *p, bool is_patient)
{
	_cleanup_(closep) int idx_fd = -1;

	p->fd = open_part(c, p->dir_fd, p->where, &p->st);
	if (p->fd < 0 && p->fd != -ENOENT)
		return p->fd;
	idx_fd = open_part(c, p->dir_fd, p->where_idx, &p->idx_st);
	if (idx_fd == -ENOENT && p->fd >= 0)
		return is_patient ? -EAGAIN :
				    refuse(c, p->where, "missing-pack-index", "there is no %s", p->where_idx);
	if (idx_fd < 0)
		return idx_fd;
	if (p->fd < 0)
		return is_patient ? -EAGAIN : refuse(c, p->where_idx, "missing-pack", "there is no %s", p->where);
	return load_index(c, p, idx_fd);
}

static int open_pack(struct check *c, int dir_fd, const char *dir, const char *stem, bool is_patient,
		     struct pack **ret)
{
	struct pack *p = calloc(1, sizeof(*p));
	int r = -ENOMEM;

	if (!p)
		return -ENOMEM;
	p->fd = -1;
	p->dir_fd = dir_fd;
	p->where = text_printf("%s/%s.pack", dir, stem);
	p->where_idx = text_printf("%s/%s.idx", dir, stem);
	if (p->where && p->where_idx) {
		p->stem = p->where + strlen(dir) + 1;
		r = open_both(c, p, is_patient);
	}
	if (r < 0) {
		pack_close(p);
		return r;
	}
	*ret = p;
	return 0;
}

int pack_open(struct check *c, int dir_fd, const char *dir, const char *stem, struct pack **ret)
{
	return open_pack(c, dir_fd, dir, stem, false, ret);
}

int pack_open_whole(struct check *c, int dir_fd, const char *dir, const char *stem, struct pack **ret)
{
	return open_pack(c, dir_fd, dir, stem, true, ret);
}

void pack_close(struct pack *p)
{
	if (!p)
		return;
	pack_order_drop(p);
	if (p->fd >= 0)
		close(p->fd);
	free(p->idx);
	free(p->where);
	free(p->where_idx);
	free(p);
}

const char *pack_where(const struct pack *p)
{
	return p->where;
}

uint32_t pack_count(const struct pack *p)
{
	return p->n;
}

const unsigned char *pack_names(const struct pack *p, size_t *ret_stride)
{
	*ret_stride = p->stride;
	return p->names;
}

const struct stat *pack_stat(const struct pack *p, struct stat *ret_idx)
{
	if (ret_idx)
		*ret_idx = p->idx_st;
	return &p->st;
}

void pack_trailer(const struct pack *p, git_oid *ret)
{
	*ret = p->trailer;
}

int64_t pack_find(const struct pack *p, const unsigned char *oid)
{
	const unsigned char *fan = p->idx + (p->idx_version == 2 ? IDX_HEADER : 0);
	uint32_t low = oid[0] ? pack_be32(fan + (oid[0] - 1) * 4) : 0;
	uint32_t high = pack_be32(fan + oid[0] * 4);

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		int r = memcmp(oid, pack_name(p, mid), GIT_OID_RAWSZ);

		if (r == 0)
			return mid;
		if (r < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return -ENOENT;
}

uint64_t pack_offset(const struct pack *p, uint32_t pos)
{
	uint64_t offset;

	if (p->idx_version == 1) {
		offset = pack_be32(p->offsets + pos * p->stride);
	} else {
		offset = pack_be32(p->offsets + (size_t)pos * 4);
		if (offset & 0x80000000) {
			offset &= 0x7fffffff;
			if (offset >= p->n_large)
				return PACK_NO_OFFSET;
			offset = pack_be64(p->large + offset * 8);
		}
	}
	return offset < PACK_HEADER_BYTES || offset >= p->end ? PACK_NO_OFFSET : offset;
}
