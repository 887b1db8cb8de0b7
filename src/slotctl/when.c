/* Since when? */
#include "slotctl/when.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "util/cleanup.h"
#include "util/clock.h"
#include "util/parse.h"

static int parse_date(const char *text, int64_t *ret)
{
	static const char *const formats[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S",
					       "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d" };

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *end = strptime(text, formats[i], &tm);
		bool utc = end && strcmp(end, "Z") == 0;
		time_t seconds;

		if (!end || (*end && !utc))
			continue;
		seconds = utc ? timegm(&tm) : mktime(&tm);
		if (seconds < 0)
			return -EINVAL;
		*ret = (int64_t)seconds * (int64_t)USEC_PER_SEC;
		return WHEN_IS_TIME;
	}
	return -EINVAL;
}

int when_parse(const char *text, uint64_t now_usec, int64_t *ret)
{
	uint64_t usec;
	int64_t n;

	if (parse_int(text, &n) == 0) {
		if (n < 0)
			return -EINVAL;
		*ret = n;
		return WHEN_IS_SEQUENCE;
	}
	if (parse_duration(text, &usec) == 0) {
		*ret = now_usec > usec ? (int64_t)(now_usec - usec) : 0;
		return WHEN_IS_TIME;
	}
	return parse_date(text, ret);
}
