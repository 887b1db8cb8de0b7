/**
 * DOC: chunk-file - a file of git's that is made of chunks
 *
 * The commit-graph and the multi-pack-index: a header, a table of chunks, the chunks, a checksum. Loaded as a whole, and
 * every chunk within bounds; both have a fan-out table and sorted names.
 *
 * Calling sequence
 * ----------------
 * 1. chunk_file_load(), 2. chunk_file_parse(), 3. chunk_file_names(), 4. chunk_find(), 5. chunk_file_deinit()
 *
 * Errors
 * ------
 * What is wrong is a finding. 1: go on; 0: what was told, or that there is no file, makes an end; below 0: -ENOMEM, ...
 */
#ifndef INTEGRITY_CHUNK_FILE_H
#define INTEGRITY_CHUNK_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "integrity/check.h"

#define CHUNKS_MAX 255
#define TOLD_MAX   20 /* findings about one file */

struct chunk {
	uint32_t id;
	const unsigned char *data;
	uint64_t len;
};

struct chunk_file {
	struct check *check;
	const char *id; /* of findings */
	char *where;
	unsigned char *data;
	size_t len;
	struct chunk chunks[CHUNKS_MAX];
	unsigned n_chunks;
	const unsigned char *fan, *names; /* by chunk_file_names() */
	uint32_t n;			  /* names */
	unsigned told;
};

#define CHUNK_ID(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (d))

/* @path: below the directory that is called @dir in findings */
int chunk_file_load(struct check *c, int dir_fd, const char *dir, const char *path, const char *id,
		    struct chunk_file *ret);
void chunk_file_deinit(struct chunk_file *file);

/* the checksum at the end, and the table of @n_chunks chunks behind a header of @header bytes */
int chunk_file_parse(struct chunk_file *file, size_t header, unsigned n_chunks);

/* the chunks OIDF and OIDL: order and bounds */
int chunk_file_names(struct chunk_file *file);

/* the chunk, or NULL */
const struct chunk *chunk_find(const struct chunk_file *file, uint32_t id);

/* one that must have so many bytes: 1; 0: there is none, or it has other ones, and that was told */
int chunk_need(struct chunk_file *file, uint32_t id, uint64_t len, const struct chunk **ret);

/* the position of a name, or -ENOENT */
int64_t chunk_file_find(const struct chunk_file *file, const unsigned char *oid);

const unsigned char *chunk_file_name(const struct chunk_file *file, uint32_t pos);
const unsigned char *chunk_file_sum(const struct chunk_file *file); /* the last bytes */

/* tells of the file, or of one object in it (@name may be NULL); no more than TOLD_MAX. 0 or -ENOMEM */
__attribute__((format(printf, 3, 4))) int chunk_file_tell(struct chunk_file *file,
							  const unsigned char *name, const char *fmt, ...);

#endif
