/**
 * DOC: command - run what the operator's configuration names
 *
 * Of all programs only these are somebody else's (P6), so slotd never waits for one: not for its
 * start, nor for its output, nor for its end. A few run at the same time, the others wait in a line
 * that has an end. A command is told what it is about by environment variables, and nothing else of
 * slotd's reaches it: no descriptor, no signal mask, no terminal.
 *
 * What a command is given
 * -----------------------
 * A session of its own, / as working directory, umask 077, no new privileges, signals at their
 * defaults. Standard input is /dev/null; what it says on the other two goes to the log, line by line
 * as "WHAT: line", the first COMMAND_OUTPUT_BYTES of it; the rest is read and dropped, so that it is
 * not stopped by it. It dies with slotd. What it leaves behind in its process group ends with it.
 *
 * Its end
 * -------
 * Logged: success as a debug line of the part "command", all else as a warning. At its timeout the
 * group gets SIGTERM, and SIGKILL COMMAND_DEATH_USEC later.
 *
 * Calling sequence
 * ----------------
 * 1. commands_new(), once; SIGCHLD is blocked, as sd-event wants it
 * 2. command_start()
 * 3. commands_free()
 */
#ifndef JOBS_COMMAND_H
#define JOBS_COMMAND_H

#include <stdint.h>
#include <systemd/sd-event.h>

#include "util/fault.h"

#define COMMANDS_AT_ONCE     4
#define COMMANDS_WAITING     256
#define COMMAND_OUTPUT_BYTES 4096
#define COMMAND_DEATH_USEC   (5 * 1000000ULL)

struct commands;

struct command_spec {
	const char *what;  /* whose command it is, for the log: "alert.run" */
	char *const *argv; /* argv[0] is looked up in PATH when it has no slash; NULL at the end */
	char *const *env;  /* NAME=value beside PATH, HOME and LANG, or in their place; NULL at
				* the end; may be NULL */
	uint64_t timeout_usec; /* from its start; more than 0 */
};

/* @event: referenced; 0 or -ENOMEM */
int commands_new(sd_event *event, struct commands **ret, struct fault *f);

/* kills what runs and reaps it, drops what waits; accepts NULL */
void commands_free(struct commands *c);

unsigned commands_count_running(const struct commands *c);
unsigned commands_count_waiting(const struct commands *c);

/**
 * command_start - run it now, or when those before it have ended
 * @spec: copied
 *
 * Returns 0, or: -ENOBUFS, when COMMANDS_WAITING wait already, which is logged here; or what
 * kept it from being started, with a fault. That a command does not exist is not known here: it is
 * logged as its end.
 */
int command_start(struct commands *c, const struct command_spec *spec, struct fault *f);

#endif
