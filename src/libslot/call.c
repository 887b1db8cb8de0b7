/*
 * One call from its first attempt to its last reply.
 *
 * Nothing in here blocks. What may be repeated is decided in one place, may_repeat():
 * a call that slotd cannot have read, or one that does the same when done twice. What
 * the caller learns is decided in one place too, finish().
 */
#include "libslot/client.h"

#include <errno.h>
#include <stdlib.h>

#include "libslot/error.h"
#include "libslot/lease.h"
#include "libslot/method.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/json.h"

#define ANSWER_USEC   (30 * USEC_PER_SEC) /* for what slotd answers at once */
#define PATIENCE_USEC (60 * USEC_PER_SEC) /* how long an acquire waits that does not say */

/* ---- life ---- */

int call_new(const char *method, json_object *params, call_reply_fn on_reply, struct call **ret)
{
	_cleanup_json_ json_object *owned = params ? params : json_object_new_object();
	_cleanup_(call_freep) struct call *call = calloc(1, sizeof(*call));

	if (!call || !owned)
		return -ENOMEM;
	call->params = TAKE(owned);
	call->on_reply = on_reply;
	if (method) {
		call->method = method_full_name(method);
		if (!call->method)
			return -ENOMEM;
		call->flags = method_flags(call->method, call->params);
	}
	*ret = TAKE(call);
	return 0;
}

void call_free(struct call *call)
{
	if (!call)
		return;
	lease_unref(call->lease);
	json_object_put(call->params);
	free(call->method);
	free(call);
}

void call_freep(struct call **call)
{
	call_free(*call);
}

static void set_deadline(const struct slot_client *client, struct call *call, uint64_t now)
{
	int64_t wait = json_get_int(call->params, "waitUsec", -1);
	uint64_t time = client->timeout_usec;

	if (time == 0 && (call->more || (call->flags & METHOD_LATE)))
		time = UINT64_MAX;
	else if (time == 0)
		time = usec_add(ANSWER_USEC, client->retry.deadline_usec);

	call->deadline_usec = usec_add(now, time);
	call->wait_until_usec = UINT64_MAX;
	if (!(call->flags & METHOD_WAITS))
		return;
	if (wait >= 0)
		call->wait_until_usec = usec_add(now, (uint64_t)wait);
	call->deadline_usec =
		usec_add(call->deadline_usec, wait >= 0 ? (uint64_t)wait : PATIENCE_USEC);
}

int call_start(struct slot_client *client, struct call *started)
{
	_cleanup_(call_freep) struct call *call = started;
	int r;

	r = client_check(client);
	if (r < 0)
		return r;
	if (client->call)
		return -EALREADY;
	outcome_clear(&client->outcome);
	set_deadline(client, call, clock_boot_usec());
	client->call = TAKE(call);
	client_wake(client);
	return 0;
}

/* ---- ends ---- */

/* the caller learns how it ended; the client is free for the next call while it does */
static void finish(struct slot_client *client, int r, json_object *reply)
{
	_cleanup_(call_freep) struct call *call = TAKE(client->call);
	_cleanup_json_ json_object *kept = json_object_get(reply);

	call->on_reply(client, call, r, kept, false);
}

/* ends a call of which nothing more may come: an answer to it must never meet the next one */
static void abandon(struct slot_client *client, int r)
{
	if (client->call->state == CALL_STATE_TALKING)
		conn_close(&client->conn);
	finish(client, r, NULL);
}

static void fail_here(struct slot_client *client, int r, const char *sentence)
{
	outcome_clear(&client->outcome);
	fault(&client->outcome.fault, r, "%s", sentence);
	abandon(client, r);
}

/* ---- repetition ---- */

static bool may_repeat(const struct call *call)
{
	if (call->has_reply)
		return false;
	return !call->is_sent || (call->flags & METHOD_REPEAT);
}

/* after a failure that may pass; the outcome is set */
static void repeat_or_fail(struct slot_client *client, int r)
{
	struct call *call = client->call;

	conn_close(&client->conn);
	call->state = CALL_STATE_WAITING;
	if (!may_repeat(call) ||
	    !outage_next(&call->outage, &client->retry, clock_boot_usec(), &call->next_usec)) {
		finish(client, r, NULL);
		return;
	}
	call->was_sent = call->was_sent || call->is_sent;
	call->is_sent = false;
}

static void on_unreachable(struct slot_client *client, int r)
{
	bool is_absent = r == -ECONNREFUSED || r == -ENOENT;

	if (r == -EAGAIN)
		r = -ECONNREFUSED;
	else if (!is_absent || !(client->was_connected || client->await_daemon)) {
		finish(client, r, NULL);
		return;
	}
	repeat_or_fail(client, r);
}

static void on_broken(struct slot_client *client)
{
	struct call *call = client->call;

	if (clock_boot_usec() - client->conn.since_usec >= client->retry.cap_usec)
		call->outage = (struct outage){ 0 };
	repeat_or_fail(client, -ECONNRESET);
}

/* ---- what slotd says ---- */

