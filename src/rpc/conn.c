/*
 * One connection: when it reads, when it writes, when it ends.
 *
 * It serves one call at a time and one message a turn of the loop, so that nobody who
 * pipelines keeps others waiting: what is buffered is dispatched by a deferred source.
 * While a call waits for its answer nothing is read, and only a hang-up is watched for
 * (the kernel reports that one unasked). Nor is anything read while the peer leaves too much
 * unread of what it was sent. A peer that has shut down only its sending half still gets its
 * answer. Everything that ends a connection outside of the loop's own dispatch marks it broken
 * and leaves the rest to the loop, so that no answer calls back into the one who gives it.
 */
#include "rpc/service-private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"

/* --- life --- */

static struct rpc_conn *conn_ref(struct rpc_conn *c)
{
	c->n_ref++;
	return c;
}

void conn_unref(struct rpc_conn *c)
{
	if (--c->n_ref > 0)
		return;
	closep(&c->peer.pidfd);
	frame_buf_deinit(&c->frames);
	free(c);
}

void conn_unrefp(struct rpc_conn **c)
{
	if (*c)
		conn_unref(*c);
}

static void leave_service(struct rpc_conn *c)
{
	struct rpc_service *s = c->service;
	struct rpc_account *account = service_get_account(s, c->peer.uid);

	c->service = NULL;
	list_del(&c->link);
	s->n_conns--;
	account->conns--;
	account->out_bytes -= c->counted_out;
	c->counted_out = 0;
	service_settle_account(account);
	if (s->conn_gone)
		s->conn_gone(c->id, s->userdata);
}

void conn_close(struct rpc_conn *c)
{
	struct rpc_call *call = TAKE(c->call);

	if (!c->service)
		return;
	if (call)
		rpc_call_ref(call);
	c->io = sd_event_source_disable_unref(c->io);
	c->again = sd_event_source_disable_unref(c->again);
	c->late = sd_event_source_disable_unref(c->late);
	closep(&c->fd);
	c->fd = -1;
	leave_service(c);
	if (call)
		call_orphan(call);
	rpc_call_unref(call);
	conn_unref(c);
}

/* --- what to watch for --- */

static int on_again(sd_event_source *source, void *userdata);
static int on_late(sd_event_source *source, uint64_t usec, void *userdata);

bool conn_has_room(const struct rpc_conn *c)
{
	size_t limit = c->service->limits.out_bytes;

	return limit == 0 || frame_pending(&c->frames) <= limit;
}

static bool conn_reads(const struct rpc_conn *c)
{
	return !c->call && !c->ending && !c->broken && !c->service->stopped && conn_has_room(c);
}

/* one deadline for a whole message: it is not moved by further bytes */
static int arm_late(struct rpc_conn *c)
{
	struct rpc_service *s = c->service;
	bool waits = conn_reads(c) && !c->unread && frame_is_partial(&c->frames);
	int r;

	if (!waits || s->limits.read_usec == 0) {
		c->late = sd_event_source_disable_unref(c->late);
		return 0;
	}
	if (c->late)
		return 0;
	r = sd_event_add_time_relative(s->event, &c->late, CLOCK_MONOTONIC, s->limits.read_usec, 0,
				       on_late, c);
	return r < 0 ? r : sd_event_source_set_priority(c->late, s->priority);
}

static int arm_io(struct rpc_conn *c)
{
	uint32_t events = 0;

	if (conn_reads(c) && !c->unread)
		events |= EPOLLIN;
	if (frame_pending(&c->frames) > 0 && !c->broken)
		events |= EPOLLOUT;
	return sd_event_source_set_io_events(c->io, events);
}

static bool conn_is_over(const struct rpc_conn *c)
{
	return c->broken || (c->ending && !c->call && frame_pending(&c->frames) == 0);
}

/* always a fresh source: sd-event takes one that is kept for the oldest, ahead of all sockets */
static int arm_again(struct rpc_conn *c)
{
	int r;

	if (!conn_is_over(c) && !(conn_reads(c) && c->unread)) {
		c->again = sd_event_source_disable_unref(c->again);
		return 0;
	}
	if (c->again)
		return 0;
	r = sd_event_add_defer(c->service->event, &c->again, on_again, c);
	return r < 0 ? r : sd_event_source_set_priority(c->again, c->service->priority);
}

