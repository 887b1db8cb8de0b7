/* Why nothing can be had: each slot with its reason, and what is safe to do next. */
#include <stdio.h>
#include <string.h>

#include "slotd/methods.h"
#include "util/cleanup.h"
#include "util/parse.h"
#include "util/text.h"

#define MOST_SLOTS 100 /* that are listed */

static char *reason_of_lease(const struct lease *lease)
{
	const struct lease_record *r = lease_record(lease);
	char held[DURATION_TEXT_SIZE];

	format_age(moment_age_usec(&r->acquired), held);
	return text_printf("held by %s for %s%s%s; %s", r->agent[0] ? r->agent : "somebody", held,
			   r->task[0] ? ", task " : "", r->task, lease_status(lease));
}

static json_object *entry_of(struct slot *slot)
{
	const struct slot_record *r = slot_record(slot);
	_cleanup_(freep) char *lease = slot_lease(slot) ? reason_of_lease(slot_lease(slot)) : NULL;
	json_object *o = json_object_new_object();

	json_set_string(o, "slot", r->name);
	json_set_string(o, "state", slot_state_to_string(r->state));
	json_set(o, "reason", string_or_null(lease ? lease : r->reason));
	return o;
}

static json_object *list_slots(struct slotd *d, struct pool *pool, const char **ret_isolated)
{
	json_object *list = json_object_new_array();
	size_t n;
	_cleanup_(freep) struct slot **slots = slots_in_order(d, pool, MOST_SLOTS, &n);
	const struct slot *isolated = slot_first(pool, SLOT_STATE_ISOLATED);

	*ret_isolated = isolated ? slot_record(isolated)->name : NULL;
	for (size_t i = 0; i < n; i++)
		json_object_array_add(list, entry_of(slots[i]));
	return list;
}

static char *next_command(const struct pool *pool, const char *error, const char *isolated)
{
	const struct pool_record *r = pool_record(pool);

	if (strcmp(error, "QuotaReached") == 0)
		return text_printf("slotctl leases %s", r->name);
	if (strcmp(error, "Busy") == 0)
		return text_printf("slotctl acquire %s --wait 10m", r->name);
	if (r->paused || r->draining)
		return text_printf("slotctl pool resume %s", r->name);
	if (r->state == POOL_STATE_ACTIVE && isolated)
		return text_printf("slotctl explain %s", isolated);
	return text_printf("slotctl pool show %s", r->name);
}

void answer_no_slot(struct slotd *d, struct rpc_call *call, struct pool *pool, const struct refusal *refusal)
{
	static const char *const errors[] = { "Busy", "Unavailable", "QuotaReached" };
	json_object *params = json_object_new_object();
	const char *isolated = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		_cleanup_(freep) char *next = NULL;

		if (strcmp(refusal->error, errors[i]) != 0)
			continue;
		json_set(params, "slots", list_slots(d, pool, &isolated));
		next = next_command(pool, refusal->error, isolated);
		json_set(params, "next", string_or_null(next));
	}
	answer_refusal_with(call, refusal, params);
}
