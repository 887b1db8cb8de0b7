/**
 * DOC: bitmap - compressed bit sets as git writes them into an index
 *
 * EWAH: runs of equal words and literal words in turn. Read bounded: what runs beyond the number of
 * bits that there can be is refused, so that four bytes cannot ask for four gigabytes.
 *
 * Source: gitformat-bitmap(5), Appendix A.
 */
#ifndef INTEGRITY_BITMAP_H
#define INTEGRITY_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bitmap {
	uint32_t *v; /* numbers of the bits that are set, ascending */
	size_t n, size;
};

void bitmap_deinit(struct bitmap *bitmap);

/**
 * bitmap_parse - one bit set
 * @max: a bit of this number or beyond is damage
 * @ret_used: how many bytes it has
 *
 * 0; -EUCLEAN; -ENOMEM.
 */
int bitmap_parse(const uint8_t *data, size_t len, uint32_t max, struct bitmap *ret,
		 size_t *ret_used);

#endif
