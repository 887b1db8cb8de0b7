/* Ask for a slot; the key makes asking twice harmless. */
#include <errno.h>

#include "libslot/client.h"
#include "libslot/lease.h"
#include "libslot/request.h"
#include "util/cleanup.h"
#include "util/id.h"
#include "util/json.h"

static void ensure_key(json_object *params)
{
	char text[ID_TEXT_SIZE];
	struct id key;

	if (json_get_string(params, "key"))
		return;
	id_random(&key);
	json_set_string(params, "key", id_to_string(&key, text));
}

static int make_call(struct slot_client *client, const struct slot_request *request,
		     struct call **ret)
{
	json_object *params = NULL;
	char sentence[64];
	int r;

	r = client_check(client);
	if (r < 0)
		return r;
	if (!request)
		return client_refuse(client, "there is no request");
	if (request->bad) {
		snprintf(sentence, sizeof(sentence), "the request's %s is not valid", request->bad);
		return client_refuse(client, sentence);
	}
	if (json_object_deep_copy(request->params, &params, NULL) < 0)
		return -ENOMEM;
	ensure_key(params);
	return call_new("Acquire", params, NULL, ret);
}

static int take_lease(struct slot_client *client, json_object *reply, struct slot_lease **ret)
{
	struct fault f = FAULT_NONE;
	int r;

	r = lease_new(client, reply, ret, &f);
	if (r < 0) {
		outcome_clear(&client->outcome);
		client->outcome.fault = f;
	}
	return r;
}

SLOT_API int slot_acquire(struct slot_client *client, const struct slot_request *request,
			  struct slot_lease **ret)
{
	_cleanup_json_ json_object *reply = NULL;
	struct call *call;
	int r;

	r = make_call(client, request, &call);
	if (r == 0)
		r = call_run(client, call, &reply);
	return r < 0 ? r : take_lease(client, reply, ret);
}

static int on_lease(struct slot_client *client, struct call *call, int r, json_object *reply,
		    bool continues)
{
	struct slot_lease *lease = NULL;

	if (r == 0)
		r = take_lease(client, reply, &lease);
	call->fn.lease(client, r, lease, call->userdata);
	return 0;
}

SLOT_API int slot_acquire_async(struct slot_client *client, const struct slot_request *request,
				slot_lease_fn done, void *userdata)
{
	struct call *call;
	int r;

	r = make_call(client, request, &call);
	if (r < 0)
		return r;
	call->on_reply = on_lease;
	call->fn.lease = done;
	call->userdata = userdata;
	return call_start(client, call);
}
