/**
 * DOC: seed - the operator's own files in a slot
 *
 * What a repository cannot hold and its users need, ".env" for instance, is copied into new and
 * cleaned slots. Neither the source below its directory nor the way in the slot is followed through
 * a link or a mount. What was copied is noted in the slot's administration, so that a seed which
 * nobody has touched since is no work of the slot's holder, though git may call it untracked.
 */
#ifndef GIT_SEED_H
#define GIT_SEED_H

#include <stdbool.h>
#include <stddef.h>

#include "git/repo.h"
#include "git/tree.h"

/**
 * seed_copy - put files into a clean slot
 * @commit: where the slot stands
 * @from: the directory that they are in; followed as it is named
 * @files, @n: relative to it, and to the slot
 * @ret_copied: how many were not there yet, or were different
 *
 * Permissions are kept, blocks are shared where the file system can. What is in the way and not
 * tracked is removed; a file whose content and permissions are right is left as it is.
 *
 * -ENOENT: a file is not there. -EINVAL: one is no regular file, or behind a link; or git tracks it in
 * this commit. Then some of the others may have been copied.
 */
int seed_copy(struct repo *repo, const struct tree_slot *slot, const git_oid *commit,
	      const char *from, const char *const *files, size_t n, unsigned *ret_copied,
	      struct fault *f);

struct seed_notes; /* what was copied into a slot last */

/* notes that are not there, or cannot be understood, are of nothing. 0 or -ENOMEM */
int seed_notes_load(int admin_fd, struct seed_notes **ret);
void seed_notes_free(struct seed_notes *notes); /* accepts NULL */

/* @path: relative to the slot; with '/' at its end: all files in that directory */
bool seed_notes_cover(const struct seed_notes *notes, int slot_fd, const char *path);

#endif
