/* The configuration as a file that would give it again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf-internal.h"
#include "config/conf-strategy.h"
#include "config/conf-value.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/parse.h"

/* strings */

static bool is_plain(const char *s)
{
	static const char *const words[] = { "null", "true", "false", "yes", "no",
					     "on",   "off",  "y",     "n" };
	size_t len = strlen(s);

	if (len == 0 || len > 200)
		return false;
	if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/", s[0]))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasecmp(s, words[i]) == 0)
			return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@") ==
	       len;
}

/* the code point at s, which is valid UTF-8, and its bytes */
static unsigned code_point(const char *s, size_t *ret_len)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
	unsigned c = n == 1 ? p[0] : p[0] & (0x7Fu >> n);

	for (size_t i = 1; i < n; i++)
		c = c << 6 | (p[i] & 0x3Fu);
	*ret_len = n;
	return c;
}

/* line breaks would be folded, and what YAML calls unprintable refused */
static bool needs_escape(unsigned c)
{
	return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x2028 || c == 0x2029 || c == 0xFEFF ||
	       (c & 0xFFFE) == 0xFFFE;
}

void conf_print_string(struct text *t, const char *s)
{
	size_t len;

	if (is_plain(s)) {
		text_add_string(t, s);
		return;
	}
	text_add_string(t, "\"");
	for (; *s; s += len) {
		unsigned c = code_point(s, &len);

		if (c == '"' || c == '\\')
			text_addf(t, "\\%c", (char)c);
		else if (needs_escape(c))
			text_addf(t, c > 0xFFFF ? "\\U%08X" : "\\u%04X", c);
		else
			text_add(t, s, len);
	}
	text_add_string(t, "\"");
}

/* values */

static void print_size(struct text *t, uint64_t bytes)
{
	static const char units[] = "KMGT";
	int unit = -1;

	while (bytes > 0 && bytes % 1024 == 0 && unit < 3) {
		bytes /= 1024;
		unit++;
	}
	text_addf(t, "%llu", (unsigned long long)bytes);
	if (unit >= 0)
		text_addf(t, "%ciB", units[unit]);
}

/* the shorter form where it says the same */
static void print_ratio(struct text *t, double value)
{
	char buf[40];

	snprintf(buf, sizeof(buf), "%.15g", value);
	if (strtod(buf, NULL) != value)
		snprintf(buf, sizeof(buf), "%.17g", value);
	text_add_string(t, buf);
}

static void print_variable(struct text *t, const char *item)
{
	size_t len = strcspn(item, "=");
	_cleanup_(freep) char *name = strndup(item, len);

	if (!name) {
		t->failed = true;
		return;
	}
	conf_print_string(t, name);
	text_add_string(t, ": ");
	conf_print_string(t, item + len + 1);
}

static void print_run(struct text *t, const char *encoded)
{
	_cleanup_json_ json_object *words = json_tokener_parse(encoded);
	size_t n = words ? json_object_array_length(words) : 0;

	text_add_string(t, "{ run: [");
	for (size_t i = 0; i < n; i++) {
		text_add_string(t, i ? ", " : "");
		conf_print_string(t, json_object_get_string(json_object_array_get_idx(words, i)));
	}
	text_add_string(t, "] }");
}

static void print_list(const struct conf_key *key, const struct conf_list *list, struct text *t)
{
	bool is_map = key->type == CONF_MAP;

	text_add_string(t, is_map ? "{" : "[");
	for (size_t i = 0; i < list->n; i++) {
		const char *item = list->items[i];

		text_add_string(t, i ? ", " : is_map ? " " : "");
		if (is_map)
			print_variable(t, item);
		else if (key->type == CONF_ACTIONS && text_has_prefix(item, CONF_ACTION_RUN))
			print_run(t, item + strlen(CONF_ACTION_RUN));
		else
			conf_print_string(t, item);
	}
	text_add_string(t, is_map ? list->n ? " }" : "}" : "]");
}

void conf_value_print(const struct conf_key *key, const void *base, struct text *t)
{
	const void *field = (const char *)base + key->offset;
	char duration[DURATION_TEXT_SIZE];
	const char *string, *word;
	size_t len = 0;

	switch (key->type) {
	case CONF_STRING:
	case CONF_WORD:
		string = *(char *const *)field;
		conf_print_string(t, string ? string : "");
		break;
	case CONF_DURATION:
		text_add_string(t, format_duration(*(const uint64_t *)field, duration));
		break;
	case CONF_SIZE:
		print_size(t, *(const uint64_t *)field);
		break;
	case CONF_NUMBER:
		text_addf(t, "%u", *(const unsigned *)field);
		break;
	case CONF_RATIO:
		print_ratio(t, *(const double *)field);
		break;
	case CONF_BOOL:
		text_add_string(t, *(const bool *)field ? "true" : "false");
		break;
	case CONF_ENUM:
		word = conf_values_get(key->values, *(const int *)field, &len);
		text_addf(t, "%.*s", (int)len, word);
		break;
	default:
		print_list(key, field, t);
		break;
	}
}

/* sections */

static void print_indent(struct text *t, unsigned depth)
{
	text_addf(t, "%*s", (int)(2 * depth), "");
}

/* did the key before this one open the section that ends at the dot behind len? */
static bool is_same_section(const struct conf_table *table, size_t at, size_t len)
{
	return at > 0 && strncmp(table->keys[at - 1].name, table->keys[at].name, len + 1) == 0;
}

/* the sections that a key is in, as far as they are new; returns what is left of its name */
static const char *print_sections(const struct conf_table *table, size_t at, unsigned *depth,
				  struct text *t)
{
	const char *full = table->keys[at].name, *name = full, *dot;

	for (; (dot = strchr(name, '.')); name = dot + 1, ++*depth) {
		if (is_same_section(table, at, (size_t)(dot - full)))
			continue;
		print_indent(t, *depth);
		text_addf(t, "%.*s:\n", (int)(dot - name), name);
	}
	return name;
}

/* url and path are printed where they say something, for one pool has only one of them */
static bool is_silent(const struct conf_key *key, const void *base)
{
	return (key->flags & CONF_POOL_ONLY) && !*(char *const *)((const char *)base + key->offset);
}

static void print_table(const struct conf_table *table, const void *base, unsigned depth,
			struct text *t)
{
	for (size_t i = 0; i < table->n; i++) {
		const struct conf_key *key = &table->keys[i];
		unsigned at = depth;
		const char *name;

		if (is_silent(key, base))
			continue;
		name = print_sections(table, i, &at, t);
		print_indent(t, at);
		text_addf(t, "%s: ", name);
		conf_value_print(key, base, t);
		text_add_string(t, "\n");
	}
}

static void print_name(struct text *t, const char *name)
{
	print_indent(t, 1);
	conf_print_string(t, name);
	text_add_string(t, ":\n");
}

char *conf_to_yaml(const struct conf *c)
{
	struct text t = { 0 };

	print_table(&conf_top_keys, c, 0, &t);
	text_add_string(&t, "defaults:\n");
	print_table(&conf_pool_keys, &c->defaults, 1, &t);
	text_add_string(&t, c->n_pools ? "pools:\n" : "pools: {}\n");
	for (size_t i = 0; i < c->n_pools; i++) {
		print_name(&t, c->pools[i].name);
		print_table(&conf_pool_keys, &c->pools[i], 2, &t);
	}
	text_add_string(&t, "strategies:\n");
	for (size_t i = 0; i < c->n_strategies; i++) {
		print_name(&t, c->strategies[i].name);
		print_table(&conf_strategy_keys, &c->strategies[i], 2, &t);
	}
	return text_take(&t);
}
