/**
 * DOC: jobs - hand git work to slotd-worker processes
 *
 * Nothing that can hang, crash or take long runs in slotd: it is a job. A worker is
 * started for one pool, does one job at a time and is killed at the job's deadline. A
 * job is over when its worker has answered, or when the dead worker has been reaped; so
 * two workers never touch one slot. Against workers of an earlier slotd there is a lock: an
 * open-file-description lock on <state_dir>/locks/<name>, taken here, handed to the worker
 * with the job, and gone with it.
 *
 * At least two workers may run; one place is never given to background jobs. A background job that is
 * marked idle has a place of its own, beside all others: whoever else comes need not wait for it,
 * and of such jobs one runs at a time. Workers that run the operator's commands come on top.
 *
 * Calling sequence
 * ----------------
 * 1. jobs_new(), once
 * 2. job_site_new() for each pool: where its workers may work
 * 3. job_start(); the done function is called exactly once, from the loop, never from
 *    inside job_start()
 * 4. job_site_free(), jobs_free()
 *
 * Order
 * -----
 * Foreground jobs go first, each class in the order of job_start(); a job whose lock is busy
 * lets others pass.
 *
 * Shortage
 * --------
 * When no worker can be started (descriptors, processes, memory) no job is to blame: all wait, and
 * it is tried again, less and less often up to every 30 s. Meanwhile jobs_shortage() says why.
 */
#ifndef JOBS_JOBS_H
#define JOBS_JOBS_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "util/fault.h"

#define JOBS_PROTOCOL 2

struct jobs;
struct job;
struct job_site;

enum job_outcome {
	JOB_DONE = 1, /* the worker answered; params is its reply */
	JOB_REFUSED,  /* the worker answered with an error */
	JOB_LOST,     /* the worker died before it answered */
	JOB_LATE,     /* killed at its deadline */
	JOB_STUCK,    /* killed at its deadline and still not dead 5 s later */
	JOB_CANCELED, /* by job_cancel() or jobs_stop() */
};

struct job_result {
	enum job_outcome outcome;
	const char *error;   /* JOB_REFUSED: "Damaged", without the interface; else NULL */
	const char *message; /* a sentence; "" for JOB_DONE */
	json_object *params; /* borrowed; never NULL */
};

typedef void (*job_done_fn)(const struct job_result *result, void *userdata);

/* the worker told how far it is; params borrowed */
typedef void (*job_progress_fn)(json_object *params, void *userdata);

struct job_spec {
	const char *method;	/* of io.slotd.worker, "SlotClean"; borrowed for ever */
	json_object *params;	/* taken over */
	const char *lock;	/* name of the slot or the pool; copied */
	bool background;
	bool idle; /* with background: only beside others, see above */
	uint64_t deadline_usec; /* from the start of the work, or, with @progress, from the last
				 * progress; 0: none */
	job_done_fn done;
	job_progress_fn progress; /* NULL: not wanted */
	void *userdata;
};

/**
 * jobs_new
 * @event: referenced
 * @state_dir: locks/ below it is made
 * @worker_path: the binary; opened now, so that an upgrade on disk does not mix versions
 * @workers: how many may run; below 2 counts as 2
 */
int jobs_new(sd_event *event, const char *state_dir, const char *worker_path, unsigned workers,
	     struct jobs **ret, struct fault *f);

/* kills what runs; no done function is called; accepts NULL */
void jobs_free(struct jobs *j);

/* a running job is left alone; above the new number, a worker ends with the job that it has */
void jobs_set_workers(struct jobs *j, unsigned workers);

/* idle workers end, waiting jobs are cancelled in the next turn, nothing new starts; returns how
 * many jobs still run */
unsigned jobs_stop(struct jobs *j);

unsigned jobs_count_workers(const struct jobs *j);
/* workers that the kernel cannot end; @fn: told the pool and pid of each */
void jobs_each_stuck(const struct jobs *j, void (*fn)(const char *pool, pid_t pid, void *userdata),
		     void *userdata);
const char *jobs_shortage(const struct jobs *j); /* why jobs wait for a worker; "": they do not */
unsigned jobs_count_running(const struct jobs *j); /* jobs that a worker has */
unsigned jobs_count_waiting(const struct jobs *j);

/**
 * job_site_new - where the workers of a pool work
 * @store: directory of the store; @adopted: it is an operator's repository
 * @slots: <slots_dir>/<pool>, exists
 */
int job_site_new(struct jobs *j, const char *pool, const char *store, bool adopted,
		 const char *slots, struct job_site **ret, struct fault *f);

/**
 * job_site_new_for_commands - likewise, for the method SlotRun alone
 *
 * Its workers are beside those that may run: how many there are is for who starts the jobs to say.
 */
int job_site_new_for_commands(struct jobs *j, const char *pool, const char *store, const char *slots,
			      struct job_site **ret, struct fault *f);

/* cancels its waiting jobs without a call, ends its workers; accepts NULL */
void job_site_free(struct job_site *site);

/* 0, or -ENOMEM (params are freed) */
int job_start(struct job_site *site, const struct job_spec *spec, struct job **ret);

/* a waiting job ends now, a running one when its worker was killed: JOB_CANCELED either way */
void job_cancel(struct job *job);

#endif
