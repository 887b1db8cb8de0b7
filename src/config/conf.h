/**
 * DOC: conf - slotd.yaml
 *
 * One table (conf-keys.c) says for every key: name, type, default, range. Reading,
 * the manual, conf/slotd.yaml and "config show" are held against it by tests.
 *
 * Calling sequence
 * ----------------
 * 1. conf_load() or, without a file, conf_default()
 * 2. read the fields; they never change
 * 3. conf_unref() when a newer one has replaced it
 *
 * Errors
 * ------
 * A file that is wrong anywhere gives -EINVAL, and its faults in a list of
 * "file:line:column: sentence", each with the nearest valid key where one is near.
 */
#ifndef CONFIG_CONF_H
#define CONFIG_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/fault.h"

enum conf_access_right { CONF_ACCESS_OBSERVE, CONF_ACCESS_OPERATE };

struct conf_list { /* of strings */
	char **items;
	size_t n;
};

enum conf_ignored { CONF_IGNORED_KEEP, CONF_IGNORED_REMOVE };
enum conf_processes { CONF_PROCESSES_WAIT, CONF_PROCESSES_END };
enum conf_lease_mode { CONF_LEASE_PHASES, CONF_LEASE_MULTIPLIERS, CONF_LEASE_FIXED };

struct conf_term {
	uint64_t ttl_usec, grace_usec;
};

/* everything below pools.NAME, also used for "defaults" and for pools made at run time */
struct conf_pool {
	char *name;    /* NULL in conf.defaults */
	unsigned line; /* in the file, of its name; 0: not from the file */
	unsigned column;

	char *url; /* one of url and path is set */
	char *path;
	char *ref;    /* NULL: origin's HEAD, else HEAD */
	char *branch; /* NULL: detached; "{agent}" and "{task}" are replaced */
	char *strategy;

	struct {
		char *ssh_key, *known_hosts, *token_file; /* NULL: not set */
		struct conf_list helper;
	} credentials;
	struct {
		unsigned ready, max, quota_per_agent;
		uint64_t shrink_after_usec;
		struct {
			unsigned base, count; /* base 0: no ports */
		} ports;
	} slots;
	struct {
		uint64_t every_usec; /* 0: never */
		uint64_t max_age_usec, timeout_usec;
	} fetch;
	struct {
		uint64_t every_usec;
	} maintenance;
	struct {
		enum conf_ignored ignored;
		enum conf_processes processes;
		uint64_t wait_usec;
		struct conf_list wipe, keep, precious;
	} clean;
	struct {
		char *from;
		struct conf_list files;
	} seed;
	struct {
		struct conf_list run, when_changed, writable, env; /* env: "K=V" */
		uint64_t timeout_usec;
		unsigned concurrent;
		char *home;
	} warmup;
	struct {
		struct conf_list run;
		uint64_t timeout_usec;
	} acquire, release;
	struct {
		enum conf_lease_mode mode;
		char *bind; /* what an acquire without one gets: "ttl", "process+ttl", ... */
		uint64_t ttl_usec, grace_usec, min_ttl_usec, max_ttl_usec, warn_before_usec;
		uint64_t abandon_after_usec, max_age_usec, monitor_every_usec, handoff_for_usec;
		unsigned max_renewals, stuck_after;
		struct {
			struct conf_list run;
		} recovered;
		unsigned silence_multiplier;
		struct {
			struct conf_term silent, first, early, middle, late;
		} phases;
	} lease;
	struct {
		struct conf_list users, groups, operators;
	} access;
};

struct conf_ladder { /* of a strategy: what is done about one kind of anomaly */
	uint64_t after_usec;
	char *when;		  /* any, suspect, dead */
	struct conf_list actions; /* names; a command is "run:" and its words as a JSON array */
};

struct conf_strategy {
	char *name;
	unsigned line;
	struct conf_ladder long_allocated, corrupted, orphaned_lock;
	struct {
		unsigned attempts;
		uint64_t delay_usec, max_delay_usec;
		double factor;
		bool jitter;
	} retry;
	struct {
		unsigned actions_per_run, concurrent;
	} limits;
	bool dry_run;
};

struct conf {
	unsigned refs;
	char *file; /* NULL: built-in defaults */

