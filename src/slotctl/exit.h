/**
 * DOC: exit - the exit statuses of slotctl, and which answer means which
 */
#ifndef SLOTCTL_EXIT_H
#define SLOTCTL_EXIT_H

enum exit_status {
	EXIT_STATUS_DONE = 0,
	EXIT_STATUS_FAILED = 1,
	EXIT_STATUS_USAGE = 2,
	EXIT_STATUS_BUSY = 3,	     /* nothing free in time, or quota reached */
	EXIT_STATUS_ABSENT = 4,	     /* no such pool, slot or lease */
	EXIT_STATUS_GONE = 5,	     /* the lease is over */
	EXIT_STATUS_UNREACHABLE = 6, /* no daemon */
	EXIT_STATUS_FINDINGS = 7,
	EXIT_STATUS_DENIED = 8,
	EXIT_STATUS_NOT_EXECUTABLE = 126, /* run: as shells do */
	EXIT_STATUS_NOT_FOUND = 127,
	EXIT_STATUS_SIGNAL = 128, /* plus the signal's number */
};

/**
 * exit_status_of - what an answer means to the caller's script
 * @error: full name of a Varlink error; NULL: none, @code decides
 * @code: the negative errno that came with it
 */
enum exit_status exit_status_of(const char *error, int code);

#endif
