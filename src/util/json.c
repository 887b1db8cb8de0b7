/* json-c with fewer words. */
#include "util/json.h"

#include <errno.h>
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

/* --- bytes --- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

json_object *json_set_bytes(json_object *o, const char *key, const void *data, size_t len)
{
	_cleanup_(freep) char *text = malloc((len + 2) / 3 * 4 + 1);
	const unsigned char *p = data;
	char *to = text;

	if (!text)
		abort();
	for (size_t i = 0; i < len; i += 3, to += 4) {
		unsigned v = (unsigned)p[i] << 16 | (i + 1 < len ? (unsigned)p[i + 1] << 8 : 0) |
			     (i + 2 < len ? p[i + 2] : 0);

		to[0] = digits[v >> 18];
		to[1] = digits[v >> 12 & 63];
		to[2] = i + 1 < len ? digits[v >> 6 & 63] : '=';
		to[3] = i + 2 < len ? digits[v & 63] : '=';
	}
	*to = '\0';
	return json_set_string(o, key, text);
}

static int digit_value(char c)
{
	const char *found = c ? strchr(digits, c) : NULL;

	return found ? (int)(found - digits) : -1;
}

/* four letters; how many bytes they are, or -1 */
static int decode_four(const char *p, unsigned char *ret)
{
	int pads = p[3] != '=' ? 0 : p[2] != '=' ? 1 : 2;
	unsigned v = 0;

	for (int i = 0; i < 4; i++) {
		int digit = i >= 4 - pads ? 0 : digit_value(p[i]);

		if (digit < 0)
			return -1;
		v = v << 6 | (unsigned)digit;
	}
	ret[0] = (unsigned char)(v >> 16);
	ret[1] = (unsigned char)(v >> 8);
	ret[2] = (unsigned char)v;
	/* what no byte has use of must be zero: each text means one thing, and each thing has one text */
	return v & ((1U << 8 * pads) - 1) ? -1 : 3 - pads;
}

int json_get_bytes(json_object *o, const char *key, void *ret, size_t size, size_t *ret_len)
{
	const char *text = json_get_string(o, key);
	size_t len = text ? strlen(text) : 0, n = 0;

	if (!text)
		return -ENOENT;
	if (len % 4)
		return -EINVAL;
	for (size_t i = 0; i < len; i += 4) {
		unsigned char three[3];
		int got = decode_four(text + i, three);

		if (got < 0 || (got < 3 && i + 4 < len) || n + (size_t)got > size)
			return -EINVAL;
		memcpy((unsigned char *)ret + n, three, (size_t)got);
		n += (size_t)got;
	}
	*ret_len = n;
	return 0;
}

json_object *json_set_path(json_object *o, const char *key, const char *path)
{
	_cleanup_(freep) char *quoted = text_quote_path(path);

	json_set_string(o, key, quoted);
	if (!text_is_utf8(path, strlen(path))) {
		_cleanup_(freep) char *name = text_printf("%sBase64", key);

		if (!name)
			abort();
		json_set_bytes(o, name, path, strlen(path));
	}
	return o;
}
