/**
 * DOC: index-parse - the bytes of an index, with all that slotd itself has no use for
 *
 * Versions 2 to 4, every extension of git 2.39. Nothing is believed: not a length, not an order, not an offset.
 * git/index-read.h is the strict reader for slotd's own work; this one is for the check, which must
 * tell a split or sparse index from a damaged one, and name what each part of it leads to.
 *
 * Source: gitformat-index(5).
 */
#ifndef INTEGRITY_INDEX_PARSE_H
#define INTEGRITY_INDEX_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include <git2.h>

#include "integrity/bitmap.h"
#include "util/fault.h"

#define INDEX_FILE_BYTES ((size_t)1 << 30)
#define INDEX_PATH_BYTES 4096

struct index_entry {
	git_oid oid;
	uint32_t mode;
	uint32_t path_len;
	uint32_t path;	 /* offset in paths; a NUL behind it */
	uint32_t offset; /* in the file */
	uint8_t stage;
	bool is_intent;
	bool is_replaced; /* by an entry of the index that is split from this one, or deleted by it */
};

/* an object that an extension names */
struct index_name {
	git_oid oid;
	uint32_t path; /* offset in paths */
};

struct index_names {
	struct index_name *v;
	size_t n, size;
};

struct index_file {
	uint32_t version;
	struct index_entry *entries;
	size_t n_entries;
	size_t n_nameless; /* at the beginning: they stand for entries of the shared index */
	char *paths;
	size_t paths_len, paths_size;
	git_oid checksum; /* zero: index.skipHash */
	bool is_split, is_sparse;
	git_oid shared;	  /* of the shared index; zero: none after all */
	struct bitmap deleted, replaced;
	struct index_names trees; /* of the cache-tree, valid ones; the path of a directory */
	struct index_names undos; /* blobs of resolve-undo */
	char unknown[5];	  /* an extension without which the index must not be read; "": none */
};

void index_file_deinit(struct index_file *index);

/**
 * index_file_parse - all of it, or why not
 * @ret: { 0 } when the return is negative
 *
 * -EUCLEAN with a sentence; -ENOMEM.
 */
int index_file_parse(const uint8_t *data, size_t len, struct index_file *ret, struct fault *f);

static inline const char *index_file_path(const struct index_file *index, uint32_t path)
{
	return index->paths + path;
}

/* for the files of index-parse */

struct index_cursor {
	const uint8_t *data; /* of the file */
	const uint8_t *at, *end;
	struct index_file *index;
	struct fault *f;
};

int index_damaged(struct index_cursor *cursor, const char *why);
uint32_t index_u32(const uint8_t *p);

/* keeps a path; UINT32_MAX: no memory */
uint32_t index_keep_path(struct index_file *index, const char *path, size_t len);

/* all behind the entries */
int index_parse_extensions(struct index_cursor *cursor);

#endif
