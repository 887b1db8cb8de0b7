#include "integrity/config-scan.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "git-fixture.h"
#include "util/fs.h"
#include "util/text.h"

TestSuite(config_scan, .init = fixture_init, .fini = fixture_deinit);

/* as "git config --list -z" has it */
static int list(const struct config_entry *e, void *userdata)
{
	struct text *t = userdata;

	if (e->section)
		text_addf(t, "%s.", e->section);
	if (e->subsection)
		text_addf(t, "%s.", e->subsection);
	text_add_string(t, e->key);
	if (e->value)
		text_addf(t, "\n%s", e->value);
	text_add(t, "", 1);
	return 0;
}

static int list_until_bad(const struct config_entry *e, void *userdata)
{
	if (strcmp(e->key, "bad") == 0)
		return -ECANCELED;
	return list(e, userdata);
}

/* what git says of the file "f", or of it as a blob: its output, or the line that it cannot read */
static struct text by_git(bool is_blob, size_t *ret_line)
{
	struct text t = { 0 };
	size_t len;
	char *data = NULL, *line;
	int rc;

	if (is_blob)
		rc = atoi(sh_text("blob=$(git -C r hash-object -w --stdin < f)\n"
				  "git -C r config --no-includes -z --list --blob $blob > out 2> err; echo $?"));
	else
		rc = atoi(sh_text("git config --no-includes -z --list -f f > out 2> err; echo $?"));
	*ret_line = 0;
	if (rc != 0) {
		line = sh_text("sed -n 's/^[a-z]*: bad config line \\([0-9]*\\) in .*/\\1/p' err");
		cr_assert(ne(sz, strlen(line), 0), "%s", sh_text("cat err"));
		*ret_line = (size_t)atoi(line);
		return t;
	}
	cr_assert_eq(fs_read_file_at(-1, in_dir("out"), 1 << 20, &data, &len), 0);
	text_add(&t, data, len);
	free(data);
	return t;
}

static void expect_same(const void *data, size_t len, bool is_blob)
{
	struct text ours = { 0 }, theirs;
	size_t line = 0, their_line;
	int r = (is_blob ? config_scan_blob : config_scan)(data, len, list, &ours, &line);
	char *copy = text_printf("%.*s", (int)len, (const char *)data);

	cr_assert_eq(fs_write_file_at(-1, in_dir("f"), data, len, 0644), 0);
	theirs = by_git(is_blob, &their_line);
	cr_expect(eq(sz, line, their_line), "line of <%s>", copy);
	cr_expect(eq(int, r, their_line ? -EBADMSG : 0), "<%s>", copy);
	if (their_line == 0) {
		cr_expect(eq(sz, ours.len, theirs.len), "<%s>", copy);
		cr_expect(ours.len != theirs.len || ours.len == 0 || memcmp(ours.data, theirs.data, ours.len) == 0,
			  "<%s>", copy);
	}
	text_deinit(&ours);
	text_deinit(&theirs);
	free(copy);
}

static void expect_as_git(const void *data, size_t len)
{
	expect_same(data, len, false);
}

