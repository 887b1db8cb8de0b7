/**
 * DOC: client - what struct slot_client holds, and how calls run on it
 *
 * Every call of the library, blocking or not, is a struct call that the same state
 * machine (call.c) drives without blocking; a blocking function is that machine and a
 * poll (loop.c). So there is one place for retries, deadlines and cancellation.
 *
 *	waiting --(its time has come)--> connect, send --> talking --> last reply
 *	   ^                                   |               |
 *	   '------------- may be repeated -----+---------------'
 */
#ifndef LIBSLOT_CLIENT_H
#define LIBSLOT_CLIENT_H

#include <json-c/json.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "libslot/conn.h"
#include "libslot/retry.h"
#include "slotd/slot.h"
#include "util/fault.h"

struct call;

/* how the last call ended, as the slot_client_error_…() functions tell it */
struct outcome {
	json_object *answer; /* the daemon's last message, owned; NULL: it did not say anything */
	struct fault fault;  /* else what happened on this side */
};

struct slot_client {
	unsigned refs;
	pid_t pid; /* who made it */
	char *path;
	struct conn conn;
	int wake_fd; /* eventfd in the epoll set: a call was made, or cancelled */
	atomic_bool is_cancelled;
	bool await_daemon;
	bool was_connected;
	bool is_streaming; /* inside the callback of a stream */
	uint64_t timeout_usec;
	struct retry_policy retry;
	struct call *call; /* under way; NULL: none */
	struct outcome outcome;
};

/**
 * call_reply_fn - told of each reply, and once of a failure
 * @r: 0 or a negative errno
 * @reply: parameters; borrowed; NULL when @r is negative
 *
 * As slot_reply_fn.
 */
typedef int (*call_reply_fn)(struct slot_client *client, struct call *call, int r,
			     json_object *reply, bool continues);

enum call_state {
	CALL_STATE_WAITING, /* until next_usec */
	CALL_STATE_TALKING, /* the call is in the socket or on its way into it */
};

struct call {
	enum call_state state;
	char *method;	     /* full name; NULL: only connect */
	json_object *params; /* an object */
	unsigned flags;	     /* enum method_flag */
	bool more;

	call_reply_fn on_reply;
	void *userdata;
	union {
		slot_reply_fn reply;
		slot_lease_fn lease;
		slot_done_fn done;
	} fn;			  /* the caller's, for on_reply */
	struct slot_lease *lease; /* a reference; NULL: none */

	uint64_t deadline_usec;	  /* CLOCK_BOOTTIME; UINT64_MAX: none */
	uint64_t wait_until_usec; /* the end of waitUsec; UINT64_MAX: the caller set none */
	uint64_t next_usec;
	struct outage outage;
	bool is_sent;	/* slotd can have read all of it in this attempt */
	bool was_sent;	/* ... in an earlier one */
	bool has_reply; /* a reply of the stream was handed on */
};

/* ---- client.c ---- */

/* -ECHILD in a forked child, -EINVAL for NULL */
int client_check(struct slot_client *client);

/**
 * client_refuse - an argument that cannot be right
 * @client: NULL is allowed
 *
 * Returns -EINVAL, and lets slot_client_error_message() tell, unless a call is under way.
 */
int client_refuse(struct slot_client *client, const char *sentence);

/* makes the descriptor that callers poll readable; async-signal-safe */
void client_wake(struct slot_client *client);

/* no errors, no reply any more */
void outcome_clear(struct outcome *outcome);

/* ---- call.c ---- */

/**
 * call_new - a call, not started yet
 * @method: as in slot_call(); NULL: only connect
 * @params: taken over in every case; NULL: none
 */
int call_new(const char *method, json_object *params, call_reply_fn on_reply, struct call **ret);
void call_free(struct call *call); /* accepts NULL */
void call_freep(struct call **call);

/**
 * call_start - make it the client's
 * @call: taken over in every case
 *
 * -EALREADY, -ECHILD, -EINVAL; the callback is called later, if at all.
 */
int call_start(struct slot_client *client, struct call *call);

/* goes on with the client's call as far as it goes without blocking */
void call_drive(struct slot_client *client);

/* ---- loop.c ---- */

/**
 * call_run - start a call and wait for its end
 * @call: taken over in every case; its on_reply is set here
 * @ret: the reply's parameters, for the caller to put; NULL: not wanted
 */
int call_run(struct slot_client *client, struct call *call, json_object **ret);

/**
 * client_run_until - wait and process until something has happened
 * @is_done: set by the callback of the client's call
 *
 * 0, or the negative errno of a poll that failed: then the call is dropped.
 */
int client_run_until(struct slot_client *client, const bool *is_done);

#endif
