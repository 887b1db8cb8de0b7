/* What store.c and store-open.c share. */
#ifndef POOL_STORE_PRIVATE_H
#define POOL_STORE_PRIVATE_H

#include "pool/private.h"

/* what its jobs bring is of no use any more; the removal goes on when they are over */
static inline bool pool_is_going(const struct pool *pool)
{
	return pool->rec.state == POOL_STATE_REMOVING;
}

/* --- store.c --- */

/* starts a job on the whole store, of which there is none; background: it tells its progress */
void store_job_start(struct pool *pool, const char *method, json_object *params,
		     uint64_t deadline_usec, bool background, job_done_fn done);

/*
 * A job that lost its worker is tried again on a fresh one, as often as the strategy says; true: it
 * is, and nothing else is to be done now.
 */
bool store_job_repeat_if_lost(struct pool *pool, const struct job_result *result);

const char *store_job_error(const struct job_result *result); /* what its failure is to a caller */
json_object *store_credentials(const struct conf_pool *conf); /* a job's parameter */
void store_set_unsupported(struct pool *pool, json_object *list); /* between edit and put */

/* it is open, and its ref was at head: from now on it is watched and fetched */
void store_follow(struct pool *pool, const char *head);

/* --- store-open.c --- */

void store_take_away_again(struct pool *pool); /* if the end of that could not be recorded */

#endif
