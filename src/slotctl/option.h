/**
 * DOC: option - what a person typed, read along tables
 *
 * Every option of every command is a row of a table; parsing, help, completions
 * and the check of the manual all read the same rows. A value is checked here and
 * becomes a JSON value of the right type, most of them a field of the call that
 * the command will make.
 *
 * Calling sequence
 * ----------------
 * 1. option_find() for the name in each table that applies
 * 2. option_store() with its value
 */
#ifndef SLOTCTL_OPTION_H
#define SLOTCTL_OPTION_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include "util/fault.h"

enum option_kind {
	OPTION_FLAG, /* takes no value: true */
	OPTION_OFF,  /* takes no value: false */
	OPTION_STRING,
	OPTION_INT,	 /* not negative */
	OPTION_DURATION, /* microseconds */
	OPTION_PRIORITY, /* critical, high, medium, low, or a number */
	OPTION_PERCENT,	 /* 0 to 100 */
	OPTION_LIST,	 /* may come again: an array of strings */
	OPTION_MAP,	 /* K=V, may come again: an object of strings */
};

struct option {
	const char *name;  /* without the dashes */
	char letter;	   /* 0: none */
	const char *value; /* what help calls the value; NULL: takes none */
	enum option_kind kind;
	const char *field; /* of the call; NULL: slotctl's own business */
	const char *help;
};

/* a table ends with a row without a name; NULL when absent */
const struct option *option_find(const struct option *table, const char *name, size_t len);
const struct option *option_find_letter(const struct option *table, char letter);

/**
 * option_store - check a value and keep it
 * @value: NULL for an option that takes none
 * @fields: gets it under o->field
 * @own: gets it under o->name when the option has no field
 *
 * -EINVAL with a sentence that names the option and what it wants.
 */
int option_store(const struct option *o, const char *value, json_object *fields, json_object *own,
		 struct fault *f);

#endif
