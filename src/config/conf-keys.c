/* One row per key: this is the configuration. */
#include "config/conf-keys.h"

#include <string.h>

#include "config/conf.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/parse.h"

#define SEC  ((double)USEC_PER_SEC)
#define MIN  ((double)USEC_PER_MIN)
#define HOUR ((double)USEC_PER_HOUR)
#define DAY  ((double)USEC_PER_DAY)
#define YEAR (365 * DAY)
#define KIB  1024.0
#define MIB  (1024 * KIB)
#define GIB  (1024 * MIB)
#define TIB  (1024 * GIB)

#define TOP(field)   offsetof(struct conf, field)
#define POOL(field)  offsetof(struct conf_pool, field)
#define STRAT(field) offsetof(struct conf_strategy, field)

/* clang-format off */
static const struct conf_key top_keys[] = {
	{ "state_dir", CONF_STRING, CONF_ABSOLUTE | CONF_BY_SCOPE, TOP(state_dir),
	  "/var/lib/slotd, for a user's daemon $XDG_STATE_HOME/slotd", 0, 0, NULL,
	  "where the ledger, stores and recovery logs live" },
	{ "slots_dir", CONF_STRING, CONF_ABSOLUTE | CONF_BY_SCOPE, TOP(slots_dir),
	  "slots below state_dir", 0, 0, NULL,
	  "where the worktrees are made, one directory per pool" },
	{ "socket", CONF_STRING, CONF_ABSOLUTE | CONF_BY_SCOPE, TOP(socket),
	  "/run/slotd/slotd.sock, for a user's daemon $XDG_RUNTIME_DIR/slotd/slotd.sock", 0, 0, NULL,
	  "the socket that agents and slotctl connect to" },
	{ "workers", CONF_NUMBER, 0, TOP(workers), "0", 0, 256, NULL,
	  "how many worker processes may run; 0: one per CPU, at least two" },
	{ "shutdown_timeout", CONF_DURATION, 0, TOP(shutdown_timeout_usec), "30s", SEC, HOUR, NULL,
	  "how long jobs may go on after slotd was told to end" },
	{ "limits.message", CONF_SIZE, 0, TOP(limits.message_bytes), "64KiB", 4 * KIB, 16 * MIB, NULL,
	  "the longest call that is accepted" },
	{ "limits.connections_per_uid", CONF_NUMBER, 0, TOP(limits.connections_per_uid), "64", 1, 65536, NULL,
	  "connections that one user may hold open" },
	{ "limits.pending_per_uid", CONF_NUMBER, 0, TOP(limits.pending_per_uid), "256", 1, 65536, NULL,
	  "calls of one user that may wait at the same time" },
	{ "events.keep", CONF_NUMBER, 0, TOP(events.keep), "100000", 1000, 100000000, NULL,
	  "how many events the history holds" },
	{ "recovery.keep", CONF_DURATION, CONF_NO_EFFECT, TOP(recovery.keep_usec), "90d", DAY, 100 * YEAR, NULL,
	  "how long the logs of what recovery did are kept" },
	{ "recovery.max_size", CONF_SIZE, CONF_NO_EFFECT, TOP(recovery.max_size_bytes), "64MiB", MIB, TIB, NULL,
	  "how large they may become before the oldest go" },
	{ "recovery.auto_every", CONF_DURATION, CONF_NO_EFFECT | CONF_OR_ZERO, TOP(recovery.auto_every_usec), "0s", MIN, YEAR, NULL,
	  "how often slotd recovers everything by itself; 0: only a timer or an operator starts it" },
	{ "recovery.detect_every", CONF_DURATION, CONF_NO_EFFECT | CONF_OR_ZERO, TOP(recovery.detect_every_usec), "10m", SEC, YEAR, NULL,
	  "how often slotd looks for anomalies; 0: only when asked" },
	{ "checkpoints.keep", CONF_DURATION, CONF_NO_EFFECT, TOP(checkpoints.keep_usec), "7d", MIN, 100 * YEAR, NULL,
	  "how long agents' checkpoints are kept" },
	{ "disk.reserve", CONF_SIZE, CONF_OR_ZERO, TOP(disk.reserve_bytes), "1GiB", MIB, 1024 * TIB, NULL,
	  "with less free space no slot is made, nothing is fetched and nothing is warmed up; salvage and the ledger still write" },
	{ "salvage.keep", CONF_DURATION, 0, TOP(salvage.keep_usec), "30d", HOUR, 100 * YEAR, NULL,
	  "how long saved work is kept" },
	{ "salvage.max_size", CONF_SIZE, 0, TOP(salvage.max_size_bytes), "10GiB", MIB, 1024 * TIB, NULL,
	  "how much saved work is kept before the oldest goes" },
	{ "salvage.max_count", CONF_NUMBER, 0, TOP(salvage.max_count), "10000", 0, 10000000, NULL,
	  "how many salvages are kept before the oldest goes; 0: any number" },
	{ "integrity.check_every", CONF_DURATION, CONF_OR_ZERO, TOP(integrity.check_every_usec), "24h", SEC, YEAR, NULL,
	  "how often each store is checked by itself, as slotctl check does, in a quiet moment; 0: never" },
	{ "integrity.scrub_days", CONF_NUMBER, 0, TOP(integrity.scrub_days), "7", 0, 3650, NULL,
	  "within so many days every object is read again, a part each night; 0: never" },
	{ "integrity.scrub_budget", CONF_DURATION, 0, TOP(integrity.scrub_budget_usec), "30m", SEC, DAY, NULL,
	  "how long that may take in a night" },
	{ "integrity.memory", CONF_SIZE, 0, TOP(integrity.memory_bytes), "256MiB", 16 * MIB, TIB, NULL,
	  "how much memory a check takes for the objects that it reads" },
	{ "breaker.failures", CONF_NUMBER, CONF_NO_EFFECT, TOP(breaker.failures), "5", 1, 1000, NULL,
	  "failures in a row that open a breaker" },
	{ "breaker.rate", CONF_RATIO, CONF_NO_EFFECT, TOP(breaker.rate), "50%", 0.01, 1, NULL,
	  "share of failures among the last calls that opens it" },
	{ "breaker.window", CONF_NUMBER, CONF_NO_EFFECT, TOP(breaker.window), "20", 2, 10000, NULL,
	  "how many last calls the rate is taken of" },
	{ "breaker.open", CONF_DURATION, CONF_NO_EFFECT, TOP(breaker.open_usec), "30s", SEC, DAY, NULL,
	  "how long it stays open the first time; longer each time" },
	{ "breaker.max_open", CONF_DURATION, CONF_NO_EFFECT, TOP(breaker.max_open_usec), "10m", SEC, DAY, NULL,
	  "how long it stays open at most" },
	{ "breaker.classes", CONF_LIST, CONF_NO_EFFECT, TOP(breaker.classes), "[transient]", 0, 0, "transient|damage|permission|space|unknown",
	  "which classes of errors count" },
	{ "alert.success_rate", CONF_RATIO, CONF_NO_EFFECT, TOP(alert.success_rate), "0.95", 0, 1, NULL,
	  "recoveries that succeed less often than this raise an alert" },
	{ "alert.breaker_open", CONF_DURATION, CONF_NO_EFFECT, TOP(alert.breaker_open_usec), "5m", SEC, YEAR, NULL,
	  "a breaker open for longer raises one" },
	{ "alert.fallback_rate", CONF_RATIO, CONF_NO_EFFECT, TOP(alert.fallback_rate), "10%", 0, 1, NULL,
	  "fallbacks taken more often raise one" },
	{ "alert.retry_exhausted", CONF_RATIO, CONF_NO_EFFECT, TOP(alert.retry_exhausted), "5%", 0, 1, NULL,
	  "operations that fail after all retries more often raise one" },
	{ "alert.breakers_at_once", CONF_NUMBER, CONF_NO_EFFECT, TOP(alert.breakers_at_once), "2", 1, 1000, NULL,
	  "so many breakers open at once raise one" },
	{ "alert.run", CONF_LIST, CONF_NO_EFFECT, TOP(alert.run), NULL, 0, 0, NULL,
	  "the command that is told about alerts, as a list of words" },
};

