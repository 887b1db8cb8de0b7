/**
 * DOC: libslot - lease ready git worktrees from slotd(8)
 *
 * Calling sequence
 * ----------------
 * 1. slot_connect()	one socket to one slotd
 * 2. slot_acquire()	waits until a slot is ready, returns a lease
 * 3. work inside slot_lease_path(); slot_renew() to report progress,
 *    until slot_lease_valid_until_usec()
 * 4. slot_release()
 *
 * Errors
 * ------
 * Every fallible call returns 0 on success or a negative errno, and writes its
 * out parameters on success only. slot_client_error_name() is NULL when the
 * error arose on this side, else the name that slotd gave it;
 * slot_client_error_message() is a sentence in both cases.
 *
 * What slotd said:
 *
 *	-EBUSY		Busy: all are leased, none became free in time; waiting helps
 *	-ENODEV		Unavailable: none can become free by waiting (isolated, paused, ...)
 *	-EDQUOT		QuotaReached: this agent holds its share
 *	-ENOENT		NotFound: no such pool, slot, lease, ref or branch
 *	-ESTALE		LeaseGone: the lease is over; stop writing
 *	-EACCES		NotPermitted
 *	-EUCLEAN	Isolated: the slot was taken out of service
 *	-EEXIST		KeyReused (Acquire), Exists (the name is taken)
 *	-EADDRINUSE	BranchInUse: checked out elsewhere
 *	-EOPNOTSUPP	Unsupported, or a method that this slotd does not have
 *	-ENOTEMPTY	Conflict: the state forbids it (leases live, work not saved)
 *	-EREMOTEIO	GitFailed: the origin or the repository failed
 *	-EREMOTEIO	HookFailed: the pool's acquire.run failed in every slot that was tried
 *	-EIO		LedgerFailed: nothing was changed
 *	-EUSERS		LimitReached: too many connections or calls of this uid
 *	-ESHUTDOWN	ShuttingDown, until the deadline of the retries
 *	-EINVAL		org.varlink.service.InvalidParameter
 *	-EBADMSG	InvalidMessage
 *	-ENOTRECOVERABLE Internal, and every name that this library does not know
 *
 * What happened on this side (the name is NULL):
 *
 *	-ENOENT		no socket at the path
 *	-ECONNREFUSED	a socket, but nobody who listens
 *	-EACCES		the socket, or the directory it lies in, may not be used
 *	-ETIMEDOUT	no answer in time; the connection was closed
 *	-ECANCELED	slot_client_cancel(); the connection was closed
 *	-ECONNRESET	the connection broke, and the call must not be sent twice
 *	-EALREADY	another call is under way on this client
 *	-EMSGSIZE	the request or the reply is too long
 *	-EPROTO		what came is not a Varlink reply
 *	-ECHILD		the client was made before fork(), by the parent
 *	-EINVAL, -ENOMEM, and what socket(2) or epoll_create1(2) say
 *
 * Retries
 * -------
 * When the connection breaks, or slotd says ShuttingDown, the call is repeated with
 * growing random delays until a deadline (slot_client_set_retry()), so a restart of
 * the daemon goes unnoticed. A call that is not known to be harmless when done twice
 * is repeated only when slotd cannot have acted on it. slot_acquire() always carries a
 * key, and a repeated one gets the same lease. A first connection that fails is an
 * error at once, unless slot_client_set_await_daemon().
 *
 * Threads
 * -------
 * One client belongs to one thread at a time, and its leases with it; clients share no
 * state. Only slot_client_cancel() may be called from elsewhere.
 *
 * fork()
 * ------
 * Descriptors are close-on-exec. In a child that fork() made, a client of the parent
 * fails with -ECHILD and sends nothing; slot_client_unref() and slot_lease_free() free
 * the child's memory, and slot_lease_releasep() does not release. Make a new client.
 *
 * Signals
 * -------
 * No call raises SIGPIPE, and none changes a handler or a mask. A blocking call
 * goes on after a signal unless the handler called slot_client_cancel().
 */
#ifndef SLOTD_SLOT_H
#define SLOTD_SLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SLOT_API   __attribute__((visibility("default")))
#define SLOT_CHECK __attribute__((warn_unused_result))
#else
#define SLOT_API
#define SLOT_CHECK
#endif

