/* From the bytes of a pack to content. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/pack-private.h"

#define ENTRY_HEADER_MAX 32 /* bytes: two numbers of up to 64 bits, or one and a name */
#define WINDOW_BYTES	 (8 << 10)
#define PIECE_BYTES	 (32 << 10)
#define DELTA_KEPT	 (1 << 20) /* bytes of a buffer for deltas that are not given back */

static const char unreadable[] = "the file cannot be read there";
static const char no_stream[] = "its data do not inflate";

int pack_reader_init(struct pack_reader *r, const struct pack *p, size_t size)
{
	*r = (struct pack_reader){ .pack = p, .size = size, .bytes = malloc(size) };
	return r->bytes ? 0 : -ENOMEM;
}

void pack_reader_deinit(struct pack_reader *r)
{
	free(r->bytes);
	*r = (struct pack_reader){ 0 };
}

int pack_reader_at(struct pack_reader *r, uint64_t at, size_t want, const unsigned char **ret,
		   size_t *ret_len)
{
	uint64_t left = at < r->pack->end ? r->pack->end - at : 0;
	ssize_t n;

	if (want > left)
		want = (size_t)left;
	if (at < r->start || at - r->start > r->len || r->len - (at - r->start) < want) {
		r->len = 0;
		n = pack_pread(r->pack->fd, r->bytes, left < r->size ? (size_t)left : r->size, at);
		if (n < 0 || (size_t)n < want)
			return -EIO;
		r->start = at;
		r->len = (size_t)n;
	}
	*ret = r->bytes + (at - r->start);
	*ret_len = r->len - (size_t)(at - r->start);
	return 0;
}

/* how many bytes of the header the type and the length take; 0: it is none */
static size_t read_type(const unsigned char *b, size_t len, struct entry *ret)
{
	unsigned shift = 4;
	size_t i = 0;

	if (len == 0)
		return 0;
	ret->kind = b[0] >> 4 & 7;
	ret->len = b[0] & 15;
	while (b[i++] & 0x80) {
		if (i == len || shift > 56)
			return 0;
		ret->len |= (uint64_t)(b[i] & 0x7f) << shift;
		shift += 7;
	}
	return i;
}

/* the distance to the base; each further byte stands for one more than it says */
static size_t read_distance(const unsigned char *b, size_t len, uint64_t *ret)
{
	size_t i = 0;

	*ret = 0;
	do {
		if (i == len || i == 9)
			return 0;
		*ret = (i ? *ret + 1 : 0) << 7 | (b[i] & 0x7f);
	} while (b[i++] & 0x80);
	return i;
}

static const char *parse(const unsigned char *b, size_t len, struct entry *ret)
{
	size_t n = read_type(b, len, ret), more = 0;
	uint64_t distance;

	if (n == 0)
		return "its header is none";
	switch (ret->kind) {
	case GIT_OBJECT_COMMIT:
	case GIT_OBJECT_TREE:
	case GIT_OBJECT_BLOB:
	case GIT_OBJECT_TAG:
		break;
	case ENTRY_OFS_DELTA:
		more = read_distance(b + n, len - n, &distance);
		if (more == 0 || distance == 0 || distance > ret->at - PACK_HEADER_BYTES)
			return "its delta's base is outside of the pack";
		ret->base_at = ret->at - distance;
		break;
	case ENTRY_REF_DELTA:
		if (len - n < GIT_OID_RAWSZ)
			return "its header is none";
		git_oid_fromraw(&ret->base, b + n);
		more = GIT_OID_RAWSZ;
		break;
	default:
		return "its type is unknown";
	}
	ret->data_at = ret->at + n + more;
	return NULL;
}

int entry_read(struct pack_reader *r, uint64_t at, uint64_t end, struct entry *ret, const char **ret_why)
{
	const unsigned char *bytes;
	size_t len;

	*ret = (struct entry){ .at = at };
	*ret_why = pack_reader_at(r, at, ENTRY_HEADER_MAX, &bytes, &len) < 0 ? unreadable :
									       parse(bytes, len, ret);
	if (*ret_why)
		return -EBADMSG;
	if (end == 0)
		end = r->pack->end;
	ret->bytes = end > ret->data_at ? end - ret->data_at : 0;
	return 0;
}

int unpacker_init(struct unpacker *u, const struct pack *p)
{
	*u = (struct unpacker){ 0 };
	if (pack_reader_init(&u->reader, p, WINDOW_BYTES) < 0)
		return -ENOMEM;
	u->has_z = inflateInit(&u->z) == Z_OK;
	return u->has_z ? 0 : -ENOMEM;
}

void unpacker_deinit(struct unpacker *u)
{
	pack_reader_deinit(&u->reader);
	if (u->has_z)
		inflateEnd(&u->z);
	free(u->delta);
	*u = (struct unpacker){ 0 };
}

