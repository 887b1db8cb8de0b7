/* What was granted, and for how long it may be believed. */
#include "libslot/lease.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libslot/quote.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/json.h"

/* ---- time ---- */

static uint64_t time_at(json_object *reply, const char *key)
{
	int64_t at = json_get_int(reply, key, -1);

	return at < 0 ? UINT64_MAX : (uint64_t)at;
}

/*
 * Two thirds of what is left, from now on, and of no more than was granted: both ends of
 * what is left come from the wall clock, which somebody may have set in between.
 */
static void trust_until(struct slot_lease *lease, uint64_t expires_at)
{
	uint64_t now = clock_wall_usec();
	uint64_t left = expires_at > now ? expires_at - now : 0;

	if (expires_at == UINT64_MAX) {
		lease->valid_until_usec = UINT64_MAX;
		return;
	}
	if (left > lease->ttl_usec)
		left = lease->ttl_usec;
	lease->valid_until_usec = clock_boot_usec() + left / 3 * 2;
}

void lease_prolong(struct slot_lease *lease, json_object *reply)
{
	uint64_t expires_at = time_at(reply, "expiresAtUsec");

	json_set(lease->json, "expiresAtUsec",
		 expires_at == UINT64_MAX ? NULL : json_object_new_int64((int64_t)expires_at));
	trust_until(lease, expires_at);
}

void lease_note_outcome(struct slot_lease *lease, int r, json_object *reply)
{
	if (r == -ESTALE)
		lease->is_held = false;
	else if (r == 0)
		lease_prolong(lease, reply);
}

/* ---- life ---- */

static const char *missing_field(json_object *reply)
{
	static const char *const names[] = { "lease",	  "slot",   "pool", "path",
					     "commonDir", "gitDir", "head" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!json_get_string(reply, names[i]))
			return names[i];
	}
	if (json_get_int(reply, "token", -1) < 0)
		return "token";
	return json_get_int(reply, "acquiredAtUsec", -1) < 0 ? "acquiredAtUsec" : NULL;
}

static int copy_paths(struct slot_lease *lease)
{
	lease->path = unquote_path(json_get_string(lease->json, "path"));
	lease->common_dir = unquote_path(json_get_string(lease->json, "commonDir"));
	lease->git_dir = unquote_path(json_get_string(lease->json, "gitDir"));
	return lease->path && lease->common_dir && lease->git_dir ? 0 : -ENOMEM;
}

static void lease_unrefp(struct slot_lease **lease)
{
	lease_unref(*lease);
}

int lease_new(struct slot_client *client, json_object *reply, struct slot_lease **ret,
	      struct fault *f)
{
	_cleanup_(lease_unrefp) struct slot_lease *lease = NULL;
	const char *missing = missing_field(reply);
	uint64_t acquired_at, expires_at;

	if (missing)
		return fault(f, -EPROTO, "slotd's lease has no \"%s\"", missing);
	lease = calloc(1, sizeof(*lease));
	if (!lease)
		return fault_oom(f);
	lease->refs = 1;
	lease->json = json_object_get(reply);
	if (copy_paths(lease) < 0)
		return fault_oom(f);
	acquired_at = time_at(reply, "acquiredAtUsec");
	expires_at = time_at(reply, "expiresAtUsec");
	lease->ttl_usec = expires_at > acquired_at ? expires_at - acquired_at : 0;
	trust_until(lease, expires_at);
	lease->is_held = true;
	lease->client = slot_client_ref(client);
	*ret = TAKE(lease);
	return 0;
}

struct slot_lease *lease_ref(struct slot_lease *lease)
{
	lease->refs++;
	return lease;
}

void lease_unref(struct slot_lease *lease)
{
	if (!lease || --lease->refs > 0)
		return;
	json_object_put(lease->json);
	free(lease->path);
	free(lease->common_dir);
	free(lease->git_dir);
	free(lease);
}

SLOT_API void slot_lease_free(struct slot_lease *lease)
{
	struct slot_client *client;

	if (!lease)
		return;
	client = TAKE(lease->client);
	lease_unref(lease);
	slot_client_unref(client);
}

SLOT_API void slot_lease_freep(struct slot_lease **lease)
{
	slot_lease_free(*lease);
}

/* ---- what it says ---- */

SLOT_API bool slot_lease_is_held(const struct slot_lease *lease)
{
	return lease->is_held;
}

SLOT_API const char *slot_lease_id(const struct slot_lease *lease)
{
	return json_get_string(lease->json, "lease");
}

SLOT_API uint64_t slot_lease_token(const struct slot_lease *lease)
{
	return (uint64_t)json_get_int(lease->json, "token", 0);
}

SLOT_API const char *slot_lease_slot(const struct slot_lease *lease)
{
	return json_get_string(lease->json, "slot");
}

SLOT_API const char *slot_lease_pool(const struct slot_lease *lease)
{
	return json_get_string(lease->json, "pool");
}

SLOT_API const char *slot_lease_path(const struct slot_lease *lease)
{
	return lease->path;
}

SLOT_API const char *slot_lease_common_dir(const struct slot_lease *lease)
{
	return lease->common_dir;
}

SLOT_API const char *slot_lease_git_dir(const struct slot_lease *lease)
{
	return lease->git_dir;
}

SLOT_API const char *slot_lease_head(const struct slot_lease *lease)
{
	return json_get_string(lease->json, "head");
}

SLOT_API const char *slot_lease_branch(const struct slot_lease *lease)
{
	return json_get_string(lease->json, "branch");
}

SLOT_API const char *slot_lease_agent(const struct slot_lease *lease)
{
	return json_get_string(lease->json, "agent");
}

SLOT_API const char *slot_lease_task(const struct slot_lease *lease)
{
	return json_get_string(lease->json, "task");
}

SLOT_API uint64_t slot_lease_acquired_at_usec(const struct slot_lease *lease)
{
	return (uint64_t)json_get_int(lease->json, "acquiredAtUsec", 0);
}

SLOT_API uint64_t slot_lease_expires_at_usec(const struct slot_lease *lease)
{
	return time_at(lease->json, "expiresAtUsec");
}

SLOT_API uint64_t slot_lease_valid_until_usec(const struct slot_lease *lease)
{
	return lease->is_held ? lease->valid_until_usec : 0;
}

SLOT_API const char *slot_lease_to_json(const struct slot_lease *lease)
{
	return json_object_to_json_string_ext(lease->json, JSON_C_TO_STRING_PLAIN |
								   JSON_C_TO_STRING_NOSLASHESCAPE);
}
