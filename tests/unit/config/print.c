/* What is printed loads again to the same. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf-value.h"
#include "fixture.h"
#include "util/cleanup.h"
#include "util/text.h"

static void check_round_trip(const char *text)
{
	struct conf *a = load(text), *b;
	_cleanup_(freep) char *printed = conf_to_yaml(a);
	_cleanup_(freep) char *again = NULL;
	const char *difference;

	cr_assert(printed != NULL);
	b = load(printed);
	difference = first_difference(a, b);
	cr_expect(difference == NULL, "%s differs:\n%s", difference, printed);
	again = conf_to_yaml(b);
	cr_expect(eq(str, printed, again));
	conf_unref(a);
	conf_unref(b);
}

Test(conf_print, the_defaults_come_back)
{
	check_round_trip("");
}

Test(conf_print, odd_numbers_come_back_exactly)
{
	check_round_trip("shutdown_timeout: 1001ms\n"
			 "limits: { message: 5000 }\n"
			 "recovery: { auto_every: 1d2h3m4s5ms6us, max_size: 1025KiB }\n"
			 "breaker: { rate: 33.3333333333% }\n"
			 "alert: { success_rate: 0.1, fallback_rate: .3, retry_exhausted: 1e-17 }\n"
			 "strategies: { s: { retry: { factor: 1.7976931348623157 } } }\n");
}

Test(conf_print, pools_of_both_kinds_and_contradicting_defaults_come_back)
{
	check_round_trip(
		"defaults: { branch: 'a/{task}', fetch: { every: 1m }, slots: { ready: 9 } }\n"
		"pools:\n"
		"  a: { path: /srv/a }\n"
		"  'null': { url: 'git@example.org:a', branch: '', lease: { ttl: 1s } }\n"
		"  '1': { url: /srv/b, slots: { max: 1 }, access: { operators: [] } }\n");
}

Test(conf_print, commands_of_strategies_come_back)
{
	check_round_trip("strategies:\n"
			 "  s: { corrupted: { do: [report, { run: [sh, -c, \"echo \\\"$1\\\" "
			 "'\\\\'\"] }] },\n"
			 "    long_allocated: { do: [], when: dead }, dry_run: yes }\n"
			 "  conservative: {}\n");
}

/* one string in every place where it could be taken for something else */
static void check_string(const char *s)
{
	struct text t = { 0 };
	_cleanup_(freep) char *text = NULL;
	struct conf *c;

	text_add_string(&t, "alert: { run: [a, ");
	conf_print_string(&t, s);
	text_add_string(&t, "] }\ndefaults: { warmup: { env: { V: ");
	conf_print_string(&t, s);
	text_add_string(&t, " }, run: [");
	conf_print_string(&t, s);
	text_add_string(&t, "] } }\n");
	text = text_take(&t);
	c = load(text);
	cr_expect(eq(str, c->alert.run.items[1], S(s)), "%s", text);
	cr_expect(eq(str, c->defaults.warmup.env.items[0] + 2, S(s)), "%s", text);
	cr_expect(eq(str, c->defaults.warmup.run.items[0], S(s)), "%s", text);
	conf_unref(c);
	check_round_trip(text);
}

Test(conf_print, strings_of_all_kinds_come_back)
{
	static const char *const strings[] = {
		"",
		" ",
		"a b",
		" lead and trail ",
		"- x",
		"-",
		"--",
		"?",
		": x",
		"a: b",
		"a #b",
		"#",
		"!tag",
		"&a",
		"*a",
		"%x",
		"@x",
		"`",
		"|",
		">",
		"{",
		"}",
		"[a]",
		",",
		"'",
		"\"",
		"it's \"so\"",
		"\\",
		"\\n",
		"null",
		"~",
		"Null",
		"true",
		"NO",
		"1",
		"1.5",
		"0x1F",
		"1e3",
		".inf",
		"2001-01-01",
		"12:30:45",
		"<<",
		"=",
		"tab\there",
		"two\nlines\n",
		"\r",
		"\x01\x1B[31m\x7F",
		"\xC2\x85",
		"\xC2\x9F\xC2\xA0",
		"\xE2\x80\xA8 \xE2\x80\xA9",
		"\xEF\xBB\xBF mark",
		"\xEF\xBF\xBE\xEF\xBF\xBF",
		"\xF0\x9F\x98\x80",
		"\xF4\x8F\xBF\xBF",
		"gr\xC3\xBC\xC3\x9F",
		"---",
		"...",
		"run:",
	};

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		check_string(strings[i]);
}

Test(conf_print, every_ascii_character_comes_back_alone_and_inside)
{
	for (char c = 1; c > 0 && c < 127; c++) {
		char alone[] = { c, '\0' }, inside[] = { 'a', c, 'b', '\0' };

		check_string(alone);
		check_string(inside);
	}
}

Test(conf_print, a_long_string_is_not_folded)
{
	char s[5001];

	for (size_t i = 0; i < sizeof(s) - 1; i++)
		s[i] = i % 9 ? 'x' : ' ';
	s[sizeof(s) - 1] = '\0';
	check_string(s);
}
