/**
 * DOC: child - do something dangerous in a process of its own
 *
 * Inside the ledger only. A damaged file may crash LMDB or keep it busy for ever; a child
 * with limits and a deadline pays for it.
 */
#ifndef LEDGER_CHILD_H
#define LEDGER_CHILD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/fault.h"

enum { CHILD_DIED = 1 };

struct child_limits {
	unsigned time_msec;    /* of wall clock and, rounded up, of processor time */
	uint64_t memory_bytes; /* of address space, more than there is at the fork */
};

/**
 * child_run - call a function in a forked child and wait for it
 * @fn: runs with signals at their defaults; what it changes stays in the child, but for @result
 * @result, @size: given to the child as it is, and back as far as the child came
 *
 * Returns what fn returned, with its sentence; CHILD_DIED with a sentence when it crashed or
 * ran into a limit; or a fault of our own: -EINTR when somebody else killed the child.
 */
int child_run(int (*fn)(void *arg, void *result, struct fault *f), void *arg, void *result,
	      size_t size, const struct child_limits *limits, struct fault *f);

/* in a new child: dies with @parent, signals at their defaults, no core file */
void child_begin(pid_t parent);

#endif
