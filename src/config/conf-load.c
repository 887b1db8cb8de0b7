/* From a file to a configuration, or to a list of what is wrong with it. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf-internal.h"
#include "config/conf-report.h"
#include "config/conf-section.h"
#include "config/conf-strategy.h"
#include "config/conf-value.h"
#include "config/yaml-node.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/parse.h"
#include "util/text.h"

/* pools, or strategies; each is looked for among the others */
#define MAX_NAMED 10000

static const char *const top_sections[] = { "defaults", "pools", "strategies", NULL };

struct conf *conf_ref(struct conf *c)
{
	c->refs++;
	return c;
}

static void free_values(const struct conf_table *table, void *base)
{
	for (size_t i = 0; i < table->n; i++)
		conf_value_free(&table->keys[i], base);
}

static void strategy_deinit(struct conf_strategy *s)
{
	free_values(&conf_strategy_keys, s);
	free(s->name);
}

void conf_unref(struct conf *c)
{
	if (!c || --c->refs > 0)
		return;
	for (size_t i = 0; i < c->n_pools; i++)
		conf_pool_deinit(&c->pools[i]);
	for (size_t i = 0; i < c->n_strategies; i++)
		strategy_deinit(&c->strategies[i]);
	conf_pool_deinit(&c->defaults);
	free_values(&conf_top_keys, c);
	free(c->pools);
	free(c->strategies);
	free(c->file);
	free(c);
}

static void conf_unrefp(struct conf **c)
{
	conf_unref(*c);
}

static int reset_values(const struct conf_table *table, void *base)
{
	for (size_t i = 0; i < table->n; i++)
		if (conf_value_reset(&table->keys[i], base) < 0)
			return -ENOMEM;
	return 0;
}

/* pools */

static struct conf_own own_of(const struct yaml_node *node)
{
	return (struct conf_own){
		.ready = yaml_node_find(node, "slots.ready"),
		.max = yaml_node_find(node, "slots.max"),
		.lease_mode = yaml_node_find(node, "lease.mode"),
		.ttl = yaml_node_find(node, "lease.ttl"),
		.min_ttl = yaml_node_find(node, "lease.min_ttl"),
		.max_ttl = yaml_node_find(node, "lease.max_ttl"),
		.grace = yaml_node_find(node, "lease.grace"),
		.grace_of = { yaml_node_find(node, "lease.phases.silent.grace"),
			      yaml_node_find(node, "lease.phases.first.grace"),
			      yaml_node_find(node, "lease.phases.early.grace"),
			      yaml_node_find(node, "lease.phases.middle.grace"),
			      yaml_node_find(node, "lease.phases.late.grace") },
		.warn_before = yaml_node_find(node, "lease.warn_before"),
		.fetch_every = yaml_node_find(node, "fetch.every"),
		.fetch_max_age = yaml_node_find(node, "fetch.max_age"),
	};
}

static int read_pool_keys(struct conf_pool *p, const struct yaml_node *node, unsigned refused,
			  const char *what, struct conf_report *report)
{
	struct conf_section section = {
		.table = &conf_pool_keys, .refused = refused, .base = p, .report = report
	};
	struct conf_own own = own_of(node);
	int r;

	r = conf_section_read(&section, node, what);
	if (r == 0)
		conf_pool_settle(p, &own);
	return r;
}

/* one more element, zeroed, behind an array whose room doubles */
static void *array_grow(void **items, size_t n, size_t size)
{
	char *grown = *items;

	if ((n & (n - 1)) == 0)
		grown = reallocarray(*items, n ? 2 * n : 1, size);
	if (!grown)
		return NULL;
	*items = grown;
	return memset(grown + n * size, 0, size);
}

static int read_pool(struct conf *c, const struct yaml_node *name, const struct yaml_node *node,
		     struct conf_report *report)
{
	_cleanup_(freep) char *what = text_printf("pool %.60s", name->text);
	struct conf_pool *p = array_grow((void **)&c->pools, c->n_pools, sizeof(*p));
	const char *why = NULL;

