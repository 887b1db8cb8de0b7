/* Points in the history. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "slotctl/when.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define NOW (1800000000 * USEC_PER_SEC)

static void use_berlin(void)
{
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
}

TestSuite(when, .init = use_berlin);

Test(when, numbers_durations_and_dates_are_told_apart)
{
	static const struct {
		const char *text;
		int r;
		int64_t value;
	} cases[] = {
		{ "0", WHEN_IS_SEQUENCE, 0 },
		{ "123456", WHEN_IS_SEQUENCE, 123456 },
		{ "2h", WHEN_IS_TIME, NOW - 2 * USEC_PER_HOUR },
		{ "1h30m", WHEN_IS_TIME, NOW - 90 * USEC_PER_MIN },
		{ "2026-01-31T12:00:00Z", WHEN_IS_TIME, 1769860800 * (int64_t)USEC_PER_SEC },
		{ "2026-01-31T12:00:00", WHEN_IS_TIME, 1769857200 * (int64_t)USEC_PER_SEC },
		{ "2026-01-31 13:00Z", WHEN_IS_TIME, 1769864400 * (int64_t)USEC_PER_SEC },
		{ "2026-07-01", WHEN_IS_TIME, 1782856800 * (int64_t)USEC_PER_SEC },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t value = -1;

		cr_expect(eq(int, when_parse(cases[i].text, NOW, &value), cases[i].r), "%s",
			  cases[i].text);
		cr_expect(eq(i64, value, cases[i].value), "%s", cases[i].text);
	}
}

Test(when, nonsense_is_refused_and_leaves_ret_alone)
{
	static const char *const texts[] = { "",	   "-1",	  "yesterday",
					     "2026-13-01", "2026-01-31x", "2026-01-31T25:00",
					     "12:00",	   "1900-01-01Z" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		int64_t value = 42;

		cr_expect(eq(int, when_parse(texts[i], NOW, &value), -EINVAL), "%s", texts[i]);
		cr_expect(eq(i64, value, 42));
	}
}
