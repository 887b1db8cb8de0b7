/* From a word in the file to a field, and back. */
#include "config/conf-value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf-report.h"
#include "config/conf-strategy.h"
#include "config/conf-word.h"
#include "config/yaml-node.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/parse.h"

static void *field_of(const struct conf_key *key, const void *base)
{
	return (char *)base + key->offset;
}

void conf_list_deinit(struct conf_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i]);
	free(list->items);
	list->items = NULL;
	list->n = 0;
}

/* the room doubles whenever the number is a power of two */
static int list_reserve(struct conf_list *list)
{
	char **items;

	if ((list->n & (list->n - 1)) != 0)
		return 0;
	items = reallocarray(list->items, list->n ? 2 * list->n : 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	list->items = items;
	return 0;
}

int conf_list_add(struct conf_list *list, char *item)
{
	if (!item)
		return -ENOMEM;
	if (list_reserve(list) < 0) {
		free(item);
		return -ENOMEM;
	}
	list->items[list->n++] = item;
	return 0;
}

/* numbers of all kinds */

static int parse_number(const struct conf_key *key, const char *text, double *ret)
{
	uint64_t amount = 0;
	int64_t number = 0;
	int r;

	switch (key->type) {
	case CONF_DURATION:
		r = parse_duration(text, &amount);
		*ret = (double)amount;
		return r;
	case CONF_SIZE:
		r = parse_size(text, &amount);
		*ret = (double)amount;
		return r;
	case CONF_RATIO:
		return parse_ratio(text, ret);
	default:
		r = parse_int(text, &number);
		*ret = (double)number;
		return r;
	}
}

static void store_number(const struct conf_key *key, void *field, double value)
{
	if (key->type == CONF_RATIO)
		*(double *)field = value;
	else if (key->type == CONF_NUMBER)
		*(unsigned *)field = (unsigned)value;
	else
		*(uint64_t *)field = (uint64_t)value;
}

static bool is_in_range(const struct conf_key *key, double value)
{
	if (value == 0 && (key->flags & CONF_OR_ZERO))
		return true;
	return value >= key->min && value <= key->max;
}

static void report_mismatch(const struct conf_key *key, const struct yaml_node *node,
			    struct conf_report *report, const char *what)
{
	struct text expected = { 0 };
	_cleanup_(freep) char *words = NULL;

	conf_key_describe(key, &expected);
	words = text_take(&expected);
	if (!words)
		report->failed = true;
	else
		conf_report(report, node->line, node->column, "%s %s; it takes: %s", key->name,
			    what, words);
}

static void report_text(const struct conf_key *key, const struct yaml_node *node,
			struct conf_report *report, const char *what)
{
	_cleanup_(freep) char *words = text_printf("%s \"%.60s\"", what, node->text);

	if (!words)
		report->failed = true;
	else
		report_mismatch(key, node, report, words);
}

static void read_number(const struct conf_key *key, const struct yaml_node *node, void *field,
			struct conf_report *report)
{
	double value = 0;
	int r = parse_number(key, node->text, &value);

	if (r == -ERANGE || (r == 0 && !is_in_range(key, value)))
		report_text(key, node, report, "is out of range with");
	else if (r < 0)
		report_text(key, node, report, "does not understand");
	else
		store_number(key, field, value);
}

static void read_bool(const struct conf_key *key, const struct yaml_node *node, void *field,
		      struct conf_report *report)
{
	int value = 0;

	if (parse_bool(node->text, &value) < 0)
		report_text(key, node, report, "does not understand");
	else
		*(bool *)field = value != 0;
}

static void read_enum(const struct conf_key *key, const struct yaml_node *node, void *field,
		      struct conf_report *report)
{
	int value = conf_values_find(key->values, node->text);

	if (value < 0)
		report_text(key, node, report, "does not know");
	else
		*(int *)field = value;
}

/* strings */

static int read_string(const struct conf_key *key, const struct yaml_node *node, char **field,
		       struct conf_report *report)
{
	_cleanup_(freep) char *value = NULL;
	_cleanup_(freep) char *why = NULL;
	int r;

	r = conf_word_take(key, node->text, &value, &why);
	if (r == -EINVAL)
		conf_report(report, node->line, node->column, "%s cannot be \"%.60s\": %s",
			    key->name, node->text, why);
	if (r < 0)
		return r == -EINVAL ? 0 : r;
	free(*field);
	*field = value[0] ? TAKE(value) : NULL;
	return 0;
}

static bool is_word(const struct conf_key *key, const struct yaml_node *node,
		    struct conf_report *report)
{
	if (node->kind == YAML_NODE_BAD)
		return false;
	if (node->kind != YAML_NODE_SCALAR)
		report_mismatch(key, node, report, "cannot be a list or a section");
	return node->kind == YAML_NODE_SCALAR;
}

static int read_scalar(const struct conf_key *key, const struct yaml_node *node, void *field,
		       struct conf_report *report)
{
	if (!is_word(key, node, report))
		return 0;
	if (yaml_node_is_null(node) && key->type != CONF_STRING) {
		report_mismatch(key, node, report, "has no value");
		return 0;
	}
	switch (key->type) {
	case CONF_STRING:
		if (!yaml_node_is_null(node))
			return read_string(key, node, field, report);
		free(*(char **)field);
		*(char **)field = NULL;
		return 0;
	case CONF_WORD:
		return read_string(key, node, field, report);
	case CONF_BOOL:
		read_bool(key, node, field, report);
		return 0;
	case CONF_ENUM:
		read_enum(key, node, field, report);
		return 0;
	default:
		read_number(key, node, field, report);
		return 0;
	}
}

/* lists */

static int read_item(const struct conf_key *key, const struct yaml_node *node,
		     struct conf_list *list, struct conf_report *report)
{
	char *value = NULL;
	int r;

	if (!is_word(key, node, report))
		return 0;
	r = read_string(key, node, &value, report);
	if (r < 0)
		return r;
	if (!value && node->text[0] == '\0' && !(key->flags & CONF_ABSOLUTE))
		value = strdup("");
	else if (!value)
		return 0;
	return conf_list_add(list, value);
}

static int read_pair(const struct conf_key *key, const struct yaml_node *name,
		     const struct yaml_node *node, struct conf_list *list,
		     struct conf_report *report)
{
	if (name->kind == YAML_NODE_BAD || !is_word(key, node, report))
		return 0;
	if (!conf_word_is_variable(name->text)) {
		conf_report(report, name->line, name->column,
			    "\"%.60s\" is no name of a variable; use letters, digits and \"_\"",
			    name->text);
		return 0;
	}
	return conf_list_add(
		list, text_printf("%s=%s", name->text, yaml_node_is_null(node) ? "" : node->text));
}

/* a command as a JSON array, for a list of actions holds strings */
static int encode_run(const struct conf_key *key, const struct yaml_node *node, char **ret,
		      struct conf_report *report)
{
	_cleanup_json_ json_object *words = json_object_new_array();

	if (node->kind != YAML_NODE_LIST || node->n == 0) {
		if (node->kind != YAML_NODE_BAD)
			conf_report(report, node->line, node->column,
				    "run takes a list of words, as run: [notify, \"{slot}\"]");
		return 0;
	}
	for (size_t i = 0; i < node->n; i++) {
		if (!is_word(key, node->items[i], report))
			return 0;
		if (json_object_array_add(words, json_object_new_string(node->items[i]->text)) < 0)
			return -ENOMEM;
	}
	*ret = text_printf("%s%s", CONF_ACTION_RUN,
			   json_object_to_json_string_ext(words, JSON_C_TO_STRING_NOSLASHESCAPE));
	return *ret ? 0 : -ENOMEM;
}

static void report_action(const struct conf_key *key, const struct yaml_node *node, bool known,
			  struct conf_report *report)
{
	const char *near = NULL;
	size_t n = 0;

	if (known) {
		conf_report(report, node->line, node->column,
			    "\"%s\" cannot be done about this; see slotd.yaml(5) for what can",
			    node->text);
		return;
	}
	while (conf_strategy_actions[n])
		n++;
	near = text_nearest(node->text, conf_strategy_actions, n);
	conf_report(report, node->line, node->column, "there is no action \"%.60s\"%s%s%s",
		    node->text, near ? "; did you mean \"" : "; slotd.yaml(5) lists them",
		    near ? near : "", near ? "\"?" : "");
}

static int read_action(const struct conf_key *key, const struct yaml_node *node,
		       struct conf_list *list, struct conf_report *report)
{
	bool known = false;
	char *run = NULL;
	int r;

	if (node->kind == YAML_NODE_BAD)
		return 0;
	if (node->kind == YAML_NODE_MAP && node->n == 2 &&
	    node->items[0]->kind == YAML_NODE_SCALAR && strcmp(node->items[0]->text, "run") == 0) {
		r = encode_run(key, node->items[1], &run, report);
		return r < 0 || !run ? r : conf_list_add(list, run);
	}
	if (node->kind != YAML_NODE_SCALAR) {
		conf_report(report, node->line, node->column,
			    "an action is a word, or run: [COMMAND, ARGUMENT, ...]");
		return 0;
	}
	if (!conf_strategy_is_action(key->name, node->text, &known)) {
		report_action(key, node, known, report);
		return 0;
	}
	return conf_list_add(list, strdup(node->text));
}

static int read_items(const struct conf_key *key, const struct yaml_node *node,
		      struct conf_list *list, struct conf_report *report)
{
	size_t step = key->type == CONF_MAP ? 2 : 1;
	int r = 0;

	for (size_t i = 0; i < node->n && r == 0; i += step) {
		if (key->type == CONF_MAP)
			r = read_pair(key, node->items[i], node->items[i + 1], list, report);
		else if (key->type == CONF_ACTIONS)
			r = read_action(key, node->items[i], list, report);
		else
			r = read_item(key, node->items[i], list, report);
	}
	return r;
}

/* a list replaces the one that was there */
static int read_list(const struct conf_key *key, const struct yaml_node *node,
		     struct conf_list *field, struct conf_report *report)
{
	enum yaml_node_kind kind = key->type == CONF_MAP ? YAML_NODE_MAP : YAML_NODE_LIST;
	_cleanup_(conf_list_deinit) struct conf_list list = { 0 };
	struct conf_list old = *field;
	int r = 0;

	if (node->kind == YAML_NODE_BAD)
		return 0;
	if (!yaml_node_is_null(node)) {
		if (node->kind != kind) {
			report_mismatch(key, node, report,
					key->type == CONF_MAP ? "is no section" : "is no list");
			return 0;
		}
		r = read_items(key, node, &list, report);
	}
	if (r < 0)
		return r;
	*field = list;
	list = old;
	return 0;
}

int conf_value_read(const struct conf_key *key, const struct yaml_node *node, void *base,
		    struct conf_report *report)
{
	void *field = field_of(key, base);

	switch (key->type) {
	case CONF_LIST:
	case CONF_MAP:
	case CONF_ACTIONS:
		return read_list(key, node, field, report);
	default:
		return read_scalar(key, node, field, report);
	}
}

/* defaults, copies, comparisons */

static int copy_list(const struct conf_list *from, struct conf_list *to)
{
	_cleanup_(conf_list_deinit) struct conf_list list = { 0 };
	struct conf_list old = *to;

	for (size_t i = 0; i < from->n; i++)
		if (conf_list_add(&list, strdup(from->items[i])) < 0)
			return -ENOMEM;
	*to = list;
	list = old;
	return 0;
}

static int copy_string(const char *from, char **to)
{
	char *copy = text_dup(from);

	if (from && !copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

static size_t plain_size(const struct conf_key *key)
{
	switch (key->type) {
	case CONF_DURATION:
	case CONF_SIZE:
		return sizeof(uint64_t);
	case CONF_NUMBER:
		return sizeof(unsigned);
	case CONF_RATIO:
		return sizeof(double);
	case CONF_BOOL:
		return sizeof(bool);
	default:
		return sizeof(int);
	}
}

int conf_value_copy(const struct conf_key *key, const void *from, void *to)
{
	void *source = field_of(key, from), *target = field_of(key, to);

	switch (key->type) {
	case CONF_STRING:
	case CONF_WORD:
		return copy_string(*(char **)source, target);
	case CONF_LIST:
	case CONF_MAP:
	case CONF_ACTIONS:
		return copy_list(source, target);
	default:
		memcpy(target, source, plain_size(key));
		return 0;
	}
}

bool conf_value_is_equal(const struct conf_key *key, const void *a, const void *b)
{
	const void *x = field_of(key, a), *y = field_of(key, b);
	const struct conf_list *p = x, *q = y;

	switch (key->type) {
	case CONF_STRING:
	case CONF_WORD:
		return text_is_equal(*(char *const *)x, *(char *const *)y);
	case CONF_LIST:
	case CONF_MAP:
	case CONF_ACTIONS:
		if (p->n != q->n)
			return false;
		for (size_t i = 0; i < p->n; i++)
			if (strcmp(p->items[i], q->items[i]) != 0)
				return false;
		return true;
	default:
		return memcmp(x, y, plain_size(key)) == 0;
	}
}

int conf_value_reset(const struct conf_key *key, void *base)
{
	struct conf_report report = { 0 };
	struct yaml_node *node = NULL;
	const char *text = key->flags & CONF_BY_SCOPE || !key->fallback ? "" : key->fallback;
	int r;

	conf_value_free(key, base);
	if (!text[0])
		return 0;
	r = yaml_node_parse(text, strlen(text), &report, &node);
	if (r == 0)
		r = conf_value_read(key, node, base, &report);
	if (report.total > 0 && !report.failed)
		abort(); /* the table contradicts itself; a test resets every key */
	yaml_node_free(node);
	conf_report_deinit(&report);
	return r;
}

void conf_value_free(const struct conf_key *key, void *base)
{
	void *field = field_of(key, base);

	switch (key->type) {
	case CONF_STRING:
	case CONF_WORD:
		free(*(char **)field);
		*(char **)field = NULL;
		break;
	case CONF_LIST:
	case CONF_MAP:
	case CONF_ACTIONS:
		conf_list_deinit(field);
		break;
	default:
		break;
	}
}