struct slot_client;  /* one connection to one slotd; counted references */
struct slot_request; /* what an acquire asks for */
struct slot_lease;   /* what it got; holds a reference to its client */

/* the version of this library, "1.2.3"; static */
SLOT_API const char *slot_version(void);

/* ---- the daemon's socket ---- */

enum slot_scope {
	SLOT_SCOPE_ANY,	   /* SLOTD_SOCKET, else the system's where it exists, else the user's */
	SLOT_SCOPE_SYSTEM, /* /run/slotd/slotd.sock */
	SLOT_SCOPE_USER,   /* see slot_socket_path() */
};

/**
 * slot_socket_path - where slotd listens
 * @scope: which daemon
 * @ret: absolute path; the caller frees it with free()
 *
 * The user's socket is $XDG_RUNTIME_DIR/slotd/slotd.sock; without that variable
 * /run/user/UID/slotd/slotd.sock where /run/user/UID exists; else
 * /tmp/slotd-UID/slotd.sock. Nothing is made, and a socket need not be there.
 *
 * -EACCES: /tmp/slotd-UID is there, but is not a directory of this user with mode 0700.
 * -EINVAL: an unknown scope. -ENOMEM.
 */
SLOT_API SLOT_CHECK int slot_socket_path(enum slot_scope scope, char **ret);

/* ---- client ---- */

/**
 * slot_connect - make a client and connect it
 * @path: the socket; copied; NULL: slot_socket_path(SLOT_SCOPE_ANY)
 * @ret: the client; the caller drops it with slot_client_unref()
 *
 * slot_client_new() and slot_client_connect() in one; where the sentence about a
 * failure is wanted, call those two. Errors as theirs.
 */
SLOT_API SLOT_CHECK int slot_connect(const char *path, struct slot_client **ret);

/**
 * slot_client_new - make a client that connects when it is first used
 * @path: as in slot_connect()
 * @ret: the client; the caller drops it with slot_client_unref()
 *
 * -EACCES as slot_socket_path(); -EINVAL when @path is empty; -ENAMETOOLONG when it does
 * not fit into a socket address; -ENOMEM, -EMFILE, -ENFILE.
 */
SLOT_API SLOT_CHECK int slot_client_new(const char *path, struct slot_client **ret);

/**
 * slot_client_connect - connect now instead of at the first call
 *
 * Blocks as a call does (see slot_client_set_await_daemon()). Nothing happens when the
 * client is connected. -ENOENT, -ECONNREFUSED, -EACCES, -ETIMEDOUT, -ECANCELED,
 * -EALREADY, -ECHILD.
 */
SLOT_API SLOT_CHECK int slot_client_connect(struct slot_client *client);

/**
 * slot_client_ref - take another reference
 * @client: not NULL
 *
 * Returns @client; each reference is dropped with slot_client_unref(). Cannot fail.
 */
SLOT_API struct slot_client *slot_client_ref(struct slot_client *client);

/**
 * slot_client_unref - drop a reference
 * @client: NULL is allowed
 *
 * The last one closes the connection and drops a call that is under way; its callback
 * is not called. Leases hold references, so the connection stays while they do.
 */
SLOT_API void slot_client_unref(struct slot_client *client);

/* for __attribute__((cleanup)); accepts a pointer to NULL */
SLOT_API void slot_client_unrefp(struct slot_client **client);

/* the socket's path; lives as long as the client */
SLOT_API const char *slot_client_path(const struct slot_client *client);

/**
 * slot_client_set_retry - how long and how often to try again
 * @deadline_usec: from the first failure of an outage, microseconds; 0: never try
 *	again; default 30 s. A connection that stood for @cap_usec ends an outage.
 * @attempts: at most so many repetitions in an outage; 0: no limit (default)
 * @base_usec: the least delay, microseconds, above 0; default 50 ms
 * @cap_usec: the greatest, at least @base_usec; default 5 s
 *
 * Each delay is drawn between @base_usec and three times the one before ("decorrelated
 * jitter"), and never reaches beyond the deadline. 0 or -EINVAL.
 *
 * Source: M. Brooker, "Exponential Backoff and Jitter" (2015).
 */
SLOT_API int slot_client_set_retry(struct slot_client *client, uint64_t deadline_usec,
				   unsigned attempts, uint64_t base_usec, uint64_t cap_usec);

/**
 * slot_client_set_await_daemon - retry the first connection too
 * @await: true: a missing or refusing socket is retried like a broken connection, also
 *	when this client was never connected; default false
 */
