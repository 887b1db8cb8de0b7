/* What nobody thought of: good objects with a few bytes or lines changed, hundreds of each kind. */
#include "integrity/content.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "fsck-witness.h"
#include "git-fixture.h"
#include "util/text.h"

TestSuite(content_random, .init = witness_init, .fini = witness_deinit, .timeout = 200);

#define VARIANTS 400

static unsigned seed = 1;

static size_t pick(size_t n)
{
	return (size_t)rand_r(&seed) % n;
}

/* bytes that mean something somewhere */
static char interesting(void)
{
	static const char bytes[] = " \n\n<>+-0019azAZ./\\:~@#;=[]\"\"!%\t\r\0\x7f\x80\xff\xe2";

	return bytes[pick(sizeof(bytes) - 1)];
}

/* one byte replaced, put in, or left out */
static void change_byte(const struct text *from, struct text *ret)
{
	size_t at = pick(from->len), how = pick(3);
	char c = interesting();

	text_add(ret, from->data, at);
	if (how != 0)
		text_add(ret, &c, 1);
	text_add(ret, from->data + at + (how != 1), from->len - at - (how != 1));
}

/* a line left out, doubled, or moved to the end */
static void change_line(const struct text *from, struct text *ret)
{
	size_t start = pick(from->len), end, how = pick(3);

	while (start > 0 && from->data[start - 1] != '\n')
		start--;
	end = start;
	while (end < from->len && from->data[end++] != '\n')
		;
	text_add(ret, from->data, start);
	if (how == 1) {
		text_add(ret, from->data + start, end - start);
		text_add(ret, from->data + start, end - start);
	}
	text_add(ret, from->data + end, from->len - end);
	if (how == 2)
		text_add(ret, from->data + start, end - start);
}

/* @text: freed and replaced */
static void mutate(struct text *t, bool has_lines)
{
	for (size_t n = 1 + pick(3); n > 0 && t->len > 0; n--) {
		struct text changed = { 0 };

		if (has_lines && pick(4) == 0)
			change_line(t, &changed);
		else
			change_byte(t, &changed);
		text_deinit(t);
		*t = changed;
	}
}

static void add_variants(git_object_t type, const char *good)
{
	for (size_t i = 0; i < VARIANTS; i++) {
		struct text t = { 0 };

		text_add_string(&t, good);
		mutate(&t, true);
		witness_add(type, t.data ? t.data : "", t.len);
		text_deinit(&t);
	}
}

/* of those that were added: how many we find fault with. Both good and bad ones must be many */
static void expect_variety(void)
{
	size_t n = witness_count(), bad = 0;

	for (size_t i = 0; i < n; i++)
		bad += *witness_ours(i) != '\0';
	cr_expect(bad >= n / 20 && bad <= n - n / 20, "%zu of %zu", bad, n);
}

Test(content_random, commits)
{
	add_variants(GIT_OBJECT_COMMIT, "tree 1234567890123456789012345678901234567890\n"
					"parent abcdefabcdefabcdefabcdefabcdefabcdefabcd\n"
					"author A <a@b> 17 +0000\ncommitter C O <> 0 -0100\n\nm\n");
	witness_compare("", "");
	expect_variety();
}

Test(content_random, tags)
{
	add_variants(GIT_OBJECT_TAG, "object 1234567890123456789012345678901234567890\n"
				     "type blob\ntag a/v1.2\ntagger A <a> 1700000000 +0000\n\nm\n");
	witness_compare("", "");
	expect_variety();
}