static int bad(struct unpacker *u, const char *why)
{
	u->why = why;
	return -EBADMSG;
}

/* some input for z at an offset; what the index says of the length tells how much to read at once */
static int feed(struct unpacker *u, const struct entry *e, uint64_t at)
{
	uint64_t left = at < e->data_at + e->bytes ? e->data_at + e->bytes - at : 1;
	const unsigned char *bytes;
	size_t len;

	if (pack_reader_at(&u->reader, at, left < u->reader.size ? (size_t)left : u->reader.size, &bytes,
			   &len) < 0)
		return bad(u, unreadable);
	u->z.next_in = (unsigned char *)bytes;
	u->z.avail_in = (uInt)len;
	return 0;
}

/* begins the stream of an entry */
static int begin(struct unpacker *u, const struct entry *e)
{
	if (e->len / DEFLATE_RATIO > e->bytes)
		return bad(u, "it claims more bytes than its data can have");
	if (inflateReset(&u->z) != Z_OK)
		return bad(u, no_stream);
	u->z.avail_in = 0;
	return 0;
}

/* fills @out, or comes to the end; *@at goes on. 1: that was the end */
static int inflate_some(struct unpacker *u, const struct entry *e, uint64_t *at, unsigned char *out,
			size_t len)
{
	int rc = Z_OK;

	u->z.next_out = out;
	u->z.avail_out = 0;
	while (rc == Z_OK && (len > 0 || u->z.avail_out > 0)) {
		uInt had;

		if (u->z.avail_out == 0) {
			u->z.avail_out = len > UINT_MAX ? UINT_MAX : (uInt)len;
			len -= u->z.avail_out;
		}
		if (u->z.avail_in == 0 && feed(u, e, *at) < 0)
			return -EBADMSG;
		had = u->z.avail_in;
		rc = inflate(&u->z, Z_NO_FLUSH);
		*at += had - u->z.avail_in;
	}
	if (rc == Z_MEM_ERROR)
		return -ENOMEM;
	if (rc == Z_STREAM_END)
		return 1;
	return rc == Z_OK ? 0 : bad(u, no_stream);
}

int unpack_data(struct unpacker *u, const struct entry *e, void *out)
{
	unsigned char *bytes = out;
	uint64_t at = e->data_at;
	int r = begin(u, e);

	/* the byte more, for the NUL, lets a stream that is too long show itself */
	if (r == 0)
		r = inflate_some(u, e, &at, bytes, (size_t)e->len + 1);
	if (r < 0)
		return r;
	if (r == 0 || u->z.next_out != bytes + e->len)
		return bad(u, r == 0 ? "its data are longer than it says" :
				       "its data are shorter than it says");
	bytes[e->len] = '\0';
	return 0;
}

int unpack_pieces(struct unpacker *u, const struct entry *e, unpack_piece_fn fn, void *userdata)
{
	unsigned char piece[PIECE_BYTES];
	uint64_t at = e->data_at, left = e->len;
	int r = begin(u, e);

	while (r == 0) {
		size_t len;
		int rc;

		r = inflate_some(u, e, &at, piece, sizeof(piece));
		if (r < 0)
			return r;
		len = (size_t)(u->z.next_out - piece);
		if (len > left)
			return bad(u, "its data are longer than it says");
		left -= len;
		rc = fn(piece, len, userdata);
		if (rc < 0)
			return rc;
	}
	if (r > 0 && left > 0)
		return bad(u, "its data are shorter than it says");
	return r < 0 ? r : 0;
}

static int delta_reserve(struct unpacker *u, uint64_t len)
{
	if (len < u->delta_size && u->delta_size <= DELTA_KEPT)
		return 0;
	free(u->delta);
	u->delta_size = len < 4096 ? 4096 : (size_t)len + 1;
	u->delta = malloc(u->delta_size);
	if (u->delta)
		return 0;
	u->delta_size = 0;
	return -ENOMEM;
}

int unpack_delta(struct unpacker *u, const struct entry *e, uint64_t base_len, struct delta *ret)
{
	int r;

	if (e->len > PACK_BASE_MAX || e->len / DEFLATE_RATIO > e->bytes)
		return bad(u, "it claims more bytes than its data can have");
	r = delta_reserve(u, e->len);
	if (r == 0)
		r = unpack_data(u, e, u->delta);
	return r < 0 ? r : delta_parse(u->delta, (size_t)e->len, base_len, ret, &u->why);
}

int unpack_delta_header(struct unpacker *u, const struct entry *e, struct delta *ret)
{
	unsigned char head[ENTRY_HEADER_MAX];
	uint64_t at = e->data_at;
	int r = begin(u, e);

	if (r == 0)
		r = inflate_some(u, e, &at, head, sizeof(head));
	if (r < 0)
		return r;
	return delta_parse_lengths(head, (size_t)(u->z.next_out - head), ret, &u->why);
}
