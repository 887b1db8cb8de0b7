/* The end of a lease, by whichever way out of a scope. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "libslot/client.h"
#include "libslot/lease.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

#define FINISH_FLAGS  (SLOT_RELEASE_DISCARD | SLOT_RELEASE_NO_WAIT)
#define RELEASE_FLAGS (FINISH_FLAGS | SLOT_RELEASE_FORCE)

static json_object *make_params(const struct slot_lease *lease, unsigned flags)
{
	json_object *params = json_object_new_object();

	json_set_string(params, "lease", slot_lease_id(lease));
	if (flags & SLOT_RELEASE_DISCARD)
		json_set_bool(params, "discard", true);
	if (flags & SLOT_RELEASE_FORCE)
		json_set_bool(params, "force", true);
	if (flags & SLOT_RELEASE_NO_WAIT)
		json_set_bool(params, "wait", false);
	return params;
}

static int end(struct slot_client *client, struct slot_lease *lease, const char *method,
	       json_object *params)
{
	struct call *call;
	int r;

	r = call_new(method, params, NULL, &call);
	if (r == 0)
		r = call_run(client, call, NULL);
	if (r == 0 || r == -ESTALE)
		lease->is_held = false;
	return r;
}

SLOT_API int slot_release(struct slot_client *client, struct slot_lease *lease, unsigned flags)
{
	if (!lease || flags & ~(unsigned)RELEASE_FLAGS)
		return client_refuse(client, "no lease, or unknown flags");
	return end(client, lease, "Release", make_params(lease, flags));
}

SLOT_API int slot_finish(struct slot_client *client, struct slot_lease *lease, const char *state,
			 const char *message, unsigned flags)
{
	json_object *params;

	if (!lease || flags & ~(unsigned)FINISH_FLAGS)
		return client_refuse(client, "no lease, or unknown flags");
	if ((state && !text_is_utf8(state, strlen(state))) ||
	    (message && !text_is_utf8(message, strlen(message))))
		return client_refuse(client, "the state or the message is not UTF-8");
	params = make_params(lease, flags);
	if (state)
		json_set_string(params, "state", state);
	if (message)
		json_set_string(params, "message", message);
	return end(client, lease, "Finish", params);
}

/* the connection is taken by a call, which must not be disturbed: use another one */
static void release_aside(struct slot_lease *lease)
{
	_cleanup_(slot_client_unrefp) struct slot_client *client = NULL;
	int r;

	r = slot_client_new(lease->client->path, &client);
	if (r < 0)
		return;
	client->retry = lease->client->retry;
	client->timeout_usec = lease->client->timeout_usec;
	r = slot_release(client, lease, SLOT_RELEASE_NO_WAIT);
	(void)r; /* nobody is there to be told: the lease ends by its time */
}

/* what the caller may still want to read stays: a scope's end says nothing new */
static void release_quietly(struct slot_lease *lease)
{
	struct slot_client *client = lease->client;
	struct outcome kept = client->outcome;
	int r;

	client->outcome = (struct outcome){ 0 };
	slot_client_clear_cancel(client);
	r = slot_release(client, lease, SLOT_RELEASE_NO_WAIT);
	(void)r; /* as above */
	outcome_clear(&client->outcome);
	client->outcome = kept;
}

SLOT_API void slot_lease_releasep(struct slot_lease **held)
{
	struct slot_lease *lease = TAKE(*held);

	if (!lease)
		return;
	if (lease->is_held && lease->client->pid == getpid()) {
		if (lease->client->call)
			release_aside(lease);
		else
			release_quietly(lease);
	}
	slot_lease_free(lease);
}
