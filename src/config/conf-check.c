/* What no single key can tell. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "config/conf-internal.h"
#include "config/conf-report.h"
#include "config/conf-word.h"
#include "config/yaml-node.h"
#include "util/cleanup.h"
#include "util/text.h"

/* where the fault is shown: at the key, else at its section, else at what it is all in */
struct place {
	unsigned line, column;
};

static const struct yaml_node *find_section(const struct yaml_node *node, const char *path)
{
	char section[64];

	snprintf(section, sizeof(section), "%.*s", (int)strcspn(path, "."), path);
	return yaml_node_find(node, section);
}

static struct place place_of(const struct yaml_node *node, const char *path)
{
	const struct yaml_node *at = yaml_node_find(node, path);

	if (!at)
		at = find_section(node, path);
	if (!at)
		at = node;
	return at ? (struct place){ at->line, at->column } : (struct place){ 0 };
}

#define REPORT(report, node, path, ...)                                       \
	do {                                                                  \
		struct place place_ = place_of(node, path);                   \
		conf_report(report, place_.line, place_.column, __VA_ARGS__); \
	} while (0)

/* directories and the socket */

/* what slotd itself keeps in state_dir */
static const char *const own_entries[] = { "ledger", "stores", "recovery", "lock",
					   "locks",  "removed", "homes" };

static const char *own_entry_of(const struct conf *c, const char *path)
{
	const char *rest = path + strlen(c->state_dir);

	if (!conf_word_is_below(path, c->state_dir) || *rest != '/')
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(own_entries); i++) {
		size_t len = strlen(own_entries[i]);

		if (strncmp(rest + 1, own_entries[i], len) == 0 &&
		    (rest[1 + len] == '/' || rest[1 + len] == '\0'))
			return own_entries[i];
	}
	return NULL;
}

static void check_own_entries(const struct conf *c, const char *name, const char *path,
			      const struct yaml_node *root, struct conf_report *report)
{
	const char *entry = own_entry_of(c, path);

	if (entry)
		REPORT(report, root, name,
		       "%s cannot be %s, for slotd keeps its own \"%s\" there; choose another "
		       "place",
		       name, path, entry);
}

static void check_directories(const struct conf *c, const struct yaml_node *root,
			      struct conf_report *report)
{
	const size_t longest = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (strcmp(c->state_dir, "/") == 0)
		REPORT(report, root, "state_dir", "state_dir cannot be the root; name a directory");
	else if (conf_word_is_below(c->state_dir, c->slots_dir))
		REPORT(report, root, "slots_dir",
		       "state_dir cannot be in slots_dir, where pools have their directories; put "
		       "it beside or above");
	else
		check_own_entries(c, "slots_dir", c->slots_dir, root, report);
	if (conf_word_is_below(c->socket, c->slots_dir))
		REPORT(report, root, "socket",
		       "socket cannot be in slots_dir, where pools have their directories; put it "
		       "elsewhere");
	if (conf_word_is_below(c->state_dir, c->socket) ||
	    conf_word_is_below(c->slots_dir, c->socket))
		REPORT(report, root, "socket",
		       "socket is a file, so neither state_dir nor slots_dir can be in it");
	else
		check_own_entries(c, "socket", c->socket, root, report);
	if (strlen(c->socket) > longest)
		REPORT(report, root, "socket",
		       "the path of the socket has %zu bytes, and the kernel takes %zu at most; "
		       "choose a shorter one",
		       strlen(c->socket), longest);
}

/* pools */

/* a pool that is no section has been reported as that */
static bool is_section(const struct yaml_node *node)
{
	return yaml_node_is_null(node) || node->kind == YAML_NODE_MAP;
}

/* something is there, and when it was wrong, that has been reported */
static bool says(const struct yaml_node *node, const char *key)
{
	return !yaml_node_is_null(yaml_node_find(node, key));
}

static void check_origin(const struct conf_pool *p, const struct yaml_node *node,
			 struct conf_report *report)
{
	if (p->url && p->path)
		REPORT(report, node, "path",
		       "pool %s has both url and path; keep url to clone, or path to adopt what "
		       "is there",
		       p->name);
	if (!p->url && !p->path && is_section(node) && !says(node, "url") && !says(node, "path"))
		conf_report(report, p->line, p->column,
			    "pool %s has neither url nor path; say which repository it is of",
			    p->name);
}

