/**
 * DOC: when - a point in the history, as people write it
 */
#ifndef SLOTCTL_WHEN_H
#define SLOTCTL_WHEN_H

#include <stdint.h>

enum when_outcome {
	WHEN_IS_SEQUENCE = 0, /* a bare number */
	WHEN_IS_TIME = 1,     /* "2h" ago, or a date: microseconds since 1970 */
};

/**
 * when_parse - a sequence number, a duration ago, or a date with or without a time
 * @text: "123"; "2h", "1h30m"; "2026-01-31", "2026-01-31T12:00", "2026-01-31 12:00:00Z"; without
 *	the Z it is local time
 * @now_usec: what a duration is counted back from
 *
 * A WHEN_* outcome, or -EINVAL.
 */
int when_parse(const char *text, uint64_t now_usec, int64_t *ret);

#endif
