#include "integrity/content.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fsck-witness.h"
#include "git-fixture.h"
#include "util/fs.h"
#include "util/text.h"

TestSuite(content, .init = witness_init, .fini = witness_deinit);

#define TREE_OID "1234567890123456789012345678901234567890"
#define PARENT_OID "abcdefabcdefabcdefabcdefabcdefabcdefabcd"
#define TAGGED_OID "0987654321098765432109876543210987654321"
#define TREE_LINE "tree " TREE_OID "\n"
#define AUTHOR "author A U Thor <a@example.org> 1700000000 +0100\n"
#define COMMITTER "committer C O Mitter <c@example.org> 1700000000 -0800\n"
#define TAGGER "tagger T A Gger <t@example.org> 1700000000 +0000\n"
#define TAG_LINES "object " TAGGED_OID "\ntype commit\ntag v1\n"

/* a text that may have NULs in it */
#define BYTES(s) s, sizeof(s) - 1

struct sample {
	const char *id; /* what we must tell; "": nothing */
	const char *data;
	size_t len;
};

static const struct sample commits[] = {
	{ "", BYTES(TREE_LINE AUTHOR COMMITTER "\nmessage\n") },
	{ "", BYTES(TREE_LINE AUTHOR COMMITTER) },
	{ "", BYTES(TREE_LINE "parent " PARENT_OID "\n" AUTHOR COMMITTER "encoding x\ngpgsig -----BEGIN\n more\n\nm") },
	{ "", BYTES(TREE_LINE AUTHOR COMMITTER "anything goes\n\nmessage") },
	{ "", BYTES("tree 1234567890ABCDEF789012345678901234567890\n" AUTHOR COMMITTER "\nm\n") },
	{ "missingTree", BYTES("\n") },
	{ "unterminatedHeader", BYTES("") },
	{ "missingTree", BYTES(AUTHOR COMMITTER "\nm\n") },
	{ "badTreeSha1", BYTES("tree 123\n" AUTHOR COMMITTER "\nm\n") },
	{ "badTreeSha1", BYTES("tree " TREE_OID " \n" AUTHOR COMMITTER "\nm\n") },
	{ "badTreeSha1", BYTES("tree 123456789012345678901234567890123456789g\n" AUTHOR COMMITTER "\nm\n") },
	{ "badParentSha1", BYTES(TREE_LINE "parent 123\n" AUTHOR COMMITTER "\nm\n") },
	{ "badParentSha1", BYTES(TREE_LINE "parent " PARENT_OID "\nparent \n" AUTHOR COMMITTER "\nm\n") },
	{ "missingAuthor", BYTES(TREE_LINE "parent\n" AUTHOR COMMITTER "\nm\n") },
	{ "missingAuthor", BYTES(TREE_LINE "\nm\n") },
	{ "missingAuthor", BYTES(TREE_LINE "\nauthor") },
	{ "missingAuthor", BYTES(TREE_LINE COMMITTER AUTHOR "\nm\n") },
	{ "missingAuthor", BYTES(TREE_LINE) },
	{ "multipleAuthors", BYTES(TREE_LINE AUTHOR AUTHOR COMMITTER "\nm\n") },
	{ "multipleAuthors", BYTES(TREE_LINE AUTHOR AUTHOR AUTHOR "\nm\n") },
	{ "missingCommitter", BYTES(TREE_LINE AUTHOR "\nm\n") },
	{ "missingCommitter", BYTES(TREE_LINE AUTHOR) },
	{ "missingCommitter", BYTES(TREE_LINE AUTHOR "author\n" COMMITTER "\nm\n") },
	{ "unterminatedHeader", BYTES(TREE_LINE AUTHOR "committer A <a@b> 1 +0000") },
	{ "nulInHeader", BYTES(TREE_LINE AUTHOR COMMITTER "x\0y\n\nm\n") },
	{ "nulInHeader", BYTES(TREE_LINE "author A <a@b> 1 +0000\0\n" COMMITTER "\nm\n") },
	{ "nulInCommit", BYTES(TREE_LINE AUTHOR COMMITTER "\nmess\0age\n") },
	{ "nulInCommit", BYTES(TREE_LINE AUTHOR COMMITTER "\n\0") },
};

#define IDENT(s) BYTES(TREE_LINE "author " s "\n" COMMITTER "\nm\n")

