/**
 * DOC: idl - Varlink interface definitions, parsed and held against messages
 *
 * The .varlink files are the source of truth: they are embedded in the binary,
 * parsed at start, answer introspection, and every call's parameters are checked
 * against them, so that no handler sees a wrong type.
 */
#ifndef RPC_IDL_H
#define RPC_IDL_H

#include <json-c/json.h>
#include <stddef.h>

#include "util/fault.h"

struct idl;

/**
 * idl_parse - parse one interface definition
 * @text: the definition, NUL-terminated; copied
 *
 * 0, -EINVAL with "line:column: what" in the fault, -ENOMEM.
 */
int idl_parse(const char *text, struct idl **ret, struct fault *f);
void idl_free(struct idl *idl);

const char *idl_name(const struct idl *idl); /* "io.slotd.pool" */
const char *idl_text(const struct idl *idl); /* as given */

/* number of methods, and the name of the i-th without the interface */
size_t idl_count_methods(const struct idl *idl);
const char *idl_method_name(const struct idl *idl, size_t i);

enum idl_outcome {
	IDL_E_NO_METHOD = 1,
	IDL_E_INVALID, /* @ret_field names the parameter */
};

/**
 * idl_check_call - are these the parameters that the method takes?
 * @method: without the interface
 * @params: an object; NULL counts as empty
 * @ret_field: on IDL_E_INVALID an allocated "pool" or "meta.x" or "labels[2]"
 *
 * Unknown parameters, wrong types, absent mandatory ones, and integers beyond 2^53 are invalid.
 */
int idl_check_call(const struct idl *idl, const char *method, json_object *params,
		   char **ret_field, struct fault *f);

/* the same for a reply; used by tests and by debug builds before sending */
int idl_check_reply(const struct idl *idl, const char *method, json_object *params,
		    char **ret_field, struct fault *f);

/* the embedded definitions */
extern const char io_slotd_pool_varlink[];
extern const char io_slotd_worker_varlink[];
extern const char org_varlink_service_varlink[];

#endif
