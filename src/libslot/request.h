/**
 * DOC: request - what an acquire asks for
 */
#ifndef LIBSLOT_REQUEST_H
#define LIBSLOT_REQUEST_H

#include <json-c/json.h>

#include "slotd/slot.h"

struct slot_request {
	json_object *params; /* of Acquire */
	const char *bad;     /* the field that a setter refused; NULL: none */
};

#endif
