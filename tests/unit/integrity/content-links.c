#include "integrity/content.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

#include "util/text.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HEX_C "cccccccccccccccccccccccccccccccccccccccc"
#define BYTES(s) s, sizeof(s) - 1

/* "tree aa\n": type, the first byte of the oid, and the name of an entry */
static int list_link(const struct content_link *link, void *userdata)
{
	text_addf(userdata, "%s %02x", link->type == GIT_OBJECT_ANY ? "any" : git_object_type2string(link->type),
		  link->oid[0]);
	if (link->name) {
		cr_expect(eq(sz, strlen(link->name), link->name_len));
		text_addf(userdata, " %s", link->name);
	}
	text_add_string(userdata, "\n");
	return 0;
}

static int list_special(enum content_special what, const unsigned char *oid, void *userdata)
{
	text_addf(userdata, "%s %02x\n", what == CONTENT_GITMODULES ? "modules" : "attributes", oid[0]);
	return 0;
}

static void expect_links(git_object_t type, const void *data, size_t len, const char *expected)
{
	struct text t = { 0 };
	struct content_sink sink = { .on_link = list_link, .on_special = list_special, .userdata = &t };
	git_oid oid = { { 0 } };

	cr_assert_eq(content_check(NULL, type, &oid, data, len, &sink), 0);
	cr_expect_str_eq(t.data ? t.data : "", expected);
	text_deinit(&t);
}

Test(content_links, a_commit_leads_to_its_tree_and_parents)
{
	expect_links(GIT_OBJECT_COMMIT, BYTES("tree " HEX_A "\nparent " HEX_B "\nparent " HEX_C "\nauthor x\n\n"),
		     "tree aa\ncommit bb\ncommit cc\n");
	expect_links(GIT_OBJECT_COMMIT, BYTES("tree " HEX_A "\nparent x\nparent " HEX_C "\n\0"), "tree aa\ncommit cc\n");
	expect_links(GIT_OBJECT_COMMIT, BYTES("tree x\nparent " HEX_C "\n"), "commit cc\n");
	expect_links(GIT_OBJECT_COMMIT, BYTES("tree " HEX_A), "");
	expect_links(GIT_OBJECT_COMMIT, BYTES("tree " HEX_A "\n\nparent " HEX_B "\n"), "tree aa\n");
	expect_links(GIT_OBJECT_COMMIT, BYTES("parent " HEX_B "\n"), "commit bb\n");
}

Test(content_links, a_tag_leads_to_what_it_says)
{
	expect_links(GIT_OBJECT_TAG, BYTES("object " HEX_A "\ntype commit\ntag x\n\n"), "commit aa\n");
	expect_links(GIT_OBJECT_TAG, BYTES("object " HEX_A "\ntype tag\n"), "tag aa\n");
	expect_links(GIT_OBJECT_TAG, BYTES("object " HEX_A "\ntype blobs\ntag x\n"), "any aa\n");
	expect_links(GIT_OBJECT_TAG, BYTES("object " HEX_A "\n"), "any aa\n");
	expect_links(GIT_OBJECT_TAG, BYTES("object " HEX_A "\ntype tree"), "any aa\n");
	expect_links(GIT_OBJECT_TAG, BYTES("object x\ntype tree\n"), "");
}

Test(content_links, a_tree_leads_to_its_entries)
{
	expect_links(GIT_OBJECT_TREE, BYTES("100644 a\0" "aaaaaaaaaaaaaaaaaaaa" "40000 b\0" "bbbbbbbbbbbbbbbbbbbb"
					    "120000 c\0" "cccccccccccccccccccc" "160000 d\0" "dddddddddddddddddddd"
					    "10000 e\0" "eeeeeeeeeeeeeeeeeeee" "100 f\0" "ffffffffffffffffffff"),
		     "blob 61 a\ntree 62 b\nblob 63 c\n");
	expect_links(GIT_OBJECT_TREE, BYTES("100644 .gitmodules\0" "aaaaaaaaaaaaaaaaaaaa"
					    "100644 .gitattributes\0" "bbbbbbbbbbbbbbbbbbbb" "x y\0" "cccccccccccccccccccc"),
		     "modules 61\nblob 61 .gitmodules\nattributes 62\nblob 62 .gitattributes\n");
	expect_links(GIT_OBJECT_TREE, BYTES("120000 .gitmodules\0" "aaaaaaaaaaaaaaaaaaaa"), "blob 61 .gitmodules\n");
	expect_links(GIT_OBJECT_TREE, "", 0, "");
}

