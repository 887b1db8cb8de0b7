/* Sorted by name, by number of where the name lies. */
#include "integrity/objects.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FAN_BITS 16

/* a table of names, the loose ones' as well */
struct table {
	const unsigned char *names;
	size_t stride;
	uint32_t first, n; /* the numbers that its names have before sorting */
};

struct objects {
	struct table *tables;
	size_t n_tables;
	unsigned char *loose; /* names */
	size_t n_loose, loose_size;
	uint32_t n_all;	  /* of names, those that are there twice included */
	uint32_t *places; /* by number: which name */
	uint16_t *marks;
	uint32_t n;
	uint32_t *fan; /* by the first FAN_BITS of a name: the first number that is not below */
};

struct objects *objects_new(void)
{
	return calloc(1, sizeof(struct objects));
}

void objects_free(struct objects *o)
{
	if (!o)
		return;
	free(o->tables);
	free(o->loose);
	free(o->places);
	free(o->marks);
	free(o->fan);
	free(o);
}

int objects_add_pack(struct objects *o, const unsigned char *names, uint32_t n, size_t stride)
{
	struct table *tables;

	if (n == 0)
		return 0;
	if (n > OBJECTS_NONE - 1 - o->n_all)
		return -E2BIG;
	tables = reallocarray(o->tables, o->n_tables + 1, sizeof(*tables));
	if (!tables)
		return -ENOMEM;
	o->tables = tables;
	tables[o->n_tables++] = (struct table){ names, stride, o->n_all, n };
	o->n_all += n;
	return 0;
}

int objects_add_loose(struct objects *o, const git_oid *oid)
{
	if (o->n_loose == o->loose_size) {
		size_t size = o->loose_size ? o->loose_size * 2 : 1024;
		unsigned char *loose = reallocarray(o->loose, size, GIT_OID_RAWSZ);

		if (!loose)
			return -ENOMEM;
		o->loose = loose;
		o->loose_size = size;
	}
	memcpy(o->loose + o->n_loose++ * GIT_OID_RAWSZ, oid->id, GIT_OID_RAWSZ);
	return 0;
}

static const unsigned char *place_name(const struct objects *o, uint32_t place)
{
	size_t low = 0, high = o->n_tables - 1;
	const struct table *t;

	while (low < high) {
		size_t mid = (low + high + 1) / 2;

		if (place < o->tables[mid].first)
			high = mid - 1;
		else
			low = mid;
	}
	t = &o->tables[low];
	return t->names + (size_t)(place - t->first) * t->stride;
}

static unsigned fan_of(const unsigned char *oid)
{
	return (unsigned)oid[0] << 8 | oid[1];
}

static int compare_places(const void *a, const void *b, void *o)
{
	return memcmp(place_name(o, *(const uint32_t *)a), place_name(o, *(const uint32_t *)b),
		      GIT_OID_RAWSZ);
}

static void drop_repeated(struct objects *o)
{
	for (uint32_t i = 0; i < o->n_all; i++)
		if (o->n == 0 || memcmp(place_name(o, o->places[o->n - 1]), place_name(o, o->places[i]),
					GIT_OID_RAWSZ) != 0)
			o->places[o->n++] = o->places[i];
}

static void fill_fan(struct objects *o)
{
	uint32_t number = 0;

	for (unsigned i = 0; i < 1U << FAN_BITS; i++) {
		while (number < o->n && fan_of(objects_name(o, number)) < i)
			number++;
		o->fan[i] = number;
	}
	o->fan[1U << FAN_BITS] = o->n;
}

int objects_seal(struct objects *o)
{
	bool is_sorted;
	int r = 0;

	if (o->n_loose > OBJECTS_NONE - 1)
		return -E2BIG;
	r = objects_add_pack(o, o->loose, (uint32_t)o->n_loose, GIT_OID_RAWSZ);
	if (r < 0)
		return r;
	o->places = malloc(((size_t)o->n_all + 1) * sizeof(*o->places));
	o->fan = malloc(((1U << FAN_BITS) + 1) * sizeof(*o->fan));
	o->marks = calloc((size_t)o->n_all + 1, sizeof(*o->marks));
	if (!o->places || !o->fan || !o->marks)
		return -ENOMEM;
	for (uint32_t i = 0; i < o->n_all; i++)
		o->places[i] = i;
	is_sorted = o->n_tables <= 1;
	for (uint32_t i = 1; is_sorted && i < o->n_all; i++) /* the index of a pack may be damaged */
		is_sorted = memcmp(place_name(o, i - 1), place_name(o, i), GIT_OID_RAWSZ) <= 0;
	if (!is_sorted)
		qsort_r(o->places, o->n_all, sizeof(*o->places), compare_places, o);
	if (o->n_all)
		drop_repeated(o);
	fill_fan(o);
	return 0;
}

uint32_t objects_count(const struct objects *o)
{
	return o->n;
}

uint32_t objects_find(const struct objects *o, const unsigned char *oid)
{
	uint32_t low = o->fan[fan_of(oid)], high = o->fan[fan_of(oid) + 1];

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		int r = memcmp(oid, objects_name(o, mid), GIT_OID_RAWSZ);

		if (r == 0)
			return mid;
		if (r < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return OBJECTS_NONE;
}

static uint64_t prefix_of(const struct objects *o, uint32_t number)
{
	uint64_t v;

	memcpy(&v, objects_name(o, number), sizeof(v));
	return be64toh(v);
}

bool objects_has_prefix(const struct objects *o, uint64_t prefix)
{
	uint32_t low = o->fan[prefix >> (64 - FAN_BITS)], high = o->fan[(prefix >> (64 - FAN_BITS)) + 1];

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (prefix_of(o, mid) < prefix)
			low = mid + 1;
		else
			high = mid;
	}
	return low < o->n && prefix_of(o, low) == prefix;
}

const unsigned char *objects_name(const struct objects *o, uint32_t number)
{
	return place_name(o, o->places[number]);
}

unsigned objects_marks(const struct objects *o, uint32_t number)
{
	return __atomic_load_n(&o->marks[number], __ATOMIC_RELAXED);
}

void objects_mark(struct objects *o, uint32_t number, unsigned marks)
{
	if ((objects_marks(o, number) & marks) != marks)
		__atomic_fetch_or(&o->marks[number], (uint16_t)marks, __ATOMIC_RELAXED);
}

void objects_clear(struct objects *o, uint32_t number, unsigned marks)
{
	__atomic_fetch_and(&o->marks[number], (uint16_t)~marks, __ATOMIC_RELAXED);
}

unsigned objects_want(git_object_t type)
{
	switch (type) {
	case GIT_OBJECT_COMMIT:
		return OBJECTS_WANT_COMMIT;
	case GIT_OBJECT_TREE:
		return OBJECTS_WANT_TREE;
	case GIT_OBJECT_BLOB:
		return OBJECTS_WANT_BLOB;
	case GIT_OBJECT_TAG:
		return OBJECTS_WANT_TAG;
	default:
		return OBJECTS_WANT_ANY;
	}
}