static const struct sample idents[] = {
	{ "", IDENT("A <a> 0 +0000") },
	{ "", IDENT(" <a> 1 +9999") },
	{ "", IDENT("A <> 1 -0000") },
	{ "", IDENT("A  <a b c>  1 +0000") },
	{ "", IDENT("A <a> +1 +0000") },
	{ "", IDENT("A <a> -0 +0000") },
	{ "", IDENT("\xff\xfe <\xff> 1 +0000") },
	{ "", IDENT("A <a> 9223372036854775807 +0000") },
	{ "", IDENT("A <a> \t1 +0000") },
	{ "missingNameBeforeEmail", IDENT("<a> 1 +0000") },
	{ "badName", IDENT("A> <a> 1 +0000") },
	{ "badName", IDENT("> <a> 1 +0000") },
	{ "missingEmail", IDENT("A 1 +0000") },
	{ "missingEmail", IDENT("") },
	{ "missingSpaceBeforeEmail", IDENT("A<a> 1 +0000") },
	{ "badEmail", IDENT("A <a 1 +0000") },
	{ "badEmail", IDENT("A <a<b> 1 +0000") },
	{ "badEmail", IDENT("A <") },
	{ "missingSpaceBeforeDate", IDENT("A <a>1 +0000") },
	{ "missingSpaceBeforeDate", IDENT("A <a>") },
	{ "missingSpaceBeforeDate", IDENT("A <a>> 1 +0000") },
	{ "zeroPaddedDate", IDENT("A <a> 01 +0000") },
	{ "zeroPaddedDate", IDENT("A <a> 0") },
	{ "badDateOverflow", IDENT("A <a> 9223372036854775808 +0000") },
	{ "badDateOverflow", IDENT("A <a> 18446744073709551616 +0000") },
	{ "badDateOverflow", IDENT("A <a> 99999999999999999999999999 +0000") },
	{ "badDateOverflow", IDENT("A <a> -1 +0000") },
	{ "badDateOverflow", IDENT("A <a> -99999999999999999999999999 +0000") },
	{ "badDate", IDENT("A <a> ") },
	{ "badDate", IDENT("A <a> x +0000") },
	{ "badDate", IDENT("A <a> 1x +0000") },
	{ "badDate", IDENT("A <a> 1") },
	{ "badDate", IDENT("A <a> - +0000") },
	{ "badDate", IDENT("A <a> 1e1 +0000") },
	{ "badTimezone", IDENT("A <a> 1 0000") },
	{ "badTimezone", IDENT("A <a> 1 +000") },
	{ "badTimezone", IDENT("A <a> 1 +00000") },
	{ "badTimezone", IDENT("A <a> 1 +0000 ") },
	{ "badTimezone", IDENT("A <a> 1  +0000") },
	{ "badTimezone", IDENT("A <a> 1 ") },
};

#define NAMED(s) BYTES("object " TAGGED_OID "\ntype commit\ntag " s "\n" TAGGER "\nm\n")

static const struct sample tags[] = {
	{ "", BYTES(TAG_LINES TAGGER "\nm\n") },
	{ "", BYTES(TAG_LINES TAGGER) },
	{ "", BYTES(TAG_LINES TAGGER "more of it\n\nm\n") },
	{ "", NAMED("a/b.c@d") },
	{ "", NAMED("@") },
	{ "", NAMED("-") },
	{ "", NAMED("\xc3\xa4{") },
	{ "missingObject", BYTES("\n") },
	{ "missingObject", BYTES("type commit\ntag v1\n" TAGGER "\nm\n") },
	{ "badObjectSha1", BYTES("object 123\ntype commit\ntag v1\n" TAGGER "\nm\n") },
	{ "badObjectSha1", BYTES("object " TAGGED_OID "x\ntype commit\ntag v1\n" TAGGER "\nm\n") },
	{ "missingTypeEntry", BYTES("object " TAGGED_OID "\ntag v1\n" TAGGER "\nm\n") },
	{ "missingTypeEntry", BYTES("object " TAGGED_OID "\n\nm\n") },
	{ "missingTypeEntry", BYTES("object " TAGGED_OID "\n\ntype") },
	{ "badType", BYTES("object " TAGGED_OID "\ntype commits\ntag v1\n" TAGGER "\nm\n") },
	{ "badType", BYTES("object " TAGGED_OID "\ntype \ntag v1\n" TAGGER "\nm\n") },
	{ "missingTagEntry", BYTES("object " TAGGED_OID "\ntype commit\n" TAGGER "\nm\n") },
	{ "badTagName", NAMED("") },
	{ "badTagName", NAMED("v 1") },
	{ "badTagName", NAMED("v1.lock") },
	{ "badTagName", NAMED("v1.lock/x") },
	{ "badTagName", NAMED(".v1") },
	{ "badTagName", NAMED("v1.") },
	{ "badTagName", NAMED("a/.b") },
	{ "badTagName", NAMED("a//b") },
	{ "badTagName", NAMED("/a") },
	{ "badTagName", NAMED("a/") },
	{ "badTagName", NAMED("a..b") },
	{ "badTagName", NAMED("a@{b") },
	{ "badTagName", NAMED("a~b") },
	{ "badTagName", NAMED("a\\b") },
	{ "badTagName", NAMED("a*") },
	{ "badTagName", NAMED("a\x7f") },
	{ "missingTaggerEntry", BYTES(TAG_LINES "\nm\n") },
	{ "missingTaggerEntry", BYTES(TAG_LINES) },
	{ "badTimezone", BYTES(TAG_LINES "tagger A <a> 1 +00\n\nm\n") },
	{ "missingNameBeforeEmail", BYTES(TAG_LINES "tagger <a> 1 +0000\n\nm\n") },
	{ "nulInHeader", BYTES(TAG_LINES "tagger A <a> 1 +0000\0\n\nm\n") },
	{ "unterminatedHeader", BYTES(TAG_LINES "tagger A <a> 1 +0000") },
};