Test(content_links, blobs_are_fine)
{
	expect_links(GIT_OBJECT_BLOB, BYTES("tree " HEX_A "\n"), "");
}

static int count(const char *id, enum finding_severity severity, const char *detail, void *userdata)
{
	++*(unsigned *)userdata;
	return 0;
}

Test(content_links, what_is_empty_may_come_without_a_buffer)
{
	unsigned n = 0;
	struct content_sink sink = { .on_problem = count, .userdata = &n };
	git_oid oid = { { 0 } };

	cr_assert_eq(content_check(NULL, GIT_OBJECT_TREE, &oid, NULL, 0, &sink), 0);
	cr_assert_eq(content_check(NULL, GIT_OBJECT_BLOB, &oid, NULL, 0, &sink), 0);
	cr_assert_eq(content_check_special(NULL, CONTENT_GITMODULES, &oid, NULL, 0, &sink), 0);
	cr_assert_eq(content_check_special(NULL, CONTENT_GITATTRIBUTES, &oid, NULL, 0, &sink), 0);
	cr_expect(eq(u32, n, 0));
	cr_assert_eq(content_check(NULL, GIT_OBJECT_COMMIT, &oid, NULL, 0, &sink), 0);
	cr_assert_eq(content_check(NULL, GIT_OBJECT_TAG, &oid, NULL, 0, &sink), 0);
	cr_expect(eq(u32, n, 2));
}

static int refuse_problem(const char *id, enum finding_severity severity, const char *detail, void *userdata)
{
	return -ECANCELED;
}

static int refuse_link(const struct content_link *link, void *userdata)
{
	return -EPIPE;
}

static int refuse_special(enum content_special what, const unsigned char *oid, void *userdata)
{
	return -ENODATA;
}

Test(content_links, what_a_function_returns_ends_it)
{
	static const char modules[] = "100644 .gitmodules\0" "aaaaaaaaaaaaaaaaaaaa", commit[] = "tree " HEX_A "\n",
			  tag[] = "object " HEX_A "\ntype x\n", dot[] = "40000 .\0" "aaaaaaaaaaaaaaaaaaaa",
			  url[] = "[submodule \"a\"]\nurl = -\n";
	struct content_sink problem = { .on_problem = refuse_problem }, link = { .on_link = refuse_link },
			    special = { .on_special = refuse_special }, none = { 0 };
	git_oid oid = { { 0 } };

	cr_expect(eq(int, content_check(NULL, GIT_OBJECT_COMMIT, &oid, BYTES(commit), &problem), -ECANCELED));
	cr_expect(eq(int, content_check(NULL, GIT_OBJECT_TAG, &oid, BYTES(tag), &problem), -ECANCELED));
	cr_expect(eq(int, content_check(NULL, GIT_OBJECT_TREE, &oid, BYTES(dot), &problem), -ECANCELED));
	cr_expect(eq(int, content_check(NULL, GIT_OBJECT_COMMIT, &oid, BYTES(commit), &link), -EPIPE));
	cr_expect(eq(int, content_check(NULL, GIT_OBJECT_TAG, &oid, BYTES(tag), &link), -EPIPE));
	cr_expect(eq(int, content_check(NULL, GIT_OBJECT_TREE, &oid, BYTES(dot), &link), -EPIPE));
	cr_expect(eq(int, content_check(NULL, GIT_OBJECT_TREE, &oid, BYTES(modules), &special), -ENODATA));
	cr_expect(eq(int, content_check_special(NULL, CONTENT_GITMODULES, &oid, BYTES(url), &problem), -ECANCELED));
	cr_expect(eq(int, content_check_special(NULL, CONTENT_GITATTRIBUTES, &oid, NULL, 1, &problem), -ECANCELED));
	cr_expect(eq(int, content_tell_special(NULL, CONTENT_GITMODULES, &oid, true, &problem), -ECANCELED));
	cr_expect(eq(int, content_check(NULL, GIT_OBJECT_TREE, &oid, BYTES(modules), &none), 0));
	cr_expect(eq(int, content_check(NULL, GIT_OBJECT_TAG, &oid, BYTES(tag), &none), 0));
}