SLOT_API void slot_client_set_await_daemon(struct slot_client *client, bool await);

/**
 * slot_client_set_timeout - how long a call may take, outages included
 * @timeout_usec: microseconds, to which an acquire adds its wait; UINT64_MAX: no limit;
 *	0 (default): 30 s and the retries' deadline for what slotd answers at once, and no
 *	limit for what may take long (Release, Finish, PoolAdd, PoolFetch, SlotAdd,
 *	SlotRemove, streams, and methods that this library does not know)
 */
SLOT_API void slot_client_set_timeout(struct slot_client *client, uint64_t timeout_usec);

/**
 * slot_client_cancel - end the call that is under way, or the next one
 *
 * That call fails with -ECANCELED and its connection is closed, so that slotd forgets
 * who waits. May be called from a signal handler and from any thread that knows the
 * client to be alive; keeps errno. In a child that fork() made it does nothing.
 */
SLOT_API void slot_client_cancel(struct slot_client *client);

/* forgets a slot_client_cancel() that no call has met yet */
SLOT_API void slot_client_clear_cancel(struct slot_client *client);

/* ---- the last call's outcome; all are borrowed until the next call on the client ---- */

/* "io.slotd.pool.Busy", or NULL when the error arose on this side or there was none */
SLOT_API const char *slot_client_error_name(const struct slot_client *client);

/* one sentence without a full stop; "" when the last call succeeded; never NULL */
SLOT_API const char *slot_client_error_message(const struct slot_client *client);

/* the parameters of the daemon's error, a JSON object; NULL when there is none */
SLOT_API const char *slot_client_error_parameters_json(const struct slot_client *client);

/* the parameters of the last successful reply, a JSON object; NULL when there is none */
SLOT_API const char *slot_client_reply_json(const struct slot_client *client);

/* ---- request: strings are copied and must be UTF-8; NULL takes a value back ---- */

/**
 * slot_request_new - an empty request
 * @ret: the caller frees it with slot_request_free(); it may be used many times
 *
 * A setter returns 0, or -EINVAL for what no slotd could accept (not UTF-8, a number of
 * 2^53 or more); the request remembers it, and slot_acquire() fails with it.
 */
SLOT_API SLOT_CHECK int slot_request_new(struct slot_request **ret);
SLOT_API void slot_request_free(struct slot_request *request); /* accepts NULL */
SLOT_API void slot_request_freep(struct slot_request **request);

/* the pool's name; may be left out when a directory tells it */
SLOT_API int slot_request_set_pool(struct slot_request *request, const char *pool);
/* an absolute path: in a slot, its pool */
SLOT_API int slot_request_set_directory(struct slot_request *request, const char *directory);
/* an absolute path: git directory of a pool's repository */
SLOT_API int slot_request_set_common_dir(struct slot_request *request, const char *common_dir);
/* a commit, branch or tag to stand at; default: the pool's */
SLOT_API int slot_request_set_ref(struct slot_request *request, const char *ref);
/* a branch to check out, made when it is not there; default: the pool's, or none */
SLOT_API int slot_request_set_branch(struct slot_request *request, const char *branch);
/* who works, for people and for quotas; those without a name count as one */
SLOT_API int slot_request_set_agent(struct slot_request *request, const char *agent);
/* what for: for people, and to be found again by who goes on with it */
SLOT_API int slot_request_set_task(struct slot_request *request, const char *task);
/* same key and same request, same lease; default: a random one for each slot_acquire() */
SLOT_API int slot_request_set_key(struct slot_request *request, const char *key);
/* what keeps the lease alive: "ttl", "process" (the holder), "process:PID" and "connection" (of the client),
 * several joined by "+"; or "manual". Default: as the pool says. slotd(8), LEASES, tells the rest */
SLOT_API int slot_request_set_bind(struct slot_request *request, const char *bind);
/* how long to wait for a slot, microseconds; 0: not at all; default: the daemon's (60 s for
 * a slot that is being made) */
SLOT_API int slot_request_set_wait_usec(struct slot_request *request, uint64_t wait_usec);
/* a lease, task or branch that has ended: its slot and branch when they are free, and what it left, as
 * "handoff" in slot_lease_to_json() */
