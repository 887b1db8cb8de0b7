/* One call: understood, checked, handed to its handler, answered once. */
#include "rpc/service-private.h"

#include <poll.h>
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/text.h"

/* --- life --- */

struct rpc_call *rpc_call_ref(struct rpc_call *call)
{
	call->n_ref++;
	return call;
}

void rpc_call_unref(struct rpc_call *call)
{
	if (!call)
		return;
	if (call->n_ref == 1 && !call->is_answered) {
		if (!rpc_call_is_gone(call))
			log_error("nobody answered a call method=%s", call->method);
		rpc_error(call, ERROR_INTERNAL, NULL, "the call was dropped without an answer");
	}
	if (--call->n_ref > 0)
		return;
	conn_unref(call->conn);
	free(call->method);
	free(call);
}

/* NULL: no memory */
static struct rpc_call *call_new(struct rpc_conn *c)
{
	struct rpc_call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->n_ref = 1;
	call->service = c->service;
	call->conn = c;
	c->n_ref++;
	c->call = call;
	list_append(&c->service->calls, &call->link);
	c->service->n_calls++;
	service_get_account(c->service, c->peer.uid)->pending++; /* is there: c counts in it */
	return call;
}

/* no longer counted, neither as the service's nor as its connection's */
void call_detach(struct rpc_call *call)
{
	struct rpc_service *s = call->service;
	struct rpc_account *account;

	if (!s)
		return;
	account = service_get_account(s, call->conn->peer.uid);
	account->pending--;
	service_settle_account(account);
	s->n_calls--;
	list_del(&call->link);
	call->service = NULL;
	call->interface = NULL;
	if (call->conn->call == call)
		call->conn->call = NULL;
}

void call_orphan(struct rpc_call *call)
{
	rpc_gone_fn gone = TAKE(call->gone);

	call->room = NULL;
	if (!gone)
		return;
	rpc_call_ref(call);
	gone(call, call->gone_userdata);
	rpc_call_unref(call);
}

void call_tell_room(struct rpc_call *call)
{
	rpc_room_fn room = TAKE(call->room);

	if (room)
		room(call->room_userdata);
}

/* --- what a handler may ask --- */

const struct rpc_peer *rpc_call_peer(const struct rpc_call *call)
{
	return &call->conn->peer;
}

const char *rpc_call_method(const struct rpc_call *call)
{
	return call->method;
}

uint64_t rpc_call_conn_id(const struct rpc_call *call)
{
	return call->conn->id;
}

bool rpc_call_wants_more(const struct rpc_call *call)
{
	return call->wants_more;
}

bool rpc_call_is_gone(const struct rpc_call *call)
{
	return !call->conn->service || call->conn->broken || call->is_withdrawn;
}

void rpc_call_on_gone(struct rpc_call *call, rpc_gone_fn fn, void *userdata)
{
	call->gone = fn;
	call->gone_userdata = userdata;
}

bool rpc_call_has_room(const struct rpc_call *call)
{
	return rpc_call_is_gone(call) || conn_has_room(call->conn);
}

void rpc_call_on_room(struct rpc_call *call, rpc_room_fn fn, void *userdata)
{
	call->room = fn;
	call->room_userdata = userdata;
}

/* --- answers --- */

#ifndef NDEBUG
static void assert_reply(const struct rpc_call *call, json_object *params)
{
	_cleanup_(freep) char *field = NULL;
	struct fault f = FAULT_NONE;

	if (!call->interface ||
	    idl_check_reply(call->interface->idl, call->method, params, &field, &f) == 0)
		return;
	log_error("a reply breaks its interface: %s method=%s", f.text, call->method);
	free(TAKE(field));
	assert(!"the reply is what the interface says");
}
#else
static void assert_reply(const struct rpc_call *call, json_object *params)
{
}
#endif

static json_object *params_or_empty(json_object *params)
{
	return params ? params : json_object_new_object();
}

static json_object *error_message(const char *name, json_object *params)
{
	json_object *message = json_object_new_object();

	json_set_string(message, "error", name);
	return json_set(message, "parameters", params_or_empty(params));
}

