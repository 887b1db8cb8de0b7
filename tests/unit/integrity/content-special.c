#include "integrity/content.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fsck-witness.h"
#include "git-fixture.h"
#include "util/text.h"

TestSuite(content_special, .init = witness_init, .fini = witness_deinit, .timeout = 200);

/* a tree with such an entry, which makes the object special */
static size_t add_entry(const char *mode, const char *name, const char *hex)
{
	char data[128];
	int len = snprintf(data, sizeof(data), "%s %s", mode, name) + 1;
	git_oid oid;

	cr_assert_eq(git_oid_fromstr(&oid, hex), 0);
	memcpy(data + len, oid.id, GIT_OID_RAWSZ);
	return witness_add(GIT_OBJECT_TREE, data, (size_t)len + GIT_OID_RAWSZ);
}

static size_t add_special(const char *name, const void *data, size_t len)
{
	size_t blob = witness_add(GIT_OBJECT_BLOB, data, len);

	add_entry("100644", name, witness_hex(blob));
	return blob;
}

static size_t add_modules(const char *text)
{
	return add_special(".gitmodules", text, strlen(text));
}

static const char *const urls[] = {
	"https://example.org/x", "http://example.org", "ftp://user:word@example.org/x", "ftps://e", "ssh://x/y", "git@x:y",
	"-x", "--upload-pack=x", "", "./-x", "/x", "file:///x", "../x", "./x", "../../x", "../:x", ".././:x", "../../:x",
	"..//x", ".././/x", "./:x", ".//x", "./../:x", "././:x", "..:x", "../x%0ay", "./x%0Ay", "../x%0y", "../x%", "../x%0a",
	"../x%250a", "../x%00%0a", "../%0g%0a", "./a%0ab:c", "./a:b%0ac", "./:%0a", "../a\\nb", "git://x%0ay", "git://x/y%0a",
	"git://x", "git%0a://x", "git:x%0a", "http:///x", "https://", "http://?x", "http://#", "https:///", "http:x%0a",
	"http::x", "https::http://x", "https::x://y", "ftp::://x", "ftps::-://x", "http::://", "http::://x", "ftp::ssh://x%0a",
	"http://x%0ay/", "http://x:%0a/", "http://x%0a:1/", "http://a%0ab@x/", "http://a:b%0ac@x/", "http://a%0a:b@x/",
	"http://a:b:c%0a@x", "http://a%0ab:c@x:1", "http://a@b@c%0a/", "http://a@b%0a@c/", "http://@x", "http://@", "http://:@x",
	"http://x/@y%0a", "http://x?@y%0a", "http://x/y%0az", "http://x/y:%0a", "http://x/a%0a:b", "http://x///%0a",
	"http://x/%0A%0A", "http://x?%0a", "http://x#%0a:", "http://x?a%0a:b", "http://x/a\\nb", "https::a%0ab://x",
	"https::a:b%0ac://x", "https::a\\nb://x", "HTTP://x%0a", "https:/x%0a", "httpsx://y%0a", "http:///%0a", "http://%0a", "http://a/b%0",
	"http://%00x/", "http://x/%zz%0a", "http://x/%%0a",
};

Test(content_special, urls)
{
	size_t numbers[sizeof(urls) / sizeof(*urls)], n = sizeof(urls) / sizeof(*urls), bad = 0;

	for (size_t i = 0; i < n; i++) {
		char *text = text_printf("[submodule \"m\"]\n\turl = \"%s\"\n", urls[i]);

		numbers[i] = add_modules(text);
		free(text);
	}
	witness_compare("", "");
	for (size_t i = 0; i < n; i++)
		bad += witness_has(witness_ours(numbers[i]), "gitmodulesUrl");
	cr_expect(bad >= 40 && bad <= n - 30, "%zu of %zu", bad, n);
}

