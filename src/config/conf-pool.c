/* A pool: the defaults, with its own words on top. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf-internal.h"
#include "config/conf-report.h"
#include "config/conf-value.h"
#include "config/conf-word.h"
#include "util/cleanup.h"
#include "util/parse.h"
#include "util/text.h"

int conf_pool_copy(const struct conf_pool *from, struct conf_pool *to)
{
	for (size_t i = 0; i < conf_pool_keys.n; i++)
		if (conf_value_copy(&conf_pool_keys.keys[i], from, to) < 0)
			return -ENOMEM;
	return 0;
}

void conf_pool_deinit(struct conf_pool *p)
{
	for (size_t i = 0; i < conf_pool_keys.n; i++)
		conf_value_free(&conf_pool_keys.keys[i], p);
	free(p->name);
	p->name = NULL;
}

void conf_pool_free(struct conf_pool *p)
{
	if (!p)
		return;
	conf_pool_deinit(p);
	free(p);
}

static void conf_pool_freep(struct conf_pool **p)
{
	conf_pool_free(*p);
}

static void settle_ttl(struct conf_pool *p, const struct conf_own *own)
{
	uint64_t *ttl = &p->lease.ttl_usec, *min = &p->lease.min_ttl_usec;
	uint64_t *max = &p->lease.max_ttl_usec;

	/* multipliers reckon with the ttl as it is */
	if (own->ttl && !own->lease_mode && p->lease.mode == CONF_LEASE_PHASES)
		p->lease.mode = CONF_LEASE_FIXED;
	if (!own->ttl && *ttl < *min && own->min_ttl)
		*ttl = *min;
	if (!own->ttl && *ttl > *max && own->max_ttl)
		*ttl = *max;
	if (!own->min_ttl && *min > *ttl)
		*min = *ttl;
	if (!own->max_ttl && *max < *ttl)
		*max = *ttl;
	if (!own->warn_before && p->lease.warn_before_usec >= *ttl)
		p->lease.warn_before_usec = *ttl / 4;
}

/* one grace for all phases, but for those that have their own */
static void settle_grace(struct conf_pool *p, const struct conf_own *own)
{
	struct conf_term *phases[CONF_PHASES] = { &p->lease.phases.silent, &p->lease.phases.first,
						  &p->lease.phases.early, &p->lease.phases.middle,
						  &p->lease.phases.late };

	for (size_t i = 0; i < CONF_PHASES; i++)
		if (own->grace && !own->grace_of[i])
			phases[i]->grace_usec = p->lease.grace_usec;
}

void conf_pool_settle(struct conf_pool *p, const struct conf_own *own)
{
	if (p->slots.ready > p->slots.max) {
		if (own->max && !own->ready)
			p->slots.ready = p->slots.max;
		else if (!own->max)
			p->slots.max = p->slots.ready;
	}
	settle_ttl(p, own);
	settle_grace(p, own);
	if (p->path && !own->fetch_every)
		p->fetch.every_usec = 0;
	if (p->path && !own->fetch_max_age)
		p->fetch.max_age_usec = 0;
}

const struct conf_pool *conf_find_pool(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->n_pools; i++)
		if (strcmp(c->pools[i].name, name) == 0)
			return &c->pools[i];
	return NULL;
}

/* one key of a pool made at run time, held to the same rules as in a file */
static int set_string(struct conf_pool *p, const char *name, const char *value, struct fault *f)
{
	const struct conf_key *key = conf_table_find(&conf_pool_keys, name);
	_cleanup_(freep) char *why = NULL;
	char **field = (char **)((char *)p + key->offset);
	char *taken = NULL;
	int r;

	if (!value || value[0] == '\0')
		return 0;
	r = conf_word_take(key, value, &taken, &why);
	if (r == -EINVAL)
		return fault(f, r, "%s cannot be \"%.60s\": %s", name, value, why);
	if (r < 0)
		return fault_oom(f);
	free(*field);
	*field = taken;
	return 0;
}

static int set_count(struct conf_pool *p, const char *name, int64_t value, struct fault *f)
{
	const struct conf_key *key = conf_table_find(&conf_pool_keys, name);

	if (value < 0)
		return 0;
	if ((double)value < key->min || (double)value > key->max)
		return fault(f, -EINVAL, "%s is out of range with %lld; it takes %.0f to %.0f",
			     name, (long long)value, key->min, key->max);
	*(unsigned *)((char *)p + key->offset) = (unsigned)value;
	return 0;
}

static int check_alone(const struct conf_pool *p, struct fault *f)
{
	_cleanup_(conf_report_deinit) struct conf_report report = { 0 };

	conf_check_pool(p, NULL, &report);
	return conf_report_finish(&report, NULL, f);
}

int conf_pool_new(const struct conf *c, const char *name, const char *url, const char *path,
		  const char *ref, int64_t ready, int64_t max, struct conf_pool **ret,
		  struct fault *f)
{
	struct conf_own own = { .ready = ready >= 0, .max = max >= 0 };
	_cleanup_(conf_pool_freep) struct conf_pool *p = NULL;
	const char *why = NULL;
	int r;

	if (parse_pool_name(name, &why) < 0)
		return fault(f, -EINVAL, "\"%.64s\" is no name for a pool: %s", name, why);
	p = calloc(1, sizeof(*p));
	if (!p || conf_pool_copy(&c->defaults, p) < 0)
		return fault_oom(f);
	p->name = strdup(name);
	if (!p->name)
		return fault_oom(f);
	r = set_string(p, "url", url, f);
	if (r == 0)
		r = set_string(p, "path", path, f);
	if (r == 0)
		r = set_string(p, "ref", ref, f);
	if (r == 0)
		r = set_count(p, "slots.ready", ready, f);
	if (r == 0)
		r = set_count(p, "slots.max", max, f);
	if (r < 0)
		return r;
	conf_pool_settle(p, &own);
	r = check_alone(p, f);
	if (r < 0)
		return r;
	*ret = TAKE(p);
	return 0;
}