	if (!p || !what)
		return -ENOMEM;
	c->n_pools++;
	p->line = name->line;
	p->column = name->column;
	p->name = strdup(name->text);
	if (!p->name || conf_pool_copy(&c->defaults, p) < 0)
		return -ENOMEM;
	if (parse_pool_name(name->text, &why) < 0)
		conf_report(report, name->line, name->column, "\"%.64s\" is no name for a pool: %s",
			    name->text, why);
	return read_pool_keys(p, node, 0, what, report);
}

/* strategies */

const struct conf_strategy *conf_find_strategy(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->n_strategies; i++)
		if (strcmp(c->strategies[i].name, name) == 0)
			return &c->strategies[i];
	return NULL;
}

/* the one of that name, emptied, or a new one */
static struct conf_strategy *strategy_place(struct conf *c, const char *name)
{
	struct conf_strategy *s = NULL;

	for (size_t i = 0; i < c->n_strategies; i++)
		if (strcmp(c->strategies[i].name, name) == 0)
			s = &c->strategies[i];
	if (s)
		return s;
	s = array_grow((void **)&c->strategies, c->n_strategies, sizeof(*s));
	if (!s)
		return NULL;
	s->name = strdup(name);
	if (!s->name)
		return NULL;
	c->n_strategies++;
	return s;
}

static bool is_strategy_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= 63 && name[0] != '-' && name[0] != '.' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

static int read_strategy(struct conf *c, const struct yaml_node *name, const struct yaml_node *node,
			 struct conf_report *report)
{
	_cleanup_(freep) char *what = text_printf("strategy %.60s", name->text);
	struct conf_section section = { .table = &conf_strategy_keys, .report = report };
	struct conf_strategy *s = strategy_place(c, name->text);

	if (!s || !what || reset_values(&conf_strategy_keys, s) < 0)
		return -ENOMEM;
	if (!is_strategy_name(name->text))
		conf_report(report, name->line, name->column,
			    "\"%.64s\" is no name for a strategy: use lower-case letters, digits, "
			    "\".\", \"_\" and \"-\"",
			    name->text);
	s->line = name->line;
	section.base = s;
	return conf_section_read(&section, node, what);
}

typedef int (*read_named_fn)(struct conf *c, const struct yaml_node *name,
			     const struct yaml_node *node, struct conf_report *report);

