/* A store is looked after, while everybody else goes first. */
#include "worker/jobs.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "git/maintain.h"
#include "util/json.h"
#include "util/log.h"

#define NICE 19

/* linux/ioprio.h, which older kernels' headers lack */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_IDLE	   (3 << 13)

struct run {
	struct work *work;
	struct repo *repo;
	struct maintain_options options;
	struct maintain_outcome outcome;
	int r;
};

/* of this thread alone, on Linux; it ends with it, and the worker's next job has its own again */
static void step_back(const struct work *work)
{
	if (setpriority(PRIO_PROCESS, 0, NICE) < 0)
		log_info("maintenance runs with ordinary priority: %s pool=%s", strerror(errno),
			 work->worker->pool);
	if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE) < 0)
		log_info("maintenance reads and writes with ordinary priority: %s pool=%s",
			 strerror(errno), work->worker->pool);
}

static void *run(void *arg)
{
	struct run *run = arg;

	step_back(run->work);
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
