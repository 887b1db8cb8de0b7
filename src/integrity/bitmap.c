/* Runs and literals. */
#include "integrity/bitmap.h"

#include <errno.h>
#include <stdlib.h>

#define HEADER_BYTES  8 /* number of bits, number of words */
#define TRAILER_BYTES 4 /* where the last run begins */
#define WORD_BYTES    8
#define WORD_BITS     64

void bitmap_deinit(struct bitmap *bitmap)
{
	free(bitmap->v);
	*bitmap = (struct bitmap){ 0 };
}

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t get_word(const uint8_t *p)
{
	return (uint64_t)get_u32(p) << 32 | get_u32(p + 4);
}

static int add(struct bitmap *bitmap, uint64_t bit, uint32_t max)
{
	if (bit >= max)
		return -EUCLEAN;
	if (bitmap->n == bitmap->size) {
		size_t size = bitmap->size ? bitmap->size * 2 : 16;
		uint32_t *v = reallocarray(bitmap->v, size, sizeof(*v));

		if (!v)
			return -ENOMEM;
		bitmap->v = v;
		bitmap->size = size;
	}
	bitmap->v[bitmap->n++] = (uint32_t)bit;
	return 0;
}

static int add_word(struct bitmap *bitmap, uint64_t first, uint64_t word, uint32_t max)
{
	int r = 0;

	for (; r == 0 && word; word &= word - 1)
		r = add(bitmap, first + (uint64_t)__builtin_ctzll(word), max);
	return r;
}

/* ones; zeros cost nothing */
static int add_run(struct bitmap *bitmap, uint64_t first, uint64_t n, uint32_t max)
{
	int r = 0;

	if (first + n > (uint64_t)max + WORD_BITS)
		return -EUCLEAN;
	/* the last word may say more than there are */
	for (uint64_t i = 0; r == 0 && i < n && first + i < max; i++)
		r = add(bitmap, first + i, max);
	return r;
}

static int parse_words(const uint8_t *data, size_t n_words, uint64_t n_bits, uint32_t max,
		       struct bitmap *ret)
{
	uint64_t bit = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n_words;) {
		uint64_t run = get_word(data + i++ * WORD_BYTES);
		uint64_t words = run >> 1 & 0xffffffff, literals = run >> 33;

		if (bit > n_bits + WORD_BITS || literals > n_words - i)
			return -EUCLEAN;
		if (run & 1)
			r = add_run(ret, bit, words * WORD_BITS, max);
		bit += words * WORD_BITS;
		for (uint64_t k = 0; r == 0 && k < literals; k++, bit += WORD_BITS)
			r = add_word(ret, bit, get_word(data + i++ * WORD_BYTES), max);
	}
	return r;
}

int bitmap_parse(const uint8_t *data, size_t len, uint32_t max, struct bitmap *ret,
		 size_t *ret_used)
{
	struct bitmap bitmap = { 0 };
	size_t n_words;
	int r;

	if (len < HEADER_BYTES + TRAILER_BYTES)
		return -EUCLEAN;
	n_words = get_u32(data + 4);
	if (n_words > (len - HEADER_BYTES - TRAILER_BYTES) / WORD_BYTES)
		return -EUCLEAN;
	r = parse_words(data + HEADER_BYTES, n_words, get_u32(data), max, &bitmap);
	if (r < 0) {
		bitmap_deinit(&bitmap);
		return r;
	}
	*ret = bitmap;
	*ret_used = HEADER_BYTES + n_words * WORD_BYTES + TRAILER_BYTES;
	return 0;
}
