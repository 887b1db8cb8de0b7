/**
 * DOC: json - json-c with fewer words
 *
 * Getters borrow from the object and return the fallback when the key is absent,
 * null or of another type; types have been checked against the interface before.
 * Setters take what they are given; a NULL string becomes null.
 */
#ifndef UTIL_JSON_H
#define UTIL_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline void json_putp(json_object **o)
{
	if (*o)
		json_object_put(*o);
}

#define _cleanup_json_ __attribute__((__cleanup__(json_putp)))

const char *json_get_string(json_object *o, const char *key); /* NULL when absent */
int64_t json_get_int(json_object *o, const char *key, int64_t fallback);
bool json_get_bool(json_object *o, const char *key, bool fallback);
json_object *json_get_object(json_object *o, const char *key); /* borrowed; NULL when absent */
json_object *json_get_array(json_object *o, const char *key);  /* borrowed; NULL when absent */

/* all return the object, for chains; memory running out aborts, as json-c itself cannot tell */
json_object *json_set_string(json_object *o, const char *key, const char *value);
json_object *json_set_int(json_object *o, const char *key, int64_t value);
json_object *json_set_bool(json_object *o, const char *key, bool value);
json_object *json_set_double(json_object *o, const char *key, double value);
json_object *json_set(json_object *o, const char *key, json_object *value); /* NULL: null */

/* bytes, as base64 */
json_object *json_set_bytes(json_object *o, const char *key, const void *data, size_t len);

/* the same bytes again; -ENOENT: absent; -EINVAL: no base64 as it is set, or more than @size */
int json_get_bytes(json_object *o, const char *key, void *ret, size_t size, size_t *ret_len);

/**
 * json_set_path - a file name of any bytes
 *
 * Sets @key to the name quoted as git does and, when it is not UTF-8, @key with
 * "Base64" behind it to its bytes.
 */
json_object *json_set_path(json_object *o, const char *key, const char *path);

#endif