SLOT_API int slot_request_set_resume(struct slot_request *request, const char *resume);
/* time to live between two signs of life, microseconds; default: the pool's, and what is beyond
 * the pool's limits is moved to them */
SLOT_API int slot_request_set_ttl_usec(struct slot_request *request, uint64_t ttl_usec);
/* process that may release by slot or path later on: the caller (default) or an ancestor of it */
SLOT_API int slot_request_set_holder(struct slot_request *request, int64_t pid);
/* how long the work will probably take, microseconds; lease.mode multipliers reckons with it */
SLOT_API int slot_request_set_estimate_usec(struct slot_request *request, uint64_t estimate_usec);
/* the greater is served first */
SLOT_API int slot_request_set_priority(struct slot_request *request, int64_t priority);
/* a label, after those that are there; without commas, at most 126 bytes in all. In lease.mode
 * multipliers the first of simple, complex, research and epic changes the time */
SLOT_API int slot_request_add_label(struct slot_request *request, const char *label);
/* a note of the caller's own; the same name again replaces it */
SLOT_API int slot_request_add_meta(struct slot_request *request, const char *name,
				   const char *value);

/* ---- lease ---- */

/**
 * slot_acquire - wait for a slot and lease it
 * @request: borrowed
 * @ret: the lease; the caller frees it with slot_lease_free(), or ends it with
 *	slot_lease_releasep()
 *
 * Blocks for the request's wait, plus the time-out of a call. After success the slot is
 * the caller's alone: clean, at the commit that was asked for, until
 * slot_lease_valid_until_usec(). When it fails, nothing is leased; but with -ETIMEDOUT,
 * -ECANCELED and after a broken connection the answer may have been lost: ask again with
 * the same key, or let the lease's time run out.
 *
 * -EBUSY, -ENODEV, -EDQUOT, -ENOENT, -EACCES, -EEXIST (the key was used for another
 * request), -ESTALE (the lease of this key has ended), -EADDRINUSE, -EOPNOTSUPP,
 * -EREMOTEIO, -EIO, -EUSERS, and every local error.
 *
 * Source: io.slotd.pool.Acquire
 */
SLOT_API SLOT_CHECK int slot_acquire(struct slot_client *client, const struct slot_request *request,
				     struct slot_lease **ret);

/**
 * slot_renew - report progress, prolong the lease
 * @progress: percent, 0 to 100; -1: not told
 * @message: one line for people; NULL: none; not kept
 *
 * -ESTALE: the lease is over, and the slot may be another's already: stop writing.
 * Every other error leaves slot_lease_valid_until_usec() as it was. -EINVAL.
 *
 * Source: io.slotd.pool.Renew
 */
SLOT_API SLOT_CHECK int slot_renew(struct slot_client *client, struct slot_lease *lease,
				   int progress, const char *message);

/**
 * slot_touch - a sign of life that is no progress
 *
 * Errors as slot_renew(). Source: io.slotd.pool.Touch
 */
SLOT_API SLOT_CHECK int slot_touch(struct slot_client *client, struct slot_lease *lease);

enum slot_release_flag {
	SLOT_RELEASE_DISCARD = 1 << 0, /* throw away what is unsaved */
	SLOT_RELEASE_FORCE = 1 << 1,   /* from a live holder; operators only */
	SLOT_RELEASE_NO_WAIT = 1 << 2, /* return when it is recorded, not when it is clean */
};

/**
 * slot_release - give the slot back
 * @flags: of enum slot_release_flag, or 0
 *
 * What is safe nowhere else is saved, unless SLOT_RELEASE_DISCARD is given; what cannot be saved stays
 * as it is, and the slot is isolated. That is success, too. slot_client_reply_json() says in "salvage"
 * what was saved and how it is named, in what "state" the slot is now, and with "isolated" the "reason".
 * Afterwards, and after -ESTALE, the lease is not held;
 * its object stays until slot_lease_free(). When a repeated attempt hears that the lease
 * is gone, the lost one did it: that is success, and the reply holds "lease" only.
 *
 * -ESTALE (over before this call), -EACCES, -EIO, -EINVAL.
 *
 * Source: io.slotd.pool.Release
 */
SLOT_API SLOT_CHECK int slot_release(struct slot_client *client, struct slot_lease *lease,
				     unsigned flags);

