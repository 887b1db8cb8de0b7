/**
 * DOC: yaml-node - a YAML file as a tree that knows where each word stood
 *
 * The part of YAML that a configuration needs: one document of mappings, lists and
 * scalars. Anchors, aliases, tags and further documents are refused by name, a key
 * that is there twice is a fault, and so are NUL characters, other encodings than
 * UTF-8, and nesting deeper than 16. libyaml ends here.
 */
#ifndef CONFIG_YAML_NODE_H
#define CONFIG_YAML_NODE_H

#include <stdbool.h>
#include <stddef.h>

struct conf_report;

enum yaml_node_kind {
	YAML_NODE_SCALAR,
	YAML_NODE_LIST,
	YAML_NODE_MAP,
	YAML_NODE_BAD, /* reported already; say no more about it */
};

struct yaml_node {
	enum yaml_node_kind kind;
	unsigned line, column;	  /* from 1 */
	char *text;		  /* of a scalar, UTF-8 without NUL */
	bool quoted;		  /* a scalar in quotes or a block is never null */
	struct yaml_node **items; /* of a map: key, value, key, value, ... */
	size_t n;		  /* items; of a map twice its pairs */
};

/**
 * yaml_node_parse - read a buffer
 * @ret: the tree; NULL for an empty file; the caller frees
 *
 * -EINVAL when it was broken off (it has been reported; smaller faults are only
 * reported); -ENOMEM.
 */
int yaml_node_parse(const char *data, size_t len, struct conf_report *report,
		    struct yaml_node **ret);

void yaml_node_free(struct yaml_node *node); /* accepts NULL */

static inline void yaml_node_freep(struct yaml_node **node)
{
	yaml_node_free(*node);
}

/* nothing, "~" or "null" without quotes; NULL is null, too */
bool yaml_node_is_null(const struct yaml_node *node);

/* the value of exactly this key, dots included, of a map; NULL when absent or node is NULL */
const struct yaml_node *yaml_node_child(const struct yaml_node *node, const char *key);

/* the value at "lease.ttl" below a map; NULL when absent or node is NULL */
const struct yaml_node *yaml_node_find(const struct yaml_node *node, const char *path);

#endif