#define PHASE(name, ttl, grace, when)                                                                      \
	{ "lease.phases." #name ".ttl", CONF_DURATION, 0, POOL(lease.phases.name.ttl_usec), ttl, SEC,     \
	  30 * DAY, NULL, "mode phases: how long a lease holds " when },                                  \
	{ "lease.phases." #name ".grace", CONF_DURATION, CONF_OR_ZERO, POOL(lease.phases.name.grace_usec), \
	  grace, SEC, 30 * DAY, NULL, "and its grace" }

static const struct conf_key pool_keys[] = {
	{ "url", CONF_STRING, CONF_POOL_ONLY, POOL(url), NULL, 0, 0, NULL,
	  "where the repository is cloned from: https://, http://, ssh://, file:///, git@HOST:PATH or an absolute path" },
	{ "path", CONF_STRING, CONF_ABSOLUTE | CONF_POOL_ONLY, POOL(path), NULL, 0, 0, NULL,
	  "a local repository that is adopted as it is, instead of url" },
	{ "credentials.ssh_key", CONF_STRING, CONF_ABSOLUTE, POOL(credentials.ssh_key), NULL, 0, 0, NULL,
	  "the private key for ssh; else the ssh agent is asked" },
	{ "credentials.known_hosts", CONF_STRING, CONF_ABSOLUTE, POOL(credentials.known_hosts), NULL, 0, 0, NULL,
	  "the file of host keys that are trusted; else ~/.ssh/known_hosts" },
	{ "credentials.token_file", CONF_STRING, CONF_ABSOLUTE, POOL(credentials.token_file), NULL, 0, 0, NULL,
	  "a file that holds a token, or USER:PASSWORD, for https" },
	{ "credentials.helper", CONF_LIST, 0, POOL(credentials.helper), NULL, 0, 0, NULL,
	  "a git credential helper, as a list of words; run outside any repository" },
	{ "ref", CONF_STRING, CONF_REF_NAME, POOL(ref), NULL, 0, 0, NULL,
	  "where ready slots stand; not set: origin's HEAD, else HEAD" },
	{ "branch", CONF_STRING, CONF_REF_NAME, POOL(branch), NULL, 0, 0, NULL,
	  "the branch made on acquire, with {agent} and {task} replaced; not set: HEAD is detached" },
	{ "slots.ready", CONF_NUMBER, 0, POOL(slots.ready), "4", 0, 10000, NULL,
	  "how many slots are kept ready" },
	{ "slots.max", CONF_NUMBER, 0, POOL(slots.max), "16", 1, 10000, NULL,
	  "how many slots there may be in all" },
	{ "slots.quota_per_agent", CONF_NUMBER, 0, POOL(slots.quota_per_agent), "0", 0, 10000, NULL,
	  "how many one agent may hold; 0: as many as there are" },
	{ "slots.shrink_after", CONF_DURATION, CONF_NO_EFFECT | CONF_OR_ZERO, POOL(slots.shrink_after_usec), "14d", MIN, 100 * YEAR, NULL,
	  "a slot above ready that nobody used for so long is removed; 0: never" },
	{ "slots.ports.base", CONF_NUMBER, CONF_OR_ZERO, POOL(slots.ports.base), "0", 1024, 65535, NULL,
	  "each slot has ports of its own, a block from here on; 0: none has" },
	{ "slots.ports.count", CONF_NUMBER, 0, POOL(slots.ports.count), "10", 1, 1000, NULL,
	  "how many ports a slot has" },
	{ "fetch.every", CONF_DURATION, CONF_OR_ZERO, POOL(fetch.every_usec), "5m", SEC, YEAR, NULL,
	  "how often origin is fetched; 0: never; a pool with path only when it says so itself" },
	{ "fetch.max_age", CONF_DURATION, CONF_OR_ZERO, POOL(fetch.max_age_usec), "60s", SEC, YEAR, NULL,
	  "an acquire fetches first when the last fetch is older; 0: it never does; a pool with path only when it says so itself" },
	{ "fetch.timeout", CONF_DURATION, 0, POOL(fetch.timeout_usec), "30s", SEC, HOUR, NULL,
	  "how long a clone or fetch may stand still before it is given up" },
	{ "maintenance.every", CONF_DURATION, CONF_OR_ZERO, POOL(maintenance.every_usec), "24h", SEC, YEAR, NULL,
	  "how often a store that was cloned is packed anew, and rid of what nothing reaches; 0: never" },
	{ "clean.ignored", CONF_ENUM, 0, POOL(clean.ignored), "keep", 0, 0, "keep|remove",
	  "what becomes of ignored files when a slot is cleaned" },
	{ "clean.wipe", CONF_LIST, 0, POOL(clean.wipe), NULL, 0, 0, NULL,
	  "patterns of ignored files that are removed all the same" },
	{ "clean.keep", CONF_LIST, 0, POOL(clean.keep), NULL, 0, 0, NULL,
	  "patterns of files that are kept though git does not ignore them; what stays is not saved" },
	{ "clean.precious", CONF_LIST, 0, POOL(clean.precious), NULL, 0, 0, NULL,
	  "patterns of ignored files that are saved before a slot is cleaned: those that changed since the lease began, or go" },
	{ "clean.processes", CONF_ENUM, 0, POOL(clean.processes), "wait", 0, 0, "wait|end",
	  "what becomes of processes that are still in a slot when it is released: it is not cleaned before they have ended, or they are ended" },
	{ "clean.wait", CONF_DURATION, CONF_OR_ZERO, POOL(clean.wait_usec), "30s", SEC, DAY, NULL,
	  "how long a released slot waits for them before it is isolated; 0: it does not wait" },
	{ "seed.from", CONF_STRING, CONF_ABSOLUTE, POOL(seed.from), NULL, 0, 0, NULL,
	  "the directory that seed files come from" },
	{ "seed.files", CONF_LIST, CONF_IN_SLOT, POOL(seed.files), NULL, 0, 0, NULL,
	  "files copied from there into new and cleaned slots" },
	{ "warmup.run", CONF_LIST, 0, POOL(warmup.run), NULL, 0, 0, NULL,
	  "the command that makes a new slot usable, as a list of words" },
	{ "warmup.when_changed", CONF_LIST, CONF_IN_SLOT, POOL(warmup.when_changed), NULL, 0, 0, NULL,
	  "files whose change makes it run again" },
	{ "warmup.timeout", CONF_DURATION, 0, POOL(warmup.timeout_usec), "10m", SEC, DAY, NULL,
	  "how long it may take" },
	{ "warmup.concurrent", CONF_NUMBER, 0, POOL(warmup.concurrent), "1", 1, 256, NULL,
	  "how many may run at once" },
	{ "warmup.home", CONF_STRING, CONF_ABSOLUTE, POOL(warmup.home), NULL, 0, 0, NULL,
	  "its HOME; not set: a directory of the pool's own" },
	{ "warmup.writable", CONF_LIST, CONF_ABSOLUTE, POOL(warmup.writable), NULL, 0, 0, NULL,
	  "directories it may write to besides the slot" },
	{ "warmup.env", CONF_MAP, 0, POOL(warmup.env), NULL, 0, 0, NULL,
	  "variables added to its environment" },
	{ "acquire.run", CONF_LIST, 0, POOL(acquire.run), NULL, 0, 0, NULL,
	  "the command that runs in a slot before it is given out, as a list of words" },
	{ "acquire.timeout", CONF_DURATION, 0, POOL(acquire.timeout_usec), "60s", SEC, HOUR, NULL,
	  "how long it may take" },
	{ "release.run", CONF_LIST, 0, POOL(release.run), NULL, 0, 0, NULL,
	  "the command that runs in a slot when its lease has ended, as a list of words" },
	{ "release.timeout", CONF_DURATION, 0, POOL(release.timeout_usec), "60s", SEC, HOUR, NULL,
	  "how long it may take" },
	{ "lease.mode", CONF_ENUM, 0, POOL(lease.mode), "phases", 0, 0, "phases|multipliers|fixed",
	  "how the time that a renewal gives is found; fixed where ttl is set and this is not" },
	{ "lease.bind", CONF_WORD, CONF_BINDING, POOL(lease.bind), "ttl", 0, 0, "ttl|process|connection|manual",
	  "what keeps a lease alive when the acquire does not say; several are joined by \"+\"" },
	{ "lease.ttl", CONF_DURATION, 0, POOL(lease.ttl_usec), "4m", SEC, 30 * DAY, NULL,
	  "how long a lease holds without renewal" },
	{ "lease.grace", CONF_DURATION, CONF_OR_ZERO, POOL(lease.grace_usec), "60s", SEC, 30 * DAY, NULL,
	  "how long after that it can still be renewed before its holder is inquired about; where it is set, in every phase that does not set its own" },
	{ "lease.min_ttl", CONF_DURATION, 0, POOL(lease.min_ttl_usec), "60s", SEC, 30 * DAY, NULL,
	  "the shortest ttl that an agent may ask for" },
	{ "lease.max_ttl", CONF_DURATION, 0, POOL(lease.max_ttl_usec), "4h", SEC, 30 * DAY, NULL,
	  "the longest ttl that an agent may ask for" },
	{ "lease.warn_before", CONF_DURATION, CONF_OR_ZERO, POOL(lease.warn_before_usec), "60s", USEC_PER_MSEC, 30 * DAY, NULL,
	  "a lease counts as expiring soon so long before its end" },
	{ "lease.abandon_after", CONF_DURATION, CONF_OR_ZERO | CONF_BY_SCOPE, POOL(lease.abandon_after_usec),
	  "2h, for a user's daemon 24h", SEC, YEAR, NULL,
	  "a suspect lease ends after so long without any sign of life; 0: never" },
	{ "lease.max_age", CONF_DURATION, CONF_OR_ZERO, POOL(lease.max_age_usec), "24h", SEC, YEAR, NULL,
	  "a lease of this age is inquired about, however often it was renewed, and again each time it has grown older by as much; 0: never" },
	{ "lease.max_renewals", CONF_NUMBER, 0, POOL(lease.max_renewals), "10", 0, 1000000, NULL,
	  "with more renewals than this a lease counts as stuck; 0: it does not" },
	{ "lease.stuck_after", CONF_NUMBER, 0, POOL(lease.stuck_after), "5", 0, 1000000, NULL,
	  "so does one that was renewed more often than this without progress; 0: it does not" },
	{ "lease.monitor_every", CONF_DURATION, 0, POOL(lease.monitor_every_usec), "60s", SEC, DAY, NULL,
	  "how often leases are looked over, and late ones that show life asked about again" },
	{ "lease.silence_multiplier", CONF_NUMBER, 0, POOL(lease.silence_multiplier), "0", 0, 1000, NULL,
	  "a holder is suspect after so many times its median gap; 0: after twice its longest usual gap" },
	{ "lease.handoff_for", CONF_DURATION, CONF_OR_ZERO, POOL(lease.handoff_for_usec), "24h", SEC, YEAR, NULL,
	  "how long what a lease left is offered to whoever goes on with its task or branch; 0: never" },
	{ "lease.recovered.run", CONF_LIST, 0, POOL(lease.recovered.run), NULL, 0, 0, NULL,
	  "the command that is told about each lease that ended without its holder, as a list of words" },
	PHASE(silent, "3m", "60s", "before the first report"),
	PHASE(first, "4m", "60s", "after the first report"),
	PHASE(early, "4m", "60s", "after a later report, below 25 %"),
	PHASE(middle, "5m", "60s", "after a later report, from 25 %"),
	PHASE(late, "6m", "90s", "after a later report, from 75 %"),
	{ "strategy", CONF_STRING, 0, POOL(strategy), "conservative", 0, 0, NULL,
	  "the recovery strategy; so far only its retry.attempts counts" },
	{ "access.users", CONF_LIST, CONF_USER_NAMES, POOL(access.users), NULL, 0, 0, NULL,
	  "users, by name or number, who may look at the pool" },
	{ "access.groups", CONF_LIST, CONF_GROUP_NAMES, POOL(access.groups), NULL, 0, 0, NULL,
	  "groups whose members may look at it" },
	{ "access.operators", CONF_LIST, CONF_USER_NAMES, POOL(access.operators), "[root]", 0, 0, NULL,
	  "users who may operate it, besides the user that slotd runs as" },
};

