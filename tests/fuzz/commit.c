/* Any bytes as a commit: the same findings each time, and no byte read beside them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/content.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct seen {
	size_t problems, links, specials, name_bytes;
};

static int on_problem(const char *id, enum finding_severity severity, const char *detail, void *userdata)
{
	struct seen *seen = userdata;

	if (!*id || !*detail || strlen(detail) > 512)
		abort();
	seen->problems++;
	return 0;
}

static int on_link(const struct content_link *link, void *userdata)
{
	struct seen *seen = userdata;

	if (link->name && strlen(link->name) != link->name_len)
		abort();
	seen->name_bytes += link->name_len;
	seen->links += (size_t)link->oid[0] + link->oid[GIT_OID_RAWSZ - 1];
	return 0;
}

static int on_special(enum content_special what, const unsigned char *oid, void *userdata)
{
	struct seen *seen = userdata;

	seen->specials += (size_t)what + oid[GIT_OID_RAWSZ - 1];
	return 0;
}

static struct seen look(const uint8_t *data, size_t len)
{
	struct seen seen = { 0 };
	const struct content_sink sink = { on_problem, on_link, on_special, &seen };
	const git_oid oid = { { 0 } };

	if (content_check(NULL, GIT_OBJECT_COMMIT, &oid, data, len, &sink) != 0)
		abort();
	return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct seen first = look(data, len), second = look(data, len);

	if (memcmp(&first, &second, sizeof(first)) != 0 || first.name_bytes > len)
		abort();
	return 0;
}