/**
 * slot_finish - declare the end of the work, give the slot back
 * @state: "done", "failed" or "blocked"; NULL: "done"
 * @message: one line for people and for who comes next; NULL: none
 * @flags: of enum slot_release_flag but for SLOT_RELEASE_FORCE, or 0
 *
 * As slot_release() in all else. Source: io.slotd.pool.Finish
 */
SLOT_API SLOT_CHECK int slot_finish(struct slot_client *client, struct slot_lease *lease,
				    const char *state, const char *message, unsigned flags);

/**
 * slot_lease_free - forget a lease without telling the daemon
 * @lease: NULL is allowed
 *
 * The lease lives on at the daemon until its time runs out, or what it is bound to ends.
 */
SLOT_API void slot_lease_free(struct slot_lease *lease);
SLOT_API void slot_lease_freep(struct slot_lease **lease);

/**
 * slot_lease_releasep - for __attribute__((cleanup)): release if held, then free
 *
 * As slot_release() without waiting for the cleaning; nobody is told of a failure, and
 * the lease then ends by its time. Blocks for the retries' deadline at worst. Works while
 * another call is under way on the client (by a second connection), and after
 * slot_client_cancel(); leaves slot_client_error_message() and its like as they were.
 * Accepts a pointer to NULL.
 */
SLOT_API void slot_lease_releasep(struct slot_lease **lease);

/* false after slot_release(), slot_finish() or -ESTALE */
SLOT_API bool slot_lease_is_held(const struct slot_lease *lease);

/* Strings live as long as the lease. Those marked * are NULL when there is nothing to tell. */
SLOT_API const char *slot_lease_id(const struct slot_lease *lease); /* 32 hex digits: a secret */
SLOT_API uint64_t slot_lease_token(const struct slot_lease *lease); /* greater with each grant */
SLOT_API const char *slot_lease_slot(const struct slot_lease *lease);
SLOT_API const char *slot_lease_pool(const struct slot_lease *lease);
SLOT_API const char *slot_lease_path(const struct slot_lease *lease); /* the worktree, absolute */
SLOT_API const char *slot_lease_common_dir(const struct slot_lease *lease);
SLOT_API const char *slot_lease_git_dir(const struct slot_lease *lease);
SLOT_API const char *slot_lease_head(const struct slot_lease *lease);	/* commit, as granted */
SLOT_API const char *slot_lease_branch(const struct slot_lease *lease); /* *: detached */
SLOT_API const char *slot_lease_agent(const struct slot_lease *lease);	/* * */
SLOT_API const char *slot_lease_task(const struct slot_lease *lease);	/* * */

/* microseconds since 1970, UTC; for people */
SLOT_API uint64_t slot_lease_acquired_at_usec(const struct slot_lease *lease);

/* the same; moved by each renewal; UINT64_MAX: no time limit */
SLOT_API uint64_t slot_lease_expires_at_usec(const struct slot_lease *lease);

/**
 * slot_lease_valid_until_usec - when to stop writing
 *
 * The last success (acquire, renewal, touch) plus two thirds of the time that the lease
 * then had left, in microseconds of CLOCK_BOOTTIME: the clock that goes on while the
 * machine sleeps, and that nobody sets. Past it, do not write until a renewal succeeds.
 * UINT64_MAX: no time limit. 0: not held.
 */
SLOT_API uint64_t slot_lease_valid_until_usec(const struct slot_lease *lease);

/* what the daemon said of the lease, expiry kept current: a JSON object; lives until the lease
 * is renewed or freed */
SLOT_API const char *slot_lease_to_json(const struct slot_lease *lease);

/* ---- everything else ---- */

/**
 * slot_status - the overview of all pools
 * @ret_json: a JSON object; the caller frees it with free()
 *
 * Source: io.slotd.pool.Status
 */
SLOT_API SLOT_CHECK int slot_status(struct slot_client *client, char **ret_json);

/**
 * slot_call - call any method by its name
 * @method: "Leases" means "io.slotd.pool.Leases"; a name with a dot is taken as it is
 * @params_json: a JSON object; borrowed; NULL: none
 * @ret_json: the reply's parameters, a JSON object; the caller frees it with free(); NULL:
 *	not wanted
 *
 * Blocks until the answer. -EINVAL when @params_json is not a JSON object; -EMSGSIZE over
 * 64 KiB; -ECONNRESET when the connection broke after a call went out that changes
 * something: whether it took place is not known. All other errors as above.
 */
