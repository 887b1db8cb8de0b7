/**
 * DOC: fixture - one scripted peer and one client that talks to it
 *
 * Suites set .fini = fixture_stop.
 */
#ifndef TESTS_FIXTURE_H
#define TESTS_FIXTURE_H

#include "peer.h"
#include "replies.h"
#include "slotd/slot.h"

extern struct peer peer;
extern struct slot_client *client;

/* a client of peer.path with quick retries, so that a test that fails does so soon */
void fixture_open(void);

/* peer_start() and fixture_open() */
void fixture_start(const struct peer_step *steps);

/* drops both */
void fixture_stop(void);

/* slot_acquire() from the pool "api" */
int fixture_acquire(struct slot_lease **ret);

/* what the @i-th call had under @key of its parameters; the caller frees it; NULL: none */
char *fixture_sent(size_t i, const char *key);

/* the same of the call itself: its method */
char *fixture_method(size_t i);

/* that was the @i-th call: its method, and a parameter of it */
void fixture_expect_called(size_t i, const char *method, const char *key, const char *value);

#endif