static void check_slots(const struct conf_pool *p, const struct yaml_node *node,
			struct conf_report *report)
{
	if (p->slots.ready > p->slots.max)
		REPORT(report, node, "slots.ready",
		       "slots.ready (%u) is above slots.max (%u); lower the one or raise the other",
		       p->slots.ready, p->slots.max);
}

static void check_ports(const struct conf_pool *p, const struct yaml_node *node,
			struct conf_report *report)
{
	unsigned base = p->slots.ports.base, count = p->slots.ports.count;

	if (base && base + count * p->slots.max > 65536)
		REPORT(report, node, "slots.ports.base",
		       "%u slots (slots.max) with %u ports each do not fit between slots.ports.base (%u) and "
		       "65535; lower the base or the count",
		       p->slots.max, count, base);
}

static void check_lease(const struct conf_pool *p, const struct yaml_node *node,
			struct conf_report *report)
{
	if (p->lease.ttl_usec < p->lease.min_ttl_usec)
		REPORT(report, node, "lease.ttl",
		       "lease.ttl is below lease.min_ttl; lower the one or raise the other");
	if (p->lease.ttl_usec > p->lease.max_ttl_usec)
		REPORT(report, node, "lease.ttl",
		       "lease.ttl is above lease.max_ttl; lower the one or raise the other");
	if (p->lease.min_ttl_usec > p->lease.max_ttl_usec)
		REPORT(report, node, "lease.min_ttl", "lease.min_ttl is above lease.max_ttl");
	if (p->lease.warn_before_usec >= p->lease.ttl_usec)
		REPORT(report, node, "lease.warn_before",
		       "lease.warn_before is not shorter than lease.ttl; every lease would be "
		       "expiring from its first moment");
}

static void check_seed(const struct conf_pool *p, const struct yaml_node *node,
		       struct conf_report *report)
{
	if (p->seed.files.n > 0 && !p->seed.from)
		REPORT(report, node, "seed.files",
		       "seed.files needs seed.from, the directory that they are in");
}

/* what a command may write to holds nothing of slotd's, and is not in it */
static void check_writable(const struct conf *c, const char *path, const char *key,
			   const struct yaml_node *node, struct conf_report *report)
{
	bool in_state = conf_word_is_below(path, c->state_dir) || conf_word_is_below(c->state_dir, path);
	bool in_slots = conf_word_is_below(path, c->slots_dir) || conf_word_is_below(c->slots_dir, path);

	if (in_state)
		REPORT(report, node, key,
		       "%s cannot be %s: commands never write to state_dir (%s); choose another directory",
		       key, path, c->state_dir);
	else if (in_slots)
		REPORT(report, node, key,
		       "%s cannot be %s: a command writes to its own slot alone in slots_dir (%s); choose "
		       "another directory",
		       key, path, c->slots_dir);
}

static void check_warmup(const struct conf *c, const struct conf_pool *p,
			 const struct yaml_node *node, struct conf_report *report)
{
	if (p->warmup.home)
		check_writable(c, p->warmup.home, "warmup.home", node, report);
	for (size_t i = 0; i < p->warmup.writable.n; i++)
		check_writable(c, p->warmup.writable.items[i], "warmup.writable", node, report);
}

static void check_names(const struct conf_list *names, bool (*find)(const char *, uint32_t *),
			const char *path, const char *what, const struct yaml_node *node,
			struct conf_report *report)
{
	const struct yaml_node *list = yaml_node_find(node, path);
	uint32_t id;

	for (size_t i = 0; i < names->n; i++) {
		const struct yaml_node *at = list && list->n == names->n ? list->items[i]
					     : list			 ? list
									 : node;

		if (!find(names->items[i], &id))
			conf_report(report, at ? at->line : 0, at ? at->column : 0,
				    "there is no %s \"%.60s\" on this machine", what,
				    names->items[i]);
	}
}

