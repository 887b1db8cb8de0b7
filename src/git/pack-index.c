/* Where is it? */
#include "git/pack-index.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "git/sha1.h"
#include "util/cleanup.h"
#include "util/id.h"

#define FIRST_BITS 6

/* an offset with this bit is the number of one in the table of long offsets */
#define LONG_OFFSET 0x80000000u

void pack_table_deinit(struct pack_table *t)
{
	free(t->entries);
	free(t->places);
	*t = (struct pack_table){ 0 };
}

/* the place of an object, or the free one where it belongs */
static uint32_t *place_of(const struct pack_table *t, const git_oid *oid)
{
	size_t mask = ((size_t)1 << t->bits) - 1;
	uint64_t head;
	size_t at;

	/* names are random already, but an agent can choose among its files' */
	memcpy(&head, oid->id, sizeof(head));
	at = (size_t)(head * t->seed >> (64 - t->bits));
	while (t->places[at] != 0 && !git_oid_equal(&t->entries[t->places[at] - 1].oid, oid))
		at = (at + 1) & mask;
	return &t->places[at];
}

const struct pack_entry *pack_table_find(const struct pack_table *t, const git_oid *oid)
{
	uint32_t number = t->places ? *place_of(t, oid) : 0;

	return number != 0 ? &t->entries[number - 1] : NULL;
}

/* twice as many places, never more than half of them taken */
static int places_grow(struct pack_table *t)
{
	unsigned bits = t->places ? t->bits + 1 : FIRST_BITS;
	uint32_t *places = calloc((size_t)1 << bits, sizeof(*places));
	struct id random;

	if (!places)
		return -ENOMEM;
	free(t->places);
	t->places = places;
	t->bits = bits;
	id_random(&random);
	memcpy(&t->seed, random.bytes, sizeof(t->seed));
	t->seed |= 1;
	for (size_t i = 0; i < t->n; i++)
		*place_of(t, &t->entries[i].oid) = (uint32_t)i + 1;
	return 0;
}

static int entries_grow(struct pack_table *t)
{
	size_t size = t->size ? t->size * 2 : 64;
	struct pack_entry *entries = reallocarray(t->entries, size, sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	t->entries = entries;
	t->size = size;
	return 0;
}

int pack_table_add(struct pack_table *t, const struct pack_entry *entry)
{
	int r = 0;

	if (t->n >= UINT32_MAX / 2)
		return -ENOMEM; /* the 64 GiB of table before that are not there either */
	if (t->n == t->size)
		r = entries_grow(t);
	if (r == 0 && (!t->places || t->n >= (size_t)1 << (t->bits - 1)))
		r = places_grow(t);
	if (r < 0)
		return r;
	t->entries[t->n++] = *entry;
	*place_of(t, &entry->oid) = (uint32_t)t->n;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct pack_entry *x = *(const struct pack_entry *const *)a;
	const struct pack_entry *y = *(const struct pack_entry *const *)b;

	return git_oid_cmp(&x->oid, &y->oid);
}

static int sort(const struct pack_table *t, const struct pack_entry ***ret)
{
	const struct pack_entry **sorted = calloc(t->n + 1, sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < t->n; i++)
		sorted[i] = &t->entries[i];
	qsort(sorted, t->n, sizeof(*sorted), by_name);
	*ret = sorted;
	return 0;
}

static uint8_t *put(uint8_t *at, const void *data, size_t len)
{
	memcpy(at, data, len);
	return at + len;
}

static uint8_t *put_u32(uint8_t *at, uint32_t value)
{
	value = htonl(value);
	return put(at, &value, sizeof(value));
}

static uint8_t *put_u64(uint8_t *at, uint64_t value)
{
	value = htobe64(value);
	return put(at, &value, sizeof(value));
}

/* how many names begin with this byte or a smaller one */
static uint8_t *put_fan_out(uint8_t *at, const struct pack_entry *const *sorted, size_t n)
{
	size_t below = 0;

	for (unsigned byte = 0; byte < 256; byte++) {
		while (below < n && sorted[below]->oid.id[0] <= byte)
			below++;
		at = put_u32(at, (uint32_t)below);
	}
	return at;
}

static uint8_t *put_offsets(uint8_t *at, const struct pack_entry *const *sorted, size_t n)
{
	uint8_t *longs = at + n * sizeof(uint32_t);
	uint32_t n_longs = 0;

	for (size_t i = 0; i < n; i++) {
		if (sorted[i]->offset < LONG_OFFSET) {
			at = put_u32(at, (uint32_t)sorted[i]->offset);
			continue;
		}
		at = put_u32(at, LONG_OFFSET | n_longs++);
		longs = put_u64(longs, sorted[i]->offset);
	}
	return longs;
}

/* everything but the last checksum */
static uint8_t *put_tables(uint8_t *at, const struct pack_entry *const *sorted, size_t n)
{
	at = put(at, "\377tOc", 4);
	at = put_u32(at, 2);
	at = put_fan_out(at, sorted, n);
	for (size_t i = 0; i < n; i++)
		at = put(at, sorted[i]->oid.id, GIT_OID_RAWSZ);
	for (size_t i = 0; i < n; i++)
		at = put_u32(at, sorted[i]->crc);
	return put_offsets(at, sorted, n);
}

/* magic, version, fan-out; name, CRC-32 and offset of each; the long offsets; two checksums */
static size_t encoded_size(const struct pack_table *t)
{
	size_t n_longs = 0;

	for (size_t i = 0; i < t->n; i++)
		n_longs += t->entries[i].offset >= LONG_OFFSET;
	return 8 + 256 * 4 + t->n * (GIT_OID_RAWSZ + 4 + 4) + n_longs * 8 + 2 * GIT_OID_RAWSZ;
}

static int encode(uint8_t *data, const struct pack_entry *const *sorted, size_t n,
		  const git_oid *pack_sum)
{
	uint8_t *at = put_tables(data, sorted, n);
	struct sha1 sha1;
	git_oid sum;
	int r;

	at = put(at, pack_sum->id, GIT_OID_RAWSZ);
	sha1_init(&sha1);
	sha1_update(&sha1, data, (size_t)(at - data));
	r = sha1_final(&sha1, &sum);
	if (r == 0)
		put(at, sum.id, GIT_OID_RAWSZ);
	return r;
}

int pack_index_encode(const struct pack_table *t, const git_oid *pack_sum, uint8_t **ret,
		      size_t *ret_len)
{
	_cleanup_(freep) const struct pack_entry **sorted = NULL;
	size_t len = encoded_size(t);
	uint8_t *data;
	int r = sort(t, &sorted);

	if (r < 0)
		return r;
	data = malloc(len);
	if (!data)
		return -ENOMEM;
	r = encode(data, sorted, t->n, pack_sum);
	if (r < 0) {
		free(data);
		return r;
	}
	*ret = data;
	*ret_len = len;
	return 0;
}
