/**
 * DOC: tree-build - a new tree from an old one and a list of edits
 *
 * Only the directories in which something changes are read and made anew: ten edits cost the same in
 * a commit of a thousand files and of a million. What the old tree has and no edit names stays as it
 * is, byte for byte.
 *
 * Threads
 * -------
 * As the repo's: one at a time.
 */
#ifndef GIT_TREE_BUILD_H
#define GIT_TREE_BUILD_H

#include <stddef.h>
#include <stdint.h>

#include "git/repo.h"

#define TREE_BUILD_MAX_DEPTH 4096 /* names in a path */

struct tree_edit {
	const char *path; /* any bytes but NUL, separated by '/'; borrowed */
	uint32_t mode;	  /* 0100644, 0100755, 0120000, 0160000; 0: remove */
	git_oid oid;	  /* of the content; not looked at when removing */
};

/**
 * tree_build_write_fn - keep a tree object
 * @data, @len: its content; valid during the call
 * @ret: its name
 *
 * 0 or a fault, which ends the building and is handed through.
 */
typedef int (*tree_build_write_fn)(const void *data, size_t len, git_oid *ret, void *userdata,
				   struct fault *f);

/**
 * tree_edit_check - may an edit be in a list?
 *
 * 0; -EINVAL: a path that git would not take (git/tree-name.h), an unknown mode, a file without
 * content; -ENAMETOOLONG: more than TREE_BUILD_MAX_DEPTH names. The fault names the path.
 */
int tree_edit_check(const struct tree_edit *edit, struct fault *f);

/**
 * tree_build - the tree that edits make of another
 * @base: a tree; NULL or all zero: the empty one
 * @edits, @n: in any order; sorted here
 * @write: gets each tree that is new, subdirectories first; they are not looked for in the store
 * @ret: the tree; @base, and nothing was written, when the edits change nothing
 *
 * An edit that is no removal puts a file there: what was in its place goes, a directory with all that
 * is in it, or a file where now a directory has to be. A removal takes a file away and nothing else:
 * where there is none, or a directory, it does nothing. A directory that edits make empty goes; an
 * empty result is the empty tree. The same edit may be there several times, and removals go together
 * with files above or below them.
 *
 * As tree_edit_check() for each edit; -EINVAL: a path is there with different content, or as a file
 * and as a directory; nothing was written then. -EUCLEAN: a tree of the base is missing or damaged, by
 * id and path. What was written until a fault is of no use, and harms nobody.
 */
int tree_build(struct repo *repo, const git_oid *base, struct tree_edit *edits, size_t n,
	       tree_build_write_fn write, void *userdata, git_oid *ret, struct fault *f);

#endif
