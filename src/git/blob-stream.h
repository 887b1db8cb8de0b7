/**
 * DOC: blob-stream - a blob of any size into a file, a piece at a time
 *
 * libgit2 has no stream out of a pack: it reads whole objects into memory. Salvages hold files of
 * gigabytes, in packs of ours without deltas, and git itself makes no delta of what is that large; so
 * the large ones are inflated here, from the pack or the loose object where they are. What is a
 * delta after all, or in an alternate, is read in one piece.
 */
#ifndef GIT_BLOB_STREAM_H
#define GIT_BLOB_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "git/repo.h"

#define BLOB_STREAM_BYTES (8 << 20) /* what is smaller is read in one piece */

/* how large it is; -EUCLEAN: missing, damaged, or no blob */
int blob_size(struct repo *repo, const git_oid *oid, uint64_t *ret, struct fault *f);

/**
 * blob_to_fd - write a blob to a file
 * @fd: a regular file that is empty and the caller's alone; its offset is moved
 *
 * 0: all of it is there, and it has the right name. -EUCLEAN: missing, damaged, or no blob; a failure to
 * write is as the file system says it. What is in the file then is of no use.
 */
int blob_to_fd(struct repo *repo, const git_oid *oid, int fd, struct fault *f);

/* has what can be read from here on this name, as a blob of @size bytes? 1, 0 or a negative errno */
int blob_is_fd(const git_oid *oid, int fd, uint64_t size);

#endif
