/**
 * DOC: vet - look at what libgit2 opens by name, before it does
 *
 * libgit2 opens its files with a plain open(2): a FIFO under one of their names blocks it for ever,
 * and a huge one is read into memory whole.
 */
#ifndef GIT_VET_H
#define GIT_VET_H

#include "util/fault.h"

/**
 * vet_store - is this a git directory whose files can be opened?
 * @common_dir: absolute path
 *
 * Checks HEAD, config and what it includes, packed-refs, shallow, info/attributes, info/exclude,
 * objects and refs. -ENOENT: no such directory; -EUCLEAN: not a git directory, or one of them is
 * missing, not a regular file, or too large; the sentence names it.
 */
int vet_store(const char *common_dir, struct fault *f);

#endif