#define LADDER(kind, after)                                                                    \
	{ #kind ".after", CONF_DURATION, CONF_NO_EFFECT | CONF_OR_ZERO, STRAT(kind.after_usec), after, SEC, YEAR, NULL, \
	  "how old it must be" },                                                              \
	{ #kind ".when", CONF_WORD, CONF_NO_EFFECT, STRAT(kind.when), "any", 0, 0, "any|suspect|dead", \
	  "what must be known of the holder" },                                                \
	{ #kind ".do", CONF_ACTIONS, CONF_NO_EFFECT, STRAT(kind.actions), "[report]", 0, 0, NULL, \
	  "the actions, tried in turn" }

static const struct conf_key strategy_keys[] = {
	LADDER(long_allocated, "24h"),
	LADDER(corrupted, "0s"),
	LADDER(orphaned_lock, "24h"),
	{ "retry.attempts", CONF_NUMBER, 0, STRAT(retry.attempts), "3", 1, 100, NULL,
	  "how often an action is tried" },
	{ "retry.delay", CONF_DURATION, CONF_NO_EFFECT | CONF_OR_ZERO, STRAT(retry.delay_usec), "2s", USEC_PER_MSEC, DAY, NULL,
	  "the wait before the second time" },
	{ "retry.factor", CONF_RATIO, CONF_NO_EFFECT, STRAT(retry.factor), "2.0", 1, 100, NULL,
	  "by what the wait grows each time" },
	{ "retry.max_delay", CONF_DURATION, CONF_NO_EFFECT, STRAT(retry.max_delay_usec), "60s", USEC_PER_MSEC, DAY, NULL,
	  "the longest wait" },
	{ "retry.jitter", CONF_BOOL, CONF_NO_EFFECT, STRAT(retry.jitter), "true", 0, 0, NULL,
	  "whether each wait is varied by half" },
	{ "limits.actions_per_run", CONF_NUMBER, CONF_NO_EFFECT, STRAT(limits.actions_per_run), "50", 1, 100000, NULL,
	  "how many actions one run may take" },
	{ "limits.concurrent", CONF_NUMBER, CONF_NO_EFFECT, STRAT(limits.concurrent), "2", 1, 256, NULL,
	  "how many may be under way at once; never more than half of a pool" },
	{ "dry_run", CONF_BOOL, CONF_NO_EFFECT, STRAT(dry_run), "false", 0, 0, NULL,
	  "only say what would be done" },
};
/* clang-format on */

