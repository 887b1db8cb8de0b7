/**
 * DOC: config-scan - git's configuration syntax, read as git reads it
 *
 * Any bytes. What git 2.39 refuses is refused at the same line, and what it takes has the same names and
 * values: a NUL ends a name or a value, "\r\n" is the end of a line, a byte order mark at the start is passed
 * over. Nothing is included from elsewhere.
 *
 * Calling sequence
 * ----------------
 *	size_t line;
 *	r = config_scan(data, len, on_entry, userdata, &line);
 *	if (r == -EBADMSG)
 *		... does not parse in that line ...
 *
 * Source: git-config(1), SYNTAX.
 */
#ifndef INTEGRITY_CONFIG_SCAN_H
#define INTEGRITY_CONFIG_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* valid during the call; all NUL-terminated */
struct config_entry {
	const char *section;	/* lower case; NULL: outside of all sections */
	const char *subsection; /* as it is written; lower case of the form [a.b]; NULL: none */
	const char *key;	/* lower case */
	const char *value;	/* NULL: there is no "=", which is true for a boolean */
	size_t line;		/* where it ends; from 1 */
};

typedef int (*config_scan_fn)(const struct config_entry *entry, void *userdata);

/**
 * config_scan - each setting of a file or blob, in its order
 * @fn: may be NULL, to look at the syntax alone; below 0: the scan ends and returns that
 * @ret_line: written when the return is negative: the line, from 1; may be NULL
 *
 * 0; -EBADMSG: the syntax is wrong, after @fn has had all that was before; -ENOMEM. A copy of the longest
 * name and value is all the memory that it takes.
 */
int config_scan(const void *data, size_t len, config_scan_fn fn, void *userdata, size_t *ret_line);

/**
 * config_scan_blob - the same as git reads it from memory, not from a file
 *
 * There it takes the byte 0xff for the end: it ends a line or a name, and what is not in the middle of a line
 * with it is not read any more. A byte order mark is an error.
 */
int config_scan_blob(const void *data, size_t len, config_scan_fn fn, void *userdata, size_t *ret_line);

/* false: of such a setting in a configuration file git complains each time, though it goes on */
bool config_entry_is_proper(const struct config_entry *entry);

#endif
