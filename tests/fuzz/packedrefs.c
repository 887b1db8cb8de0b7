/* Any bytes as packed-refs: lines told as bad, or refs with valid names; one that comes first is found by its name. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/packed-refs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct file {
	const char *data;
	size_t len;
	size_t n_lines;
};

static int on_ref(const struct packed_ref *ref, void *userdata)
{
	struct file *file = userdata;
	git_oid oid;

	if (!ref_name_is_valid(ref->name, false) || ref->line <= file->n_lines)
		abort();
	file->n_lines = ref->line;
	if (!packed_refs_find(file->data, file->len, ref->name, &oid))
		abort();
	return 0;
}

/* out of order is told before the ref itself, of the same line */
static int on_bad(size_t line, const char *why, void *userdata)
{
	struct file *file = userdata;

	if (line <= file->n_lines || !*why)
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct file file = { .data = (const char *)data, .len = len };
	const struct packed_refs_reader reader = { on_ref, on_bad, &file };
	char *value = malloc(len + 1);
	struct ref_value ret;

	if (packed_refs_scan((const char *)data, len, &reader) != 0)
		abort();
	/* the same bytes as the file of one ref */
	memcpy(value, data, len);
	value[len] = '\0';
	ref_value_parse(value, len, &ret);
	if (ret.kind == REF_KIND_SYMBOLIC && (ret.target < value || ret.target > value + len))
		abort();
	free(value);
	return 0;
}
