/* libyaml ends here. */
#include "config/yaml-node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "config/conf-report.h"
#include "util/cleanup.h"
#include "util/map.h"
#include "util/text.h"

#define MAX_DEPTH 16

struct builder {
	yaml_parser_t parser;
	struct conf_report *report;
	const char *data;
	size_t len;
};

static void event_deinit(yaml_event_t *event)
{
	yaml_event_delete(event);
}

void yaml_node_free(struct yaml_node *node)
{
	if (!node)
		return;
	for (size_t i = 0; i < node->n; i++)
		yaml_node_free(node->items[i]);
	free(node->items);
	free(node->text);
	free(node);
}

static struct yaml_node *node_new(enum yaml_node_kind kind, const yaml_mark_t *mark)
{
	struct yaml_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->kind = kind;
	node->line = (unsigned)mark->line + 1;
	node->column = (unsigned)mark->column + 1;
	return node;
}

/* takes the item, also on failure */
static int node_add(struct yaml_node *node, struct yaml_node *item)
{
	/* the room doubles at each power of two */
	if ((node->n & (node->n - 1)) == 0) {
		size_t room = node->n ? node->n * 2 : 1;
		struct yaml_node **items = reallocarray(node->items, room, sizeof(*items));

		if (!items) {
			yaml_node_free(item);
			return -ENOMEM;
		}
		node->items = items;
	}
	node->items[node->n++] = item;
	return 0;
}

/* a tab is what people stumble over most, and libyaml does not say its name */
static bool is_tab_at(const struct builder *b, const yaml_mark_t *mark)
{
	const char *line = b->data, *end = b->data + b->len;

	for (size_t i = 0; i < mark->line && line; i++) {
		line = memchr(line, '\n', (size_t)(end - line));
		line = line ? line + 1 : NULL;
	}
	if (!line || (size_t)(end - line) <= mark->column)
		return false;
	for (size_t i = 0; i < mark->column; i++)
		if (line[i] != ' ' && line[i] != '\t')
			return false;
	return line[mark->column] == '\t';
}

