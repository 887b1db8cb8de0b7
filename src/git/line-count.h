/**
 * DOC: line-count - how many lines one content has more or less than another
 */
#ifndef GIT_LINE_COUNT_H
#define GIT_LINE_COUNT_H

#include <stdbool.h>
#include <stddef.h>

#include "util/fault.h"

#define LINE_COUNT_MAX_DIFF 200000 /* lines of both sides that are compared in earnest */

struct content {
	const char *data;
	size_t len;
};

/* as git takes it for: a NUL among the first 8000 bytes */
bool content_is_binary(const struct content *c);

/**
 * line_count - lines that came and went, as git diff counts them
 * @work: the lines that may still be compared; reduced by those that were. When there are more, or
 *	more than LINE_COUNT_MAX_DIFF, all between the first and the last difference count as replaced.
 *
 * 0, or -ENOMEM.
 */
int line_count(const struct content *old, const struct content *now, size_t *work,
	       size_t *ret_added, size_t *ret_deleted, struct fault *f);

#endif
