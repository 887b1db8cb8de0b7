/* What may be done about what, and three ways of doing it. */
#include "config/conf-strategy.h"

#include <string.h>

#include "util/text.h"

enum { LONG = 1 << 0, CORRUPTED = 1 << 1, LOCK = 1 << 2, ANY = LONG | CORRUPTED | LOCK };

const char *const conf_strategy_actions[] = {
	"report",  "retry",   "remove", "repair", "recreate", "reclone", "rollback",
	"release", "isolate", "skip",	"manual", "escalate", NULL,
};

/* in the order of the names */
static const unsigned kinds_of_action[] = {
	ANY, ANY, LOCK, CORRUPTED, CORRUPTED, CORRUPTED, LONG | CORRUPTED, LONG | CORRUPTED,
	ANY, ANY, ANY,	ANY,
};

static unsigned kind_from_key(const char *key)
{
	if (text_has_prefix(key, "long_allocated"))
		return LONG;
	if (text_has_prefix(key, "corrupted"))
		return CORRUPTED;
	return LOCK;
}

bool conf_strategy_is_action(const char *kind, const char *action, bool *ret_known)
{
	for (size_t i = 0; conf_strategy_actions[i]; i++) {
		if (strcmp(conf_strategy_actions[i], action) == 0) {
			*ret_known = true;
			return kinds_of_action[i] & kind_from_key(kind);
		}
	}
	*ret_known = false;
	return false;
}

const char conf_strategy_builtin[] =
	/* production: report what is only old, repair what is broken */
	"conservative:\n"
	"  long_allocated: { after: 48h, when: any, do: [report] }\n"
	"  corrupted: { do: [repair, recreate, reclone, isolate] }\n"
	"  orphaned_lock: { after: 24h, do: [remove] }\n"
	/* development: slots are wanted back; salvage keeps the work */
	"aggressive:\n"
	"  long_allocated: { after: 24h, when: any, do: [release] }\n"
	"  corrupted: { do: [repair, recreate, reclone, isolate] }\n"
	"  orphaned_lock: { after: 24h, do: [remove] }\n"
	/* at night: put right what is broken, touch no lease */
	"maintenance:\n"
	"  long_allocated: { after: 24h, do: [skip] }\n"
	"  corrupted: { do: [repair, recreate, reclone, isolate] }\n"
	"  orphaned_lock: { after: 24h, do: [remove] }\n";
