/* What jobs.c (the queue) and worker.c (the processes) share. */
#ifndef JOBS_PRIVATE_H
#define JOBS_PRIVATE_H

#include "jobs/jobs.h"
#include "rpc/client.h"
#include "util/list.h"

#define WORKER_HELLO_USEC (10 * 1000000ULL)
#define WORKER_IDLE_USEC  (30 * 1000000ULL)
#define WORKER_DEATH_USEC (5 * 1000000ULL)
#define JOBS_LOCK_RETRY_USEC 50000ULL
#define JOBS_SHORTAGE_FIRST_USEC (250 * 1000ULL)
#define JOBS_SHORTAGE_MOST_USEC	 (30 * 1000000ULL)

struct jobs {
	sd_event *event;
	int worker_fd;	/* the binary, O_PATH */
	int locks_fd;	/* <state_dir>/locks */
	unsigned max_workers;
	unsigned n_workers; /* alive, stuck ones not counted */
	unsigned n_background; /* background jobs running, but for idle ones */
	unsigned n_idle; /* idle jobs running: 0 or 1 */
	unsigned n_waiting;
	bool stopping;
	struct list waiting[2]; /* jobs: foreground, background */
	struct list workers;
	sd_event_source *dispatch; /* defer: look for work */
	sd_event_source *retry;	   /* timer: a lock was busy */
	sd_event_source *pause;	   /* timer: no worker is started until then */
	unsigned shortages;	   /* starts that failed in a row */
	struct fault shortage;	   /* why the last one did; empty: it did not */
	bool short_of_locks;	   /* not for want of a worker, but of the descriptor of a lock */
};

struct job_site {
	struct jobs *jobs;
	char *pool, *store, *slots;
	bool adopted;
	bool commands; /* its workers run the operator's commands, and are not counted */
	bool freed; /* the last worker takes it along */
	unsigned n_workers;
};

struct job {
	struct list link; /* jobs.waiting[background] while it waits */
	struct job_site *site;
	struct worker *worker; /* NULL while it waits */
	struct job_spec spec;
	char *lock;
	bool canceled;
	bool warned; /* about a busy lock */
};

enum worker_state {
	WORKER_STARTING, /* Hello is under way */
	WORKER_IDLE,
	WORKER_BUSY,
	WORKER_DYING, /* killed or told to end; not reaped yet */
	WORKER_STUCK, /* did not die in time */
};

struct worker {
	struct list link; /* jobs.workers */
	struct jobs *jobs;
	struct job_site *site;
	enum worker_state state;
	pid_t pid;
	struct rpc_client *client;
	struct job *job; /* the one at hand, or the one it was started for */
	int lock_fd;	 /* of the job, until it was sent; else -1 */
	bool late;
	sd_event_source *child;
	sd_event_source *timer; /* deadline, idle time or time to die, by state */
};

/* worker.c */
int worker_start(struct job_site *site, struct worker **ret, struct fault *f);
int worker_run(struct worker *w, struct job *job, int lock_fd, struct fault *f); /* takes lock_fd */
void worker_kill(struct worker *w);
void worker_end(struct worker *w); /* an idle one */
void worker_free(struct worker *w);

/* jobs.c */
void jobs_look(struct jobs *j); /* something changed: look for work in this turn */
void job_finish(struct job *job, enum job_outcome outcome, const char *error, const char *message,
		json_object *params);
void job_site_leave(struct job_site *site); /* a worker of it is gone */

#endif
