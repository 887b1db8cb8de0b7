/**
 * DOC: service-private - what service.c, conn.c, call.c and their helpers share
 *
 * A service owns its connections. A connection lives on, closed, as long as a call of
 * it is referenced; a call that is neither answered nor freed stays on the list of its
 * service, so that shutdown finds it. Pointers to the service become NULL when it goes.
 */
#ifndef RPC_SERVICE_PRIVATE_H
#define RPC_SERVICE_PRIVATE_H

#include "rpc/frame.h"
#include "rpc/service.h"

#define ERROR_INVALID_MESSAGE "io.slotd.pool.InvalidMessage"
#define ERROR_LIMIT_REACHED   "io.slotd.pool.LimitReached"
#define ERROR_INTERNAL	      "io.slotd.pool.Internal"

#define ERROR_INTERFACE_NOT_FOUND    "org.varlink.service.InterfaceNotFound"
#define ERROR_METHOD_NOT_FOUND	     "org.varlink.service.MethodNotFound"
#define ERROR_METHOD_NOT_IMPLEMENTED "org.varlink.service.MethodNotImplemented"
#define ERROR_INVALID_PARAMETER	     "org.varlink.service.InvalidParameter"

struct rpc_interface {
	struct idl *idl;
	const struct rpc_method *methods;
	struct list link; /* service.interfaces */
};

/* what one uid uses; there is one while it uses anything */
struct rpc_account {
	uid_t uid;
	unsigned conns;
	unsigned pending;
	size_t out_bytes; /* unwritten on all its connections */
	struct list link; /* service.accounts */
};

struct rpc_service {
	sd_event *event;
	void *userdata;
	char *vendor, *product, *version, *url;
	struct rpc_limits limits;
	int64_t priority;
	bool stopped; /* no call is read any more */
	unsigned n_conns;
	unsigned n_calls;
	rpc_conn_gone_fn conn_gone;
	struct list interfaces; /* rpc_interface.link */
	struct list accounts;	/* rpc_account.link */
	struct list conns;	/* rpc_conn.link */
	struct list calls;	/* rpc_call.link: unanswered */
};

struct rpc_conn {
	unsigned n_ref;		     /* one while open, and one for each call */
	struct rpc_service *service; /* NULL once closed */
	struct list link;	     /* service.conns */
	int fd;			     /* -1 once closed */
	uint64_t id;
	struct rpc_peer peer;
	struct frame_buf frames;
	struct rpc_call *call; /* the one without its answer; not owned */
	bool unread;	       /* the buffer may hold a whole message */
	size_t counted_out;    /* of what is unwritten, the bytes that its account knows of */
	bool ending;	       /* no further message is taken; close when all is written */
	bool broken;	       /* the stream is over; close as soon as the loop comes by */
	sd_event_source *io;
	sd_event_source *again; /* dispatches what is buffered, and closes; NULL: not asked for */
	sd_event_source *late;	/* time-out of half a message; NULL: none runs */
};

struct rpc_call {
	unsigned n_ref;
	struct rpc_service *service;	       /* NULL once answered or gone with it */
	struct rpc_conn *conn;		       /* referenced */
	struct list link;		       /* service.calls */
	const struct rpc_interface *interface; /* NULL: the call could not be understood */
	char *method;			       /* without the interface; NULL as above */
	bool is_oneway;
	bool wants_more;
	bool is_answered;
	bool is_withdrawn; /* answered by the service in the handler's place */
	rpc_gone_fn gone;
	void *gone_userdata;
	rpc_room_fn room;
	void *room_userdata;
};

/* --- service.c --- */

extern const struct rpc_method service_methods[]; /* org.varlink.service; introspect.c */

struct rpc_interface *service_find_interface(struct rpc_service *s, const char *name, size_t len);

/* NULL when memory ran out; service_settle_account() drops one that is not used */
struct rpc_account *service_get_account(struct rpc_service *s, uid_t uid);
void service_settle_account(struct rpc_account *account);

/* --- peer.c --- */

/* who is at the other end; the pidfd is the caller's */
int peer_identify(int fd, struct rpc_peer *ret, struct fault *f);

/* --- conn.c --- */

void conn_unref(struct rpc_conn *c);
void conn_unrefp(struct rpc_conn **c);

/* ends it now; tells whoever waits for a call of it */
void conn_close(struct rpc_conn *c);

/* what to watch for, from what state it is in; after every change of state */
void conn_arm(struct rpc_conn *c);

/* queues and writes as far as the socket takes it; breaks the connection on failure: -ENOBUFS, -EPIPE */
int conn_send(struct rpc_conn *c, json_object *message);

/* bytes unwritten; writes what the socket takes first */
size_t conn_flush(struct rpc_conn *c);

/* is there so little unwritten that more may be added? */
bool conn_has_room(const struct rpc_conn *c);

/* --- call.c --- */

/* serves one message; taken over */
void call_dispatch(struct rpc_conn *c, json_object *message);

/* an error reply outside of any call; NULL when memory ran out */
json_object *call_error_message(const char *name, const char *message);

/* answers in the handler's place, which then speaks to nobody */
void call_withdraw(struct rpc_call *call, const char *error, const char *message);

/* its connection goes: tells whoever asked to be told */
void call_orphan(struct rpc_call *call);

/* its connection has room: the same */
void call_tell_room(struct rpc_call *call);

/* its service goes */
void call_detach(struct rpc_call *call);

#endif
