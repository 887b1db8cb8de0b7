/**
 * DOC: conf-keys - all there is to say about a key, in one table
 *
 * Three tables: the top level, a pool (and "defaults"), a strategy. A dot in a name
 * is a level of the file: "lease.ttl" is "ttl" below "lease". Defaults are written as
 * in the file and read by the same code. Reading, printing, copying and the tests
 * that hold the manual and the sample against the program walk these tables.
 */
#ifndef CONFIG_CONF_KEYS_H
#define CONFIG_CONF_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "util/text.h"

enum conf_type {
	CONF_STRING,   /* char *; empty is NULL */
	CONF_DURATION, /* uint64_t, microseconds */
	CONF_SIZE,     /* uint64_t, bytes */
	CONF_NUMBER,   /* unsigned */
	CONF_RATIO,    /* double; "0.5" or "50%" */
	CONF_BOOL,     /* bool */
	CONF_ENUM,     /* an enum whose values are counted from 0 in the order of @values */
	CONF_WORD,     /* char *, one of @values */
	CONF_LIST,     /* struct conf_list */
	CONF_MAP,      /* struct conf_list of "K=V" */
	CONF_ACTIONS,  /* struct conf_list; the ladder of a strategy */
};

enum conf_key_flag {
	CONF_NO_EFFECT = 1 << 0, /* read and checked, but nothing looks at it yet */
	CONF_ABSOLUTE = 1 << 1,	 /* a path, or a list of them, from the root */
	CONF_OR_ZERO = 1 << 2,	 /* zero is allowed below the range: off, or no limit */
	CONF_POOL_ONLY = 1 << 3, /* means nothing in "defaults" */
	CONF_BY_SCOPE = 1 << 4,	 /* the default depends on whose daemon it is; @fallback says how */
	CONF_USER_NAMES = 1 << 5, /* a list of users */
	CONF_GROUP_NAMES = 1 << 6,
	CONF_REF_NAME = 1 << 7, /* as git allows; "{agent}" and "{task}" in branches */
	CONF_BINDING = 1 << 8,	/* @values joined by "+" */
	CONF_IN_SLOT = 1 << 9,	/* paths of files, relative to a slot */
};

struct conf_key {
	const char *name;
	enum conf_type type;
	unsigned flags;
	size_t offset;	      /* of the field in struct conf, conf_pool or conf_strategy */
	const char *fallback; /* as in the file; NULL: empty, not set */
	double min, max;      /* of durations in microseconds; both 0: no range */
	const char *values;   /* "a|b|c" */
	const char *help;     /* what it is; a clause without a full stop */
};

struct conf_table {
	const struct conf_key *keys;
	size_t n;
};

extern const struct conf_table conf_top_keys;
extern const struct conf_table conf_pool_keys;
extern const struct conf_table conf_strategy_keys;

/* NULL when there is none of exactly this name */
const struct conf_key *conf_table_find(const struct conf_table *table, const char *name);

/* the number of the word in "a|b|c", or -1 */
int conf_values_find(const char *values, const char *word);

/* the word of that number, with its length; NULL beyond the last */
const char *conf_values_get(const char *values, int index, size_t *ret_len);

/* "duration, 1s to 30d, or 0": type and range in words, appended */
void conf_key_describe(const struct conf_key *key, struct text *t);

#endif
