#include "git/tree-saved.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "git/sha1.h"
#include "util/cleanup.h"

static const struct stat file = { .st_ino = 7,
				  .st_size = 1234,
				  .st_mode = S_IFREG | 0644,
				  .st_mtim = { 1700000000, 123456789 },
				  .st_ctim = { 1700000001, 987654321 } };

static const char *const names[] = {
	"a", "d/e/f", ".git/logs/HEAD", "new\nline", "\xff\xfe", "a b\tc\"'\\", ".slotd-tmp-1-1",
};

static struct tree_saved *make(size_t n)
{
	struct tree_saved *set = tree_saved_new();

	cr_assert_not_null(set);
	for (size_t i = 0; i < n; i++) {
		struct stat st = file;

		st.st_ino += i;
		cr_assert_eq(tree_saved_add(set, names[i], &st), 0);
	}
	return set;
}

Test(tree_saved, has_what_was_added_and_nothing_else)
{
	struct tree_saved *set = make(1);
	struct stat st = file;

	cr_expect(tree_saved_has(set, "a", &file));
	cr_expect(tree_saved_knows(set, "a"));
	cr_expect_not(tree_saved_has(set, "b", &file));
	cr_expect_not(tree_saved_knows(set, "b"));
	cr_expect_not(tree_saved_has(NULL, "a", &file));
	cr_expect_not(tree_saved_knows(NULL, "a"));
	cr_expect_eq(tree_saved_count(set), 1);
	cr_expect_eq(tree_saved_count(NULL), 0);
	st.st_ino++;
	cr_expect_not(tree_saved_has(set, "a", &st));
	cr_assert_eq(tree_saved_add(set, "a", &st), 0);
	cr_expect(tree_saved_has(set, "a", &st), "the newest counts");
	cr_expect_not(tree_saved_has(set, "a", &file));
	cr_expect_eq(tree_saved_count(set), 1);
	tree_saved_free(set);
}

Test(tree_saved, each_number_counts_and_the_ctime_only_until_a_rename)
{
	struct tree_saved *set = make(1);
	struct stat changed[7];

	for (size_t i = 0; i < ARRAY_SIZE(changed); i++)
		changed[i] = file;
	changed[0].st_ino++;
	changed[1].st_size++;
	changed[2].st_mode = S_IFREG | 0755;
	changed[3].st_mtim.tv_sec++;
	changed[4].st_mtim.tv_nsec++;
	changed[5].st_ctim.tv_sec++;
	changed[6].st_ctim.tv_nsec++;
	for (size_t i = 0; i < ARRAY_SIZE(changed); i++) {
		cr_expect_not(tree_saved_has(set, "a", &changed[i]), "%zu", i);
		cr_expect_eq(tree_saved_has_moved(set, "a", &changed[i]), i >= 5, "%zu", i);
	}
	tree_saved_free(set);
}

Test(tree_saved, comes_back_from_its_bytes)
{
	for (size_t n = 0; n <= ARRAY_SIZE(names); n++) {
		struct tree_saved *set = make(n), *back = NULL;
		struct text t = { 0 };

		cr_assert_eq(tree_saved_encode(set, &t), 0);
		cr_assert_eq(tree_saved_decode(t.data, t.len, &back), 0);
		cr_expect_eq(tree_saved_count(back), n);
		for (size_t i = 0; i < n; i++) {
			struct stat st = file;

			st.st_ino += i;
			cr_expect(tree_saved_has(back, names[i], &st), "%s", names[i]);
		}
		text_deinit(&t);
		tree_saved_free(set);
		tree_saved_free(back);
	}
}

Test(tree_saved, a_hundred_thousand_files_are_no_burden)
{
	struct tree_saved *set = tree_saved_new(), *back = NULL;
	struct text t = { 0 };
	char name[32];

	for (int i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "d%d/f%d", i % 100, i);
		cr_assert_eq(tree_saved_add(set, name, &file), 0);
	}
	cr_assert_eq(tree_saved_encode(set, &t), 0);
	cr_assert_eq(tree_saved_decode(t.data, t.len, &back), 0);
	cr_expect_eq(tree_saved_count(back), 100000);
	cr_expect(tree_saved_has(back, "d99/f99999", &file));
	text_deinit(&t);
	tree_saved_free(set);
	tree_saved_free(back);
}

/* exact copies, so that reading past the end is noticed */
static int decode_copy(const char *data, size_t len)
{
	char *copy = malloc(len ? len : 1);
	struct tree_saved *back = NULL;
	int r;

	memcpy(copy, data, len);
	r = tree_saved_decode(copy, len, &back);
	free(copy);
	tree_saved_free(back);
	return r;
}

Test(tree_saved, what_is_cut_or_changed_is_refused)
{
	struct tree_saved *set = make(3);
	struct text t = { 0 };

	cr_assert_eq(tree_saved_encode(set, &t), 0);
	for (size_t len = 0; len < t.len; len++)
		cr_expect_eq(decode_copy(t.data, len), -EUCLEAN, "%zu", len);
	for (size_t i = 0; i < t.len; i++) {
		t.data[i] ^= 1;
		cr_expect_eq(decode_copy(t.data, t.len), -EUCLEAN, "%zu", i);
		t.data[i] ^= 1;
	}
	cr_expect_eq(decode_copy(t.data, t.len), 0);
	text_deinit(&t);
	tree_saved_free(set);
}

/* random bytes that even carry the right hash */
Test(tree_saved, survives_any_bytes)
{
	static const char head[] = "slotd-saved 1\n";

	srandom(1);
	for (int round = 0; round < 20000; round++) {
		char data[300];
		size_t len = (size_t)random() % (sizeof(data) - 40);
		git_oid oid;
		struct sha1 s;
		int r;

		memcpy(data, head, strlen(head));
		for (size_t i = strlen(head); i < strlen(head) + len; i++)
			data[i] = (char)(random() % 4 ? random() : 0);
		len += strlen(head);
		sha1_init(&s);
		sha1_update(&s, data, len);
		cr_assert_eq(sha1_final(&s, &oid), 0);
		memcpy(data + len, oid.id, GIT_OID_RAWSZ);
		r = decode_copy(data, len + GIT_OID_RAWSZ);
		cr_assert(r == 0 || r == -EUCLEAN, "%d", r);
	}
}
