/*
 * Each message that git has, made to be told: by us always, and by git fsck, with the same severity, but where its
 * parser or mktag is the only one that sees it (tests of content.c).
 */
#include "integrity/content.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "fsck-witness.h"
#include "git-fixture.h"
#include "util/text.h"

TestSuite(content_ids, .init = witness_init, .fini = witness_deinit);

#define HEAD_OF_COMMIT "tree 1234567890123456789012345678901234567890\n"
#define A_AUTHOR "author A <a> 1 +0000\n"
#define A_COMMITTER "committer C <c> 1 +0000\n"
#define HEAD_OF_TAG "object 0987654321098765432109876543210987654321\ntype blob\n"
#define A_TAGGER "tagger T <t> 1 +0000\n"
#define BYTES(s) s, sizeof(s) - 1
#define BLOB_OID "12345678901234567890"
#define WITH_AUTHOR(s) BYTES(HEAD_OF_COMMIT "author " s "\n" A_COMMITTER "\n")

enum seen_by_git {
	SEEN,
	UNPARSABLE, /* git fsck says that it cannot be parsed, and no more */
};

static const struct sample {
	const char *id;
	git_object_t type; /* _BLOB: of .gitmodules; _ANY: of .gitattributes */
	const char *data;
	size_t len;
	enum seen_by_git git;
} samples[] = {
	{ "badDate", GIT_OBJECT_COMMIT, WITH_AUTHOR("A <a> x +0000") },
	{ "badDateOverflow", GIT_OBJECT_COMMIT, WITH_AUTHOR("A <a> 18446744073709551615 +0000") },
	{ "badEmail", GIT_OBJECT_COMMIT, WITH_AUTHOR("A <a") },
	{ "badFilemode", GIT_OBJECT_TREE, BYTES("100640 a\0" BLOB_OID) },
	{ "badName", GIT_OBJECT_COMMIT, WITH_AUTHOR("A>") },
	{ "badObjectSha1", GIT_OBJECT_TAG, BYTES("object x\ntype blob\ntag t\n" A_TAGGER), UNPARSABLE },
	{ "badParentSha1", GIT_OBJECT_COMMIT, BYTES(HEAD_OF_COMMIT "parent x\n" A_AUTHOR A_COMMITTER), UNPARSABLE },
	{ "badTagName", GIT_OBJECT_TAG, BYTES(HEAD_OF_TAG "tag t t\n" A_TAGGER) },
	{ "badTimezone", GIT_OBJECT_COMMIT, WITH_AUTHOR("A <a> 1 UTC") },
	{ "badTree", GIT_OBJECT_TREE, BYTES("100644 a") },
	{ "badTreeSha1", GIT_OBJECT_COMMIT, BYTES("tree x\n" A_AUTHOR A_COMMITTER), UNPARSABLE },
	{ "badType", GIT_OBJECT_TAG, BYTES("object 0987654321098765432109876543210987654321\ntype x\ntag t\n" A_TAGGER),
	  UNPARSABLE },
	{ "duplicateEntries", GIT_OBJECT_TREE, BYTES("100644 a\0" BLOB_OID "100644 a\0" BLOB_OID) },
	{ "fullPathname", GIT_OBJECT_TREE, BYTES("100644 a/a\0" BLOB_OID) },
	{ "gitattributesBlob", GIT_OBJECT_TREE, BYTES("100644 .gitattributes\0\x4b\x82\x5d\xc6\x42\xcb\x6e\xb9\xa0\x60\xe5"
						      "\x4b\xf8\xd6\x92\x88\xfb\xee\x49\x04") },
	{ "gitattributesLineLength", GIT_OBJECT_ANY, NULL, 3000 },
	{ "gitattributesMissing", GIT_OBJECT_TREE, BYTES("100644 .gitattributes\0" BLOB_OID) },
	{ "gitattributesSymlink", GIT_OBJECT_TREE, BYTES("120000 .gitattributes\0" BLOB_OID) },
	{ "gitignoreSymlink", GIT_OBJECT_TREE, BYTES("120000 .gitignore\0" BLOB_OID) },
	{ "gitmodulesBlob", GIT_OBJECT_TREE, BYTES("100644 .gitmodules\0\x4b\x82\x5d\xc6\x42\xcb\x6e\xb9\xa0\x60\xe5"
						   "\x4b\xf8\xd6\x92\x88\xfb\xee\x49\x04") },
	{ "gitmodulesMissing", GIT_OBJECT_TREE, BYTES("100644 .gitmodules\0" BLOB_OID) },
	{ "gitmodulesName", GIT_OBJECT_BLOB, BYTES("[submodule \"..\"]\nx\n") },
	{ "gitmodulesParse", GIT_OBJECT_BLOB, BYTES("[\n") },
	{ "gitmodulesPath", GIT_OBJECT_BLOB, BYTES("[submodule \"a\"]\npath = -x\n") },
	{ "gitmodulesSymlink", GIT_OBJECT_TREE, BYTES("120000 .gitmodules\0" BLOB_OID) },
	{ "gitmodulesUpdate", GIT_OBJECT_BLOB, BYTES("[submodule \"a\"]\nupdate = !x\n") },
	{ "gitmodulesUrl", GIT_OBJECT_BLOB, BYTES("[submodule \"a\"]\nurl = -x\n") },
	{ "hasDot", GIT_OBJECT_TREE, BYTES("40000 .\0" BLOB_OID) },
	{ "hasDotdot", GIT_OBJECT_TREE, BYTES("40000 ..\0" BLOB_OID) },
	{ "hasDotgit", GIT_OBJECT_TREE, BYTES("40000 .git\0" BLOB_OID) },
	{ "mailmapSymlink", GIT_OBJECT_TREE, BYTES("120000 .mailmap\0" BLOB_OID) },
	{ "missingAuthor", GIT_OBJECT_COMMIT, BYTES(HEAD_OF_COMMIT A_COMMITTER) },
	{ "missingCommitter", GIT_OBJECT_COMMIT, BYTES(HEAD_OF_COMMIT A_AUTHOR) },
	{ "missingEmail", GIT_OBJECT_COMMIT, WITH_AUTHOR("A 1 +0000") },
	{ "missingNameBeforeEmail", GIT_OBJECT_COMMIT, WITH_AUTHOR("<a> 1 +0000") },
	{ "missingObject", GIT_OBJECT_TAG, BYTES("type blob\ntag t\n" A_TAGGER), UNPARSABLE },
	{ "missingSpaceBeforeDate", GIT_OBJECT_COMMIT, WITH_AUTHOR("A <a>1 +0000") },
	{ "missingSpaceBeforeEmail", GIT_OBJECT_COMMIT, WITH_AUTHOR("A<a> 1 +0000") },
	{ "missingTagEntry", GIT_OBJECT_TAG, BYTES(HEAD_OF_TAG A_TAGGER), UNPARSABLE },
	{ "missingTaggerEntry", GIT_OBJECT_TAG, BYTES(HEAD_OF_TAG "tag t\n") },
	{ "missingTree", GIT_OBJECT_COMMIT, BYTES(A_AUTHOR A_COMMITTER), UNPARSABLE },
	{ "missingTypeEntry", GIT_OBJECT_TAG, BYTES("object 0987654321098765432109876543210987654321\ntag t\n" A_TAGGER),
	  UNPARSABLE },
	{ "multipleAuthors", GIT_OBJECT_COMMIT, BYTES(HEAD_OF_COMMIT A_AUTHOR A_AUTHOR A_COMMITTER) },
	{ "nulInCommit", GIT_OBJECT_COMMIT, BYTES(HEAD_OF_COMMIT A_AUTHOR A_COMMITTER "\n\0") },
	{ "nulInHeader", GIT_OBJECT_COMMIT, BYTES(HEAD_OF_COMMIT A_AUTHOR A_COMMITTER "\0\n") },
	{ "nullSha1", GIT_OBJECT_TREE, BYTES("100644 a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0") },
	{ "treeNotSorted", GIT_OBJECT_TREE, BYTES("100644 b\0" BLOB_OID "100644 a\0" BLOB_OID) },
	{ "unterminatedHeader", GIT_OBJECT_COMMIT, BYTES(HEAD_OF_COMMIT "x") },
	{ "zeroPaddedDate", GIT_OBJECT_COMMIT, WITH_AUTHOR("A <a> 01 +0000") },
	{ "zeroPaddedFilemode", GIT_OBJECT_TREE, BYTES("040000 a\0" BLOB_OID) },
};

