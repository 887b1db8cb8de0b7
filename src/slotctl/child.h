/**
 * DOC: child - the command of slotctl run: its process group, its terminal
 *
 * Calling sequence
 * ----------------
 * 1. child_init(): from now on signals arrive at child->signal_fd
 * 2. child_start()
 * 3. when signal_fd is readable: child_process(), until child->ended
 * 4. child_deinit()
 *
 * The kernel sends SIGTERM to the command when slotctl is killed; not to what the
 * command has started, nor to a set-user-ID program.
 *
 * Job control: the command runs in a process group of its own, which gets the
 * terminal while slotctl has it. When it stops, slotctl takes the terminal back and
 * stops as well; when slotctl is continued, so is the command.
 *
 * Source: the GNU C library manual, "Implementing a Shell".
 */
#ifndef SLOTCTL_CHILD_H
#define SLOTCTL_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "slotctl/request.h"
#include "util/fault.h"

struct child {
	pid_t pid; /* also its process group; 0: not started */
	int signal_fd;
	pid_t parent;	 /* slotctl: the command gets SIGTERM when it dies */
	int tty;	 /* standard input, when it is a terminal; else -1 */
	sigset_t before; /* the mask to give back */
	bool ended;
	bool was_stopped; /* and goes on now: the caller may have missed something */
	int status;	  /* exit status as shells tell it, once ended */
};

int child_init(struct child *c, struct fault *f);

/* signals are as before; the terminal is ours again */
void child_deinit(struct child *c);

/**
 * child_start - run a command
 * @argv: NULL-terminated
 * @directory: where
 * @v: what its environment has besides ours
 *
 * 0; or a negative errno: why it could not be executed, in words of the exit status
 * in c->status (126, 127, or 1 when @directory cannot be entered).
 */
int child_start(struct child *c, char *const *argv, const char *directory,
		const struct request_variable v[REQUEST_VARIABLES], struct fault *f);

/* acts on the signals that have come: forwards them, stops and continues with the command */
void child_process(struct child *c);

/* to the whole process group; one that is stopped is woken for it */
void child_signal(struct child *c, int sig);

#endif
