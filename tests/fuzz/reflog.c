/* Any bytes as a log: the same lines are good and bad, in whatever pieces they come. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/reflog-check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int on_entry(const git_oid *from, const git_oid *to, size_t line, void *userdata)
{
	size_t *n = userdata;

	(void)from;
	(void)to;
	if (line == 0)
		abort();
	(*n)++;
	return 0;
}

static void scan(struct reflog_scan *scan, size_t *n, const char *data, size_t len, size_t piece)
{
	memset(scan, 0, sizeof(*scan));
	scan->entry = on_entry;
	scan->userdata = n;
	for (size_t at = 0; at < len; at += piece)
		if (reflog_scan_feed(scan, data + at, len - at < piece ? len - at : piece) != 0)
			abort();
	reflog_scan_end(scan);
	if (*n + scan->n_bad != scan->n_lines || (scan->n_bad > 0) != (scan->first_bad > 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct reflog_scan whole, pieces;
	size_t n = 0, m = 0;

	scan(&whole, &n, (const char *)data, len, len ? len : 1);
	scan(&pieces, &m, (const char *)data, len, 1 + len % 7);
	if (n != m || whole.n_bad != pieces.n_bad || whole.first_bad != pieces.first_bad ||
	    whole.n_lines != pieces.n_lines)
		abort();
	return 0;
}
