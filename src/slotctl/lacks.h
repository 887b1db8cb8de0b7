/**
 * DOC: lacks - what a repository needs and slots cannot give yet
 *
 * Git LFS, submodules and the like: slotd names them when it opens a pool. Whoever
 * makes or shows a pool tells them in the same words.
 */
#ifndef SLOTCTL_LACKS_H
#define SLOTCTL_LACKS_H

#include <json-c/json.h>
#include <stddef.h>

#include "slotctl/cli.h"

/* @pool: a PoolInfo or PoolCounts, or NULL */
size_t lacks_count(json_object *pool);

/* "lfs (.gitattributes): what that means"; the caller frees; NULL: no memory */
char *lacks_sentence(json_object *pool, size_t i);

/* all of them, a note each on standard error */
void lacks_tell(const struct cli *cli, json_object *pool);

#endif
