/**
 * DOC: processes - who is in a directory, and who is who
 */
#ifndef LEASE_PROCESSES_H
#define LEASE_PROCESSES_H

#include <stddef.h>
#include <sys/types.h>

/**
 * processes_in - the processes that have their working directory, or an open file, at or below a path
 * @path: absolute, without links
 * @but_children_of: it, its children and the caller do not count; 0: only the caller does not
 * @ret, @max: filled with pids; no more than @max are looked for
 *
 * Returns how many, or a negative errno: /proc cannot be read. A process of another user, one that hides
 * (PR_SET_DUMPABLE) and one of another PID namespace are not seen. Not for a process that Landlock
 * confines: it sees nobody.
 */
ssize_t processes_in(const char *path, pid_t but_children_of, pid_t *ret, size_t max);

#endif
