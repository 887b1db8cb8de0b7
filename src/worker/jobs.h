/* The jobs by where they work; worker.h says what they return. */
#ifndef WORKER_JOBS_H
#define WORKER_JOBS_H

#include <git2.h>

#include "git/repo.h"
#include "worker/worker.h"

int job_store_open(struct work *work);
int job_store_fetch(struct work *work);
int job_store_resolve(struct work *work);
int job_store_unpushed(struct work *work);
int job_store_release(struct work *work);
int job_store_maintain(struct work *work);
int job_store_check(struct work *work);

int job_slot_create(struct work *work);
int job_slot_prepare(struct work *work);
int job_slot_clean(struct work *work);
int job_slot_remove(struct work *work);
int job_slot_observe(struct work *work);
int job_slot_prove(struct work *work);
int job_slot_run(struct work *work);
int job_slot_seed(struct work *work);
int job_slot_stamp(struct work *work);

/* a slot's directory for temporary files: empty, and for its owner alone; gone */
int job_reset_tmp(struct work *work, const char *slot);
int job_remove_tmp(struct work *work, const char *slot);

int job_salvage_list(struct work *work);
int job_salvage_show(struct work *work);
int job_salvage_drop(struct work *work);
int job_salvage_branch(struct work *work);
int job_salvage_restore_dir(struct work *work);
int job_salvage_restore_slot(struct work *work);

/**
 * job_open_repo - the pool's store, opened for one job
 *
 * The first time it also finds the common directory of an adopted one, and confines the worker.
 * The caller closes it.
 */
int job_open_repo(struct work *work, struct repo **ret);

/* the first half of it: for a store that is yet to be made */
int job_find_store(struct work *work);

/* the same for one that may be damaged so that nobody would take it for a repository: slotd knows where it is */
int job_know_store(struct work *work, const char *common_dir);

static inline void repo_closep(struct repo **repo)
{
	repo_close(*repo);
}

#define _cleanup_repo_ __attribute__((__cleanup__(repo_closep)))

#endif
