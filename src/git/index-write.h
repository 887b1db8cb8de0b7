/**
 * DOC: index-write - the index of a slot, version 2
 */
#ifndef GIT_INDEX_WRITE_H
#define GIT_INDEX_WRITE_H

#include "git/tree-list.h"

#define INDEX_LOCK "index.lock"

/**
 * index_write - replace a slot's index
 * @admin_fd: its administration
 * @list: sorted, merged entries with their stat data; those that are to be gone are left out
 * @cached: the commit whose files these are, for the cache-tree; NULL: none is written
 *
 * Goes to "index.lock" and is renamed; a lock that is there is replaced, since the slot is ours.
 * The file is newer than every entry in it, so that none of them looks racy.
 */
int index_write(int admin_fd, const struct tree_list *list, const struct tree_list *cached,
		struct fault *f);

/**
 * index_lock - keep everybody's git from writing the index
 *
 * A lock that is there is replaced, since the slot is ours. Returns a descriptor for
 * index_write_locked() and index_unlock(), or a negative errno.
 */
int index_lock(int admin_fd, struct fault *f);

/* the lock goes, if the index was not written; below 0 as @fd is fine */
void index_unlock(int admin_fd, int fd);

/* as index_write(), by somebody who has the lock; once */
int index_write_locked(int admin_fd, int fd, const struct tree_list *list, const struct tree_list *cached,
		       struct fault *f);

#endif
