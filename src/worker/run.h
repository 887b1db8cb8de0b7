/**
 * DOC: run - the operator's command in a slot, and whatever it starts
 *
 * Three processes. The worker reads what the command says. The keeper, its child, has the slot's
 * lock as well, and adopts whatever the command leaves behind: when the command has ended, was too
 * slow, or the worker is gone, it kills all of them, and only then lets go of the lock. The command has
 * a session of its own, and Landlock lets it write to the slot and the directories that were named.
 *
 * What it is given
 * ----------------
 * The slot as its working directory, exactly the environment that is named, /dev/null as standard
 * input, umask 022, no new privileges, signals at their defaults, none of our descriptors. None of the
 * worker's limits on memory and files but what slotd itself has.
 *
 * Its end
 * -------
 * At its time limit its process group gets SIGTERM, and RUN_DEATH_USEC later everything SIGKILL. What
 * is left when the command has ended gets SIGKILL at once, whichever group it is in.
 */
#ifndef WORKER_RUN_H
#define WORKER_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/fault.h"

#define RUN_DEATH_USEC	 (5 * 1000000ULL)
#define RUN_OUTPUT_BYTES 16384 /* of what it said; the last ones */

struct run_spec {
	const char *const *argv; /* argv[0] is looked up in PATH of @env when it has no slash; NULL at the end */
	const char *const *env;	 /* NAME=value; NULL at the end */
	int slot_fd;
	const char *const *writable; /* absolute paths of directories that exist, the slot's among them */
	size_t n_writable;
	uint64_t timeout_usec; /* more than 0 */
	bool low; /* processors and disks are for others first */
	int close_fd; /* of the worker: nobody shall hear of its end late, since the keeper has it too */
};

struct run_result {
	bool ok;	 /* exited with 0 */
	char ended[200]; /* "npm exited with 1" */
	char *output;	 /* the caller frees; UTF-8 */
};

/**
 * run_command - run it to its end
 *
 * 0, whatever became of the command, even if there is none of this name; or what kept it from being
 * tried. No other child of the worker may be there: what is, is killed.
 */
int run_command(const struct run_spec *spec, struct run_result *ret, struct fault *f);

#endif
