#include "integrity/content.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fsck-witness.h"
#include "git-fixture.h"
#include "util/text.h"

TestSuite(content_tree, .init = witness_init, .fini = witness_deinit);

#define NULL_OID "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define BLOB_OID "12345678901234567890"
#define DIR_OID "abcdefghijabcdefghij"
#define LINK_OID "ABCDEFGHIJABCDEFGHIJ"

#define FILE_(name) "100644 " name "\0" BLOB_OID
#define LINK_(name) "120000 " name "\0" LINK_OID
#define DIR_(name) "40000 " name "\0" DIR_OID
#define BROKEN "x a\0" BLOB_OID
#define BYTES(s) s, sizeof(s) - 1

static const struct sample {
	const char *ids; /* what we must tell, each in a line */
	const char *data;
	size_t len;
} samples[] = {
	{ "", BYTES("") },
	{ "", BYTES(FILE_("a") FILE_("b")) },
	{ "", BYTES(FILE_("a") "100755 b\0" BLOB_OID LINK_("c") DIR_("d") "160000 e\0" DIR_OID) },
	{ "", BYTES("100664 a\0" BLOB_OID) },
	{ "", BYTES(FILE_("a-b") DIR_("a") FILE_("a0")) },
	{ "", BYTES(FILE_("a.c") DIR_("a") FILE_("a0") FILE_("b\xff")) },
	{ "", BYTES(FILE_("\x7f") FILE_("\x80")) },
	{ "badTree", BYTES("x") },
	{ "badTree", BYTES("100644 a\0" "1234567890123456789") },
	{ "badTree", BYTES(FILE_("a") "1") },
	{ "badTree", BYTES(FILE_("a") FILE_("")) },
	{ "badTree", BYTES(FILE_("")) },
	{ "badTree", BYTES("10064x a\0" BLOB_OID) },
	{ "badTree", BYTES("100684 a\0" BLOB_OID) },
	{ "badTree", BYTES(" a\0" BLOB_OID) },
	{ "badTree", BYTES("100644\0" BLOB_OID "123") },
	{ "badTree", BYTES("100644 a" BLOB_OID BLOB_OID) },
	{ "badTree", BYTES("-100644 a\0" BLOB_OID) },
	{ "badTree zeroPaddedFilemode", BYTES("0100644 a\0" BLOB_OID BROKEN) },
	{ "badTree", BYTES(FILE_("b") FILE_("a") BROKEN) }, /* the order of the last is not looked at */
	{ "badTree treeNotSorted", BYTES(FILE_("b") FILE_("a") FILE_("c") BROKEN) },
	{ "badFilemode", BYTES("100600 a\0" BLOB_OID) },
	{ "badFilemode zeroPaddedFilemode", BYTES("0 a\0" BLOB_OID) },
	{ "badFilemode", BYTES("10644 a\0" BLOB_OID) },
	{ "badFilemode", BYTES("140000 a\0" BLOB_OID) },
	{ "badFilemode", BYTES("40755 a\0" DIR_OID) },
	{ "badFilemode", BYTES("120777 a\0" LINK_OID) },
	{ "", BYTES("1100644 a\0" BLOB_OID) }, /* the digits that are too many fall off */
	{ "", BYTES("777777777777777777777700100644 a\0" BLOB_OID) },
	{ "zeroPaddedFilemode", BYTES("040000 a\0" DIR_OID) },
	{ "zeroPaddedFilemode", BYTES(FILE_("a") "0100644 b\0" BLOB_OID) },
	{ "nullSha1", BYTES("100644 a\0" NULL_OID) },
	{ "", BYTES("100644 a\0" "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1") },
	{ "fullPathname", BYTES(FILE_("a/b")) },
	{ "fullPathname", BYTES(FILE_("abcdefghijklmnop/")) },
	{ "", BYTES("100644 abc\0/2345678901234567890") },
	{ "", BYTES("100644 abc\0\\2345678901234567890") },
	{ "hasDot", BYTES(DIR_(".")) },
	{ "hasDotdot", BYTES(DIR_("..")) },
	{ "", BYTES(DIR_("...")) },
	{ "hasDotgit", BYTES(DIR_(".git")) },
	{ "duplicateEntries", BYTES(FILE_("a") FILE_("a")) },
	{ "duplicateEntries", BYTES(FILE_("a") DIR_("a")) },
	{ "duplicateEntries", BYTES(DIR_("a") FILE_("a")) },
	{ "duplicateEntries", BYTES(FILE_("a") FILE_("a.b") DIR_("a")) },
	{ "duplicateEntries", BYTES(FILE_("a") FILE_("a.b") FILE_("a.b.c") DIR_("a.b") FILE_("ab")) },
	{ "duplicateEntries", BYTES(FILE_("a") FILE_("a.b") FILE_("a.b.c") DIR_("a.b") DIR_("a")) },
	{ "duplicateEntries", BYTES(FILE_("a") FILE_("a.b") FILE_("a.b.c") DIR_("a")) },
	{ "", BYTES(FILE_("a.b") FILE_("a.b.c") DIR_("a") FILE_("b")) },
	{ "treeNotSorted", BYTES(FILE_("b") FILE_("a")) },
	{ "treeNotSorted", BYTES(FILE_("ab") FILE_("a")) },
	{ "treeNotSorted", BYTES(DIR_("a") FILE_("a-b")) },
	{ "treeNotSorted", BYTES(FILE_("\x80") FILE_("\x7f")) },
	{ "treeNotSorted", BYTES(FILE_("a\x80") FILE_("a")) },
	{ "duplicateEntries treeNotSorted", BYTES(FILE_("c") FILE_("c.d") FILE_("a") FILE_("c.z") DIR_("c")) },
	{ "badFilemode duplicateEntries fullPathname hasDot hasDotdot hasDotgit nullSha1 treeNotSorted "
	  "zeroPaddedFilemode",
	  BYTES(DIR_("b") "0100600 a\0" NULL_OID FILE_(".") FILE_("..") FILE_(".git") FILE_(".git") FILE_("x/y")) },
};