static const struct sample {
	const char *ids;
	const char *text;
} modules[] = {
	{ "", "" },
	{ "", "[submodule \"a\"]\n\tpath = a\n\turl = ../a\n\tupdate = rebase\n" },
	{ "", "[submodule]\n\turl = -x\n" },
	{ "", "[other \"..\"]\n\turl = -x\n" },
	{ "", "[submodule \"a\"]\n\turl\n\tpath\n\tupdate\n" },
	{ "", "[submodule \"a\"]\n\turl2 = -x\n" },
	{ "", "[submodule \"..a\"]\nx = y\n[submodule \"a../b\"]\nx = y\n[submodule \"...\"]\nx = y\n" },
	{ "", "[submodule \"..\"]\n" },
	{ "error gitmodulesName\n", "[submodule \"..\"]\n\tx = y\n" },
	{ "error gitmodulesName\n", "[submodule \"../a\"]\n\tx\n" },
	{ "error gitmodulesName\n", "[submodule \"a/..\"]\n\tx = y\n" },
	{ "error gitmodulesName\n", "[submodule \"a\\\\..\"]\n\tx = y\n" },
	{ "error gitmodulesName\n", "[submodule \"a/../b\"]\n\tx = y\n" },
	{ "error gitmodulesName\n", "[submodule \"..\\\\b\"]\n\tx = y\n" },
	{ "error gitmodulesName\n", "[submodule \"\"]\n\tx = y\n" },
	{ "error gitmodulesName\n", "[submodule.x \"..\"]\n\ty = -x\n[submodule \"../x\"]\ny = 1\n" },
	{ "error gitmodulesName\n", "[submodule.]\n[submodule \"..\"]\nx = y\n" },
	{ "error gitmodulesUrl\n", "[submodule.x]\n\turl = -x\n" },
	{ "error gitmodulesUrl\n", "[SubModule \"x\"]\n\tURL = -x\n" },
	{ "error gitmodulesPath\n", "[submodule \"x\"]\n\tpath = -x\n" },
	{ "error gitmodulesUpdate\n", "[submodule \"x\"]\n\tupdate = !x\n" },
	{ "", "[submodule \"x\"]\n\tupdate = \" !x\"\n" },
	{ "", "[submodule \"x\"]\n\tupdate = nonsense\n" },
	{ "error gitmodulesName\nerror gitmodulesPath\nerror gitmodulesUpdate\nerror gitmodulesUrl\n",
	  "[submodule \"..\"]\n\tupdate = !x\n\turl = -x\n\tpath = -x\n" },
	{ "warning gitmodulesParse\n", "[submodule \"a\"\n" },
	{ "warning gitmodulesParse\n", "nonsense !\n" },
	{ "error gitmodulesUrl\nwarning gitmodulesParse\n", "[submodule \"a\"]\n\turl = -x\n\tpath = \"\n" },
	{ "warning gitmodulesParse\n", "<<<<<<< x\n[submodule \"a\"]\n\turl = -x\n" },
};

Test(content_special, gitmodules)
{
	size_t n = sizeof(modules) / sizeof(*modules), numbers[sizeof(modules) / sizeof(*modules)];

	for (size_t i = 0; i < n; i++)
		numbers[i] = add_modules(modules[i].text);
	add_special("GITMOD~1", "[submodule \"a\0\"]\nurl = -x\n", 26);
	add_special(".gitmodules ", "[submodule \"a\"]\nurl = -\0x\npath = \0-\n", 37);
	witness_compare("", "");
	for (size_t i = 0; i < n; i++)
		cr_expect_str_eq(witness_ours(numbers[i]), modules[i].ids, "<%s>", modules[i].text);
}

/* git fsck takes 0xff for the end; git submodule, which reads the file, does not */
Test(content_special, what_git_overlooks)
{
	static const char after[] = "[submodule \"a\"]\npath = x\xff\nurl = -x\n", mark[] = "\xef\xbb\xbf[submodule \"..\"]x\n",
			  comment[] = "# \xff\n[submodule \"..\"]x\n", fine[] = "[submodule \"a\"]\n\tpath = \xff\n\turl = b\n";
	size_t hidden = add_modules(after), marked = add_modules(mark), commented = add_modules(comment);
	size_t harmless = add_modules(fine);

	witness_compare("", "");
	cr_expect_str_eq(witness_ours(hidden), "error gitmodulesUrl\n");
	cr_expect_str_eq(witness_ours(marked), "error gitmodulesName\nwarning gitmodulesParse\n");
	cr_expect_str_eq(witness_ours(commented), "error gitmodulesName\n");
	cr_expect_str_eq(witness_ours(harmless), "");
	cr_expect(sh("! grep -q 'gitmodules[UN]' said"));
	cr_expect(sh("git -C r cat-file blob %s > f && test \"$(git config -f f submodule.a.url)\" = -x", witness_hex(hidden)));
}

Test(content_special, the_same_blob_under_both_names)
{
	char line[4000];
	size_t blob;

	memset(line, 'x', sizeof(line));
	memcpy(line, "[submodule \"a\"]\nurl = -x\n", 25);
	blob = add_special(".gitmodules", line, sizeof(line));
	add_entry("100644", ".gitattributes", witness_hex(blob));
	witness_compare("", "");
	cr_expect_str_eq(witness_ours(blob), "error gitattributesLineLength\nerror gitmodulesUrl\n");
}

