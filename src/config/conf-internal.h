/**
 * DOC: conf-internal - what the files of this folder share
 */
#ifndef CONFIG_CONF_INTERNAL_H
#define CONFIG_CONF_INTERNAL_H

#include "config/conf.h"
#include "config/conf-keys.h"

struct conf_report;
struct yaml_node;

#define CONF_MAX_FILE_BYTES (1024 * 1024)

/**
 * conf_load_buffer - conf_load() from memory
 * @file: what the faults call it
 */
int conf_load_buffer(const char *file, const char *data, size_t len, enum conf_scope scope,
		     struct conf **ret, struct conf_faults *ret_faults, struct fault *f);

/* conf-paths.c: directories, socket and other values that depend on the scope; -ENOMEM */
int conf_fill_paths(struct conf *c, enum conf_scope scope);
void conf_fill_pool(struct conf_pool *defaults, enum conf_scope scope);

/* conf-pool.c */
int conf_pool_copy(const struct conf_pool *from, struct conf_pool *to);
void conf_pool_deinit(struct conf_pool *p);

/* what a pool says itself, and does not only inherit */
#define CONF_PHASES 5

struct conf_own {
	bool ready, max, lease_mode, ttl, grace, min_ttl, max_ttl, warn_before, fetch_every, fetch_max_age;
	bool grace_of[CONF_PHASES];
};

/**
 * conf_pool_settle - what was inherited gives way to what the pool says itself
 *
 * "max: 2" lowers an inherited ready of 4, "ttl: 5s" an inherited min_ttl, a ttl without a mode
 * means that very ttl, a grace holds in every phase that has none of its own, and a pool with path is fetched only when it says so. Contradictions that a pool
 * states itself stay, for conf_check_pool() to find.
 */
void conf_pool_settle(struct conf_pool *p, const struct conf_own *own);

/* conf-check.c: what no single key can tell; nodes may be NULL */
void conf_check(const struct conf *c, const struct yaml_node *root, struct conf_report *report);
void conf_check_pool(const struct conf_pool *p, const struct yaml_node *node,
		     struct conf_report *report);

/* conf-access.c: a name or a number into an id; false: there is none */
bool conf_user_find(const char *name, uint32_t *ret);
bool conf_group_find(const char *name, uint32_t *ret);

#endif