/* "error a\nwarning b\n" as "a b" in the order of the alphabet */
static char *ids_of(const char *lines)
{
	char *sorted = sh_text("printf '%%s' '%s' | sed 's/.* //' | LC_ALL=C sort | tr '\\n' ' '", lines);

	if (*sorted)
		sorted[strlen(sorted) - 1] = '\0';
	return sorted;
}

Test(content_tree, trees)
{
	size_t n = sizeof(samples) / sizeof(*samples), numbers[sizeof(samples) / sizeof(*samples)];

	for (size_t i = 0; i < n; i++)
		numbers[i] = witness_add(GIT_OBJECT_TREE, samples[i].data, samples[i].len);
	witness_compare("", "");
	for (size_t i = 0; i < n; i++)
		cr_expect_str_eq(ids_of(witness_ours(numbers[i])), samples[i].ids, "%zu: %s", i,
				 witness_ours(numbers[i]));
}

#define ZWNJ "\xe2\x80\x8c"
#define BOM "\xef\xbb\xbf"

/* each is asked about as a file and as a link */
static const char *const names[] = {
	".git", ".GIT", ".gIt", ".git ", ".git.", ".git . .", ".git:x", ".git.:", ".git/x", ".git\\x", ".gitx",
	".git~1", "git~1", "GIT~1", "git~1 .", "git~1:$DATA", "git~1\\", "git~10", "git~2", "git", " .git", "..git",
	ZWNJ ".git", "." ZWNJ "git", ".g" ZWNJ "it", ".git" ZWNJ, BOM ".gi" BOM "t", ".git\xe2\x80\xaa", ".git\xe2\x80\xab",
	".git\xe2\x80\xae", ".git\xe2\x80\xaf", ".git\xe2\x81\xaa", ".git\xe2\x81\xaf", ".git\xe2\x81\xb0", ".git\xe2\x80\x8b",
	".git\xe2\x80\x8f", ".git\xe2\x80\x90", ".git\xff", ".git\xc3\xa4", ".git\xc3", ".git\xc1\xbf", ".git\xe0\x80\x80",
	".git\xed\xa0\x80", ".git\xef\xbf\xbe", ".git\xef\xbf\xbd", ".git\xf0\x9f\x98\x80", ".git\xf0\x80\x80\x80",
	".git\xf4\x90\x80\x80", ".git\xf5\x80\x80\x80", ".git\x80", ".g\xffit", ".g\xc4\xb1t", ".git" ZWNJ "/x", ".git" ZWNJ ":",
	".git\xf0\x9f\x98", ".git\xe2\x80", ZWNJ, "\xe2", "\xef\xbb", ZWNJ "." ZWNJ, "." ZWNJ ".",
	"a\\.git", "a\\.git\\b", "a\\b\\git~1", "a\\.gitx", "\\.git", "a\\" ZWNJ ".git", "a\\.gitmodules",
	"a\\gitmod~1", "a\\.gitattributes", "a\\.gitignore", "a\\", "\\", "a\\b\\gi7eba~1 ",
	".gitmodules", ".GITMODULES", ".gitmodules ", ".gitmodules.:x", ".gitmodules/", ".gitmodulesx",
	".gitmodules\\", "gitmod~1", "gitmod~4", "gitmod~5", "gitmod~1 ", "gitmod~1x", "gitmod~10", "GITMOD~1",
	"gi7eba~1", "gi7eb~10", "gi7e~101", "gi7~1000", "gi~10000", "g~100000", "~1000000", "~9", "~1234567:",
	"~0234567", "~123456x", "gi7eba~0", "gi7eba~a", "gi7eba~9 .:", "gi7ebb~1", "gi7eba1~1", "GI7EBA~1", "gi7eb~1",
	"gi7eba~11", ".gitmodules" ZWNJ, ".git" ZWNJ "modules", ".gitmodules\xff", ZWNJ ".gitmodules", ".gitmodulez",
	".gitattributes", ".gitAttributes ", "gitatt~1", "gi7d29~1", "gi7d2~12", ".gitattributes:x", ".gitattribute",
	".gitattributes" ZWNJ, ".gitattributes\x80",
	".gitignore", ".GITIGNORE.", "gitign~1", "gi250a~1", "gi250~10", ".gitignore" ZWNJ, ".gitignored",
	".mailmap", ".MailMap", "mailma~1", "maba30~1", "MABA3~99", "mailma~5", ".mailmap" ZWNJ, ".mailmap:", "mailmap",
	"mailmap~1", "maba30~1x", "m", "g", "G", "M", ".", "..", ".g", ".gi", "~", "~1", "git~", "gitm~1", "mailm~1",
};

