/**
 * DOC: admin-work - what in a slot's administration is somebody's work
 *
 * State of operations, refs and logs of this worktree alone, its settings, and the stores of submodules:
 * salvage saves it and cleaning takes it away. What says where the slot belongs, and locks, are not.
 *
 * So that cleaning takes away only what was saved, all files of it are noted in a set (tree-saved.h) as
 * ".git/<path>" before they are read. HEAD, the index and the log of HEAD are in the set as well, all zero if
 * they are absent; slotd writes these itself, so worktree_clean() compares them.
 */
#ifndef GIT_ADMIN_WORK_H
#define GIT_ADMIN_WORK_H

#include "git/tree-descent.h"
#include "git/tree-saved.h"

/* is it, going by its name at the top of the administration? Stores of submodules included */
bool admin_work_is(const char *name);

/**
 * admin_work_foreach - each file of it, and each directory below a directory of it
 * @below: a directory, as "modules/a"; NULL: all but the stores of submodules
 * @fn: as for tree_descent(); paths begin at the administration
 */
int admin_work_foreach(int admin_fd, const char *below, tree_descent_fn fn, void *userdata, struct fault *f);

/* notes all of it; a write after the return shows, and so does what is new by then */
int admin_work_note(int admin_fd, struct tree_saved *set, struct fault *f);

/**
 * admin_work_check - is all of it as it was noted?
 *
 * What is gone is fine, and so are the three files that slotd writes. A set in which nothing of an administration
 * was noted (NULL likewise) says nothing of it. -EBUSY names a file that is not what was saved.
 */
int admin_work_check(int admin_fd, const struct tree_saved *set, struct fault *f);

/**
 * admin_work_clear - takes away what is as it was noted
 *
 * Each file is looked at just before. Directories that are empty then go as well, but for "logs". -EBUSY names
 * what is not what was saved; that, and what comes after it, is still there. Does nothing where admin_work_check()
 * says nothing.
 */
int admin_work_clear(int admin_fd, const struct tree_saved *set, struct fault *f);

/* was anything of an administration noted? */
bool admin_work_is_noted(const struct tree_saved *set);

#endif