/* everything but url and path, which "defaults" does not have */
static void check_settings(const struct conf_pool *p, const struct yaml_node *node,
			   struct conf_report *report)
{
	check_slots(p, node, report);
	check_ports(p, node, report);
	check_lease(p, node, report);
	check_seed(p, node, report);
	/* what was inherited has been checked where it stands */
	if (!p->name || yaml_node_find(node, "access.users"))
		check_names(&p->access.users, conf_user_find, "access.users", "user", node, report);
	if (!p->name || yaml_node_find(node, "access.groups"))
		check_names(&p->access.groups, conf_group_find, "access.groups", "group", node,
			    report);
	if (!p->name || yaml_node_find(node, "access.operators"))
		check_names(&p->access.operators, conf_user_find, "access.operators", "user", node,
			    report);
}

void conf_check_pool(const struct conf_pool *p, const struct yaml_node *node,
		     struct conf_report *report)
{
	check_origin(p, node, report);
	check_settings(p, node, report);
}

static void check_strategy_of(const struct conf *c, const struct conf_pool *p,
			      const struct yaml_node *node, struct conf_report *report)
{
	const char *near;
	const char **names;

	if (p->name && !yaml_node_find(node, "strategy"))
		return;
	if (!p->strategy) {
		REPORT(report, node, "strategy", "strategy cannot be empty");
		return;
	}
	if (conf_find_strategy(c, p->strategy))
		return;
	names = reallocarray(NULL, c->n_strategies, sizeof(*names));
	if (!names) {
		report->failed = true;
		return;
	}
	for (size_t i = 0; i < c->n_strategies; i++)
		names[i] = c->strategies[i].name;
	near = text_nearest(p->strategy, names, c->n_strategies);
	REPORT(report, node, "strategy", "there is no strategy \"%.60s\"%s%s%s", p->strategy,
	       near ? "; did you mean \""
		    : "; conservative, aggressive and maintenance are built in",
	       near ? near : "", near ? "\"?" : "");
	free(names);
}

static void check_adopted(const struct conf *c, size_t index, const struct yaml_node *node,
			  struct conf_report *report)
{
	const struct conf_pool *p = &c->pools[index];

	if (!p->path)
		return;
	if (conf_word_is_below(p->path, c->state_dir) || conf_word_is_below(p->path, c->slots_dir))
		REPORT(report, node, "path",
		       "path cannot be in state_dir or slots_dir, which are slotd's own; adopt a "
		       "repository from elsewhere");
	for (size_t i = 0; i < index; i++)
		if (text_is_equal(c->pools[i].path, p->path))
			REPORT(report, node, "path",
			       "pool %s has this path already; one repository belongs to one pool",
			       c->pools[i].name);
}

/* strategies and breakers */

static void check_strategy(const struct conf_strategy *s, const struct yaml_node *node,
			   struct conf_report *report)
{
	if (s->retry.max_delay_usec < s->retry.delay_usec)
		REPORT(report, node, "retry.max_delay",
		       "retry.max_delay is below retry.delay; raise it");
}

static void check_breaker(const struct conf *c, const struct yaml_node *root,
			  struct conf_report *report)
{
	if (c->breaker.max_open_usec < c->breaker.open_usec)
		REPORT(report, root, "breaker.max_open",
		       "breaker.max_open is below breaker.open; raise it");
}

void conf_check(const struct conf *c, const struct yaml_node *root, struct conf_report *report)
{
	const struct yaml_node *defaults = yaml_node_find(root, "defaults");
	const struct yaml_node *pools = yaml_node_find(root, "pools");
	const struct yaml_node *strategies = yaml_node_find(root, "strategies");

	check_directories(c, root, report);
	check_breaker(c, root, report);
	check_settings(&c->defaults, defaults, report);
	check_warmup(c, &c->defaults, defaults, report);
	check_strategy_of(c, &c->defaults, defaults, report);
	for (size_t i = 0; i < c->n_pools; i++) {
		const struct yaml_node *node = yaml_node_child(pools, c->pools[i].name);

		conf_check_pool(&c->pools[i], node, report);
		/* what was inherited has been checked where it stands */
		if (yaml_node_find(node, "warmup"))
			check_warmup(c, &c->pools[i], node, report);
		check_strategy_of(c, &c->pools[i], node, report);
		check_adopted(c, i, node, report);
	}
	for (size_t i = 0; i < c->n_strategies; i++)
		check_strategy(&c->strategies[i],
			       yaml_node_child(strategies, c->strategies[i].name), report);
}