Test(content_tree, special_names_in_all_spellings)
{
	static const char *const modes[] = { "100644", "120000" };
	size_t attention = 0, n;
	char data[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		for (size_t k = 0; k < 2; k++) {
			int len = snprintf(data, sizeof(data), "%s %s", modes[k], names[i]) + 1;

			memcpy(data + len, k ? LINK_OID : BLOB_OID, GIT_OID_RAWSZ);
			witness_add(GIT_OBJECT_TREE, data, (size_t)len + GIT_OID_RAWSZ);
		}
	witness_compare("", "");
	n = 2 * sizeof(names) / sizeof(*names);
	for (size_t i = 0; i < n; i++)
		attention += *witness_ours(i) != '\0';
	cr_expect(attention > 80 && attention < n - 50, "%zu of %zu", attention, n);
}

/* file "a", file "a.", ...: each goes on in the next, and after them come directories with some of the names */
static void add_nested(struct text *t, size_t depth, size_t dirs)
{
	char name[1024];

	memset(name, '.', sizeof(name));
	name[0] = 'a';
	for (size_t len = 1; len <= depth; len++) {
		text_addf(t, "100644 %.*s", (int)len, name);
		text_add(t, "\0" BLOB_OID, 1 + GIT_OID_RAWSZ);
	}
	text_addf(t, "100644 %.*s!", (int)depth, name);
	text_add(t, "\0" BLOB_OID, 1 + GIT_OID_RAWSZ);
	for (size_t len = depth; len > depth - dirs; len--) {
		text_addf(t, "40000 %.*s%s", (int)len, name, len == depth - dirs + 1 ? "" : "-");
		text_add(t, "\0" DIR_OID, 1 + GIT_OID_RAWSZ);
	}
}

Test(content_tree, a_directory_is_found_among_many_files_that_go_on)
{
	static const size_t depths[] = { 3, 63, 64, 65, 66, 200, 700 };
	size_t found = 0;

	for (size_t i = 0; i < sizeof(depths) / sizeof(*depths); i++)
		for (size_t dirs = 1; dirs <= 3; dirs++) {
			struct text t = { 0 };

			add_nested(&t, depths[i], dirs);
			witness_add(GIT_OBJECT_TREE, t.data, t.len);
			text_deinit(&t);
		}
	witness_compare("", "");
	for (size_t i = 0; i < witness_count(); i++)
		found += witness_has(witness_ours(i), "duplicateEntries");
	cr_expect(found >= sizeof(depths) / sizeof(*depths), "%zu", found);
}
