/**
 * DOC: attr - the attributes of a path, by a commit's .gitattributes files
 *
 * Only what converts content is answered. Rules come from the commit and from info/attributes of
 * the store; core.attributesFile names a file outside and is not read.
 *
 * Source: gitattributes(5), "DESCRIPTION" and "DEFINING MACRO ATTRIBUTES".
 */
#ifndef GIT_ATTR_H
#define GIT_ATTR_H

#include "git/tree-list.h"

enum attr_id {
	ATTR_TEXT,
	ATTR_CRLF,
	ATTR_EOL,
	ATTR_IDENT,
	ATTR_N, /* names from here on are those of macros and of strangers */
};

/* compare by pointer; everything else is the string behind "=" */
extern const char ATTR_TRUE[], ATTR_FALSE[], ATTR_UNSPECIFIED[];

struct attr;

int attr_load(struct repo *repo, const struct tree_list *list, struct attr **ret, struct fault *f);
void attr_free(struct attr *attr); /* accepts NULL */

/* no rules at all: every value of every path is unspecified */
bool attr_is_empty(const struct attr *attr);

/* @ret: ATTR_N values, borrowed from attr; -ENOMEM */
int attr_get(const struct attr *attr, const char *path, const char *ret[ATTR_N]);

#endif