const struct conf_table conf_top_keys = { top_keys, ARRAY_SIZE(top_keys) };
const struct conf_table conf_pool_keys = { pool_keys, ARRAY_SIZE(pool_keys) };
const struct conf_table conf_strategy_keys = { strategy_keys, ARRAY_SIZE(strategy_keys) };

const struct conf_key *conf_table_find(const struct conf_table *table, const char *name)
{
	for (size_t i = 0; i < table->n; i++)
		if (strcmp(table->keys[i].name, name) == 0)
			return &table->keys[i];
	return NULL;
}

const char *conf_values_get(const char *values, int index, size_t *ret_len)
{
	for (; values; index--) {
		size_t len = strcspn(values, "|");

		if (index == 0) {
			*ret_len = len;
			return values;
		}
		values = values[len] ? values + len + 1 : NULL;
	}
	return NULL;
}

int conf_values_find(const char *values, const char *word)
{
	const char *value;
	size_t len;

	for (int i = 0; (value = conf_values_get(values, i, &len)); i++)
		if (strlen(word) == len && strncmp(value, word, len) == 0)
			return i;
	return -1;
}

/* what a range says in words */

static void add_limit(const struct conf_key *key, double value, struct text *t)
{
	char buf[DURATION_TEXT_SIZE];
	static const char units[] = "KMGT";
	int unit = -1;

	if (key->type == CONF_DURATION) {
		text_add_string(t, format_duration((uint64_t)value, buf));
		return;
	}
	while (key->type == CONF_SIZE && value >= 1024 && unit < 3) {
		value /= 1024;
		unit++;
	}
	text_addf(t, "%.10g", value);
	if (unit >= 0)
		text_addf(t, "%ciB", units[unit]);
}

