/**
 * DOC: conf-section - a level of the file, held against its table
 */
#ifndef CONFIG_CONF_SECTION_H
#define CONFIG_CONF_SECTION_H

#include "config/conf-keys.h"

struct conf_report;
struct yaml_node;

struct conf_section {
	const struct conf_table *table;
	const char *const *others; /* keys on its first level that somebody else reads; ends with
				      NULL; NULL: none */
	unsigned refused;	   /* flags of keys that have no meaning here */
	void *base;		   /* the struct that the table's offsets are of */
	struct conf_report *report;
};

/**
 * conf_section_read - every key below @node into its field
 * @node: a map, or null for an empty section
 * @what: the section's name in sentences
 *
 * What does not belong is reported, with the nearest key that does. 0, or -ENOMEM.
 */
int conf_section_read(const struct conf_section *section, const struct yaml_node *node,
		      const char *what);

#endif