void conn_arm(struct rpc_conn *c)
{
	int r, again;

	if (!c->service)
		return;
	r = arm_io(c);
	if (r >= 0)
		r = arm_late(c);
	if (r < 0)
		c->broken = true;
	again = arm_again(c);
	if (r < 0 || again < 0)
		log_error("cannot watch a connection: %s uid=%u", strerror(r < 0 ? -r : -again),
			  c->peer.uid);
}

/* --- out --- */

/* what is queued on a broken one is as good as gone */
static struct rpc_account *count_out(struct rpc_conn *c)
{
	struct rpc_account *account = service_get_account(c->service, c->peer.uid);
	size_t bytes = c->broken ? 0 : frame_pending(&c->frames);

	account->out_bytes = account->out_bytes - c->counted_out + bytes;
	c->counted_out = bytes;
	return account;
}

static void conn_break(struct rpc_conn *c)
{
	c->broken = true;
	count_out(c);
	conn_arm(c);
}

static void conn_cut(struct rpc_conn *c, const char *why)
{
	log_warning("a connection is cut: %s uid=%u pid=%d", why, c->peer.uid, c->peer.pid);
	conn_break(c);
}

static struct rpc_conn *find_greatest(struct rpc_service *s, uid_t uid)
{
	struct rpc_conn *c, *greatest = NULL;

	list_for_each (c, &s->conns, link)
		if (c->peer.uid == uid && (!greatest || c->counted_out > greatest->counted_out))
			greatest = c;
	return greatest;
}

/* the one that reads least pays for it, not the one that happened to ask last */
static void keep_to_limit(struct rpc_conn *c)
{
	size_t limit = c->service->limits.out_bytes_per_uid;
	struct rpc_account *account = count_out(c);

	while (limit > 0 && account->out_bytes > limit)
		conn_cut(find_greatest(c->service, c->peer.uid), "its peer does not read");
}

size_t conn_flush(struct rpc_conn *c)
{
	struct fault f = FAULT_NONE;

	if (!c->broken && frame_flush(&c->frames, c->fd, &f) < 0) {
		log_debug("rpc", "%s conn=%" PRIu64, f.text, c->id);
		conn_break(c);
	}
	count_out(c);
	return frame_pending(&c->frames);
}

int conn_send(struct rpc_conn *c, json_object *message)
{
	int r;

	if (!c->service || c->broken)
		return -EPIPE;
	r = frame_queue(&c->frames, message);
	if (r < 0) {
		conn_cut(c, "out of memory");
		return r;
	}
	conn_flush(c);
	if (c->broken)
		return -EPIPE;
	keep_to_limit(c);
	return c->broken ? -ENOBUFS : 0;
}

/* --- in --- */

static void refuse_message(struct rpc_conn *c, const char *why)
{
	_cleanup_json_ json_object *message = call_error_message(ERROR_INVALID_MESSAGE, why);

	conn_send(c, message);
}

static void refuse_outcome(struct rpc_conn *c, int outcome)
{
	char why[160];

	if (outcome == FRAME_E_TOO_LONG)
		snprintf(why, sizeof(why), "the message is longer than the limit of %zu bytes%s",
			 c->frames.max_message,
			 c->frames.max_message == FRAME_MESSAGE_BYTES ? " (64 KiB)" : "");
	else if (outcome == FRAME_E_TOO_DEEP)
		snprintf(why, sizeof(why), "the message is nested deeper than the limit of %d",
			 c->frames.max_depth);
	else
		snprintf(why, sizeof(why), "the message is not one JSON object in UTF-8");
	refuse_message(c, why);
}

static void serve_next(struct rpc_conn *c)
{
	json_object *message = NULL;
	int r = frame_next(&c->frames, &message);

	c->unread = r != FRAME_E_PARTIAL && frame_is_partial(&c->frames);
	if (r == 0)
		call_dispatch(c, message);
	else if (r == FRAME_E_CLOSED)
		c->ending = true;
	else if (r != FRAME_E_PARTIAL)
		refuse_outcome(c, r);
	/* the next message has a deadline of its own */
	if (r != FRAME_E_PARTIAL)
		c->late = sd_event_source_disable_unref(c->late);
}

/* no method takes a descriptor */
static void drop_fds(struct rpc_conn *c)
{
	int fd;

	while ((fd = frame_take_fd(&c->frames)) >= 0)
		close(fd);
}