static size_t add_attributes(size_t line, const char *before, size_t before_len, const char *behind)
{
	struct text t = { 0 };
	size_t blob;

	text_add(&t, before, before_len);
	for (size_t i = 0; i < line; i++)
		text_add(&t, "x", 1);
	text_add_string(&t, behind);
	blob = add_special(".gitattributes", t.data, t.len);
	text_deinit(&t);
	return blob;
}

Test(content_special, gitattributes)
{
	static const char too_long[] = "error gitattributesLineLength\n";

	size_t longest = add_attributes(2047, "", 0, "\n"), open = add_attributes(2047, "a b\n", 4, "");
	size_t longer = add_attributes(2048, "", 0, "\n"), longer_open = add_attributes(2048, "\n\n", 2, "");
	size_t late = add_attributes(9999, "* text\n", 7, "\ny"), hidden = add_attributes(9999, "a\n\0", 3, "\n");
	size_t none = add_special(".gitattributes", "", 0);

	witness_compare("", "");
	cr_expect_str_eq(witness_ours(longest), "");
	cr_expect_str_eq(witness_ours(open), "");
	cr_expect_str_eq(witness_ours(longer), too_long);
	cr_expect_str_eq(witness_ours(longer_open), too_long);
	cr_expect_str_eq(witness_ours(late), too_long);
	cr_expect_str_eq(witness_ours(hidden), "");
	cr_expect_str_eq(witness_ours(none), "");
}

Test(content_special, what_is_not_there_or_no_blob)
{
	size_t commit = witness_add_text(GIT_OBJECT_COMMIT, "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n"
							    "author A <a> 1 +0000\ncommitter A <a> 1 +0000\n\nm\n");
	size_t tree = witness_add(GIT_OBJECT_TREE, "", 0);

	add_entry("100644", ".gitmodules", "1111111111111111111111111111111111111111");
	add_entry("100755", ".gitattributes", "2222222222222222222222222222222222222222");
	add_entry("40000", ".gitmodules", witness_hex(tree));
	add_entry("160000", ".gitattributes", witness_hex(commit));
	add_entry("160000", ".gitmodules", "3333333333333333333333333333333333333333");
	witness_compare("", "");
	cr_expect_str_eq(witness_ours(tree), "error gitmodulesBlob\n");
	cr_expect_str_eq(witness_ours(commit), "error gitattributesBlob\n");
	cr_expect(eq(sz, witness_count(), 2 + 5 + 3));
	cr_expect_str_eq(witness_ours(7), "error gitmodulesMissing\n");
	cr_expect_str_eq(witness_ours(8), "error gitattributesMissing\n");
	cr_expect_str_eq(witness_ours(9), "error gitmodulesMissing\n");
}

Test(content_special, attributes_of_more_than_100_mebibytes)
{
	size_t len = ((size_t)100 << 20) + 1, blob;
	char *data = malloc(len);

	cr_assert(data != NULL);
	memset(data, '\n', len);
	blob = add_special(".gitattributes", data, len);
	free(data);
	witness_compare("", "");
	cr_expect_str_eq(witness_ours(blob), "error gitattributesLarge\n");
}

static int note_id(const char *id, enum finding_severity severity, const char *detail, void *userdata)
{
	*(const char **)userdata = severity == FINDING_ERROR && *detail ? id : "";
	return 0;
}

/* git reads no blob beyond a limit; when it comes across the tree first, it tells so */
Test(content_special, modules_that_are_too_large_to_be_read)
{
	const char *id = NULL;
	struct content_sink sink = { .on_problem = note_id, .userdata = &id };
	git_oid oid = { { 1 } };

	cr_assert_eq(content_check_special(NULL, CONTENT_GITMODULES, &oid, NULL, (size_t)1 << 40, &sink), 0);
	cr_assert(sh("cd r && for i in $(seq 200); do\n"
		     "blob=$({ echo \"; $i\"; head -c 4000 /dev/urandom | od; } | git hash-object -w --stdin)\n"
		     "tree=$(printf '100644 blob %%s\\t.gitmodules\\n' $blob | git mktree)\n"
		     "test ${tree%%%%??????????????????????????????????????} '<' ${blob%%%%??????????????????????????????????????} && break\n"
		     "done; git -c core.bigFileThreshold=1k fsck > ../said 2>&1; grep -q \"error in blob $blob: %s: \" ../said", id));
}
