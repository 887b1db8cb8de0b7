/**
 * DOC: service - answer Varlink calls on an sd-event loop
 *
 * A service has interfaces and a table of handlers. Connections are added to it as
 * they are accepted. A handler may answer at once, or keep the call and answer
 * later; the next call of the same connection is read after the last reply of the
 * one before. A connection serves one message a turn of the loop, so that nobody who
 * pipelines keeps the others waiting.
 *
 * What is no call (not JSON, too long, too deep, no method) is answered with
 * io.slotd.pool.InvalidMessage, and the connection goes on. "upgrade" is refused.
 *
 * What a peer does not read has to be kept for it, so it gets no more: while more than
 * out_bytes wait, none of its calls is read, and a stream that asks rpc_call_has_room() stands
 * still until rpc_call_on_room(). One reply may be as long as it is; only when the connections of
 * one uid together have more than out_bytes_per_uid unread is the one with the most cut.
 *
 * In builds with assertions a reply that breaks its interface aborts.
 *
 * A connection is gone when its peer has closed it or died. One that shut down only
 * its sending half still gets the answer to what it asked.
 *
 * Calling sequence
 * ----------------
 * 1. rpc_service_new(), rpc_service_add_interface() for each
 * 2. rpc_service_check(): every method is served and no other
 * 3. rpc_conn_new() for each accepted socket
 * 4. in a handler: rpc_reply(), rpc_error(), or rpc_call_ref() and answer later
 *
 * Threads
 * -------
 * The loop's only.
 */
#ifndef RPC_SERVICE_H
#define RPC_SERVICE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "rpc/idl.h"
#include "util/fault.h"
#include "util/list.h"

struct rpc_service;
struct rpc_conn;
struct rpc_call;

/* who is at the other end, as the kernel said when it connected */
struct rpc_peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	int pidfd; /* -1: not known; borrowed from the connection */
};

/**
 * rpc_method_fn - a handler
 * @call: borrowed; rpc_call_ref() to answer later
 * @params: checked against the interface; borrowed; never NULL
 *
 * 0 when it answered or kept the call; a negative errno is answered with
 * io.slotd.pool.Internal and logged.
 */
typedef int (*rpc_method_fn)(struct rpc_call *call, json_object *params, void *userdata,
			     struct fault *f);

struct rpc_method {
	const char *name; /* without the interface; NULL ends a table */
	rpc_method_fn fn;
};

struct rpc_limits {
	size_t message_bytes;		/* of one call */
	int depth;
	size_t out_bytes;		/* unread on one connection: it gets no more; 0: no limit */
	size_t out_bytes_per_uid;	/* on all of them: the greatest is cut; 0: no limit */
	unsigned connections_per_uid;	/* 0: no limit */
	unsigned pending_per_uid;	/* calls without their answer; 0: no limit */
	unsigned connections;		/* in all; 0: no limit */
	uint64_t read_usec;		/* for the rest of a message once it began */
};

/**
 * rpc_service_new
 * @event: referenced
 * @vendor, @product, @version, @url: for org.varlink.service.GetInfo; copied
 * @userdata: handed to every handler
 */
int rpc_service_new(sd_event *event, const char *vendor, const char *product, const char *version,
		    const char *url, void *userdata, struct rpc_service **ret, struct fault *f);

/* closes all connections; accepts NULL */
void rpc_service_free(struct rpc_service *s);

/**
 * rpc_service_set_limits - for what comes from now on; may be called again at any time
 *
 * How many there may be holds for the next connection and the next call: what is there already
 * stays, though it be too many now. What is said of messages holds for the next connections.
 *
 * Without it: 64 KiB and depth 16 a call, 1 MiB unread on a connection and 64 MiB of a uid, 64
 * connections and 256 unanswered calls a uid, 10 s for the rest of a message. A uid's calls count until they
 * are answered or freed, also when their connection has gone.
 */
void rpc_service_set_limits(struct rpc_service *s, const struct rpc_limits *limits);

