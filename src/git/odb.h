/**
 * DOC: odb - the object database that libgit2 reads through
 *
 * One backend over an objects directory and its alternates (five deep, relative or absolute,
 * missing ones ignored). Only the first directory is written to. Every object that is read is
 * hashed here, with libcrypto, which is why libgit2's own slower check is off.
 */
#ifndef GIT_ODB_H
#define GIT_ODB_H

#include <git2.h>

#include "util/fault.h"

/**
 * odb_open - an object database over a directory
 * @objects_dir: absolute path
 * @ret: the caller frees it with git_odb_free()
 */
int odb_open(const char *objects_dir, git_odb **ret, struct fault *f);

#endif