json_object *call_error_message(const char *name, const char *message)
{
	return error_message(name, json_set_string(json_object_new_object(), "message", message));
}

/* @message is taken over */
static void finish(struct rpc_call *call, json_object *message)
{
	struct rpc_conn *c = call->conn;

	/* after call_withdraw() the handler speaks to nobody; else it answers once */
	assert(!call->is_answered || call->is_withdrawn);
	if (!call->is_answered) {
		call->is_answered = true;
		call->gone = NULL;
		call->room = NULL;
		call_detach(call);
		if (!call->is_oneway)
			conn_send(c, message);
		conn_arm(c);
	}
	json_object_put(message);
}

void rpc_reply(struct rpc_call *call, json_object *params)
{
	params = params_or_empty(params);
	assert_reply(call, params);
	finish(call, json_set(json_object_new_object(), "parameters", params));
}

int rpc_reply_more(struct rpc_call *call, json_object *params)
{
	_cleanup_json_ json_object *message = json_object_new_object();
	int r;

	assert(call->wants_more && (!call->is_answered || call->is_withdrawn));
	params = params_or_empty(params);
	assert_reply(call, params);
	json_set(message, "parameters", params);
	json_set_bool(message, "continues", true);
	if (rpc_call_is_gone(call))
		return 0;
	r = conn_send(call->conn, message);
	conn_arm(call->conn);
	return r == -ENOBUFS ? r : 0;
}

