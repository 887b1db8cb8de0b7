/* A word becomes a checked value, or a sentence about why not. */
#include "slotctl/option.h"

#include <errno.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/json.h"
#include "util/parse.h"
#include "util/text.h"

static const struct {
	const char *name;
	int64_t value;
} priorities[] = {
	{ "critical", 20 },
	{ "high", 10 },
	{ "medium", 0 },
	{ "low", -10 },
};

const struct option *option_find(const struct option *table, const char *name, size_t len)
{
	for (const struct option *o = table; o && o->name; o++)
		if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

const struct option *option_find_letter(const struct option *table, char letter)
{
	for (const struct option *o = table; o && o->name; o++)
		if (o->letter && o->letter == letter)
			return o;
	return NULL;
}

static int wants(const struct option *o, const char *value, const char *what, struct fault *f)
{
	return fault(f, -EINVAL, "--%s wants %s, not '%s'", o->name, what, value);
}

static int parse_priority(const char *text, int64_t *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(priorities); i++) {
		if (strcmp(text, priorities[i].name) == 0) {
			*ret = priorities[i].value;
			return 0;
		}
	}
	return parse_int(text, ret);
}

static int read_number(const struct option *o, const char *text, int64_t *ret, struct fault *f)
{
	uint64_t usec;
	int64_t n;

	switch (o->kind) {
	case OPTION_DURATION:
		if (parse_duration(text, &usec) < 0)
			return wants(o, text, "a duration such as 90s, 5m or 2h", f);
		n = (int64_t)usec;
		break;
	case OPTION_PRIORITY:
		if (parse_priority(text, &n) < 0 || n < -1000 || n > 1000)
			return wants(o, text, "critical, high, medium, low or a small number", f);
		break;
	case OPTION_PERCENT:
		if (parse_int(text, &n) < 0 || n < 0 || n > 100)
			return wants(o, text, "a number from 0 to 100", f);
		break;
	default:
		if (parse_int(text, &n) < 0 || n < 0 || n >= 1LL << 53)
			return wants(o, text, "a number", f);
		break;
	}
	*ret = n;
	return 0;
}

static void add_to_list(json_object *to, const char *key, const char *value)
{
	json_object *list = json_get_array(to, key);

	if (!list) {
		list = json_object_new_array();
		json_set(to, key, list);
	}
	json_object_array_add(list, json_object_new_string(value));
}

static int add_to_map(const struct option *o, json_object *to, const char *key, const char *value,
		      struct fault *f)
{
	const char *equals = strchr(value, '=');
	_cleanup_(freep) char *name = NULL;
	json_object *map = json_get_object(to, key);

	if (!equals || equals == value)
		return wants(o, value, "KEY=VALUE", f);
	name = strndup(value, (size_t)(equals - value));
	if (!name)
		return fault_oom(f);
	if (!map) {
		map = json_object_new_object();
		json_set(to, key, map);
	}
	json_set_string(map, name, equals + 1);
	return 0;
}

int option_store(const struct option *o, const char *value, json_object *fields, json_object *own,
		 struct fault *f)
{
	json_object *to = o->field ? fields : own;
	const char *key = o->field ? o->field : o->name;
	int64_t n = 0;
	int r;

	if (value && !text_is_utf8(value, strlen(value)))
		return fault(f, -EINVAL, "the value of --%s is not UTF-8", o->name);

	switch (o->kind) {
	case OPTION_FLAG:
	case OPTION_OFF:
		json_set_bool(to, key, o->kind == OPTION_FLAG);
		return 0;
	case OPTION_STRING:
		json_set_string(to, key, value);
		return 0;
	case OPTION_LIST:
		add_to_list(to, key, value);
		return 0;
	case OPTION_MAP:
		return add_to_map(o, to, key, value, f);
	default:
		r = read_number(o, value, &n, f);
		if (r == 0)
			json_set_int(to, key, n);
		return r;
	}
}
