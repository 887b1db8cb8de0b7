/**
 * DOC: request - from the options of acquire and run to a lease
 */
#ifndef SLOTCTL_REQUEST_H
#define SLOTCTL_REQUEST_H

#include "slotctl/cli.h"
#include "slotd/slot.h"

/* does it ask for a lease that ends with a connection, which would be slotctl's? */
bool request_is_bound_to_connection(const struct cli *cli);

/**
 * request_lease - connect, and lease what the command line asks for
 * @ret: the lease; the caller frees it
 *
 * Starts the user's daemon and makes a pool of the repository we are in, where that is
 * allowed and needed. A signal that would end slotctl ends the wait, and gives back what
 * came nevertheless; then this does not return.
 */
enum exit_status request_lease(struct cli *cli, struct slot_lease **ret);

/* a variable of the environment of run, hooks and --env */
struct request_variable {
	const char *name;
	char *value; /* NULL: must not be set */
};

#define REQUEST_VARIABLES 9

/* what a command in the slot is told; -ENOMEM. request_free_variables() afterwards */
int request_get_variables(const struct cli *cli, const struct slot_lease *lease,
			  struct request_variable ret[REQUEST_VARIABLES]);
void request_free_variables(struct request_variable v[REQUEST_VARIABLES]);

#endif
