/* Signs of life. */
#include <errno.h>
#include <string.h>

#include "libslot/client.h"
#include "libslot/lease.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

static int make_renew(struct slot_client *client, struct slot_lease *lease, int progress,
		      const char *message, struct call **ret)
{
	json_object *params;

	if (!lease)
		return client_refuse(client, "there is no lease");
	if (progress < -1 || progress > 100)
		return client_refuse(client, "progress is from 0 to 100, or -1");
	if (message && !text_is_utf8(message, strlen(message)))
		return client_refuse(client, "the message is not UTF-8");
	params = json_object_new_object();
	json_set_string(params, "lease", slot_lease_id(lease));
	if (progress >= 0)
		json_set_int(params, "progress", progress);
	if (message)
		json_set_string(params, "message", message);
	return call_new("Renew", params, NULL, ret);
}

static int run(struct slot_client *client, struct slot_lease *lease, struct call *call)
{
	_cleanup_json_ json_object *reply = NULL;
	int r;

	r = call_run(client, call, &reply);
	lease_note_outcome(lease, r, reply);
	return r;
}

SLOT_API int slot_renew(struct slot_client *client, struct slot_lease *lease, int progress,
			const char *message)
{
	struct call *call;
	int r;

	r = make_renew(client, lease, progress, message, &call);
	return r < 0 ? r : run(client, lease, call);
}

static int make_touch(struct slot_client *client, struct slot_lease *lease, struct call **ret)
{
	json_object *params;

	if (!lease)
		return client_refuse(client, "there is no lease");
	params = json_object_new_object();
	json_set_string(params, "lease", slot_lease_id(lease));
	return call_new("Touch", params, NULL, ret);
}

SLOT_API int slot_touch(struct slot_client *client, struct slot_lease *lease)
{
	struct call *call;
	int r = make_touch(client, lease, &call);

	return r < 0 ? r : run(client, lease, call);
}

static int on_renewed(struct slot_client *client, struct call *call, int r, json_object *reply,
		      bool continues)
{
	lease_note_outcome(call->lease, r, reply);
	if (call->fn.done)
		call->fn.done(client, r, call->userdata);
	return 0;
}

static int start_async(struct slot_client *client, struct slot_lease *lease, struct call *call,
		       slot_done_fn done, void *userdata)
{
	call->on_reply = on_renewed;
	call->fn.done = done;
	call->userdata = userdata;
	call->lease = lease_ref(lease);
	return call_start(client, call);
}

SLOT_API int slot_renew_async(struct slot_client *client, struct slot_lease *lease, int progress,
			      const char *message, slot_done_fn done, void *userdata)
{
	struct call *call;
	int r = make_renew(client, lease, progress, message, &call);

	return r < 0 ? r : start_async(client, lease, call, done, userdata);
}

SLOT_API int slot_touch_async(struct slot_client *client, struct slot_lease *lease, slot_done_fn done,
			      void *userdata)
{
	struct call *call;
	int r = make_touch(client, lease, &call);

	return r < 0 ? r : start_async(client, lease, call, done, userdata);
}