#define N_SAMPLES (sizeof(samples) / sizeof(*samples))

static void add_special(const struct sample *s)
{
	char long_line[3000], entry[64];
	git_oid oid;
	size_t blob;
	int len;

	memset(long_line, 'x', sizeof(long_line));
	blob = witness_add(GIT_OBJECT_BLOB, s->data ? s->data : long_line, s->len);
	len = snprintf(entry, sizeof(entry), "100644 %s", s->type == GIT_OBJECT_BLOB ? ".gitmodules" : ".gitattributes");
	cr_assert_eq(git_oid_fromstr(&oid, witness_hex(blob)), 0);
	memcpy(entry + len + 1, oid.id, GIT_OID_RAWSZ);
	witness_add(GIT_OBJECT_TREE, entry, (size_t)len + 1 + GIT_OID_RAWSZ);
}

static bool is_told(const char *word, const char *id)
{
	char *line = text_printf("%s %s\n", word, id);
	bool is_there = false;

	for (size_t i = 0; i < witness_count() && !is_there; i++)
		is_there = strstr(witness_ours(i), line);
	free(line);
	return is_there;
}

static const struct sample *find(const char *id)
{
	for (size_t i = 0; i < N_SAMPLES; i++)
		if (strcmp(samples[i].id, id) == 0)
			return &samples[i];
	return NULL;
}

