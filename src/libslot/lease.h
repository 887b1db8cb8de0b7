/**
 * DOC: lease - what an acquire got
 *
 * slot_lease_free() lets go of the client at once; the memory stays as long as a call
 * that is under way refers to it.
 */
#ifndef LIBSLOT_LEASE_H
#define LIBSLOT_LEASE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "slotd/slot.h"
#include "util/fault.h"

struct slot_lease {
	unsigned refs;
	struct slot_client *client; /* a reference; NULL after slot_lease_free() */
	json_object *json;	    /* the reply to Acquire; expiresAtUsec is kept current */
	char *path;		    /* the bytes that the reply's "path" stands for */
	char *common_dir;
	char *git_dir;
	bool is_held;
	uint64_t ttl_usec;	   /* as granted; UINT64_MAX: no limit */
	uint64_t valid_until_usec; /* CLOCK_BOOTTIME */
};

/**
 * lease_new - from a reply
 * @reply: parameters of an answer to Acquire; a reference is taken
 *
 * 0, -EPROTO when something that every lease has is missing, -ENOMEM.
 */
int lease_new(struct slot_client *client, json_object *reply, struct slot_lease **ret,
	      struct fault *f);

struct slot_lease *lease_ref(struct slot_lease *lease);
void lease_unref(struct slot_lease *lease); /* accepts NULL */

/* @reply: parameters of an answer to Renew or Touch */
void lease_prolong(struct slot_lease *lease, json_object *reply);

/* what the outcome of a call about it, 0 or a negative errno, says of the lease itself */
void lease_note_outcome(struct slot_lease *lease, int r, json_object *reply);

#endif
