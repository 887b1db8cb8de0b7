/* As they lie in the pack. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/pack-private.h"

#define DIGIT_BITS 11
#define DIGITS	   (1U << DIGIT_BITS)

struct place {
	uint64_t start;
	uint32_t pos;
};

/* one pass of a sort by digits: stable, by the digit at @shift */
static void sort_pass(const struct place *from, struct place *to, uint32_t n, unsigned shift)
{
	uint32_t counts[DIGITS] = { 0 }, sum = 0;

	for (uint32_t i = 0; i < n; i++)
		counts[from[i].start >> shift & (DIGITS - 1)]++;
	for (unsigned d = 0; d < DIGITS; d++) {
		uint32_t count = counts[d];

		counts[d] = sum;
		sum += count;
	}
	for (uint32_t i = 0; i < n; i++)
		to[counts[from[i].start >> shift & (DIGITS - 1)]++] = from[i];
}

/* several times as quick as qsort(), which matters for millions; either of the two holds the result */
static struct place *sort(struct place *v, struct place *other, uint32_t n, uint64_t max)
{
	for (unsigned shift = 0; shift < 64 && max >> shift; shift += DIGIT_BITS) {
		struct place *swap = v;

		sort_pass(v, other, n, shift);
		v = other;
		other = swap;
	}
	return v;
}

static void fill(struct pack_order *o, const struct place *sorted, uint64_t end)
{
	for (uint32_t i = 0; i < o->n; i++) {
		o->starts[i] = sorted[i].start;
		o->pos[i] = sorted[i].pos;
	}
	o->starts[o->n] = end;
}

static int order_fill(struct pack *p, struct pack_order *o)
{
	struct place *v = malloc(((size_t)p->n + 1) * sizeof(*v));
	struct place *other = malloc(((size_t)p->n + 1) * sizeof(*v));
	int r = -ENOMEM;

	if (v && other) {
		for (uint32_t pos = 0; pos < p->n; pos++) {
			uint64_t start = pack_offset(p, pos);

			if (start != PACK_NO_OFFSET)
				v[o->n++] = (struct place){ start, pos };
		}
		fill(o, sort(v, other, o->n, p->end), p->end);
		r = 0;
	}
	free(v);
	free(other);
	return r;
}

static void order_free(struct pack_order *o)
{
	if (!o)
		return;
	free(o->starts);
	free(o->pos);
	free(o);
}

int pack_order_make(struct pack *p)
{
	struct pack_order *o;
	int r = -ENOMEM;

	if (p->order)
		return 0;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->starts = malloc(((size_t)p->n + 1) * sizeof(*o->starts));
	o->pos = malloc(((size_t)p->n + 1) * sizeof(*o->pos));
	if (o->starts && o->pos)
		r = order_fill(p, o);
	if (r < 0) {
		order_free(o);
		return r;
	}
	p->order = o;
	return 0;
}

void pack_order_drop(struct pack *p)
{
	order_free(p->order);
	p->order = NULL;
}

uint64_t pack_order_end(const struct pack_order *o, uint32_t i)
{
	uint64_t start = o->starts[i];

	/* a damaged index may have one offset twice */
	while (i < o->n && o->starts[i] == start)
		i++;
	return o->starts[i];
}

uint32_t pack_order_find(const struct pack_order *o, uint64_t start, uint32_t below)
{
	uint32_t low, high = below, step = 1;

	/* bases lie near: look in growing steps backwards before the search */
	while (step < high && o->starts[high - step] > start)
		step *= 2;
	low = step < high ? high - step : 0;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (o->starts[mid] == start)
			return mid;
		if (o->starts[mid] > start)
			high = mid;
		else
			low = mid + 1;
	}
	return PACK_NONE;
}
