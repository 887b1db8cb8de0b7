/* Strings that grow, quote and resemble one another. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/text.h"

#define S(text) ((char *)(text))

Test(text, grows_and_is_taken)
{
	struct text t = { 0 };
	_cleanup_(freep) char *s = NULL;

	for (int i = 0; i < 1000; i++)
		text_addf(&t, "%03d", i);
	text_add(&t, "\0x", 2);
	cr_expect(eq(sz, t.len, 3002));
	cr_expect(t.size > t.len);
	s = text_take(&t);
	cr_expect(eq(int, strncmp(s, "000001002", 9), 0));
	cr_expect(eq(int, memcmp(s + 2997, "999\0x", 6), 0));
	cr_expect(t.data == NULL);
	cr_expect(eq(sz, t.len, 0));
}

Test(text, one_is_not_many)
{
	cr_expect(eq(str, S(text_plural(0, "slot", "slots")), S("slots")));
	cr_expect(eq(str, S(text_plural(1, "slot", "slots")), S("slot")));
	cr_expect(eq(str, S(text_plural(2, "slot", "slots")), S("slots")));
}

Test(text, an_empty_one_is_an_empty_string)
{
	struct text t = { 0 };
	_cleanup_(freep) char *s = text_take(&t);

	cr_assert(s != NULL);
	cr_expect(eq(str, s, S("")));
	text_deinit(&t);
}

Test(text, without_memory_it_fails_as_a_whole)
{
	struct text t = { 0 };

	text_add_string(&t, "a");
	t.failed = true;
	text_add_string(&t, "b");
	cr_expect(eq(sz, t.len, 1));
	cr_expect(text_take(&t) == NULL);
	cr_expect(not(t.failed));
}

Test(text, utf8_is_told_from_what_only_resembles_it)
{
	static const char *const good[] = { "",
					    "a",
					    "\xC2\x80",
					    "\xDF\xBF",
					    "\xE0\xA0\x80",
					    "\xED\x9F\xBF",
					    "\xEE\x80\x80",
					    "\xF0\x90\x80\x80",
					    "\xF4\x8F\xBF\xBF" };
	static const char *const bad[] = {
		"\x80",
		"\xC0\x80",
		"\xC1\xBF",
		"\xC2",
		"\302a",
		"\xE0\x9F\xBF",
		"\xE0\xA0",
		"\xED\xA0\x80",
		"\xF0\x8F\xBF\xBF",
		"\xF4\x90\x80\x80",
		"\xF5\x80\x80\x80",
		"\xFF",
		"a\xE2\x82",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		cr_expect(text_is_utf8(good[i], strlen(good[i])), "%zu", i);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect(not(text_is_utf8(bad[i], strlen(bad[i]))), "%zu", i);
	cr_expect(not(text_is_utf8("a\0b", 3)));
}

Test(text, file_names_are_quoted_as_git_does)
{
	static const struct {
		const char *path, *quoted;
	} cases[] = {
		{ "plain name", "plain name" },	    { "gr\xC3\xBC\xC3\x9F", "gr\xC3\xBC\xC3\x9F" },
		{ "a\"b", "\"a\\\"b\"" },	    { "a\\b", "\"a\\\\b\"" },
		{ "a\nb\tc", "\"a\\nb\\tc\"" },	    { "\a\b\v\f\r", "\"\\a\\b\\v\\f\\r\"" },
		{ "\x01\x7F", "\"\\001\\177\"" },   { "\xFF", "\"\\377\"" },
		{ "a\xE2\x82", "\"a\\342\\202\"" }, { "", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(freep) char *quoted = text_quote_path(cases[i].path);

		cr_expect(eq(str, quoted, S(cases[i].quoted)));
	}
}

Test(text, small_helpers)
{
	_cleanup_(freep) char *s = text_printf("%s-%d", "a", 1);

	cr_expect(eq(str, s, S("a-1")));
	cr_expect(text_dup(NULL) == NULL);
	cr_expect(text_is_equal(NULL, NULL));
	cr_expect(not(text_is_equal(NULL, "")));
	cr_expect(not(text_is_equal("", NULL)));
	cr_expect(text_is_equal("a", s + 2) == false);
	cr_expect(text_has_prefix("abc", "ab"));
	cr_expect(text_has_prefix("abc", ""));
	cr_expect(not(text_has_prefix("a", "ab")));
	cr_expect(text_has_suffix("x.lock", ".lock"));
	cr_expect(not(text_has_suffix("lock", ".lock")));
}

Test(text, the_nearest_is_what_was_meant)
{
	static const char *const words[] = { "ready", "max", "release", "renew", "shutdown_timeout",
					     "pool" };
	static const struct {
		const char *word, *nearest;
	} cases[] = {
		{ "redy", "ready" },  { "raedy", "ready" },
		{ "mxa", "max" },     { "relaese", "release" },
		{ "renwe", "renew" }, { "shutdowntimeout", "shutdown_timeout" },
		{ "quux", NULL },     { "", NULL },
		{ "ma", "max" },      { "completely", NULL },
		{ "foo", NULL },      { "polo", "pool" },
		{ "ool", "pool" },    { "loop", NULL },
	};
	char endless[200];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		cr_expect(text_is_equal(text_nearest(cases[i].word, words, ARRAY_SIZE(words)),
					cases[i].nearest),
			  "%s", cases[i].word);
	memset(endless, 'm', sizeof(endless) - 1);
	endless[sizeof(endless) - 1] = '\0';
	cr_expect(text_nearest(endless, words, ARRAY_SIZE(words)) == NULL);
	cr_expect(text_nearest("a", NULL, 0) == NULL);
}

Test(text, password_in_an_url_is_not_shown)
{
	static const char *const rows[][2] = {
		{ "https://bob:s3cret@host/x", "https://bob:***@host/x" },
		{ "https://bob:a@b:c@host/x", "https://bob:***@host/x" },
		{ "https://bob@host/x", "https://bob@host/x" },
		{ "https://host/a:b@c", "https://host/a:b@c" },
		{ "git@host:path", "git@host:path" },
		{ "/srv/git", "/srv/git" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *shown = text_redact_url(rows[i][0]);

		cr_expect_str_eq(shown, rows[i][1]);
		free(shown);
	}
}
