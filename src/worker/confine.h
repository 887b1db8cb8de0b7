/**
 * DOC: confine - what a worker can do at most
 *
 * A worker handles what agents left behind, in a library that was not written for that. It
 * dies with slotd, gains no privileges, has limits, and may write only beneath its store
 * and its slots (Landlock).
 */
#ifndef WORKER_CONFINE_H
#define WORKER_CONFINE_H

#include <stdbool.h>
#include <sys/types.h>

#include "util/fault.h"

/**
 * limits_set - limits, umask, no new privileges, death with the parent
 * @parent: its pid; 0: not known. -ESRCH when it is not our parent any more
 */
int limits_set(pid_t parent, struct fault *f);

/* the same for a worker whose children are the operator's: no limits but that on cores, they are inherited */
int limits_set_for_commands(pid_t parent, struct fault *f);

/* from now on everybody else first, for the processor and the disk: this thread, on Linux, and those it starts;
 * @what, @pool: for the log, where that cannot be had */
void limits_step_back(const char *what, const char *pool);

/**
 * landlock_restrict - from now on nothing is written but beneath these directories
 * @store, @slots: absolute paths of directories that exist
 * @ret_active: false: this kernel has no Landlock, or one without the right to rename between
 *	directories (ABI 1), which would break every rename
 *
 * For this thread and those it starts: call it before there are others. /dev/null stays writable.
 */
int landlock_restrict(const char *store, const char *slots, bool *ret_active, struct fault *f);

bool landlock_is_there(void); /* else the two do nothing */

/* the same for any directories */
int landlock_restrict_to(const char *const *places, size_t n, bool *ret_active, struct fault *f);

#endif
