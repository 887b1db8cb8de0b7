/**
 * DOC: promises - what a lease may be counted on for, in a few dozen lines
 *
 * The model of model.c. It knows nothing of how slotd decides: who holds what, when that may end, and
 * when it has to.
 */
#ifndef TEST_POOL_PROMISES_H
#define TEST_POOL_PROMISES_H

#include "lease/policy.h"
#include "pool/pools.h"

#define SLOTS	    4
#define KEYS	    4
#define TTL	    (60 * USEC_PER_SEC)
#define GRACE	    (10 * USEC_PER_SEC)
#define ABANDON	    (1000 * USEC_PER_SEC)
#define ABANDON_UNKNOWN (4 * ABANDON) /* when not everything can be looked at */
#define EXTENSION   (300 * USEC_PER_SEC)
#define RETRY	    (15 * USEC_PER_SEC) /* after an end that could not be recorded */
#define NO_DEADLINE 0

/* a point in time, and how far the wall clock was ahead of it */
struct when {
	uint64_t usec;
	uint64_t slept; /* of that */
	int64_t wall;
	unsigned boot;
};

struct model_lease {
	bool is_held, is_asked; /* an inquiry is under way */
	char id[ID_TEXT_SIZE];
	uint64_t deadline;
	uint64_t retry; /* its end could not be recorded: it may last until then */
	bool lost;	/* what it is bound to has ended: that is proof */
	struct when heard, seen;
	uint8_t bind;
	uint32_t pid; /* of the process */
	uint64_t conn;
	uint32_t renewals, extensions;
	int32_t progress;
	int key; /* -1: none */
};

struct model_key {
	bool is_used;
	int slot; /* -1: its lease has ended */
	char id[ID_TEXT_SIZE];
	struct acquire_spec spec;
};

extern struct model {
	struct model_lease lease[SLOTS];
	struct model_key key[KEYS];
	uint64_t token[SLOTS];
	uint64_t now;
	uint64_t slept; /* the machine, in all */
	uint64_t slept_before; /* likewise, before it woke last */
	uint64_t woke; /* the machine, in the life of this slotd; 0: it has not slept */
	int64_t wall; /* ahead of now */
	unsigned boot;
	bool is_broken; /* nothing can be recorded in this step */
} model;

/* what was granted has ended; its key says so from now on */
void model_end(int slot);

/* its time and its grace are over */
bool model_has_passed(const struct model_lease *m);

/* its holder has reported */
void model_renew(struct model_lease *m);

/* its holder has called: it has a whole term from now on */
void model_hear(struct model_lease *m);

/* what it is bound to has ended */
void model_lose(struct model_lease *m);

/* its holder came back with its key; bound to what it is now, and heard unless that is as it was */
void model_bind(struct model_lease *m, const struct acquire_spec *spec);

/* true: what an inquiry found ends the lease; else it counts as what it is */
bool model_judge(struct model_lease *m, const struct lease_evidence *e);

/* slotd, and perhaps the machine, was started again */
void model_restart(struct model_lease *m);

#endif
