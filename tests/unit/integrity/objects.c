#include "integrity/objects.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#define N 3000

static unsigned char names[2][N][GIT_OID_RAWSZ];

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, GIT_OID_RAWSZ);
}

/* two packs that share half of what they have, and loose objects of which one is in a pack too */
static struct objects *make(void)
{
	struct objects *o = objects_new();
	git_oid loose = { { 0 } };

	srand(7);
	for (int i = 0; i < N; i++)
		for (int k = 0; k < GIT_OID_RAWSZ; k++)
			names[0][i][k] = (unsigned char)(k ? rand() : rand() % 16);
	memcpy(names[1], names[0], sizeof(names[1]));
	for (int i = 0; i < N / 2; i++)
		names[1][i][1] ^= 0x55;
	for (int p = 0; p < 2; p++) {
		qsort(names[p], N, GIT_OID_RAWSZ, compare);
		cr_assert_eq(objects_add_pack(o, names[p][0], N, GIT_OID_RAWSZ), 0);
	}
	for (int i = 1; i < 50; i++) {
		loose.id[0] = (unsigned char)(255 - i);
		cr_assert_eq(objects_add_loose(o, &loose), 0);
	}
	memcpy(loose.id, names[0][5], GIT_OID_RAWSZ);
	cr_assert_eq(objects_add_loose(o, &loose), 0);
	cr_assert_eq(objects_seal(o), 0);
	return o;
}

Test(objects, each_has_one_number_in_the_order_of_names)
{
	struct objects *o = make();
	unsigned char absent[GIT_OID_RAWSZ];

	cr_assert(eq(u32, objects_count(o), N + N / 2 + 49));
	for (uint32_t i = 0; i < objects_count(o); i++) {
		cr_assert(eq(u32, objects_find(o, objects_name(o, i)), i));
		if (i)
			cr_assert_lt(memcmp(objects_name(o, i - 1), objects_name(o, i), GIT_OID_RAWSZ), 0);
	}
	for (int i = 0; i < N; i++)
		cr_assert(ne(u32, objects_find(o, names[1][i]), OBJECTS_NONE));
	memcpy(absent, names[0][0], sizeof(absent));
	absent[19] ^= 1;
	cr_expect(eq(u32, objects_find(o, absent), OBJECTS_NONE));
	objects_free(o);
}

Test(objects, none_is_fine)
{
	struct objects *o = objects_new();
	unsigned char name[GIT_OID_RAWSZ] = { 1 };

	cr_assert_eq(objects_seal(o), 0);
	cr_expect(eq(u32, objects_find(o, name), OBJECTS_NONE));
	objects_free(o);
}

Test(objects, marks_are_added)
{
	struct objects *o = make();

	objects_mark(o, 3, GIT_OBJECT_TREE);
	objects_mark(o, 3, objects_want(GIT_OBJECT_BLOB));
	cr_expect_eq(objects_marks(o, 3), GIT_OBJECT_TREE | OBJECTS_WANT_BLOB);
	objects_clear(o, 3, OBJECTS_WANT_BLOB);
	cr_expect_eq(objects_marks(o, 3), GIT_OBJECT_TREE);
	cr_expect_eq(objects_marks(o, 4), 0);
	objects_free(o);
}