/* "pools" and "strategies": a map of names to sections */
static int read_named(struct conf *c, const struct yaml_node *node, const char *what,
		      read_named_fn read, struct conf_report *report)
{
	if (yaml_node_is_null(node) || node->kind == YAML_NODE_BAD)
		return 0;
	if (node->kind != YAML_NODE_MAP) {
		conf_report(report, node->line, node->column,
			    "%s is a section; write each as \"name:\" with its keys below it",
			    what);
		return 0;
	}
	if (node->n / 2 > MAX_NAMED) {
		conf_report(report, node->line, node->column, "more than %d %s are not supported",
			    MAX_NAMED, what);
		return 0;
	}
	for (size_t i = 0; i + 1 < node->n; i += 2) {
		int r;

		if (node->items[i]->kind == YAML_NODE_BAD)
			continue;
		r = read(c, node->items[i], node->items[i + 1], report);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_builtin_strategies(struct conf *c)
{
	_cleanup_(conf_report_deinit) struct conf_report report = { 0 };
	_cleanup_(yaml_node_freep) struct yaml_node *root = NULL;
	int r;

	r = yaml_node_parse(conf_strategy_builtin, strlen(conf_strategy_builtin), &report, &root);
	if (r == 0)
		r = read_named(c, root, "strategies", read_strategy, &report);
	assert(r == -ENOMEM || report.failed || report.total == 0);
	for (size_t i = 0; i < c->n_strategies; i++)
		c->strategies[i].line = 0;
	return r;
}

/* the whole */

static int conf_new(enum conf_scope scope, struct conf **ret)
{
	_cleanup_(conf_unrefp) struct conf *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->refs = 1;
	if (reset_values(&conf_top_keys, c) < 0 || reset_values(&conf_pool_keys, &c->defaults) < 0)
		return -ENOMEM;
	conf_fill_pool(&c->defaults, scope);
	if (add_builtin_strategies(c) < 0)
		return -ENOMEM;
	*ret = TAKE(c);
	return 0;
}

static int read_root(struct conf *c, const struct yaml_node *root, struct conf_report *report)
{
	struct conf_section top = {
		.table = &conf_top_keys, .others = top_sections, .base = c, .report = report
	};
	int r;

	r = conf_section_read(&top, root, "the configuration");
	if (r == 0)
		r = read_pool_keys(&c->defaults, yaml_node_find(root, "defaults"), CONF_POOL_ONLY,
				   "defaults", report);
	if (r == 0)
		r = read_named(c, yaml_node_find(root, "pools"), "pools", read_pool, report);
	if (r == 0)
		r = read_named(c, yaml_node_find(root, "strategies"), "strategies", read_strategy,
			       report);
	return r;
}

static int read_and_check(struct conf *c, const char *data, size_t len, enum conf_scope scope,
			  struct conf_report *report)
{
	_cleanup_(yaml_node_freep) struct yaml_node *root = NULL;
	int r;

	r = yaml_node_parse(data, len, report, &root);
	if (r == 0)
		r = read_root(c, root, report);
	if (r == 0)
		r = conf_fill_paths(c, scope);
	if (r == 0)
		conf_check(c, root, report);
	return r;
}

int conf_load_buffer(const char *file, const char *data, size_t len, enum conf_scope scope,
		     struct conf **ret, struct conf_faults *ret_faults, struct fault *f)
{
	_cleanup_(conf_report_deinit) struct conf_report report = { .file = file };
	_cleanup_(conf_unrefp) struct conf *c = NULL;
	int r;

	r = conf_new(scope, &c);
	if (r == 0)
		r = read_and_check(c, data, len, scope, &report);
	if (r == 0 && file) {
		c->file = strdup(file);
		r = c->file ? 0 : -ENOMEM;
	}
	if (r == -ENOMEM)
		return fault_oom(f);
	r = conf_report_finish(&report, ret_faults, f);
	if (r < 0)
		return r;
	*ret = TAKE(c);
	return 0;
}

/* fs_read_file_at() follows no link, but a configuration may well be one */
static int read_file(const char *path, char **ret, size_t *ret_len, struct conf_report *report,
		     struct fault *f)
{
	_cleanup_(freep) char *real = realpath(path, NULL);
	int r = real ? fs_read_file_at(AT_FDCWD, real, CONF_MAX_FILE_BYTES, ret, ret_len) : -errno;

	if (r == -ENOMEM)
		return fault_oom(f);
	if (r == -EINVAL)
		conf_report(report, 0, 0, "this is no regular file; name a file with YAML in it");
	else if (r == -EFBIG)
		conf_report(report, 0, 0, "this file is longer than 1 MiB; is it the right one?");
	else if (r < 0)
		return fault_errno(f, r, "cannot read the configuration %s", path);
	return 0;
}

int conf_load(const char *path, enum conf_scope scope, struct conf **ret,
	      struct conf_faults *ret_faults, struct fault *f)
{
	_cleanup_(conf_report_deinit) struct conf_report report = { .file = path };
	_cleanup_(freep) char *data = NULL;
	size_t len = 0;
	int r;

	r = read_file(path, &data, &len, &report, f);
	if (r == 0)
		r = conf_report_finish(&report, ret_faults, f);
	if (r < 0)
		return r;
	return conf_load_buffer(path, data, len, scope, ret, ret_faults, f);
}

int conf_default(enum conf_scope scope, struct conf **ret, struct fault *f)
{
	return conf_load_buffer(NULL, "", 0, scope, ret, NULL, f);
}
