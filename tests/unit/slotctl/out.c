/* Tables that line up, text that cannot bite, quoting that survives a shell. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "slotctl/out.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/text.h"

TestSuite(out, .init = out_init, .fini = clock_real);

static char *print(const struct table *t)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	table_print(t, to);
	fclose(to);
	return text;
}

static void expect_clean(const char *raw, const char *expected)
{
	_cleanup_(freep) char *clean = out_clean(raw);

	cr_expect(eq(str, clean, (char *)expected));
}

Test(out, wide_and_combining_characters_count_by_columns)
{
	cr_expect(eq(sz, out_width(""), 0));
	cr_expect(eq(sz, out_width("abc"), 3));
	cr_expect(eq(sz, out_width("Zürich"), 6));
	cr_expect(eq(sz, out_width("日本"), 4));
	cr_expect(eq(sz, out_width("e\xcc\x81"), 1));
}

Test(out, columns_line_up_whatever_is_in_them)
{
	_cleanup_(table_deinit) struct table t;
	_cleanup_(freep) char *text = NULL;

	table_init(&t, "POOL >READY NOTE");
	table_add(&t, "日本");
	table_add_int(&t, 7);
	table_add(&t, "first");
	table_add(&t, "api");
	table_add_int(&t, 1234567);
	table_add(&t, NULL);
	text = print(&t);
	cr_expect(eq(str, text,
		     (char *)"POOL    READY  NOTE\n"
			     "日本        7  first\n"
			     "api   1234567  -\n"));
}

Test(out, a_table_without_rows_prints_nothing)
{
	_cleanup_(table_deinit) struct table t;
	_cleanup_(freep) char *text = NULL;

	table_init(&t, "A B");
	text = print(&t);
	cr_expect(eq(str, text, (char *)""));
}

Test(out, text_of_strangers_cannot_play_with_the_terminal)
{
	expect_clean("plain, Zürich, 日本", "plain, Zürich, 日本");
	expect_clean("\033[2Jgone", "\\033[2Jgone");
	expect_clean("two\nlines\tand\r", "two lines\\011and\\015");
	expect_clean("\xff\xfe", "\\377\\376");
	expect_clean("cut \xe6\x97", "cut \\346\\227");
	expect_clean("c1 \xc2\x9b"
		     "31m",
		     "c1 \\302\\23331m");
	expect_clean("turn \xe2\x80\xae"
		     "around",
		     "turn \\342\\200\\256around");
	expect_clean("", "-");
	expect_clean(NULL, "-");
}

Test(out, lines_are_clean_and_what_is_absent_is_a_dash)
{
	_cleanup_json_ json_object *o = json_tokener_parse("{\"a\":\"\\u001b[2J\",\"n\":5}");
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	out_line(to, OUT_RED, "  %s %s %s", out_field(o, "a"), out_field(o, "n"),
		 out_field(NULL, "a"));
	fclose(to);
	cr_expect(eq(str, text, (char *)"  \\033[2J - -\n"));
	free(text);
}

/* sh evaluates the quoted word and gives it back */
static void expect_round_trip(const char *word)
{
	_cleanup_(freep) char *quoted = text_quote_shell(word);
	_cleanup_(freep) char *script = text_printf("X=%s; printf %%s \"$X\"", quoted);
	char back[256] = "";
	size_t n = 0;
	ssize_t r;
	int fds[2];
	pid_t pid;

	cr_assert(eq(int, pipe(fds), 0));
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], 1);
		close(fds[0]);
		execl("/bin/sh", "sh", "-c", script, NULL);
		_exit(127);
	}
	close(fds[1]);
	while ((r = read(fds[0], back + n, sizeof(back) - 1 - n)) > 0)
		n += (size_t)r;
	close(fds[0]);
	waitpid(pid, NULL, 0);
	cr_expect(eq(str, back, (char *)word), "%s", quoted);
}

Test(out, quoting_survives_a_shell)
{
	static const char *const words[] = {
		"",	      "plain",
		"with space", "it's",
		"''",	      "$HOME `id` $(id)",
		"a\nb",	      "back\\slash",
		"\"double\"", "*?[x]",
		"~",	      "a=b;c&d|e>f#g",
		"\xff\x01",   "日本",
		"-n",	      "trailing\n ",
		"!history",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		expect_round_trip(words[i]);
}

Test(out, harmless_words_are_not_quoted)
{
	_cleanup_(freep) char *path = text_quote_shell("/var/lib/slotd/slots/api/api-3");

	cr_expect(eq(str, path, (char *)"/var/lib/slotd/slots/api/api-3"));
}

static void expect_text(char *text, const char *expected)
{
	cr_expect(eq(str, text, (char *)expected));
	free(text);
}

Test(out, times_are_told_as_distances)
{
	int64_t now = 1800000000 * (int64_t)USEC_PER_SEC;

	clock_fake((uint64_t)now, 0, NULL);
	expect_text(out_ago(now - 90 * (int64_t)USEC_PER_SEC), "90 s ago");
	expect_text(out_ago(now - 3 * (int64_t)USEC_PER_HOUR), "3 h ago");
	expect_text(out_ago(now + 1), "0 s ago");
	expect_text(out_ago(-1), "-");
	expect_text(out_until(now + 5 * (int64_t)USEC_PER_MIN), "in 5 min");
	expect_text(out_until(now - 1), "over");
	expect_text(out_until(-1), "-");
}
