/**
 * DOC: shell - who really runs slotctl
 *
 * A harness has each command run by a shell of its own ("sh -c COMMAND"), which is gone as
 * soon as the command is: nothing can be bound to it.
 */
#ifndef SLOTCTL_SHELL_H
#define SLOTCTL_SHELL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/**
 * shell_is_brief_line - is it the command line of a shell for one command?
 * @line: as /proc/PID/cmdline has it: each argument ends with a NUL
 * @len: bytes, the last NUL included; another NUL is behind them
 *
 * A "c" in one of the options before the first operand; what -o and -O take is none.
 */
bool shell_is_brief_line(const char *line, size_t len);

/* the same of a process; false when it is gone */
bool shell_is_brief(pid_t pid);

/* the nearest ancestor of this process that is no such shell; it may be 1, everybody's, and is 0
 * when it cannot be told */
pid_t shell_find_user(void);

#endif
