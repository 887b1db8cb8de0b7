/*
 * Any bytes as an index: a fault, or a sorted list of paths that stay in the slot. The trailer is made
 * to fit, so that what is behind the checksum is reached.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "git/index-read.h"
#include "git/sha1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const struct index *index)
{
	for (size_t i = 0; i < index->list.n; i++) {
		const struct tree_entry *e = &index->list.entries[i];

		if (strlen(e->path) != e->path_len || !tree_path_is_safe(e->path, e->path_len))
			abort();
		if (i > 0 && strcmp(e[-1].path, e->path) > 0)
			abort();
		if (!tree_list_find(&index->list, e->path, e->path_len))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct index index = { 0 };
	struct sha1 sha1;
	git_oid digest;
	uint8_t *copy;

	if (index_decode(data, len, &index, NULL) == 0) {
		check(&index);
		index_deinit(&index);
	}
	copy = malloc(len + GIT_OID_RAWSZ);
	memcpy(copy, data, len);
	sha1_init(&sha1);
	sha1_update(&sha1, copy, len);
	sha1_final(&sha1, &digest);
	memcpy(copy + len, digest.id, GIT_OID_RAWSZ);
	if (index_decode(copy, len + GIT_OID_RAWSZ, &index, NULL) == 0) {
		check(&index);
		index_deinit(&index);
	}
	free(copy);
	return 0;
}
