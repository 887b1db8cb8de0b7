#include "integrity/roots.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

Test(roots, each_keeps_its_own_names)
{
	struct roots *roots = roots_new();
	char name[32];

	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "refs/heads/%d", i);
		cr_assert_eq(roots_add(roots, &(struct root){ .name = name, .file = "packed-refs",
							      .slot = i % 2 ? "p-1" : NULL }), 0);
	}
	cr_assert(eq(sz, roots_count(roots), 20000));
	cr_expect_str_eq(roots_at(roots, 12345)->name, "refs/heads/12345");
	cr_expect_str_eq(roots_at(roots, 12345)->slot, "p-1");
	cr_expect(eq(ptr, (void *)roots_at(roots, 12346)->slot, NULL));
	cr_expect_str_eq(roots_at(roots, 0)->file, "packed-refs");
	roots_free(roots);
}

Test(roots, shallow_commits_are_known)
{
	struct roots *roots = roots_new();
	git_oid a = { { 1 } }, b = { { 2 } };

	cr_assert_eq(roots_add_shallow(roots, &a), 0);
	cr_assert_eq(roots_add_shallow(roots, &a), 0);
	cr_expect(roots_is_shallow(roots, &a));
	cr_expect(not(roots_is_shallow(roots, &b)));
	roots_free(roots);
}