/* those of too large files have tests of their own */
static void expect_told(const char *id, enum finding_severity severity)
{
	const char *word = severity == FINDING_ERROR ? "error" : "warning";
	const struct sample *s = find(id);

	if (strcmp(id, "gitmodulesLarge") == 0 || strcmp(id, "gitattributesLarge") == 0)
		return;
	cr_assert(s != NULL, "%s has no sample", id);
	cr_expect(is_told(word, id), "we do not tell of %s as %s", id, word);
	if (s->git == SEEN)
		cr_expect(sh("grep -aq '^%s in [a-z]* [0-9a-f]*: %s: ' said", word, id), "%s", id);
}

Test(content_ids, each_is_told)
{
	enum finding_severity severity;
	const char *id;
	size_t n = 0;

	for (size_t i = 0; i < N_SAMPLES; i++)
		if (samples[i].type == GIT_OBJECT_BLOB || samples[i].type == GIT_OBJECT_ANY)
			add_special(&samples[i]);
		else
			witness_add(samples[i].type, samples[i].data, samples[i].len);
	witness_add(GIT_OBJECT_TREE, "", 0);
	witness_compare("", "");
	while ((id = fsck_id_at(n, &severity))) {
		expect_told(id, severity);
		n++;
	}
	cr_expect(eq(sz, n, N_SAMPLES + 2));
}

/* with --strict git makes errors of warnings, but not of what it calls information; so the two are told apart */
Test(content_ids, strict_tells_warnings_from_information)
{
	enum finding_severity severity;
	const char *id;
	size_t n = 0;

	for (size_t i = 0; i < N_SAMPLES; i++)
		if (samples[i].type == GIT_OBJECT_BLOB)
			add_special(&samples[i]);
		else if (samples[i].type != GIT_OBJECT_ANY)
			witness_add(samples[i].type, samples[i].data, samples[i].len);
	cr_assert(sh("git -C r fsck --strict > said 2>&1; test $? -lt 128"));
	for (size_t i = 0; (id = fsck_id_at(i, &severity)); i++) {
		if (severity == FINDING_ERROR)
			continue;
		cr_expect(sh("grep -aq '^%s in [a-z]* [0-9a-f]*: %s: ' said", severity == FINDING_WARNING ? "error" : "warning",
			     id), "%s", id);
		n++;
	}
	cr_expect(eq(sz, n, 14));
}

/* git itself knows no other names of messages */
Test(content_ids, git_has_no_others)
{
	const char *const silent[] = { "emptyName", "extraHeaderEntry", "missingTag", "missingType", "unknownType", "skipList" };
	enum finding_severity severity;
	const char *id;
	size_t n = sizeof(silent) / sizeof(*silent);

	cr_assert(sh("git help --config | sed -n 's/^fsck\\.\\([a-z].*\\)$/\\1/p' | grep -v '<' > known"));
	for (size_t i = 0; i < n; i++)
		cr_expect(sh("grep -qx %s known", silent[i]), "%s", silent[i]);
	for (size_t i = 0; (id = fsck_id_at(i, &severity)); i++, n++)
		cr_expect(sh("grep -qx %s known", id), "%s", id);
	cr_expect_str_eq(sh_text("wc -l < known"), fixture_keep(text_printf("%zu", n)));
}