/* nothing else may be told */
static void expect_id(size_t i, const char *id)
{
	const char *ours = witness_ours(i), *space = strchr(ours, ' ');
	size_t len = strlen(id);
	bool is_good = len == 0 ? !space : space && strncmp(space + 1, id, len) == 0 && strcmp(space + 1 + len, "\n") == 0;

	cr_expect(is_good, "%s: <%s> instead of <%s>", witness_hex(i), ours, id);
}

static void compare_samples(git_object_t type, const struct sample *samples, size_t n)
{
	size_t *numbers = calloc(n, sizeof(*numbers));

	for (size_t i = 0; i < n; i++)
		numbers[i] = witness_add(type, samples[i].data, samples[i].len);
	witness_compare("", "");
	for (size_t i = 0; i < n; i++)
		expect_id(numbers[i], samples[i].id);
	free(numbers);
}

#define COMPARE(type, samples) compare_samples(type, samples, sizeof(samples) / sizeof(*samples))

Test(content, commits)
{
	COMPARE(GIT_OBJECT_COMMIT, commits);
}

Test(content, who_and_when)
{
	COMPARE(GIT_OBJECT_COMMIT, idents);
}

Test(content, tags)
{
	COMPARE(GIT_OBJECT_TAG, tags);
}

static void put(const char *name, const char *data, size_t len)
{
	cr_assert_eq(fs_write_file_at(-1, in_dir(name), data, len, 0644), 0);
}

/*
 * git fsck cannot parse such tags and names no id; git mktag does. For missingTree, badTreeSha1 and badParentSha1
 * nothing in git 2.39 names one.
 */
Test(content, ids_of_tags_that_git_cannot_parse)
{
	static const char *const ids[] = { "missingObject", "badObjectSha1", "missingTypeEntry", "badType",
					   "missingTagEntry", "extraHeaderEntry" };
	static const struct sample extra = { "extraHeaderEntry", BYTES(TAG_LINES TAGGER "more\n\nm\n") };
	size_t n = 0;

	cr_assert(sh("git -C r commit -q --allow-empty -m m"));
	for (size_t i = 0; i <= sizeof(tags) / sizeof(*tags); i++) {
		const struct sample *s = i < sizeof(tags) / sizeof(*tags) ? &tags[i] : &extra;

		for (size_t k = 0; k < sizeof(ids) / sizeof(*ids); k++) {
			if (strcmp(s->id, ids[k]) != 0)
				continue;
			put("tag", s->data, s->len);
			cr_expect(sh("! git -C r mktag < tag 2> said && grep -q 'pass fsck: %s: ' said", s->id),
				  "%s: %s", s->id, sh_text("cat said"));
			n++;
		}
	}
	cr_expect(eq(sz, n, 11));
}

/* fsck.* of the repository raise and lower them, and the rest of an object comes to light */
Test(content, severities_of_the_repository)
{
	static const char *const settings[] = {
		"missingAuthor ignore", "badDate warn", "nulInCommit error", "extraHeaderEntry error",
		"badTagName error", "multipleAuthors warn", "MissingTaggerEntry ignore", "badtimezone warn",
		"missingCommitter warn", "hasDot error", "badName ignore",
	};

	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		cr_assert(sh("git -C r config fsck.%s", settings[i]));
	for (size_t i = 0; i < sizeof(commits) / sizeof(*commits); i++)
		if (commits[i].len != strlen(TREE_LINE)) /* git cannot parse that, whatever it ignores */
			witness_add(GIT_OBJECT_COMMIT, commits[i].data, commits[i].len);
	for (size_t i = 0; i < sizeof(idents) / sizeof(*idents); i++)
		witness_add(GIT_OBJECT_COMMIT, idents[i].data, idents[i].len);
	for (size_t i = 0; i < sizeof(tags) / sizeof(*tags); i++)
		witness_add(GIT_OBJECT_TAG, tags[i].data, tags[i].len);
	witness_add_text(GIT_OBJECT_COMMIT, TREE_LINE "author A <a> x\n" "author B> 1\ncommitter B<b> \n\nm\n");
	witness_add_text(GIT_OBJECT_TAG, TAG_LINES "tagger A <a> 1 +00\nmore\n\nm\n");
	witness_add_text(GIT_OBJECT_TAG, TAG_LINES "tagger A<a> 1 +00\nmore\n\nm\n");
	witness_compare("", "");
	cr_assert(sh("test $(grep -c extraHeaderEntry: said) -ge 2"));
}
