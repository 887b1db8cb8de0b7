/*
 * Any bytes as an index that is checked: a sentence, or entries in order whose paths stay in the
 * worktree. The trailer is made to fit, so that what is behind the checksum is reached; the bit sets of a split
 * index are read as if the shared one had a thousand entries.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "git/sha1.h"
#include "integrity/bitmap.h"
#include "integrity/index-parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define SHARED_ENTRIES 1000

static char before[INDEX_PATH_BYTES + 1];
static size_t n;

static int on_entry(const struct index_entry *e, void *userdata)
{
	(void)userdata;
	if (e->i != n++ || strlen(e->path) != e->path_len || e->path[0] == '/' ||
	    strstr(e->path, "/../") || strncmp(e->path, "../", 3) == 0)
		abort();
	if (strcmp(before, e->path) > 0)
		abort();
	strcpy(before, e->path);
	return 0;
}

static int on_name(const char *path, const git_oid *oid, void *userdata)
{
	(void)userdata;
	if (strlen(path) > UINT32_MAX || !oid)
		abort();
	return 0;
}

static void check_sets(const struct index_summary *index)
{
	struct bitmap bitmap = { 0 };
	size_t used = 0;

	if (bitmap_parse(index->link, index->link_len, SHARED_ENTRIES, &bitmap, &used) < 0)
		return;
	if (used > index->link_len)
		abort();
	for (size_t i = 0; i < bitmap.n; i++)
		if (bitmap.v[i] >= SHARED_ENTRIES || (i > 0 && bitmap.v[i - 1] >= bitmap.v[i]))
			abort();
	bitmap_deinit(&bitmap);
}

static void check(const uint8_t *data, size_t len)
{
	static const struct index_handler handler = { on_entry, on_name, on_name, NULL };
	struct index_summary index;
	struct fault f = FAULT_NONE;
	int r;

	before[0] = '\0';
	n = 0;
	r = index_parse(data, len, &handler, &index, &f);
	if (r < 0 && r != -ENOMEM && (r != -EUCLEAN || f.text[0] == '\0'))
		abort();
	if (r == 0 && n != index.n_entries)
		abort();
	if (r == 0 && index.is_split)
		check_sets(&index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct sha1 sha1;
	git_oid digest;
	uint8_t *copy;

	check(data, len);
	copy = malloc(len + GIT_OID_RAWSZ);
	memcpy(copy, data, len);
	sha1_init(&sha1);
	sha1_update(&sha1, copy, len);
	sha1_final(&sha1, &digest);
	memcpy(copy + len, digest.id, GIT_OID_RAWSZ);
	check(copy, len + GIT_OID_RAWSZ);
	free(copy);
	return 0;
}
