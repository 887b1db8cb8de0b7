/* One call at a time, its replies, and the end of the stream. */
#include "rpc/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "rpc/frame.h"
#include "util/cleanup.h"
#include "util/json.h"

#define ERROR_GONE "io.slotd.worker.Gone"

#define REPLY_BYTES (16 * 1024 * 1024) /* of one reply; lists of findings go in a memfd */
#define REPLY_DEPTH 32

struct rpc_client {
	unsigned n_ref; /* one for the owner, one while it dispatches */
	int fd;		/* -1 once the stream has ended or the owner let go */
	struct frame_buf frames;
	sd_event_source *io;
	rpc_client_reply_fn reply; /* of the call under way; NULL: none */
	void *reply_userdata;
	rpc_client_gone_fn gone;
	void *gone_userdata;
};

/* --- life --- */

static void client_disconnect(struct rpc_client *c)
{
	c->io = sd_event_source_disable_unref(c->io);
	closep(&c->fd);
	c->fd = -1;
}

static struct rpc_client *client_ref(struct rpc_client *c)
{
	c->n_ref++;
	return c;
}

static void client_unrefp(struct rpc_client **c)
{
	if (!*c || --(*c)->n_ref > 0)
		return;
	client_disconnect(*c);
	frame_buf_deinit(&(*c)->frames);
	free(*c);
}

void rpc_client_free(struct rpc_client *c)
{
	if (!c)
		return;
	client_disconnect(c);
	client_unrefp(&c);
}

bool rpc_client_is_busy(const struct rpc_client *c)
{
	return c->reply;
}

/* --- in --- */

/* the last word on the call under way, or on the connection */
static void client_end(struct rpc_client *c, const char *why)
{
	_cleanup_json_ json_object *params = NULL;
	rpc_client_reply_fn reply = TAKE(c->reply);

	client_disconnect(c);
	if (reply) {
		params = json_set_string(json_object_new_object(), "message", why);
		reply(c, ERROR_GONE, params, false, c->reply_userdata);
	} else if (c->gone) {
		c->gone(c, c->gone_userdata);
	}
}

static bool is_reply(json_object *message)
{
	json_object *v = NULL;

	if (json_object_object_get_ex(message, "error", &v) &&
	    !json_object_is_type(v, json_type_string))
		return false;
	return !json_object_object_get_ex(message, "parameters", &v) || !v ||
	       json_object_is_type(v, json_type_object);
}

static void client_hand_over(struct rpc_client *c, json_object *message)
{
	const char *error = json_get_string(message, "error");
	bool continues = !error && json_get_bool(message, "continues", false);
	json_object *params = json_get_object(message, "parameters");
	_cleanup_json_ json_object *p = params ? json_object_get(params) : json_object_new_object();
	rpc_client_reply_fn reply = c->reply;

	if (!continues)
		c->reply = NULL; /* so that the callback may call again */
	reply(c, error, p, continues, c->reply_userdata);
}

/* false when there is nothing more to take from the buffer, or nobody to take it */
static bool client_take_one(struct rpc_client *c)
{
	_cleanup_json_ json_object *message = NULL;
	int r = frame_next(&c->frames, &message);

	if (r == FRAME_E_PARTIAL)
		return false;
	if (r == FRAME_E_CLOSED)
		client_end(c, "the other end has closed the connection");
	else if (r > 0 || !is_reply(message))
		client_end(c, "what came is not a reply");
	else if (!c->reply)
		client_end(c, "a reply came that nobody waits for");
	else
		client_hand_over(c, message);
	return c->fd >= 0;
}

static int client_arm(struct rpc_client *c)
{
	uint32_t events = EPOLLIN | (frame_pending(&c->frames) > 0 ? EPOLLOUT : 0);

	return c->io ? sd_event_source_set_io_events(c->io, events) : 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	_cleanup_(client_unrefp) struct rpc_client *c = client_ref(userdata);
	struct fault f = FAULT_NONE;

	/* what cannot be written will show as an end of file behind the last reply */
	if (revents & EPOLLOUT)
		frame_flush(&c->frames, c->fd, NULL);
	if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		if (frame_read(&c->frames, c->fd, &f) < 0)
			client_end(c, f.text);
		while (c->fd >= 0 && client_take_one(c))
			;
	}
	client_arm(c);
	return 0;
}

/* --- out --- */

static json_object *call_message(const char *method, json_object *params, bool more)
{
	json_object *message = json_object_new_object();

	json_set_string(message, "method", method);
	json_set(message, "parameters", params ? params : json_object_new_object());
	if (more)
		json_set_bool(message, "more", true);
	return message;
}

static int client_queue(struct rpc_client *c, json_object *message, int fd, struct fault *f)
{
	int r = fd >= 0 ? frame_queue_fd(&c->frames, message, fd)
			: frame_queue(&c->frames, message);

	if (r < 0)
		return fault_errno(f, r, "cannot queue a call");
	return 0;
}

int rpc_client_call(struct rpc_client *c, const char *method, json_object *params, bool more,
		    int fd, rpc_client_reply_fn fn, void *userdata, struct fault *f)
{
	_cleanup_json_ json_object *message = call_message(method, params, more);
	int r;

	if (c->reply || frame_pending(&c->frames) > 0)
		return fault(f, -EBUSY, "a call is under way");
	if (c->fd < 0)
		return fault(f, -EPIPE, "the connection has ended");
	r = client_queue(c, message, fd, f);
	if (r < 0)
		return r;
	r = frame_flush(&c->frames, c->fd, f);
	if (r < 0)
		return r == -ECONNRESET ? -EPIPE : r;
	r = client_arm(c);
	if (r < 0)
		return fault_errno(f, r, "cannot watch a connection");
	c->reply = fn;
	c->reply_userdata = userdata;
	return 0;
}

/* --- a new one --- */

static int client_start(struct rpc_client *c, sd_event *event, struct fault *f)
{
	int flags = fcntl(c->fd, F_GETFL);
	int r;

	if (flags < 0 || fcntl(c->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return fault_errno(f, -errno, "cannot make a socket non-blocking");
	if (frame_buf_init(&c->frames, REPLY_BYTES, REPLY_DEPTH, 0) < 0)
		return fault_oom(f);
	r = sd_event_add_io(event, &c->io, c->fd, EPOLLIN, on_io, c);
	if (r < 0)
		return fault_errno(f, r, "cannot watch a connection");
	return 0;
}

int rpc_client_new(sd_event *event, int fd, rpc_client_gone_fn gone, void *userdata,
		   struct rpc_client **ret, struct fault *f)
{
	_cleanup_(client_unrefp) struct rpc_client *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		close(fd);
		return fault_oom(f);
	}
	c->n_ref = 1;
	c->fd = fd;
	c->gone = gone;
	c->gone_userdata = userdata;
	r = client_start(c, event, f);
	if (r < 0)
		return r;
	*ret = TAKE(c);
	return 0;
}
