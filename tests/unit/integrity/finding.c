#include "integrity/finding.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

static struct findings *all;

static void init(void)
{
	all = findings_new();
	cr_assert(ne(ptr, all, NULL));
}

static void deinit(void)
{
	findings_free(all);
}

TestSuite(finding, .init = init, .fini = deinit);

Test(finding, ids_are_sorted_and_have_a_meaning)
{
	enum finding_severity severity;
	const char *meaning, *id, *before = "";

	for (size_t i = 0; (id = finding_id_at(i, &severity, &meaning)); i++, before = id) {
		cr_expect_lt(strcmp(before, id), 0, "%s", id);
		cr_expect_str_eq(finding_meaning(id), meaning);
	}
	cr_expect(eq(ptr, (void *)finding_meaning("zeroPaddedFilemode"), NULL));
}

Test(finding, each_is_kept_once_and_the_gravest_comes_first)
{
	struct finding_place a = { .where = "a", .object = "00" }, b = { .where = "b", .slot = "p-1" };

	cr_assert_eq(finding_add(all, "leftover", &a, "one"), 0);
	cr_assert_eq(finding_add(all, "leftover", &a, "said otherwise"), 0);
	cr_assert_eq(finding_add(all, "corrupt-object", &b, "two"), 0);
	cr_assert_eq(finding_add(all, "corrupt-object", &a, "three"), 0);
	cr_assert_eq(finding_add_as(all, "zeroPaddedFilemode", FINDING_WARNING, &a, "four"), 0);
	findings_sort(all);
	cr_assert(eq(sz, findings_kept(all), 4));
	cr_expect_str_eq(findings_at(all, 0)->detail, "three");
	cr_expect_str_eq(findings_at(all, 1)->slot, "p-1");
	cr_expect_str_eq(findings_at(all, 2)->id, "zeroPaddedFilemode");
	cr_expect_str_eq(findings_at(all, 3)->detail, "one");
	cr_expect(eq(sz, findings_count(all, FINDING_ERROR), 2));
}

Test(finding, errors_displace_what_is_lesser)
{
	char where[16];

	for (int i = 0; i < FINDINGS_MAX + 5; i++) {
		snprintf(where, sizeof(where), "%d", i);
		cr_assert_eq(finding_add(all, "leftover", &(struct finding_place){ .where = where }, "x"), 0);
	}
	cr_assert_eq(finding_add(all, "corrupt-pack", &(struct finding_place){ .where = "p" }, "x"), 0);
	findings_sort(all);
	cr_expect(eq(sz, findings_kept(all), FINDINGS_MAX));
	cr_expect_str_eq(findings_at(all, 0)->id, "corrupt-pack");
	cr_expect(eq(sz, findings_count(all, FINDING_INFO), FINDINGS_MAX + 5));
}

Test(finding, any_bytes_become_a_sentence)
{
	cr_assert_eq(finding_add(all, "bad-head", &(struct finding_place){ .where = "HEAD" }, "\"%s\"", "\xff\xfe"), 0);
	cr_expect_str_eq(findings_at(all, 0)->detail, "\"??\"");
}