/* @methods: borrowed for the service's life, ended by a NULL name */
int rpc_service_add_interface(struct rpc_service *s, const char *idl_text,
			      const struct rpc_method *methods, struct fault *f);

/* -EINVAL and a sentence when a method of an interface has no handler, or a handler no method */
int rpc_service_check(struct rpc_service *s, struct fault *f);

/* priority of the connections' io sources; default SD_EVENT_PRIORITY_NORMAL */
void rpc_service_set_priority(struct rpc_service *s, int64_t priority);

/* told of every connection that ends, by rpc_call_conn_id(); NULL: no longer */
typedef void (*rpc_conn_gone_fn)(uint64_t conn_id, void *userdata);
void rpc_service_on_conn_gone(struct rpc_service *s, rpc_conn_gone_fn fn);

/* connections and unanswered calls now */
unsigned rpc_service_count_conns(const struct rpc_service *s);
unsigned rpc_service_count_calls(const struct rpc_service *s);

/* from now on no call is read; unanswered ones may still be answered; hang-ups are still seen */
void rpc_service_stop_reading(struct rpc_service *s);

/* answers every unanswered call with this error ("io.slotd.pool.ShuttingDown"); returns how
 * many. Their handlers are not told; what they still answer goes nowhere. */
unsigned rpc_service_fail_calls(struct rpc_service *s, const char *error, const char *message);

/* writes what is queued, waiting at most @usec; returns how many bytes could not be written */
size_t rpc_service_flush(struct rpc_service *s, uint64_t usec);

/**
 * rpc_conn_new - serve an accepted stream socket
 * @fd: taken over in every case; made non-blocking
 *
 * Refuses with one io.slotd.pool.LimitReached error and a close when the uid or the
 * service has too many; then returns -EDQUOT.
 */
int rpc_conn_new(struct rpc_service *s, int fd, struct fault *f);

/* --- a call --- */

struct rpc_call *rpc_call_ref(struct rpc_call *call);
void rpc_call_unref(struct rpc_call *call); /* accepts NULL; unanswered and last: Internal error */

const struct rpc_peer *rpc_call_peer(const struct rpc_call *call);
const char *rpc_call_method(const struct rpc_call *call); /* without the interface */

/* a number that no other connection of this process had */
uint64_t rpc_call_conn_id(const struct rpc_call *call);

/* did the caller ask for several replies? */
bool rpc_call_wants_more(const struct rpc_call *call);

/* has the connection gone? answers then go nowhere, without an error */
bool rpc_call_is_gone(const struct rpc_call *call);

/* told once when the connection goes before the call was answered; NULL: no longer */
typedef void (*rpc_gone_fn)(struct rpc_call *call, void *userdata);
void rpc_call_on_gone(struct rpc_call *call, rpc_gone_fn fn, void *userdata);

/**
 * rpc_reply - answer, for the last time
 * @params: taken over; NULL: none
 */
void rpc_reply(struct rpc_call *call, json_object *params);

/* one of several answers; only when rpc_call_wants_more(); @params taken over.
 * -ENOBUFS: too much was unread, the connection was cut */
int rpc_reply_more(struct rpc_call *call, json_object *params);

/* does the peer read what it is sent? a stream that may be long asks before each reply */
bool rpc_call_has_room(const struct rpc_call *call);

/* told once, from the loop, when there is room again; to be asked for while there is none. NULL: no
 * longer */
typedef void (*rpc_room_fn)(void *userdata);
void rpc_call_on_room(struct rpc_call *call, rpc_room_fn fn, void *userdata);

/* has whoever held the other end of the connection closed it? what was sent before may still be read */
bool rpc_call_peer_has_left(const struct rpc_call *call);

/**
 * rpc_error - answer with an error
 * @name: full, "io.slotd.pool.Busy"
 * @params: taken over; may be NULL; "message" is set from fmt
 */
__attribute__((format(printf, 4, 5))) void rpc_error(struct rpc_call *call, const char *name,
						     json_object *params, const char *fmt, ...);

/* org.varlink.service.InvalidParameter */
void rpc_error_parameter(struct rpc_call *call, const char *parameter);

#endif
