/**
 * DOC: tree-saved - what has been saved of a slot, so that only that is deleted
 *
 * A set of paths, each with what lstat(2) said about the file when its content was saved. Cleaning
 * (tree_reset()) deletes a file only if it is still that one: nobody has written since. The set goes
 * into the slot's administration before the first file goes (worktree.h), so that a clean that was
 * killed knows what its forerunner had saved.
 *
 * Paths are relative to the slot and name no directories. What is in the administration may be in the
 * set as well, as ".git/<name>" (git/admin-work.h): then cleaning lets nobody's new commit, staged file or
 * state of an operation go.
 *
 * The one who saves: take what fstat(2) says before the first byte is read and again after the last; if
 * they differ, or if the time of the change is as new as the clock's last tick, read again.
 *
 * Threads: any number may ask at the same time, while nobody adds.
 */
#ifndef GIT_TREE_SAVED_H
#define GIT_TREE_SAVED_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "util/text.h"

#define TREE_SAVED_MAX_BYTES (256UL << 20) /* of an encoded set */

struct tree_saved;

struct tree_saved *tree_saved_new(void);      /* NULL: no memory */
void tree_saved_free(struct tree_saved *set); /* accepts NULL */

/* for _cleanup_() */
void tree_saved_freep(struct tree_saved **set);

/**
 * tree_saved_add - a file was saved
 * @path: copied
 * @st: as it was then; inode, size, mtime, ctime and mode count
 *
 * A path that is there already gets the new data. 0 or -ENOMEM.
 */
int tree_saved_add(struct tree_saved *set, const char *path, const struct stat *st);

/* all of another one; 0 or -ENOMEM */
int tree_saved_join(struct tree_saved *set, const struct tree_saved *more);

/* was exactly this saved? NULL as @set: nothing was */
bool tree_saved_has(const struct tree_saved *set, const char *path, const struct stat *st);

/* the same, but for the ctime: of a file that slotd has renamed since */
bool tree_saved_has_moved(const struct tree_saved *set, const char *path, const struct stat *st);

/* was something of this path saved? */
bool tree_saved_knows(const struct tree_saved *set, const char *path);

size_t tree_saved_count(const struct tree_saved *set);

/**
 * tree_saved_encode - append a set to a text
 *
 * 0; -EFBIG: more than TREE_SAVED_MAX_BYTES; -ENOMEM. Nothing is appended then.
 */
int tree_saved_encode(const struct tree_saved *set, struct text *out);

/**
 * tree_saved_decode - the set that was encoded
 * @ret: the caller frees it
 *
 * 0; -EUCLEAN: these bytes are no such set, or not all of it; -ENOMEM.
 */
int tree_saved_decode(const void *data, size_t len, struct tree_saved **ret);

#endif
