/* Copy from there, insert this: what a delta says, believed after it was looked through. */
#include <errno.h>
#include <string.h>

#include "integrity/pack-private.h"

#define COPY	   0x80
#define COPY_WHOLE 0x10000 /* what a length of 0 stands for */
#define DELTA_MIN  4	   /* bytes; git takes no shorter one */

struct copy {
	uint32_t from, len;
};

/* the bytes that are there are told by bits of the first one; NULL: it ends in the middle */
static const unsigned char *read_copy(const unsigned char *op, const unsigned char *end, struct copy *ret)
{
	unsigned bits = *op++;

	*ret = (struct copy){ 0 };
	if (end - op < __builtin_popcount(bits & 0x7f))
		return NULL;
	for (unsigned i = 0; i < 4; i++)
		if (bits & 1U << i)
			ret->from |= (uint32_t)*op++ << 8 * i;
	for (unsigned i = 0; i < 3; i++)
		if (bits & 0x10U << i)
			ret->len |= (uint32_t)*op++ << 8 * i;
	if (ret->len == 0)
		ret->len = COPY_WHOLE;
	return op;
}

static const unsigned char *read_length(const unsigned char *data, const unsigned char *end, uint64_t *ret)
{
	uint64_t len = 0;

	for (unsigned shift = 0; data < end && shift < 63; shift += 7) {
		len |= (uint64_t)(*data & 0x7f) << shift;
		if (!(*data++ & 0x80)) {
			*ret = len;
			return data;
		}
	}
	return NULL;
}

int delta_parse_lengths(const unsigned char *data, size_t len, struct delta *ret, const char **ret_why)
{
	ret->end = data + len;
	ret->ops = read_length(data, ret->end, &ret->base_len);
	if (ret->ops)
		ret->ops = read_length(ret->ops, ret->end, &ret->len);
	if (ret->ops)
		return 0;
	*ret_why = "its delta does not begin like one";
	return -EBADMSG;
}

/* all instructions: within the base, and as long together as they shall be */
static const char *look_through(const struct delta *d)
{
	uint64_t made = 0;

	for (const unsigned char *op = d->ops; op < d->end;) {
		struct copy copy;

		if (*op & COPY) {
			op = read_copy(op, d->end, &copy);
			if (!op)
				return "its delta ends in the middle of an instruction";
			if ((uint64_t)copy.from + copy.len > d->base_len)
				return "its delta copies from behind its base";
			made += copy.len;
		} else {
			if (*op == 0)
				return "its delta has an instruction that there is not";
			if (d->end - op <= *op)
				return "its delta ends in the middle of an instruction";
			made += *op;
			op += 1 + *op;
		}
		if (made > d->len)
			break;
	}
	return made == d->len ? NULL : "its delta makes another length than it says";
}

int delta_parse(const unsigned char *data, size_t len, uint64_t base_len, struct delta *ret,
		const char **ret_why)
{
	int r = delta_parse_lengths(data, len, ret, ret_why);

	if (r < 0)
		return r;
	if (len < DELTA_MIN) {
		*ret_why = "its delta is too short to be one";
		return -EBADMSG;
	}
	*ret_why = ret->base_len != base_len ? "its delta is for a base of another length" :
					       look_through(ret);
	return *ret_why ? -EBADMSG : 0;
}

void delta_apply(const struct delta *delta, const unsigned char *base, unsigned char *out)
{
	for (const unsigned char *op = delta->ops; op < delta->end;) {
		struct copy copy;

		if (*op & COPY) {
			op = read_copy(op, delta->end, &copy);
			memcpy(out, base + copy.from, copy.len);
			out += copy.len;
		} else {
			memcpy(out, op + 1, *op);
			out += *op;
			op += 1 + *op;
		}
	}
}

int delta_apply_pieces(const struct delta *delta, const unsigned char *base, unpack_piece_fn fn,
		       void *userdata)
{
	int r = 0;

	for (const unsigned char *op = delta->ops; op < delta->end && r >= 0;) {
		struct copy copy;

		if (*op & COPY) {
			op = read_copy(op, delta->end, &copy);
			r = fn(base + copy.from, copy.len, userdata);
		} else {
			r = fn(op + 1, *op, userdata);
			op += 1 + *op;
		}
	}
	return r < 0 ? r : 0;
}
