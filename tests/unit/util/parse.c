/* What people write, and what they must not. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/clock.h"
#include "util/parse.h"

#define S(text) ((char *)(text))

Test(parse, durations)
{
	static const struct {
		const char *text;
		int r;
		uint64_t usec;
	} cases[] = {
		{ "0", 0, 0 },
		{ "90", 0, 90 * USEC_PER_SEC },
		{ "90s", 0, 90 * USEC_PER_SEC },
		{ "5m", 0, 5 * USEC_PER_MIN },
		{ "14d", 0, 14 * USEC_PER_DAY },
		{ "1h30m", 0, 90 * USEC_PER_MIN },
		{ "500ms", 0, 500000 },
		{ "1m1ms1us", 0, USEC_PER_MIN + 1001 },
		{ "36500d", 0, 36500 * USEC_PER_DAY },
		{ "36500d1us", -ERANGE, 0 },
		{ "18446744073709551616us", -ERANGE, 0 },
		{ "99999999999d", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "s", -EINVAL, 0 },
		{ "5x", -EINVAL, 0 },
		{ "5min", -EINVAL, 0 },
		{ "5 m", -EINVAL, 0 },
		{ " 5m", -EINVAL, 0 },
		{ "-5m", -EINVAL, 0 },
		{ "1.5h", -EINVAL, 0 },
		{ "1h30", -EINVAL, 0 },
		{ "0s5", -EINVAL, 0 },
		{ "5M", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t usec = 77;

		cr_expect(eq(int, parse_duration(cases[i].text, &usec), cases[i].r), "%s",
			  cases[i].text);
		cr_expect(eq(u64, usec, cases[i].r < 0 ? 77 : cases[i].usec), "%s", cases[i].text);
	}
}

Test(parse, sizes)
{
	static const struct {
		const char *text;
		int r;
		uint64_t bytes;
	} cases[] = {
		{ "0", 0, 0 },
		{ "4096", 0, 4096 },
		{ "4096B", 0, 4096 },
		{ "64KiB", 0, 65536 },
		{ "64K", 0, 65536 },
		{ "64KB", 0, 65536 },
		{ "10GiB", 0, 10ULL << 30 },
		{ "2T", 0, 2ULL << 40 },
		{ "9007199254740991", 0, (1ULL << 53) - 1 },
		{ "9007199254740992", -ERANGE, 0 },
		{ "8192T", -ERANGE, 0 },
		{ "99999999999999999999", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "K", -EINVAL, 0 },
		{ "1Ki", -EINVAL, 0 },
		{ "1k", -EINVAL, 0 },
		{ "1KBB", -EINVAL, 0 },
		{ "1 K", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "1.5G", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t bytes = 77;

		cr_expect(eq(int, parse_size(cases[i].text, &bytes), cases[i].r), "%s",
			  cases[i].text);
		cr_expect(eq(u64, bytes, cases[i].r < 0 ? 77 : cases[i].bytes), "%s",
			  cases[i].text);
	}
}

Test(parse, integers)
{
	static const char *const bad[] = { "", "-", "+1", " 1", "1 ", "1x", "0x1", "--1", "1.0" };
	int64_t n = 0;

	cr_expect(eq(int, parse_int("-9223372036854775808", &n), 0));
	cr_expect(eq(i64, n, INT64_MIN));
	cr_expect(eq(int, parse_int("9223372036854775807", &n), 0));
	cr_expect(eq(i64, n, INT64_MAX));
	cr_expect(eq(int, parse_int("9223372036854775808", &n), -ERANGE));
	cr_expect(eq(i64, n, INT64_MAX));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect(eq(int, parse_int(bad[i], &n), -EINVAL), "%s", bad[i]);
}

Test(parse, ratios)
{
	static const char *const bad[] = { "",	  "%",	 ".",	"x",   "-1",  "0x10",	 "0x1p3",
					   "nan", "inf", "5 %", "5%%", "1,5", "infinity" };
	double n = 0;

	cr_expect(eq(int, parse_ratio("0.95", &n), 0));
	cr_expect(eq(dbl, n, 0.95));
	cr_expect(eq(int, parse_ratio("95%", &n), 0));
	cr_expect(eq(dbl, n, 0.95));
	cr_expect(eq(int, parse_ratio(".5", &n), 0));
	cr_expect(eq(dbl, n, 0.5));
	cr_expect(eq(int, parse_ratio("1e999", &n), -ERANGE));
	cr_expect(eq(dbl, n, 0.5));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect(eq(int, parse_ratio(bad[i], &n), -EINVAL), "%s", bad[i]);
}

Test(parse, booleans)
{
	int b = 5;

	cr_expect(eq(int, parse_bool("yes", &b), 0));
	cr_expect(eq(int, b, 1));
	cr_expect(eq(int, parse_bool("off", &b), 0));
	cr_expect(eq(int, b, 0));
	cr_expect(eq(int, parse_bool("True", &b), -EINVAL));
	cr_expect(eq(int, parse_bool("", &b), -EINVAL));
	cr_expect(eq(int, b, 0));
}

Test(parse, names_of_pools)
{
	static const char *const good[] = {
		"a", "7", "api", "my_pool.v2", "a-b", "a-1b", "a-", "1"
	};
	static const char *const bad[] = { "",	       "A",   "-a",  ".a",  "_a",   "a..b",
					   "a.",       "a/b", "a b", "a-1", "a-07", "a.lock",
					   "\xC3\xA4", "a\n", "a:b", "..",  "." };
	char longest[65];
	const char *why;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		cr_expect(eq(int, parse_pool_name(good[i], NULL), 0), "%s", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		why = NULL;
		cr_expect(eq(int, parse_pool_name(bad[i], &why), -EINVAL), "%s", bad[i]);
		cr_expect(why != NULL);
	}
	memset(longest, 'a', 64);
	longest[64] = '\0';
	cr_expect(eq(int, parse_pool_name(longest, NULL), -EINVAL));
	longest[63] = '\0';
	cr_expect(eq(int, parse_pool_name(longest, NULL), 0));
}

Test(parse, names_of_slots)
{
	static const char *const bad[] = { "",	    "a",   "-1",  "a-",	  "a-0", "a-01",
					   "a-1-2", "A-1", "a-x", "a-1x", "a--", "a-4294967296" };
	size_t len = 0;
	uint64_t n = 0;

	cr_expect(eq(int, parse_slot_name("my-pool-12", &len, &n), 0));
	cr_expect(eq(sz, len, 7));
	cr_expect(eq(u64, n, 12));
	cr_expect(eq(int, parse_slot_name("a-4294967295", &len, &n), 0));
	cr_expect(eq(u64, n, 4294967295));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect(eq(int, parse_slot_name(bad[i], &len, &n), -EINVAL), "%s", bad[i]);
	cr_expect(eq(u64, n, 4294967295));
}

Test(parse, formatted_durations_parse_to_the_same)
{
	static const uint64_t all[] = { 0,
					1,
					999,
					1000,
					250 * USEC_PER_MSEC,
					USEC_PER_SEC,
					90 * USEC_PER_SEC,
					90 * USEC_PER_MIN,
					36500 * USEC_PER_DAY,
					36499 * USEC_PER_DAY + 23 * USEC_PER_HOUR +
						59 * USEC_PER_MIN + 59 * USEC_PER_SEC + 999999 };
	char text[DURATION_TEXT_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		uint64_t back = 77;

		cr_expect(eq(int, parse_duration(format_duration(all[i], text), &back), 0), "%s",
			  text);
		cr_expect(eq(u64, back, all[i]), "%s", text);
	}
	cr_expect(eq(str, format_duration(90 * USEC_PER_MIN, text), S("1h30m")));
	cr_expect(eq(str, format_duration(0, text), S("0s")));
	format_duration(UINT64_MAX, text);
	cr_expect(strlen(text) < sizeof(text));
}

Test(parse, ages_are_for_people)
{
	char text[DURATION_TEXT_SIZE];

	cr_expect(eq(str, format_age(0, text), S("0 s")));
	cr_expect(eq(str, format_age(119 * USEC_PER_SEC, text), S("119 s")));
	cr_expect(eq(str, format_age(4 * USEC_PER_MIN, text), S("4 min")));
	cr_expect(eq(str, format_age(2 * USEC_PER_HOUR, text), S("2 h")));
	cr_expect(eq(str, format_age(5 * USEC_PER_DAY, text), S("5 d")));
	cr_expect(eq(str, format_age(4 * USEC_PER_HOUR - 1, text), S("4 h")));
	cr_expect(eq(str, format_age(2 * USEC_PER_HOUR - 1, text), S("2 h")));
	cr_expect(eq(str, format_age(149 * USEC_PER_SEC, text), S("2 min")));
	cr_expect(eq(str, format_age(150 * USEC_PER_SEC, text), S("3 min")));
	cr_expect(eq(str, format_age(USEC_PER_SEC / 2, text), S("1 s")));
	format_age(UINT64_MAX, text);
	cr_expect(strlen(text) < DURATION_TEXT_SIZE);
}

Test(parse, branch_name_is_what_git_takes)
{
	static const char *const good[] = { "main", "feat/x", "a.b", "a-b", "agent/7_x", "x@y", "ä" };
	static const char *const bad[] = { "",	    "-x",   "a..b", "a b",  "a~b",    "a^b",  "a:b",
					   "a?b",   "a*b",  "a[b",  "a\\b", "/a",     "a/",   "a//b",
					   ".a",    "a/.b", "a.lock", "a.lock/b", "a.", "a@{b", "@",
					   "HEAD", "a\tb", "a\x7f" };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_expect(parse_branch_name(good[i]) == 0, "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect(parse_branch_name(bad[i]) == -EINVAL, "%s", bad[i]);
}

Test(parse, sizes_for_people)
{
	char text[SIZE_TEXT_SIZE];

	cr_expect(eq(str, format_size(0, text), S("0 B")));
	cr_expect(eq(str, format_size(1023, text), S("1023 B")));
	cr_expect(eq(str, format_size(1024, text), S("1 KiB")));
	cr_expect(eq(str, format_size(1536, text), S("1.5 KiB")));
	cr_expect(eq(str, format_size(312ULL << 20, text), S("312 MiB")));
	cr_expect(eq(str, format_size((1ULL << 30) - 1, text), S("1023 MiB")));
	cr_expect(eq(str, format_size(1000ULL << 40, text), S("1000 TiB")));
	cr_expect(eq(str, format_size(UINT64_MAX, text), S("15 EiB")));
}
