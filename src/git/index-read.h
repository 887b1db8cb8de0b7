/**
 * DOC: index-read - an index that an agent may have written
 *
 * Versions 2 to 4, from a regular file of bounded size; every length is checked, the trailer
 * too (all zero, index.skipHash, counts as right). What comes out is sorted, and no path in it
 * leaves the slot.
 *
 * Source: gitformat-index(5).
 */
#ifndef GIT_INDEX_READ_H
#define GIT_INDEX_READ_H

#include <time.h>

#include "git/tree-list.h"

#define INDEX_MAX_BYTES (256 << 20)

struct index {
	struct tree_list list; /* sorted by path and stage */
	struct timespec mtime; /* of the file: what is as young as this is racy */
};

/* an all-zero index is empty and valid */
void index_deinit(struct index *index);

/**
 * index_read - the index of a slot
 *
 * -ENOENT: there is none; -EUCLEAN: damaged, split or sparse, of another version, no regular
 * file, too large: the sentence says which.
 */
int index_read(int admin_fd, struct index *ret, struct fault *f);

/* the same from memory; the mtime is left zero */
int index_decode(const uint8_t *data, size_t len, struct index *ret, struct fault *f);

/* is this entry as young as the index, so that its stat data proves nothing? */
bool index_is_racy(const struct index *index, const struct tree_stat *st);

#endif
