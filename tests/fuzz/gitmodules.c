/* Any bytes as .gitmodules and as a configuration file: an answer, in time, without a byte read beside them. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/config-scan.h"
#include "integrity/content.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int on_problem(const char *id, enum finding_severity severity, const char *detail, void *userdata)
{
	if (!*id || !*detail)
		abort();
	return 0;
}

struct seen {
	size_t len, lines;
};

static int on_entry(const struct config_entry *e, void *userdata)
{
	const struct seen *seen = userdata;

	if (!e->key || (e->subsection && !e->section) || e->line == 0 || e->line > seen->lines)
		abort();
	if (e->value && strlen(e->value) > seen->len)
		abort();
	(void)config_entry_is_proper(e);
	return 0;
}

/* with one more, since a backslash at the end makes git count that twice */
static size_t count_lines(const uint8_t *data, size_t len)
{
	size_t n = 2;

	for (size_t i = 0; i < len; i++)
		n += data[i] == '\n' || data[i] == 0xff;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct seen seen = { .len = len, .lines = count_lines(data, len) };
	const struct content_sink sink = { .on_problem = on_problem };
	const git_oid oid = { { 0 } };
	size_t line = 0;
	int r;

	r = config_scan(data, len, on_entry, &seen, &line);
	if (r != 0 && (r != -EBADMSG || line == 0 || line > seen.lines + 1))
		abort();
	r = config_scan_blob(data, len, on_entry, &seen, &line);
	if (r != 0 && r != -EBADMSG)
		abort();
	if (content_check_special(NULL, CONTENT_GITMODULES, &oid, data, len, &sink) != 0 ||
	    content_check_special(NULL, CONTENT_GITATTRIBUTES, &oid, data, len, &sink) != 0)
		abort();
	return 0;
}