SLOT_API SLOT_CHECK int slot_call(struct slot_client *client, const char *method,
				  const char *params_json, char **ret_json);

/**
 * slot_reply_fn - told of a reply
 * @r: 0 or a negative errno
 * @reply_json: the reply's parameters, a JSON object; borrowed; NULL when @r is negative
 * @continues: more replies will come
 *
 * Returns 0. A negative value ends a stream (@continues) early: its connection is closed
 * and no reply comes any more. When @continues is false the call is over, and a new one may
 * be made from within.
 */
typedef int (*slot_reply_fn)(struct slot_client *client, int r, const char *reply_json,
			     bool continues, void *userdata);

/**
 * slot_call_more - call a method that answers with a stream
 * @reply: called for each reply, never with a negative @r
 *
 * As slot_call(), and blocks until the last reply. Returns what @reply returned when that
 * was negative. Not repeated once a reply has come: a stream that breaks is -ECONNRESET.
 */
SLOT_API SLOT_CHECK int slot_call_more(struct slot_client *client, const char *method,
				       const char *params_json, slot_reply_fn reply,
				       void *userdata);

/* ---- in an event loop of the caller's ----
 *
 * One call at a time. Poll slot_client_fd() for slot_client_events(), for no longer than
 * slot_client_timeout_usec(), then slot_client_process(); callbacks come from there (and from
 * slot_wait()) only.
 */

/**
 * slot_call_async - start a call
 * @more: false: one reply; true: a stream of them
 * @reply: called for each reply, and once for a failure
 * @userdata: handed to @reply; must live until the call is over
 *
 * Returns at once: -EALREADY, -EINVAL, -ECHILD, -ENOMEM. All else goes to @reply, later.
 */
SLOT_API SLOT_CHECK int slot_call_async(struct slot_client *client, const char *method,
					const char *params_json, bool more, slot_reply_fn reply,
					void *userdata);

/* @lease: belongs to the callee; NULL when @r is negative */
typedef void (*slot_lease_fn)(struct slot_client *client, int r, struct slot_lease *lease,
			      void *userdata);

/* slot_acquire() without blocking; @request is copied; returns as slot_call_async() */
SLOT_API SLOT_CHECK int slot_acquire_async(struct slot_client *client,
					   const struct slot_request *request, slot_lease_fn done,
					   void *userdata);

/* called once when a call is over */
typedef void (*slot_done_fn)(struct slot_client *client, int r, void *userdata);

/* slot_renew() without blocking; @lease may be freed meanwhile; returns as slot_call_async() */
SLOT_API SLOT_CHECK int slot_renew_async(struct slot_client *client, struct slot_lease *lease,
					 int progress, const char *message, slot_done_fn done,
					 void *userdata);

/* slot_touch() without blocking, likewise */
SLOT_API SLOT_CHECK int slot_touch_async(struct slot_client *client, struct slot_lease *lease,
					 slot_done_fn done, void *userdata);

/* is a call under way? */
SLOT_API bool slot_client_is_busy(const struct slot_client *client);

/* a descriptor to poll: the same for the client's whole life, across reconnections; owned by
 * the client; or -ECHILD */
SLOT_API SLOT_CHECK int slot_client_fd(const struct slot_client *client);

/* what to poll it for: POLLIN, or 0 when there is nothing to wait for */
SLOT_API int slot_client_events(const struct slot_client *client);

/* microseconds from now until slot_client_process() wants to be called in any case; 0: at
 * once; UINT64_MAX: never */
SLOT_API uint64_t slot_client_timeout_usec(const struct slot_client *client);

/**
 * slot_client_process - do what can be done without blocking
 *
 * Harmless at any time; inside the callback of a stream it does nothing. 0 or -ECHILD; how
 * the call ended is told to its callback.
 */
SLOT_API SLOT_CHECK int slot_client_process(struct slot_client *client);

/**
 * slot_wait - drive the client until its call is over
 * @timeout_usec: microseconds; UINT64_MAX: no limit
 *
 * 0 when no call is under way any more (its callback has been told how it ended);
 * -ETIMEDOUT when it still is, and may be waited for again; -EINVAL inside the callback of
 * a stream; -ECHILD.
 */
SLOT_API SLOT_CHECK int slot_wait(struct slot_client *client, uint64_t timeout_usec);

#ifdef __cplusplus
}
#endif

#endif
