/* Every method by its name, JSON in and out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libslot/client.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

#define JSON_FLAGS (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

static void tokener_freep(json_tokener **tokener)
{
	if (*tokener)
		json_tokener_free(*tokener);
}

/* one object and nothing behind it; NULL when it is something else */
static json_object *parse_object(const char *text)
{
	_cleanup_(tokener_freep) json_tokener *tokener = json_tokener_new();
	_cleanup_json_ json_object *o = NULL;

	if (!tokener)
		return NULL;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(tokener, text, (int)strlen(text) + 1);
	if (json_tokener_get_error(tokener) != json_tokener_success ||
	    !json_object_is_type(o, json_type_object))
		return NULL;
	return TAKE(o);
}

static int make_call(struct slot_client *client, const char *method, const char *params_json,
		     struct call **ret)
{
	json_object *params = NULL;
	int r;

	r = client_check(client);
	if (r < 0)
		return r;
	if (client->call)
		return -EALREADY;
	if (!method || !text_is_utf8(method, strlen(method)))
		return client_refuse(client, "the method's name is not valid");
	if (params_json) {
		params = parse_object(params_json);
		if (!params)
			return client_refuse(client, "the parameters are not a JSON object");
	}
	return call_new(method, params, NULL, ret);
}

static int copy_json(json_object *o, char **ret)
{
	*ret = text_dup(json_object_to_json_string_ext(o, JSON_FLAGS));
	return *ret ? 0 : -ENOMEM;
}

SLOT_API int slot_call(struct slot_client *client, const char *method, const char *params_json,
		       char **ret_json)
{
	_cleanup_json_ json_object *reply = NULL;
	struct call *call;
	int r;

	r = make_call(client, method, params_json, &call);
	if (r == 0)
		r = call_run(client, call, &reply);
	if (r < 0)
		return r;
	return ret_json ? copy_json(reply, ret_json) : 0;
}

SLOT_API int slot_status(struct slot_client *client, char **ret_json)
{
	return slot_call(client, "Status", NULL, ret_json);
}

static int pass_on(struct slot_client *client, struct call *call, int r, json_object *reply,
		   bool continues)
{
	const char *text = reply ? json_object_to_json_string_ext(reply, JSON_FLAGS) : NULL;

	return call->fn.reply(client, r, text, continues, call->userdata);
}

SLOT_API int slot_call_async(struct slot_client *client, const char *method,
			     const char *params_json, bool more, slot_reply_fn reply,
			     void *userdata)
{
	struct call *call;
	int r;

	if (!reply)
		return -EINVAL;
	r = make_call(client, method, params_json, &call);
	if (r < 0)
		return r;
	call->more = more;
	call->on_reply = pass_on;
	call->fn.reply = reply;
	call->userdata = userdata;
	return call_start(client, call);
}

/* ---- a stream that blocks ---- */

struct stream {
	slot_reply_fn reply;
	void *userdata;
	bool is_done;
	int r;
};

static int on_item(struct slot_client *client, int r, const char *reply_json, bool continues,
		   void *userdata)
{
	struct stream *stream = userdata;

	if (r == 0)
		r = stream->reply(client, 0, reply_json, continues, stream->userdata);
	stream->r = r < 0 ? r : 0;
	stream->is_done = !continues || r < 0;
	return stream->r;
}

SLOT_API int slot_call_more(struct slot_client *client, const char *method, const char *params_json,
			    slot_reply_fn reply, void *userdata)
{
	struct stream stream = { .reply = reply, .userdata = userdata };
	int r;

	if (!reply)
		return -EINVAL;
	r = slot_call_async(client, method, params_json, true, on_item, &stream);
	if (r == 0)
		r = client_run_until(client, &stream.is_done);
	return r < 0 ? r : stream.r;
}
