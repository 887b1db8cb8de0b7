/**
 * DOC: tree-name - which paths git would take into an index
 *
 * The rules of git 2.39 with its defaults on Linux: core.protectNTFS is on, core.protectHFS off. A
 * commit with other names can be made, but git would not check it out, and many servers refuse it.
 *
 * Source: verify_path() in git's read-cache.c, is_ntfs_dotgit() in its path.c.
 */
#ifndef GIT_TREE_NAME_H
#define GIT_TREE_NAME_H

#include <stdint.h>

/**
 * tree_path_objection - what git has against a path
 * @path: any bytes, NUL-terminated
 * @mode: TREE_MODE_…; of what is at the end of the path
 *
 * Returns NULL when it would take it, else what is wrong, to be put behind "the path"
 * (has ".." in it).
 */
const char *tree_path_objection(const char *path, uint32_t mode);

#endif
