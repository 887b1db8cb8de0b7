/* Keys meet their table. */
#include "config/conf-section.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf-report.h"
#include "config/conf-value.h"
#include "config/yaml-node.h"
#include "util/cleanup.h"
#include "util/text.h"

#define MAX_LEVEL_KEYS 64

/* is "lease" the beginning of a "lease.ttl"? */
static bool is_section_name(const struct conf_table *table, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < table->n; i++)
		if (strncmp(table->keys[i].name, name, len) == 0 && table->keys[i].name[len] == '.')
			return true;
	return false;
}

/* what may stand at this level, each once; the strings are in words */
static size_t names_at(const struct conf_section *section, const char *prefix, char words[][40],
		       const char **ret)
{
	size_t n = 0, skip = strlen(prefix);

	for (size_t i = 0; i < section->table->n && n < MAX_LEVEL_KEYS; i++) {
		const char *name = section->table->keys[i].name;
		size_t len;

		if (strncmp(name, prefix, skip) != 0)
			continue;
		name += skip;
		len = strcspn(name, ".");
		if (n > 0 && strlen(words[n - 1]) == len && strncmp(words[n - 1], name, len) == 0)
			continue;
		snprintf(words[n], sizeof(words[n]), "%.*s", (int)len, name);
		ret[n] = words[n];
		n++;
	}
	for (size_t i = 0; skip == 0 && section->others && section->others[i]; i++)
		if (n < MAX_LEVEL_KEYS)
			ret[n++] = section->others[i];
	return n;
}

/* a key of this very name at another level: "ttl" is below "lease" */
static const char *misplaced(const struct conf_table *table, const char *word)
{
	for (size_t i = 0; i < table->n; i++) {
		const char *dot = strrchr(table->keys[i].name, '.');

		if (strcmp(dot ? dot + 1 : table->keys[i].name, word) == 0)
			return table->keys[i].name;
	}
	return NULL;
}

static void report_unknown(const struct conf_section *section, const struct yaml_node *key,
			   const char *prefix, const char *what)
{
	char words[MAX_LEVEL_KEYS][40];
	const char *names[MAX_LEVEL_KEYS];
	size_t n = names_at(section, prefix, words, names);
	const char *elsewhere = misplaced(section->table, key->text);
	const char *of_pool = elsewhere ? NULL : misplaced(&conf_pool_keys, key->text);
	const char *near = text_nearest(key->text, names, n);

	if (elsewhere)
		conf_report(section->report, key->line, key->column,
			    "%s has no key \"%.60s\"; it is known as %s", what, key->text,
			    elsewhere);
	else if (of_pool)
		conf_report(section->report, key->line, key->column,
			    "%s has no key \"%.60s\"; a pool and \"defaults\" have it, as %s", what,
			    key->text, of_pool);
	else if (near)
		conf_report(section->report, key->line, key->column,
			    "%s has no key \"%.60s\"; did you mean \"%s\"?", what, key->text, near);
	else
		conf_report(section->report, key->line, key->column,
			    "%s has no key \"%.60s\"; slotd.yaml(5) lists those there are", what,
			    key->text);
}

static bool is_other(const struct conf_section *section, const char *name)
{
	for (size_t i = 0; section->others && section->others[i]; i++)
		if (strcmp(section->others[i], name) == 0)
			return true;
	return false;
}

static int read_level(const struct conf_section *section, const struct yaml_node *node,
		      const char *prefix, const char *what);

static int read_key(const struct conf_section *section, const struct yaml_node *name,
		    const struct yaml_node *value, const char *prefix, const char *what)
{
	const struct conf_key *key;
	_cleanup_(freep) char *full = NULL;
	_cleanup_(freep) char *below = NULL;

	full = text_printf("%s%s", prefix, name->text);
	if (!full)
		return -ENOMEM;
	key = conf_table_find(section->table, full);
	if (strchr(name->text, '.') && key) {
		conf_report(section->report, name->line, name->column,
			    "levels are not joined by dots here; write %.*s: { %s: ... }",
			    (int)strcspn(name->text, "."), name->text,
			    name->text + strcspn(name->text, ".") + 1);
		return 0;
	}
	if (key && (key->flags & section->refused)) {
		conf_report(section->report, name->line, name->column,
			    "%s belongs to one pool; write it there", full);
		return 0;
	}
	if (key)
		return conf_value_read(key, value, section->base, section->report);
	if (is_section_name(section->table, full)) {
		below = text_printf("%s.", full);
		return below ? read_level(section, value, below, full) : -ENOMEM;
	}
	report_unknown(section, name, prefix, what);
	return 0;
}

static int read_level(const struct conf_section *section, const struct yaml_node *node,
		      const char *prefix, const char *what)
{
	if (yaml_node_is_null(node) || node->kind == YAML_NODE_BAD)
		return 0;
	if (node->kind != YAML_NODE_MAP) {
		conf_report(section->report, node->line, node->column,
			    "%s is a section; write its keys below it, as \"key: value\"", what);
		return 0;
	}
	for (size_t i = 0; i + 1 < node->n; i += 2) {
		const struct yaml_node *name = node->items[i];
		int r;

		if (name->kind == YAML_NODE_BAD || (!*prefix && is_other(section, name->text)))
			continue;
		r = read_key(section, name, node->items[i + 1], prefix, what);
		if (r < 0)
			return r;
	}
	return 0;
}

int conf_section_read(const struct conf_section *section, const struct yaml_node *node,
		      const char *what)
{
	return read_level(section, node, "", what);
}
