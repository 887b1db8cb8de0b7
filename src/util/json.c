/* json-c with fewer words. */
#include "util/json.h"

#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/text.h"

static json_object *get_typed(json_object *o, const char *key, json_type type)
{
	json_object *v;

	if (!o || !json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, type))
		return NULL;
	return v;
}

const char *json_get_string(json_object *o, const char *key)
{
	json_object *v = get_typed(o, key, json_type_string);

	return v ? json_object_get_string(v) : NULL;
}

int64_t json_get_int(json_object *o, const char *key, int64_t fallback)
{
	json_object *v = get_typed(o, key, json_type_int);

	return v ? json_object_get_int64(v) : fallback;
}

bool json_get_bool(json_object *o, const char *key, bool fallback)
{
	json_object *v = get_typed(o, key, json_type_boolean);

	return v ? json_object_get_boolean(v) : fallback;
}

json_object *json_get_object(json_object *o, const char *key)
{
	return get_typed(o, key, json_type_object);
}

json_object *json_get_array(json_object *o, const char *key)
{
	return get_typed(o, key, json_type_array);
}

json_object *json_set(json_object *o, const char *key, json_object *value)
{
	if (!o || json_object_object_add(o, key, value) < 0)
		abort();
	return o;
}

json_object *json_set_string(json_object *o, const char *key, const char *value)
{
	return json_set(o, key, value ? json_object_new_string(value) : NULL);
}

json_object *json_set_int(json_object *o, const char *key, int64_t value)
{
	return json_set(o, key, json_object_new_int64(value));
}

json_object *json_set_bool(json_object *o, const char *key, bool value)
{
	return json_set(o, key, json_object_new_boolean(value));
}

json_object *json_set_double(json_object *o, const char *key, double value)
{
	return json_set(o, key, json_object_new_double(value));
}

static char *base64_encode(const unsigned char *p, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	struct text t = { 0 };

	for (size_t i = 0; i < len; i += 3) {
		unsigned v = (unsigned)p[i] << 16 | (i + 1 < len ? (unsigned)p[i + 1] << 8 : 0) |
			     (i + 2 < len ? p[i + 2] : 0);
		char four[4] = { digits[v >> 18], digits[v >> 12 & 63],
				 i + 1 < len ? digits[v >> 6 & 63] : '=',
				 i + 2 < len ? digits[v & 63] : '=' };

		text_add(&t, four, 4);
	}
	return text_take(&t);
}

json_object *json_set_path(json_object *o, const char *key, const char *path)
{
	_cleanup_(freep) char *quoted = text_quote_path(path);

	json_set_string(o, key, quoted);
	if (!text_is_utf8(path, strlen(path))) {
		_cleanup_(freep) char *name = text_printf("%sBase64", key);
		_cleanup_(freep) char *bytes =
			base64_encode((const unsigned char *)path, strlen(path));

		if (!name)
			abort();
		json_set_string(o, name, bytes);
	}
	return o;
}