static void take_in(struct rpc_conn *c)
{
	struct fault f = FAULT_NONE;

	if (frame_read(&c->frames, c->fd, &f) < 0) {
		log_debug("rpc", "%s conn=%" PRIu64, f.text, c->id);
		c->broken = true;
		return;
	}
	drop_fds(c);
	c->unread = true;
	serve_next(c);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	_cleanup_(conn_unrefp) struct rpc_conn *c = conn_ref(userdata);

	if (revents & EPOLLOUT && conn_flush(c) == 0 && c->call && !c->broken)
		call_tell_room(c->call);
	if (!c->service)
		return 0;
	if (revents & EPOLLIN && conn_reads(c) && !c->unread)
		take_in(c);
	else if (revents & (EPOLLHUP | EPOLLERR) && !conn_reads(c))
		conn_close(c);
	conn_arm(c);
	return 0;
}

static int on_again(sd_event_source *source, void *userdata)
{
	_cleanup_(conn_unrefp) struct rpc_conn *c = conn_ref(userdata);

	c->again = sd_event_source_disable_unref(c->again);
	if (conn_is_over(c))
		conn_close(c);
	else if (conn_reads(c))
		serve_next(c);
	conn_arm(c);
	return 0;
}

static int on_late(sd_event_source *source, uint64_t usec, void *userdata)
{
	_cleanup_(conn_unrefp) struct rpc_conn *c = conn_ref(userdata);

	refuse_message(c, "the rest of the message did not come in time");
	c->broken = true;
	conn_arm(c);
	return 0;
}

/* --- a new one --- */

static const char *over_limit(const struct rpc_service *s, const struct rpc_account *account)
{
	if (s->limits.connections && s->n_conns >= s->limits.connections)
		return "the service has too many connections";
	if (s->limits.connections_per_uid && account->conns >= s->limits.connections_per_uid)
		return "this user has too many connections";
	return NULL;
}

/* as much as the fresh socket takes; nobody waits for the rest */
static int turn_away(struct frame_buf *frames, int fd, const char *why, struct fault *f)
{
	_cleanup_json_ json_object *message = call_error_message(ERROR_LIMIT_REACHED, why);

	if (frame_queue(frames, message) == 0)
		frame_flush(frames, fd, NULL);
	return fault(f, -EDQUOT, "%s", why);
}

static int conn_watch(struct rpc_conn *c, struct rpc_service *s)
{
	int r = sd_event_add_io(s->event, &c->io, c->fd, EPOLLIN, on_io, c);

	if (r >= 0)
		r = sd_event_source_set_priority(c->io, s->priority);
	return r;
}

static int conn_join(struct rpc_conn *c, struct rpc_service *s, struct rpc_account *account,
		     struct fault *f)
{
	static uint64_t last_id;
	int r = conn_watch(c, s);

	if (r < 0) {
		sd_event_source_disable_unref(c->io);
		return fault_errno(f, r, "cannot watch a connection");
	}
	c->id = ++last_id;
	c->service = s;
	list_append(&s->conns, &c->link);
	s->n_conns++;
	account->conns++;
	conn_ref(c);
	return 0;
}

static int conn_prepare(struct rpc_conn *c, const struct rpc_limits *limits, struct fault *f)
{
	int flags = fcntl(c->fd, F_GETFL);

	if (flags < 0 || fcntl(c->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return fault_errno(f, -errno, "cannot make a socket non-blocking");
	if (frame_buf_init(&c->frames, limits->message_bytes, limits->depth, 0) < 0)
		return fault_oom(f);
	return peer_identify(c->fd, &c->peer, f);
}

static int conn_admit(struct rpc_conn *c, struct rpc_service *s, struct fault *f)
{
	struct rpc_account *account = service_get_account(s, c->peer.uid);
	const char *why;
	int r;

	if (!account)
		return fault_oom(f);
	why = over_limit(s, account);
	r = why ? turn_away(&c->frames, c->fd, why, f) : conn_join(c, s, account, f);
	service_settle_account(account);
	return r;
}

int rpc_conn_new(struct rpc_service *s, int fd, struct fault *f)
{
	_cleanup_(closep) int owned_fd = fd;
	_cleanup_(conn_unrefp) struct rpc_conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return fault_oom(f);
	c->n_ref = 1;
	c->fd = fd;
	c->peer.pidfd = -1;
	list_init(&c->link);
	r = conn_prepare(c, &s->limits, f);
	if (r == 0)
		r = conn_admit(c, s, f);
	if (r == 0)
		TAKE_FD(owned_fd);
	return r;
}
