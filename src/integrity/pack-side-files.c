/* What lies beside a pack to make it quicker, and harms whoever believes it when it is wrong. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "integrity/pack-private.h"
#include "util/cleanup.h"
#include "util/text.h"

#define OPEN_FLAGS    (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define BLOCK_BYTES   (64 << 10)
#define SUM	      GIT_OID_RAWSZ
#define TABLE_HEADER  12 /* of .rev and .mtimes: magic, version, hash */
#define BITMAP_HEADER 32 /* magic, version, options, number of bitmaps, checksum of the pack */

struct side_file {
	struct check *check;
	const struct side_owner *owner;
	const char *id;
	char *where;
	int fd;
	uint64_t len;
};

static void side_file_deinit(struct side_file *s)
{
	free(s->where);
	closep(&s->fd);
}

static int tell(const struct side_file *s, const char *what)
{
	struct finding_place place = { .where = s->where };

	return finding_add(s->check->findings, s->id, &place, "%s", what);
}

/* 1: it is open; 0: there is none, or that it cannot be read was told */
static int side_file_open(struct check *c, const struct side_owner *owner, const char *suffix, const char *id,
			  struct side_file *ret)
{
	struct stat st;

	*ret = (struct side_file){ .check = c, .owner = owner, .id = id, .fd = -1 };
	ret->where = text_printf("%s%s", owner->stem, suffix);
	if (!ret->where)
		return -ENOMEM;
	ret->fd = openat(owner->dir_fd, strrchr(ret->where, '/') + 1, OPEN_FLAGS);
	if (ret->fd < 0 && (errno == ENOENT || errno == EMFILE || errno == ENFILE || errno == ENOMEM))
		return errno == ENOENT ? 0 : -errno;
	if (ret->fd < 0 || fstat(ret->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return tell(ret, "it is no regular file that can be read");
	ret->len = (uint64_t)st.st_size;
	return 1;
}

/* the last bytes are the hash of all before. 1: it is right; 0: it is not, and was told */
static int check_sum(const struct side_file *s)
{
	_cleanup_(hash_deinit) struct hash hash = { 0 };
	unsigned char block[BLOCK_BYTES], stored[SUM];
	uint64_t end = s->len - SUM;
	git_oid sum;
	int r = hash_init(&hash, false);

	if (r == 0)
		r = hash_begin_plain(&hash);
	for (uint64_t at = 0; r == 0 && at < end; at += BLOCK_BYTES) {
		size_t len = end - at < BLOCK_BYTES ? (size_t)(end - at) : BLOCK_BYTES;

		if (pack_pread(s->fd, block, len, at) != (ssize_t)len)
			return tell(s, "it cannot be read to its end");
		hash_update(&hash, block, len);
		if (check_is_stopped(s->check))
			return s->check->stop;
	}
	if (r == 0)
		r = hash_final(&hash, &sum);
	if (r < 0)
		return r;
	if (pack_pread(s->fd, stored, SUM, end) != SUM || memcmp(stored, sum.id, SUM) != 0)
		return tell(s, "its checksum is wrong");
	return 1;
}

/* a header of three numbers, four bytes for each object, the pack's checksum. As check_sum() */
static int check_table(const struct side_file *s, uint32_t magic)
{
	unsigned char header[TABLE_HEADER], pack_sum[SUM];

	if (s->len != TABLE_HEADER + (uint64_t)s->owner->n * 4 + 2 * SUM)
		return tell(s, "its length does not fit the number of objects");
	if (pack_pread(s->fd, header, sizeof(header), 0) != sizeof(header) ||
	    pack_pread(s->fd, pack_sum, SUM, s->len - 2 * SUM) != SUM)
		return tell(s, "it cannot be read to its end");
	if (pack_be32(header) != magic)
		return tell(s, "it does not begin like one");
	if (pack_be32(header + 4) != 1 || pack_be32(header + 8) != 1)
		return tell(s, "its version, or its kind of hash, is unknown");
	if (memcmp(pack_sum, s->owner->sum, SUM) != 0)
		return tell(s, "it belongs to another pack");
	return check_sum(s);
}

/* the positions in the index, as the objects lie in the pack */
static int check_positions(const struct side_file *s)
{
	const struct side_owner *o = s->owner;
	unsigned char block[BLOCK_BYTES];

	for (uint32_t i = 0; o->order && i < o->n; i += BLOCK_BYTES / 4) {
		uint32_t n = o->n - i < BLOCK_BYTES / 4 ? o->n - i : BLOCK_BYTES / 4;

		if (pack_pread(s->fd, block, (size_t)n * 4, TABLE_HEADER + (uint64_t)i * 4) != (ssize_t)n * 4)
			return tell(s, "it cannot be read to its end");
		for (uint32_t k = 0; k < n; k++)
			if (pack_be32(block + k * 4) != o->order[i + k])
				return tell(s, "it has another order than the pack");
	}
	return 0;
}

static int check_rev(struct check *c, const struct side_owner *o)
{
	_cleanup_(side_file_deinit) struct side_file s;
	int r = side_file_open(c, o, ".rev", "corrupt-rev-index", &s);

	if (r > 0)
		r = check_table(&s, 0x52494458); /* RIDX */
	return r > 0 ? check_positions(&s) : r;
}

static int check_mtimes(struct check *c, const struct side_owner *o)
{
	_cleanup_(side_file_deinit) struct side_file s;
	int r = side_file_open(c, o, ".mtimes", "corrupt-rev-index", &s);

	return r > 0 ? check_table(&s, 0x4d544d45) : r; /* MTME */
}

static int check_bitmap(struct check *c, const struct side_owner *o)
{
	_cleanup_(side_file_deinit) struct side_file s;
	unsigned char header[BITMAP_HEADER];
	int r = side_file_open(c, o, ".bitmap", "corrupt-bitmap", &s);

	if (r <= 0)
		return r;
	if (s.len < BITMAP_HEADER + SUM || pack_pread(s.fd, header, sizeof(header), 0) != sizeof(header))
		return tell(&s, "it is too short to be one");
	if (memcmp(header, "BITM", 4) != 0)
		return tell(&s, "it does not begin like one");
	if (header[4] != 0 || header[5] != 1)
		return tell(&s, "its version is unknown");
	if (memcmp(header + 12, o->sum, SUM) != 0)
		return tell(&s, "it belongs to another pack");
	if (pack_be32(header + 8) > o->n)
		return tell(&s, "it claims more bitmaps than there are objects");
	return check_sum(&s);
}

int side_files_check(struct check *c, const struct side_owner *o)
{
	int r = check_rev(c, o);

	if (r >= 0)
		r = check_bitmap(c, o);
	if (r >= 0)
		r = check_mtimes(c, o);
	return r < 0 ? r : 0;
}
