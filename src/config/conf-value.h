/**
 * DOC: conf-value - one value: read, copied, compared, printed, freed
 *
 * The field of a key in struct conf, conf_pool or conf_strategy is found by the
 * offset in the table; @base is that struct.
 */
#ifndef CONFIG_CONF_VALUE_H
#define CONFIG_CONF_VALUE_H

#include "config/conf.h"
#include "config/conf-keys.h"

struct conf_report;
struct yaml_node;

/**
 * conf_value_read - from the file into the field
 *
 * The field keeps its value when the node does not fit, which is reported.
 * 0, or -ENOMEM.
 */
int conf_value_read(const struct conf_key *key, const struct yaml_node *node, void *base,
		    struct conf_report *report);

/* the default of the table into the field; 0, or -ENOMEM */
int conf_value_reset(const struct conf_key *key, void *base);

/* the field of @from over the field of @to; 0, or -ENOMEM */
int conf_value_copy(const struct conf_key *key, const void *from, void *to);

bool conf_value_is_equal(const struct conf_key *key, const void *a, const void *b);

/* as YAML on one line */
void conf_value_print(const struct conf_key *key, const void *base, struct text *t);

void conf_value_free(const struct conf_key *key, void *base);

/* a string in YAML quotes, plain where that is the same */
void conf_print_string(struct text *t, const char *s);

void conf_list_deinit(struct conf_list *list);

/* takes the string, also on failure; NULL is -ENOMEM */
int conf_list_add(struct conf_list *list, char *item);

#endif
