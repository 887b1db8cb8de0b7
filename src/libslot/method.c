/* May it be said twice? */
#include "libslot/method.h"

#include <string.h>

#include "util/cleanup.h"
#include "util/id.h"
#include "util/json.h"
#include "util/text.h"

#define POOL "io.slotd.pool."

/* what makes a second call harmless */
enum needs {
	NEEDS_NOTHING,
	NEEDS_KEY,   /* an idempotency key */
	NEEDS_LEASE, /* a lease's own id, which is never used again, as a slot's name is */
};

static const struct {
	const char *name;
	unsigned flags;
	enum needs needs;
} methods[] = {
	{ POOL "Acquire", METHOD_REPEAT | METHOD_WAITS, NEEDS_KEY },
	{ POOL "Release", METHOD_REPEAT | METHOD_LATE | METHOD_ENDS, NEEDS_LEASE },
	{ POOL "Finish", METHOD_REPEAT | METHOD_LATE | METHOD_ENDS, NEEDS_LEASE },
	{ POOL "Renew", METHOD_REPEAT, NEEDS_LEASE },
	{ POOL "Touch", METHOD_REPEAT, NEEDS_LEASE },
	{ POOL "Status", METHOD_REPEAT },
	{ POOL "Slots", METHOD_REPEAT },
	{ POOL "Leases", METHOD_REPEAT },
	{ POOL "Explain", METHOD_REPEAT },
	{ POOL "Handoff", METHOD_REPEAT },
	{ POOL "Queue", METHOD_REPEAT },
	{ POOL "PoolList", METHOD_REPEAT },
	{ POOL "PoolShow", METHOD_REPEAT },
	{ POOL "PoolAdd", METHOD_LATE },
	{ POOL "PoolRemove", METHOD_LATE },
	{ POOL "PoolResize", METHOD_REPEAT },
	{ POOL "PoolPause", METHOD_REPEAT },
	{ POOL "PoolResume", METHOD_REPEAT },
	{ POOL "PoolDrain", METHOD_REPEAT },
	{ POOL "PoolFetch", METHOD_REPEAT | METHOD_LATE },
	{ POOL "SlotAdd", METHOD_LATE },
	{ POOL "SlotRemove", METHOD_LATE },
	{ POOL "Check", METHOD_REPEAT | METHOD_LATE },
	{ POOL "SlotWarm", METHOD_REPEAT | METHOD_LATE },
	{ POOL "SalvageList", METHOD_REPEAT },
	{ POOL "SalvageShow", METHOD_REPEAT | METHOD_LATE },
	{ POOL "SalvageDrop", METHOD_LATE },
	{ POOL "SalvageBranch", METHOD_REPEAT | METHOD_LATE },
	{ POOL "Ping", METHOD_REPEAT },
	{ POOL "PingHealth", METHOD_REPEAT },
	{ POOL "PingCleanup", METHOD_REPEAT },
	{ POOL "PingReset", METHOD_LATE }, /* it would take what was granted meanwhile */
	{ POOL "Stats", METHOD_REPEAT },
	{ POOL "Events", METHOD_REPEAT },
	{ POOL "ConfigShow", METHOD_REPEAT },
	{ "org.varlink.service.GetInfo", METHOD_REPEAT },
	{ "org.varlink.service.GetInterfaceDescription", METHOD_REPEAT },
};

char *method_full_name(const char *name)
{
	return strchr(name, '.') ? text_dup(name) : text_printf(POOL "%s", name);
}

static bool is_met(enum needs needs, json_object *params)
{
	const char *lease;
	struct id id;

	switch (needs) {
	case NEEDS_KEY:
		return json_get_string(params, "key") != NULL;
	case NEEDS_LEASE:
		lease = json_get_string(params, "lease");
		return lease && id_from_string(lease, &id) == 0;
	case NEEDS_NOTHING:
		break;
	}
	return true;
}

/* one row's flags for this very call */
static unsigned flags_for(size_t i, json_object *params)
{
	unsigned flags = methods[i].flags;

	if (!is_met(methods[i].needs, params))
		flags &= ~(unsigned)(METHOD_REPEAT | METHOD_ENDS);
	if (!json_get_bool(params, "wait", true))
		flags &= ~(unsigned)METHOD_LATE;
	return flags;
}

unsigned method_flags(const char *name, json_object *params)
{
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (strcmp(methods[i].name, name) == 0)
			return flags_for(i, params);
	}
	return METHOD_LATE;
}
