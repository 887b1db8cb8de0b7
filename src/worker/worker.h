/**
 * DOC: worker - one pool's work, one job at a time
 *
 * A worker answers io.slotd.worker on a socket that it was born with. It keeps nothing from
 * job to job but where its pool is: each job opens the store anew.
 *
 * Calling sequence
 * ----------------
 * 1. worker_init()
 * 2. worker_serve(), which returns when the socket has closed
 * 3. worker_deinit()
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "rpc/frame.h"
#include "rpc/idl.h"
#include "util/fault.h"

#define WORKER_PROTOCOL 2

struct worker {
	const char *pool;  /* all borrowed from the command line */
	const char *store; /* as the operator or the daemon named it */
	const char *slots; /* <slots_dir>/<pool> */
	bool adopted;	   /* the store is somebody's repository */
	bool commands;	   /* for the operator's commands, and for nothing else */
	int fd;		   /* the socket; borrowed */
	char *common_dir;  /* NULL until it was found */
	int slots_fd;
	unsigned threads; /* for writing trees */
	struct idl *idl;
	struct frame_buf frames;
};

/* fields up to @fd are the caller's; prepares the rest */
int worker_init(struct worker *w, struct fault *f);
void worker_deinit(struct worker *w);

/* 0 when the other end has closed */
int worker_serve(struct worker *w, struct fault *f);

/* a call at hand */
struct work {
	struct worker *worker;
	json_object *params; /* borrowed; checked against the interface */
	json_object *reply;  /* filled by the job: parameters of the reply, or of its own error */
	const char *error;   /* set by a job that names its own error; full name */
	bool more;	     /* progress is wanted */
	uint64_t told_usec;  /* when progress was told last */
	struct fault fault;
};

/**
 * work_fn - do a job
 *
 * 0: @reply is the answer, or @error with @reply. A negative errno with the fault becomes
 * an error by work_error_name().
 */
typedef int (*work_fn)(struct work *work);

/* the job of a method, by its name without the interface; NULL: there is none */
work_fn work_find(const char *method);

/* the one place where errnos get the names that the interface has for them */
const char *work_error_name(int code);

/**
 * work_progress - tell how far the job is, at most every 200 ms
 *
 * A store_progress_fn; @userdata is the struct work. -EPIPE: nobody listens any more.
 */
int work_progress(const char *phase, uint64_t done, uint64_t total, void *userdata);

/* one of several replies, params taken over; nothing where the caller wants but one. -EPIPE: as above */
int work_tell(struct work *work, json_object *params);

/* org.varlink.service.InvalidParameter as the job's own error; returns 0 */
int work_invalid(struct work *work, const char *parameter);

#endif