static int report_syntax(struct builder *b)
{
	const yaml_parser_t *p = &b->parser;
	const yaml_mark_t *mark = p->error == YAML_READER_ERROR ? &p->mark : &p->problem_mark;
	const char *problem = p->problem ? p->problem : "unreadable";

	if (p->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (is_tab_at(b, mark))
		problem = "a tab stands where only spaces may; indent with spaces";
	conf_report(b->report, (unsigned)mark->line + 1, (unsigned)mark->column + 1,
		    "this is not YAML: %s%s%s", problem, p->context ? " " : "",
		    p->context ? p->context : "");
	return -EINVAL;
}

static int next_event(struct builder *b, yaml_event_t *ret)
{
	if (!yaml_parser_parse(&b->parser, ret)) {
		memset(ret, 0, sizeof(*ret));
		return report_syntax(b);
	}
	return 0;
}

static void refuse_extras(struct builder *b, const yaml_event_t *event, const yaml_char_t *anchor,
			  const yaml_char_t *tag)
{
	unsigned line = (unsigned)event->start_mark.line + 1;
	unsigned column = (unsigned)event->start_mark.column + 1;

	if (anchor)
		conf_report(b->report, line, column,
			    "anchors are not supported; write the value where it is needed, "
			    "or under \"defaults\" for all pools");
	if (tag)
		conf_report(b->report, line, column,
			    "tags are not supported; write the value without the \"!\"");
}

static int build_scalar(struct builder *b, const yaml_event_t *event, struct yaml_node **ret)
{
	const char *value = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;
	struct yaml_node *node = node_new(YAML_NODE_SCALAR, &event->start_mark);

	if (!node)
		return -ENOMEM;
	refuse_extras(b, event, event->data.scalar.anchor, event->data.scalar.tag);
	if (memchr(value, '\0', len)) {
		conf_report(b->report, node->line, node->column,
			    "a value cannot hold a NUL character; take it out");
		node->kind = YAML_NODE_BAD;
	}
	node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	node->text = strndup(value, len);
	if (!node->text) {
		yaml_node_free(node);
		return -ENOMEM;
	}
	*ret = node;
	return 0;
}

static int check_keys(struct builder *b, struct yaml_node *map)
{
	struct map *seen = map_new();
	int r = 0;

	if (!seen)
		return -ENOMEM;
	for (size_t i = 0; i + 1 < map->n && r != -ENOMEM; i += 2) {
		struct yaml_node *key = map->items[i];
		const struct yaml_node *first;

		if (key->kind != YAML_NODE_SCALAR) {
			if (key->kind != YAML_NODE_BAD)
				conf_report(b->report, key->line, key->column,
					    "a key is one word; quote it if it begins with "
					    "\"[\" or \"{\"");
			key->kind = YAML_NODE_BAD;
			continue;
		}
		r = map_put(seen, key->text, key);
		if (r != -EEXIST)
			continue;
		first = map_find(seen, key->text);
		conf_report(b->report, key->line, key->column,
			    "\"%.60s\" is here twice, first in line %u; keep one of them",
			    key->text, first->line);
		key->kind = YAML_NODE_BAD;
	}
	map_free(seen);
	return r == -ENOMEM ? r : 0;
}

static int build_node(struct builder *b, const yaml_event_t *event, unsigned depth,
		      struct yaml_node **ret);

/* items up to the event that ends them */
static int build_items(struct builder *b, struct yaml_node *node, yaml_event_type_t end,
		       unsigned depth)
{
	for (;;) {
		_cleanup_(event_deinit) yaml_event_t event = { 0 };
		struct yaml_node *item;
		int r;

		r = next_event(b, &event);
		if (r < 0)
			return r;
		if (event.type == end)
			return 0;
		r = build_node(b, &event, depth + 1, &item);
		if (r == 0)
			r = node_add(node, item);
		if (r < 0)
			return r;
	}
}

static int build_collection(struct builder *b, const yaml_event_t *event, unsigned depth,
			    struct yaml_node **ret)
{
	bool is_map = event->type == YAML_MAPPING_START_EVENT;
	_cleanup_(yaml_node_freep) struct yaml_node *node = NULL;
	int r;

	node = node_new(is_map ? YAML_NODE_MAP : YAML_NODE_LIST, &event->start_mark);
	if (!node)
		return -ENOMEM;
	if (depth >= MAX_DEPTH) {
		conf_report(b->report, node->line, node->column,
			    "this is nested deeper than %d levels; no key needs that", MAX_DEPTH);
		return -EINVAL;
	}
	if (is_map)
		refuse_extras(b, event, event->data.mapping_start.anchor,
			      event->data.mapping_start.tag);
	else
		refuse_extras(b, event, event->data.sequence_start.anchor,
			      event->data.sequence_start.tag);
	r = build_items(b, node, is_map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT, depth);
	if (r == 0 && is_map)
		r = check_keys(b, node);
	if (r < 0)
		return r;
	*ret = TAKE(node);
	return 0;
}

static int build_node(struct builder *b, const yaml_event_t *event, unsigned depth,
		      struct yaml_node **ret)
{
	if (event->type == YAML_SCALAR_EVENT)
		return build_scalar(b, event, ret);
	if (event->type != YAML_ALIAS_EVENT)
		return build_collection(b, event, depth, ret);
	*ret = node_new(YAML_NODE_BAD, &event->start_mark);
	if (!*ret)
		return -ENOMEM;
	conf_report(b->report, (*ret)->line, (*ret)->column,
		    "aliases are not supported; write the value itself, or put it under "
		    "\"defaults\" for all pools");
	return 0;
}

/* stream start, document start, a node, document end, stream end */
static int build_stream(struct builder *b, struct yaml_node **ret)
{
	for (;;) {
		_cleanup_(event_deinit) yaml_event_t event = { 0 };
		int r = next_event(b, &event);

		if (r < 0)
			return r;
		switch (event.type) {
		case YAML_STREAM_END_EVENT:
			return 0;
		case YAML_DOCUMENT_START_EVENT:
			if (!*ret)
				break;
			conf_report(b->report, (unsigned)event.start_mark.line + 1,
				    (unsigned)event.start_mark.column + 1,
				    "a second document begins here; the whole configuration is one "
				    "document, so take out the \"---\"");
			return -EINVAL;
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_END_EVENT:
			break;
		default:
			r = build_node(b, &event, 0, ret);
			if (r < 0)
				return r;
		}
	}
}

/* bytes of the character at s; 0: a NUL, or not UTF-8 */
static size_t character_length(const char *s, size_t left)
{
	for (size_t n = 1; n <= 4 && n <= left; n++)
		if (text_is_utf8(s, n))
			return n;
	return 0;
}

static int check_encoding(const char *data, size_t len, struct conf_report *report)
{
	unsigned line = 1, column = 1;

	for (size_t at = 0; at < len;) {
		size_t n = character_length(data + at, len - at);

		if (n == 0) {
			conf_report(report, line, column,
				    "here is a NUL or a byte that is not UTF-8; save the file as "
				    "UTF-8 text");
			return -EINVAL;
		}
		column = data[at] == '\n' ? 1 : column + 1;
		line += data[at] == '\n';
		at += n;
	}
	return 0;
}

int yaml_node_parse(const char *data, size_t len, struct conf_report *report,
		    struct yaml_node **ret)
{
	struct builder b = { .report = report, .data = data, .len = len };
	_cleanup_(yaml_node_freep) struct yaml_node *root = NULL;
	int r;

	r = check_encoding(data, len, report);
	if (r < 0)
		return r;
	if (!yaml_parser_initialize(&b.parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)data, len);
	r = build_stream(&b, &root);
	yaml_parser_delete(&b.parser);
	if (r < 0)
		return r;
	*ret = TAKE(root);
	return 0;
}

bool yaml_node_is_null(const struct yaml_node *node)
{
	if (!node)
		return true;
	return node->kind == YAML_NODE_SCALAR && !node->quoted &&
	       (node->text[0] == '\0' || strcmp(node->text, "~") == 0 ||
		strcmp(node->text, "null") == 0);
}

static const struct yaml_node *find_here(const struct yaml_node *node, const char *name, size_t len)
{
	if (node->kind != YAML_NODE_MAP)
		return NULL;
	for (size_t i = 0; i + 1 < node->n; i += 2) {
		const struct yaml_node *key = node->items[i];

		if (key->kind == YAML_NODE_SCALAR && strncmp(key->text, name, len) == 0 &&
		    key->text[len] == '\0')
			return node->items[i + 1];
	}
	return NULL;
}

const struct yaml_node *yaml_node_child(const struct yaml_node *node, const char *key)
{
	return node ? find_here(node, key, strlen(key)) : NULL;
}

const struct yaml_node *yaml_node_find(const struct yaml_node *node, const char *path)
{
	while (node && *path) {
		size_t len = strcspn(path, ".");

		node = find_here(node, path, len);
		path += len + (path[len] == '.');
	}
	return node;
}