static void add_values(const char *values, struct text *t)
{
	const char *word;
	size_t len;

	for (int i = 0; (word = conf_values_get(values, i, &len)); i++)
		text_addf(t, "%s%.*s", i ? " or " : "", (int)len, word);
}

static const char *type_words(const struct conf_key *key)
{
	switch (key->type) {
	case CONF_STRING:
		return key->flags & CONF_ABSOLUTE ? "absolute path" : "string";
	case CONF_DURATION:
		return "duration";
	case CONF_SIZE:
		return "size";
	case CONF_NUMBER:
		return "number";
	case CONF_RATIO:
		return "ratio";
	case CONF_BOOL:
		return "true or false";
	case CONF_LIST:
		return key->flags & CONF_ABSOLUTE ? "list of absolute paths"
		       : key->flags & CONF_IN_SLOT ? "list of paths in the slot"
						   : "list of strings";
	case CONF_MAP:
		return "section of NAME: VALUE";
	case CONF_ACTIONS:
		return "list of actions";
	default:
		return "";
	}
}

void conf_key_describe(const struct conf_key *key, struct text *t)
{
	if (key->type == CONF_LIST && key->values)
		text_add_string(t, "list of ");
	else
		text_add_string(t, type_words(key));
	if (key->values)
		add_values(key->values, t);
	if (key->max > 0) {
		text_add_string(t, ", ");
		add_limit(key, key->min, t);
		text_add_string(t, " to ");
		add_limit(key, key->max, t);
	}
	if (key->flags & CONF_OR_ZERO)
		text_add_string(t, ", or 0");
}