static void add_random_entry(struct text *t)
{
	static const char *const modes[] = { "100644", "100644", "100755", "120000", "40000", "40000",
					     "160000", "040000", "100664", "100600" };
	static const char *const names[] = { "a", "a.c", "a.c.d", "a-", "a0", "b", "b.c", "b/", ".", "..", ".git", ".gitmodules",
					     ".gitattributes", ".gitignore", ".mailmap", "git~1", "gitmod~1", "x\\.git",
					     "x\\.gitmodules", "maba30~1", ".git\xe2\x80\x8c", "~1234567", "c" };
	const char *mode = modes[pick(sizeof(modes) / sizeof(*modes))];

	text_addf(t, "%s %s", mode, names[pick(sizeof(names) / sizeof(*names))]);
	text_add(t, "", 1);
	if (pick(20) == 0)
		text_add(t, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", GIT_OID_RAWSZ);
	else
		text_addf(t, "%-20.20s", mode); /* each kind of its own */
}

Test(content_random, trees)
{
	for (size_t i = 0; i < VARIANTS; i++) {
		struct text t = { 0 };

		for (size_t n = 1 + pick(5); n > 0; n--)
			add_random_entry(&t);
		if (pick(2))
			mutate(&t, false);
		witness_add(GIT_OBJECT_TREE, t.data ? t.data : "", t.len);
		text_deinit(&t);
	}
	witness_compare("", "");
	cr_expect(sh("test $(grep -ao 'in tree [0-9a-f]*: [a-zA-Z0-9]*: ' said | sed 's/.*: \\(.*\\): /\\1/' | sort -u | wc -l) -ge 14"));
}

/* in an order that git would write, with names of which many go on in others; some bytes changed */
Test(content_random, long_sorted_trees)
{
	for (size_t i = 0; i < 60; i++) {
		struct text t = { 0 };
		char name[] = "a";

		for (name[0] = 'a'; name[0] < 'z'; name[0]++) {
			if (pick(2))
				text_addf(&t, "100644 %s%c%20s", name, 0, "blob");
			if (pick(2))
				text_addf(&t, "100644 %s.c%c%20s", name, 0, "blob");
			if (pick(6) == 0)
				text_addf(&t, "40000 %s%c%20s", name, 0, "tree");
		}
		if (pick(2) && t.len)
			mutate(&t, false);
		witness_add(GIT_OBJECT_TREE, t.data ? t.data : "", t.len);
		text_deinit(&t);
	}
	witness_compare("", "");
	cr_expect(sh("grep -q duplicateEntries said"));
}

static void add_as_modules(const struct text *t)
{
	char entry[64] = "100644 .gitmodules";
	size_t len = strlen(entry) + 1;
	git_oid oid;

	cr_assert_eq(git_oid_fromstr(&oid, witness_hex(witness_add(GIT_OBJECT_BLOB, t->data ? t->data : "", t->len))), 0);
	memcpy(entry + len, oid.id, GIT_OID_RAWSZ);
	witness_add(GIT_OBJECT_TREE, entry, len + GIT_OID_RAWSZ);
}

Test(content_random, modules)
{
	static const char *const good[] = {
		"[submodule \"a/..b\"]\n\tpath = a\n\turl = https://u:p@h:1/%0bx\n\tupdate = none\n",
		"[submodule \"..a\"]\nx\n[submodule \"\\\\b\"]\n\turl = .././x\n",
		"[submodule \".a\"]\n\turl = http::ftp://a%0xb\n\turl = git://%a\n",
		"[submodule \"a\"]\n\tupdate = x!x\n\tupdate = \"x!\"\n",
		"[submodule \"a\"]\n\tpath = a-b\n\tpath = \"a-\"\n",
		"[submodule \"a\"]\n\turl = ../..x\n\turl = ./%0d\n\turl = ftp://x\n",
	};

	for (size_t i = 0; i < VARIANTS; i++) {
		struct text t = { 0 };

		text_add_string(&t, good[i % (sizeof(good) / sizeof(*good))]);
		mutate(&t, true);
		add_as_modules(&t);
		text_deinit(&t);
	}
	witness_compare("", "");
	cr_expect(sh("test $(grep -ao 'in blob [0-9a-f]*: [a-zA-Z]*: ' said | sed 's/.*: \\(.*\\): /\\1/' | sort -u | wc -l) -ge 4"));
}