static void on_error(struct slot_client *client, const char *name)
{
	struct call *call = client->call;
	int r = error_to_errno(name);

	if (r == -ESHUTDOWN) {
		/* it may be recorded, and only its end was still waited for: no more than sent */
		repeat_or_fail(client, r);
		return;
	}
	if (r == -ESTALE && call->was_sent && (call->flags & METHOD_ENDS)) {
		/* the answer to an earlier attempt was lost, and this one finds it done */
		json_object *reply = json_object_new_object();

		json_set_string(reply, "lease", json_get_string(call->params, "lease"));
		outcome_clear(&client->outcome);
		client->outcome.answer = json_set(json_object_new_object(), "parameters", reply);
		finish(client, 0, reply);
		return;
	}
	finish(client, r, NULL);
}

static void on_stream(struct slot_client *client, json_object *reply)
{
	struct call *call = client->call;
	int r;

	call->has_reply = true;
	client->is_streaming = true;
	r = call->on_reply(client, call, 0, reply, true);
	client->is_streaming = false;
	if (r >= 0)
		return;
	conn_close(&client->conn);
	call_free(TAKE(client->call));
}

static bool is_reply(json_object *message)
{
	json_object *v;

	if (json_object_object_get_ex(message, "error", &v) &&
	    !json_object_is_type(v, json_type_string))
		return false;
	if (json_object_object_get_ex(message, "continues", &v) && v &&
	    !json_object_is_type(v, json_type_boolean))
		return false;
	if (!json_object_object_get_ex(message, "parameters", &v) || !v)
		json_set(message, "parameters", json_object_new_object());
	return json_get_object(message, "parameters") != NULL;
}

/* @message: taken over */
static void on_message(struct slot_client *client, json_object *message)
{
	bool continues = json_get_bool(message, "continues", false);
	const char *error;

	outcome_clear(&client->outcome);
	client->outcome.answer = message;
	if (!is_reply(message) || (continues && !client->call->more)) {
		fail_here(client, -EPROTO, "slotd's message is not the reply to a call");
		return;
	}
	error = json_get_string(message, "error");
	if (error)
		on_error(client, error);
	else if (continues)
		on_stream(client, json_get_object(message, "parameters"));
	else
		finish(client, 0, json_get_object(message, "parameters"));
}

/* ---- attempts ---- */

static json_object *make_message(struct call *call, uint64_t now)
{
	json_object *message = json_object_new_object();

	if (call->wait_until_usec != UINT64_MAX)
		json_set_int(call->params, "waitUsec",
			     call->wait_until_usec > now ? (int64_t)(call->wait_until_usec - now)
							 : 0);
	json_set_string(message, "method", call->method);
	json_set(message, "parameters", json_object_get(call->params));
	if (call->more)
		json_set_bool(message, "more", true);
	return message;
}

/* true when the client is connected */
static bool reach(struct slot_client *client)
{
	int r;

	if (conn_is_stale(&client->conn))
		conn_close(&client->conn);
	if (client->conn.fd >= 0)
		return true;
	outcome_clear(&client->outcome);
	r = conn_open(&client->conn, client->path, &client->outcome.fault);
	if (r < 0) {
		on_unreachable(client, r);
		return false;
	}
	client->was_connected = true;
	return true;
}

static void attempt(struct slot_client *client, uint64_t now)
{
	struct call *call = client->call;
	_cleanup_json_ json_object *message = NULL;
	int r;

	if (!reach(client))
		return;
	if (!call->method) {
		finish(client, 0, NULL);
		return;
	}
	message = make_message(call, now);
	r = conn_queue(&client->conn, message, &client->outcome.fault);
	if (r < 0) {
		finish(client, r, NULL);
		return;
	}
	call->state = CALL_STATE_TALKING;
}

/* true when there may be more to do at once */
static bool talk(struct slot_client *client)
{
	struct fault f = FAULT_NONE;
	json_object *message = NULL;
	int flushed, r;

	flushed = conn_flush(&client->conn, NULL);
	if (flushed == 0 && frame_pending(&client->conn.buf) == 0)
		client->call->is_sent = true;
	/* a daemon that hangs up may have said why before */
	r = conn_receive(&client->conn, &message, &f);
	if (r == 0) {
		on_message(client, message);
		return true;
	}
	if (r == CONN_E_LATER && flushed == 0)
		return false;
	if (r == -EPROTO || r == -EMSGSIZE || r == -ENOMEM) {
		fail_here(client, r, f.text);
		return false;
	}
	outcome_clear(&client->outcome);
	fault(&client->outcome.fault, -ECONNRESET, "the connection to slotd broke");
	on_broken(client);
	return false;
}

void call_drive(struct slot_client *client)
{
	struct call *call = client->call;

	/* until it waits, or ended; a call that its callback started has its own turn */
	while (client->call == call) {
		uint64_t now = clock_boot_usec();

		if (atomic_exchange(&client->is_cancelled, false)) {
			fail_here(client, -ECANCELED, "cancelled");
			return;
		}
		if (now >= call->deadline_usec) {
			fail_here(client, -ETIMEDOUT, "slotd did not answer in time");
			return;
		}
		if (call->state == CALL_STATE_WAITING) {
			if (now < call->next_usec)
				return;
			attempt(client, now);
		} else if (!talk(client)) {
			return;
		}
	}
}