bool rpc_call_peer_has_left(const struct rpc_call *call)
{
	struct pollfd p = { .fd = call->conn->fd, .events = POLLRDHUP };

	return p.fd < 0 || (poll(&p, 1, 0) > 0 && p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

void rpc_error(struct rpc_call *call, const char *name, json_object *params, const char *fmt, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text)
		text_mend_utf8(text);
	params = params_or_empty(params);
	/* the errors of Varlink itself have no such field */
	if (!text_has_prefix(name, "org.varlink.service."))
		json_set_string(params, "message", text ? text : "out of memory");
	finish(call, error_message(name, params));
}

static void error_naming(struct rpc_call *call, const char *error, const char *key,
			 const char *value)
{
	rpc_error(call, error, json_set_string(json_object_new_object(), key, value), "%s", value);
}

void rpc_error_parameter(struct rpc_call *call, const char *parameter)
{
	error_naming(call, ERROR_INVALID_PARAMETER, "parameter", parameter);
}

void call_withdraw(struct rpc_call *call, const char *error, const char *message)
{
	rpc_call_ref(call);
	finish(call, call_error_message(error, message));
	call->is_withdrawn = true;
	rpc_call_unref(call);
}

/* --- from a message to its handler --- */

/* one of the three flags; false when it is no boolean */
static bool read_flag(json_object *message, const char *key, bool *ret)
{
	json_object *v = NULL;

	*ret = json_get_bool(message, key, false);
	return !json_object_object_get_ex(message, key, &v) ||
	       json_object_is_type(v, json_type_boolean);
}

static const char *find_unknown_key(json_object *message)
{
	static const char *const known[] = { "method", "parameters", "oneway", "more", "upgrade" };

	json_object_object_foreach (message, key, value) {
		bool is_known = false;

		(void)value;
		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			is_known |= strcmp(key, known[i]) == 0;
		if (!is_known)
			return key;
	}
	return NULL;
}

/* the envelope; false when it was refused */
static bool open_envelope(struct rpc_call *call, json_object *message)
{
	const char *unknown = find_unknown_key(message);
	json_object *params = NULL;
	bool upgrade;

	if (!read_flag(message, "oneway", &call->is_oneway) ||
	    !read_flag(message, "more", &call->wants_more) ||
	    !read_flag(message, "upgrade", &upgrade))
		rpc_error(call, ERROR_INVALID_MESSAGE, NULL,
			  "'oneway', 'more' and 'upgrade' must be booleans");
	else if (unknown)
		rpc_error(call, ERROR_INVALID_MESSAGE, NULL, "a call has no '%.100s'", unknown);
	else if (!json_get_string(message, "method"))
		rpc_error(call, ERROR_INVALID_MESSAGE, NULL, "the call names no 'method'");
	else if (json_object_object_get_ex(message, "parameters", &params) && params &&
		 !json_object_is_type(params, json_type_object))
		rpc_error(call, ERROR_INVALID_MESSAGE, NULL, "'parameters' must be an object");
	else if (upgrade)
		rpc_error(call, ERROR_INVALID_MESSAGE, NULL, "no method here allows 'upgrade'");
	else if (call->is_oneway && call->wants_more)
		rpc_error(call, ERROR_INVALID_MESSAGE, NULL,
			  "'oneway' and 'more' contradict each other");
	return !call->is_answered;
}

static const struct rpc_method *find_handler(struct rpc_call *call, const char *full)
{
	const char *dot = strrchr(full, '.');
	size_t len = dot ? (size_t)(dot - full) : strlen(full);

	call->interface = service_find_interface(call->service, full, len);
	if (!call->interface) {
		_cleanup_(freep) char *name = strndup(full, len);

		error_naming(call, ERROR_INTERFACE_NOT_FOUND, "interface", name);
		return NULL;
	}
	call->method = text_dup(dot + 1);
	if (!call->method) {
		rpc_error(call, ERROR_INTERNAL, NULL, "out of memory");
		return NULL;
	}
	for (const struct rpc_method *m = call->interface->methods; m->name; m++)
		if (strcmp(m->name, dot + 1) == 0)
			return m;
	return NULL;
}

static bool check_params(struct rpc_call *call, json_object *params, const char *full)
{
	_cleanup_(freep) char *field = NULL;
	struct fault f = FAULT_NONE;
	int r = idl_check_call(call->interface->idl, call->method, params, &field, &f);

	if (r == IDL_E_NO_METHOD) {
		error_naming(call, ERROR_METHOD_NOT_FOUND, "method", full);
	} else if (r == IDL_E_INVALID) {
		log_debug("rpc", "a call is refused: %s method=%s", f.text, full);
		rpc_error_parameter(call, field);
	} else if (r < 0) {
		rpc_error(call, ERROR_INTERNAL, NULL, "%s", f.text);
	}
	return r == 0;
}

static void run_handler(struct rpc_call *call, const struct rpc_method *m, json_object *params)
{
	_cleanup_json_ json_object *p = params_or_empty(json_object_get(params));
	struct fault f = FAULT_NONE;
	int r = m->fn(call, p, call->service->userdata, &f);

	assert(r <= 0);
	if (r == 0)
		return;
	log_error("%s method=%s uid=%u pid=%d", f.text[0] ? f.text : strerror(-r), call->method,
		  call->conn->peer.uid, call->conn->peer.pid);
	if (!call->is_answered)
		rpc_error(call, ERROR_INTERNAL, NULL, "%s", f.text[0] ? f.text : strerror(-r));
}

static bool is_over_limit(struct rpc_call *call)
{
	unsigned limit = call->service->limits.pending_per_uid;
	unsigned pending = service_get_account(call->service, call->conn->peer.uid)->pending;

	if (limit == 0 || pending <= limit)
		return false;
	rpc_error(call, ERROR_LIMIT_REACHED, NULL,
		  "this user has %u calls that wait for their answer, and may have %u", pending - 1,
		  limit);
	return true;
}

static void serve(struct rpc_call *call, json_object *message)
{
	const char *full = json_get_string(message, "method");
	json_object *params = json_get_object(message, "parameters");
	const struct rpc_method *m = find_handler(call, full);

	if (call->is_answered || !check_params(call, params, full))
		return;
	if (!m)
		error_naming(call, ERROR_METHOD_NOT_IMPLEMENTED, "method", full);
	else if (!is_over_limit(call))
		run_handler(call, m, params);
}

void call_dispatch(struct rpc_conn *c, json_object *message)
{
	struct rpc_call *call = call_new(c);

	if (!call) {
		log_error("a connection is cut: out of memory uid=%u", c->peer.uid);
		c->broken = true;
	} else if (open_envelope(call, message)) {
		serve(call, message);
	}
	rpc_call_unref(call);
	json_object_put(message);
}
