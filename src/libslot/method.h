/**
 * DOC: method - what the library knows about the daemon's methods
 *
 * Whether a call may be sent twice, and how long its answer may take. A method that
 * is not in the table may take long and is never sent twice.
 */
#ifndef LIBSLOT_METHOD_H
#define LIBSLOT_METHOD_H

#include <json-c/json.h>

enum method_flag {
	METHOD_REPEAT = 1 << 0, /* doing it twice is doing it once */
	METHOD_LATE = 1 << 1,	/* the answer may take as long as it takes */
	METHOD_ENDS = 1 << 2,	/* ends a lease: LeaseGone on a repetition means done */
	METHOD_WAITS = 1 << 3,	/* "waitUsec" belongs to the call's time */
};

/* the full name: "Status" is io.slotd.pool.Status; allocated, NULL: no memory */
char *method_full_name(const char *name);

/**
 * method_flags - what holds for one call
 * @name: the full name
 * @params: its parameters; some methods may be repeated only with certain ones
 */
unsigned method_flags(const char *name, json_object *params);

#endif
