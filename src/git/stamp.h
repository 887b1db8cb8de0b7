/**
 * DOC: stamp - have these files changed?
 */
#ifndef GIT_STAMP_H
#define GIT_STAMP_H

#include <git2.h>

#include "util/fault.h"

/**
 * stamp_files - a digest of what stands under some names in a slot
 * @files: relative to @slot_fd
 *
 * The same for the same names with the same content, whenever it was written. A name that is not there
 * counts as well; so does where a link leads, which is not followed. 0 or a fault.
 */
int stamp_files(int slot_fd, const char *const *files, size_t n, git_oid *ret, struct fault *f);

#endif
