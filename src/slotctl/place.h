/**
 * DOC: place - which repository the working directory belongs to
 *
 * Found by looking for .git on the way up, as git does; nothing in the repository
 * is opened but the two small files that say where a worktree's administration is.
 */
#ifndef SLOTCTL_PLACE_H
#define SLOTCTL_PLACE_H

#include <stdint.h>

#include "util/fault.h"

struct place {
	char *directory;  /* where we are: absolute */
	char *top;	  /* of the worktree, or the bare repository; NULL: no repository here */
	char *common_dir; /* its common git directory, all links resolved; NULL likewise */
};

/**
 * place_find - look from a directory upwards
 * @from: NULL: the working directory
 * @ret: the caller calls place_deinit()
 *
 * No repository is no error; a working directory that was removed is -ENOENT.
 */
int place_find(const char *from, struct place *ret, struct fault *f);
void place_deinit(struct place *p);

/**
 * place_repository - what a pool of this repository is made from
 *
 * The main worktree rather than a linked one, so that it does not go away with a
 * branch. NULL: no repository. The caller frees.
 */
char *place_repository(const struct place *p);

/**
 * place_pool_name - a valid pool name that resembles a path's last component
 * @path: of a repository
 * @suffixed: with a mark made from the whole path, for when the plain name is taken
 *
 * The caller frees; NULL: no memory.
 */
char *place_pool_name(const char *path, int suffixed);

#endif
