/**
 * DOC: processes - who is in a directory, and who is who
 *
 * A process is in a directory that has its working directory, or an open file, at or below it. Not seen
 * are processes of other users, those that hide (PR_SET_DUMPABLE), those of another PID namespace, and who
 * has nothing there but a mapping. All of /proc is read: with many processes that takes some milliseconds.
 * Not for a process that Landlock confines: it sees nobody.
 */
#ifndef LEASE_PROCESSES_H
#define LEASE_PROCESSES_H

#include <stddef.h>
#include <stdint.h>

#include "util/process.h"

/* what it has there, the worst last */
enum process_use { PROCESS_STANDS = 1, PROCESS_READS, PROCESS_WRITES };

#define PROCESS_NAME_SIZE 24

struct process_found {
	struct process_id id;
	uint8_t use; /* enum process_use */
	char name[PROCESS_NAME_SIZE]; /* as the kernel has it, fit to be printed */
};

#define PROCESSES_MOST 32

struct processes_place {
	const char *path; /* absolute, without links */
	const struct process_id *but; /* these and their ancestors do not count */
	size_t n_but;
	size_t n; /* how many are in it; filled in */
	struct process_found *found; /* room for PROCESSES_MOST, the first of them; NULL: not wanted */
};

/**
 * processes_look - the processes in each of several places, in one look
 * @but_children_of: it, its children, the caller and workers of any slotd do not count; 0: only the
 *	caller does not
 *
 * Returns 0, or a negative errno: /proc cannot be read.
 */
int processes_look(struct processes_place *places, size_t n_places, pid_t but_children_of);

const char *process_use_to_string(enum process_use use); /* "directory", "reads", "writes" */

/* "vim (4711)", "bash (4711, only its working directory)", "less (4711, only reads)" */
#define PROCESS_TEXT_SIZE (PROCESS_NAME_SIZE + 48)
char *process_found_to_string(const struct process_found *p, char ret[PROCESS_TEXT_SIZE]);

#endif
