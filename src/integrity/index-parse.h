/**
 * DOC: index-parse - the bytes of an index, with all that slotd itself has no use for
 *
 * Versions 2 to 4, every extension of git 2.39. Nothing is believed: not a length, not an order, not an offset.
 * git/index-read.h is the strict reader for slotd's own work; this one is for the check, which must
 * tell a split or sparse index from a damaged one, and name what each part of it leads to. Entries are not
 * kept, so that what a few bytes of version 4 unfold to takes no memory.
 *
 * Source: gitformat-index(5).
 */
#ifndef INTEGRITY_INDEX_PARSE_H
#define INTEGRITY_INDEX_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include <git2.h>

#include "util/fault.h"

#define INDEX_PATH_BYTES 16384

#define INDEX_MODE_DIR	   0040000
#define INDEX_MODE_GITLINK 0160000

struct index_entry {
	const char *path; /* valid during the call; "" (only in a split index): of one of the shared index */
	size_t path_len;
	git_oid oid;
	uint32_t mode;
	unsigned stage;
	bool is_intent; /* git add -N: its object need not be there */
	size_t i;	/* its number */
};

/* each may be NULL; a negative return ends it and is returned */
struct index_handler {
	int (*entry)(const struct index_entry *e, void *userdata);
	int (*tree)(const char *path, const git_oid *oid, void *userdata); /* of the cache-tree, valid ones */
	int (*undo)(const char *path, const git_oid *oid, void *userdata); /* blobs of resolve-undo */
	void *userdata;
};

struct index_summary {
	uint32_t version;
	size_t n_entries;
	git_oid checksum; /* zero: index.skipHash */
	bool is_sparse, has_directories;
	bool is_split;
	git_oid shared;	     /* of the shared index; zero: there is none after all */
	const uint8_t *link; /* in the data: the two bit sets */
	size_t link_len;
	char unknown[5]; /* an extension without which the index must not be used; "": none */
};

/**
 * index_parse - all of it, or why not
 *
 * -EUCLEAN with a sentence, after the handler was told what came before; -ENOMEM.
 */
int index_parse(const uint8_t *data, size_t len, const struct index_handler *handler,
		struct index_summary *ret, struct fault *f);

/* for the files of index-parse */

struct index_cursor {
	const uint8_t *data; /* of the file */
	const uint8_t *at, *end;
	const struct index_handler *handler;
	struct index_summary *summary;
	uint32_t *offsets; /* of the entries, and behind the last of them where they end */
	struct fault *f;
};

int index_damaged(struct fault *f, const char *why);

static inline uint32_t index_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* all behind the entries */
int index_parse_extensions(struct index_cursor *cursor);

#endif
