/* A store is looked after, while everybody else goes first. */
#include "worker/jobs.h"

#include <errno.h>
#include <pthread.h>

#include "git/maintain.h"
#include "util/json.h"
#include "worker/confine.h"

struct run {
	struct work *work;
	struct repo *repo;
	struct maintain_options options;
	struct maintain_outcome outcome;
	int r;
};

static void *run(void *arg)
{
	struct run *run = arg;

	/* of this thread alone: it ends with it, and the worker's next job has its own again */
	limits_step_back("maintenance", run->work->worker->pool);
	run->r = store_maintain(run->repo, &run->options, &run->outcome, &run->work->fault);
	return NULL;
}

static void set_outcome(json_object *reply, const struct maintain_outcome *o)
{
	json_set_bool(reply, "done", o->done);
	json_set_string(reply, "reason", o->reason[0] ? o->reason : NULL);
	json_set_int(reply, "nextUsec", (int64_t)o->next_usec);
	json_set_int(reply, "packsBefore", (int64_t)o->packs_before);
	json_set_int(reply, "packsAfter", (int64_t)o->packs_after);
	json_set_int(reply, "looseBefore", (int64_t)o->loose_before);
	json_set_int(reply, "looseAfter", (int64_t)o->loose_after);
	json_set_int(reply, "bytesBefore", (int64_t)o->bytes_before);
	json_set_int(reply, "bytesAfter", (int64_t)o->bytes_after);
	json_set_int(reply, "dropped", (int64_t)o->dropped);
	json_set_int(reply, "litter", (int64_t)o->litter);
	json_set_int(reply, "litterBytes", (int64_t)o->litter_bytes);
}

int job_store_maintain(struct work *work)
{
	struct run job = {
		.work = work,
		.options = { .every_usec = (uint64_t)json_get_int(work->params, "everyUsec", 0),
			     .lease_usec =
				     (uint64_t)json_get_int(work->params, "oldestLeaseAtUsec", 0),
			     .reserve_bytes =
				     (uint64_t)json_get_int(work->params, "reserveBytes", 0),
			     .progress = work_progress,
			     .userdata = work },
	};
	_cleanup_repo_ struct repo *repo = NULL;
	pthread_t thread;
	int r;

	if (work->worker->adopted)
		return fault(&work->fault, -EPERM, "somebody else's repository is not maintained");
	r = job_open_repo(work, &repo);
	if (r < 0)
		return r;
	job.repo = repo;
	r = pthread_create(&thread, NULL, run, &job);
	if (r != 0)
		return fault_errno(&work->fault, -r, "cannot start a thread");
	pthread_join(thread, NULL);
	if (job.r == 0)
		set_outcome(work->reply, &job.outcome);
	return job.r;
}