	char *state_dir, *slots_dir, *socket; /* absolute */
	unsigned workers;		      /* 0: one per CPU */
	uint64_t shutdown_timeout_usec;
	struct {
		uint64_t message_bytes;
		unsigned connections_per_uid, pending_per_uid;
	} limits;
	struct {
		unsigned keep;
	} events;
	struct {
		uint64_t keep_usec, max_size_bytes, auto_every_usec, detect_every_usec;
	} recovery;
	struct {
		uint64_t keep_usec;
	} checkpoints;
	struct {
		uint64_t reserve_bytes;
	} disk;
	struct {
		uint64_t keep_usec, max_size_bytes;
		unsigned max_count; /* 0: any number */
	} salvage;
	struct {
		uint64_t check_every_usec, scrub_budget_usec, memory_bytes;
		unsigned scrub_days;
	} integrity;
	struct {
		unsigned failures, window;
		double rate;
		uint64_t open_usec, max_open_usec;
		struct conf_list classes;
	} breaker;
	struct {
		double success_rate, fallback_rate, retry_exhausted;
		uint64_t breaker_open_usec;
		unsigned breakers_at_once;
		struct conf_list run;
	} alert;

	struct conf_pool defaults;
	struct conf_pool *pools;
	size_t n_pools;
	struct conf_strategy *strategies; /* built-in ones included */
	size_t n_strategies;
};

/* the faults of one file, in the order of lines */
struct conf_faults {
	char **lines; /* "file:line:column: sentence" */
	size_t n;
};

void conf_faults_deinit(struct conf_faults *faults);

enum conf_scope { CONF_SCOPE_SYSTEM, CONF_SCOPE_USER };

/**
 * conf_load - read a file
 * @path: the file
 * @scope: whose default directories hold where the file names none
 * @ret_faults: all that is wrong with it; NULL: not wanted
 *
 * -ENOENT when there is no file; -EINVAL when it is wrong, the first fault in @f; the
 * result is checked as a whole (unknown strategies, users, both url and path, ready above max).
 */
int conf_load(const char *path, enum conf_scope scope, struct conf **ret,
	      struct conf_faults *ret_faults, struct fault *f);

/* what holds without a file */
int conf_default(enum conf_scope scope, struct conf **ret, struct fault *f);

struct conf *conf_ref(struct conf *c);
void conf_unref(struct conf *c); /* accepts NULL */

/* borrowed; NULL when absent */
const struct conf_pool *conf_find_pool(const struct conf *c, const char *name);
const struct conf_strategy *conf_find_strategy(const struct conf *c, const char *name);

/**
 * conf_pool_new - a pool made at run time: defaults, with these on top
 * @name: a valid pool name
 * @url, @path, @ref: copied; NULL: not set
 * @ready, @max: negative: the default
 *
 * -EINVAL with a sentence when they contradict each other (both or none of url and path,
 * ready above max, path not absolute).
 */
int conf_pool_new(const struct conf *c, const char *name, const char *url, const char *path,
		  const char *ref, int64_t ready, int64_t max, struct conf_pool **ret,
		  struct fault *f);
void conf_pool_free(struct conf_pool *p); /* accepts NULL */

/**
 * conf_pool_allows - may this uid do that on the pool?
 *
 * Users and groups are resolved by name at the call; operators may also observe. The uid
 * that the process runs as may do everything, whatever the pool says.
 */
bool conf_pool_allows(const struct conf_pool *p, uint32_t uid, uint32_t gid,
		      enum conf_access_right right);

/* the whole configuration as YAML, defaults included; the caller frees; NULL: no memory */
char *conf_to_yaml(const struct conf *c);

/* the file that holds without --config: /etc/slotd/slotd.yaml, or the user's; the caller frees */
char *conf_default_path(enum conf_scope scope);

/* the user's socket: $XDG_RUNTIME_DIR, else /run/user/UID, else /tmp/slotd-UID; the caller frees */
char *conf_user_socket(void);
#define CONF_SYSTEM_SOCKET "/run/slotd/slotd.sock"
#define CONF_SYSTEM_FILE   "/etc/slotd/slotd.yaml"

#endif