Test(config_scan, reads_as_git_reads)
{
	static const char *const texts[] = {
		"",
		"\n\n",
		"# nothing\n; nothing",
		"[a]\n",
		"[a]\n\tb = c\n",
		"[A]B=C",
		"[a]b",
		"[a]b\n  c = \n",
		"[a] b = c # d\n",
		"[a]\nb = \"c # d\" ; e\n",
		"[a]\nb =  c  d\te  \n",
		"[a]\nb = \"  c  \"  d  \n",
		"[a]\nb = c\\\n  d\n",
		"[a]\nb = c \\\n  d\n",
		"[a]\nb = \\t\\n\\b\\\\\\\"\n",
		"[a]\nb = \\x\n",
		"[a]\nb = \"\\\nc\"\n",
		"[a]\nb = \"c\nd\"\n",
		"[a]\nb = \"c",
		"[a]\nb = c\\",
		"[a]\r\nb = c\r\n",
		"[a]\nb = c\rd\n",
		"[a]\nb = c\\\r\nd\n",
		"[a \"B c\"]\nd = e\n",
		"[a \"B\\\"\\\\\\c.d\"]\nd = e\n",
		"[a \"\"]\nd = e\n",
		"[a\t \"b\"]\nd = e\n",
		"[a \"b\" ]\nd = e\n",
		"[a \"b\n\"]\nd = e\n",
		"[a\n\"b\"]\nd = e\n",
		"[a \"b\\\n\"]\nd = e\n",
		"[a \"b",
		"[a \"b\"",
		"[a ",
		"[a",
		"[",
		"[]\na = b\n",
		"[ \"a\"]\nb = c\n",
		"[a b]\nc = d\n",
		"[A.B]\nc = d\n",
		"[a.b \"C\"]\nd = e\n",
		"[a_b]\nc = d\n",
		"[a-1]\nb-2 = d\n",
		"[.]\na = b\n",
		"[a]\n1b = c\n",
		"[a]\nb_c = d\n",
		"[a]\nb c = d\n",
		"[a]\n-b = d\n",
		"[a]\nb == c\n",
		"[a]\n= c\n",
		"[a]\nb\t=\tc\n",
		"[a]\nb\n= c\n",
		"[a] # b\nc = d\n",
		"[a][b]\nc = d\n",
		"[a]\nb=c[d]\n",
		"a = b\n[c]\n",
		"\v[a]\nb = c\n",
		"[a]\nb = \vc\n",
		"\xef\xbb\xbf[a]\nb = c\n",
		"\xef\xbb[a]\nb = c\n",
		"\xef\xbb\n[a]\nb = c\n",
		"\xef\xbb",
		"\n\xef\xbb\xbf[a]\nb = c\n",
		"[a]\nb = \xff\xfe\n",
		"[\xc3\xa4]\nb = c\n",
		"[a \"\xc3\xa4\"]\nb = c\n",
		"[a]\n<<<<<<< HEAD\nb = c\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		expect_as_git(texts[i], strlen(texts[i]));
}

Test(config_scan, a_nul_ends_a_name_and_a_value)
{
	static const char value[] = "[a]\nb = c\0d\n[e]f=g\n", name[] = "[a \"b\0c\"]\nd = e\n",
			  key[] = "[a]\nb\0 = c\n", escaped[] = "[a]\nb = \\\0\n";

	expect_as_git(value, sizeof(value) - 1);
	expect_as_git(name, sizeof(name) - 1);
	expect_as_git(key, sizeof(key) - 1);
	expect_as_git(escaped, sizeof(escaped) - 1);
}

Test(config_scan, random_bytes_are_read_as_git_reads)
{
	static const char alphabet[] = "[[]]\"\"\\\n\n\n==ab.- \t#;n\r\xef_";
	static const char start[] = "[ab \"c\"]\n\td = e # f\n\tg = \"h\\n;\" \\\n i\n[j]k\n";
	char bytes[sizeof(start)];
	unsigned seed = 1;

	for (int i = 0; i < 250; i++) {
		memcpy(bytes, start, sizeof(start));
		for (int n = 0; n <= i % 3; n++)
			bytes[(size_t)rand_r(&seed) % (sizeof(start) - 1)] =
				alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
		expect_as_git(bytes, sizeof(start) - 1);
	}
}

/* from memory git takes 0xff for the end of the file, and goes on behind it in some places */
Test(config_scan, reads_a_blob_as_git_reads_it)
{
	static const char *const texts[] = {
		"[a]\nb = c\n", "\xef\xbb\xbf[a]\nb = c\n", "\xff", "[a]\nb = c\xff\nd = e\n", "[a]\nb = c\n\xff\nd = e\n",
		"# \xff\n[a]\nb = c\n", "[a]\n\xff" "b = c\n", "[a]\nb\xff= c\nd = e\n", "[a]\nb = \xff" "c = d\n[e]f=g\n",
		"[a\xff]\nb = c\n", "[a \"b\xff\"]\nc = d\n", "[a]\nb = \"c\xff\"\n", "[a]\nb = c\\\xff" "d\ne = f\n",
		"[a]\nb = c\xff[d]\ne = f\n", "[a]b = c\xff[d \"e\"] f = g\n", "[a]\nb = c\xff" "d\n[e]\n", "[a]\nb \xff\nc = d\n",
		"\r\xff\n[a]b=c\n", "[a]\nb = c\r\xff\nd = e\n", "[a]\nb = \xc3\xa4\xfe\n", "[a]\nb = c\xff;\xff#\nd\n",
	};
	char bytes[] = "[ab \"c\"]\n\td = e # f\n\tg = \"h\\n;\" \\\n i\n[j]k\n";
	unsigned seed = 2;

	cr_assert(sh("git init -q r"));
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		expect_same(texts[i], strlen(texts[i]), true);
	for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
		char kept = bytes[i];

		bytes[i] = (char)(rand_r(&seed) % 8 ? 0xff : 0xef);
		expect_same(bytes, sizeof(bytes) - 1, true);
		bytes[i] = kept;
	}
}

Test(config_scan, what_the_function_says_ends_it)
{
	static const char text[] = "[a]\nb = c\nbad\nd = e\n";
	struct text ours = { 0 };
	size_t line = 0;

	cr_expect(eq(int, config_scan(text, strlen(text), list_until_bad, &ours, &line), -ECANCELED));
	cr_expect(eq(sz, line, 3));
	cr_expect_str_eq(ours.data, "a.b\nc");
	cr_expect(eq(sz, ours.len, strlen("a.b\nc") + 1));
	text_deinit(&ours);
	cr_expect(eq(int, config_scan(text, strlen(text), NULL, NULL, NULL), 0));
}

static int note_improper(const struct config_entry *e, void *userdata)
{
	bool *is_proper = userdata;

	*is_proper = *is_proper && config_entry_is_proper(e);
	return 0;
}

Test(config_scan, git_complains_of_improper_settings)
{
	static const struct {
		const char *text;
		size_t len;
	} files[] = {
#define FILE_OF(s) { s, sizeof(s) - 1 }
		FILE_OF("[a]b = c\n"), FILE_OF("a = b\n"), FILE_OF("[ \"a\"]b = c\n"),
		FILE_OF("[a \"b\0c\"]d = e\n"), FILE_OF("[a \"\0\"]b = c\n"), FILE_OF("[a \"1\0\"]b = c\n"),
		FILE_OF("[a.]b = c\n"), FILE_OF("[.]b = c\n"), FILE_OF("[a \"b_c\0\"]d = e\n"),
		FILE_OF("[a \"b.c\"]d = e\n"), FILE_OF("[a.b \"c\"]d = e\n"),
#undef FILE_OF
	};

	cr_assert(sh("git init -q r && cp r/.git/config before"));
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		bool is_proper = true;
		int r = config_scan(files[i].text, files[i].len, note_improper, &is_proper, NULL);

		cr_assert_eq(r, 0);
		cr_assert_eq(fs_write_file_at(-1, in_dir("more"), files[i].text, files[i].len, 0644), 0);
		cr_assert(sh("cat more before > r/.git/config"));
		cr_assert(sh("git -C r status > /dev/null 2> err"));
		cr_expect_eq(sh("! grep -q '^error: ' err"), is_proper, "<%s>, %zu", files[i].text, i);
	}
}
