/**
 * DOC: request - from the options of acquire and run to a lease
 */
#ifndef SLOTCTL_REQUEST_H
#define SLOTCTL_REQUEST_H

#include <sys/types.h>

#include "slotctl/cli.h"
#include "slotctl/place.h"
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

#define REQUEST_KEY "key" /* the note of a lease that tells which of the keys got it */

/* what is asked for beside the options; borrowed */
struct request_source {
	const struct place *place; /* without a POOL, its repository's */
	pid_t holder;		   /* may release by slot and path; 0: slotctl itself */
	const char *const *keys;   /* tried in turn until one is not used up; NULL-terminated; NULL: as
				      the options say */
};

/**
 * request_lease_for - the same for somebody else, whose values have been checked
 *
 * Connects, unless that was done. With @from->keys a signal gives nothing back: the next asker
 * gets it by the same key.
 */
enum exit_status request_lease_for(struct cli *cli, const struct request_source *from,
				   struct slot_lease **ret);

/* a variable of the environment of run, hooks and --env */
struct request_variable {
	const char *name;
	char *value; /* NULL: must not be set */
};

#define REQUEST_VARIABLES 12

/* what a command in the slot is told; -ENOMEM. request_free_variables() afterwards */
int request_get_variables(const struct cli *cli, const struct slot_lease *lease,
			  struct request_variable ret[REQUEST_VARIABLES]);
void request_free_variables(struct request_variable v[REQUEST_VARIABLES]);

#endif
