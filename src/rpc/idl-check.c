/* A message against its definition; the path to what is wrong is the answer. */
#include "rpc/idl-private.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/text.h"

#define MAX_INTEGER (INT64_C(1) << 53) /* what every JSON reader keeps exactly */

struct check {
	struct text path; /* to the value being looked at */
	struct fault *f;
};

static int check_type(struct check *c, const struct idl_type *t, json_object *v);

__attribute__((format(printf, 2, 3))) static int invalid(struct check *c, const char *fmt, ...)
{
	_cleanup_(freep) char *why = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&why, fmt, ap) < 0)
		why = NULL;
	va_end(ap);
	fault(c->f, 0, "'%.100s' %s", c->path.data ? c->path.data : "parameters",
	      why ? why : "is not valid");
	return IDL_E_INVALID;
}

static void leave(struct check *c, size_t len)
{
	c->path.len = len;
	if (c->path.data)
		c->path.data[len] = '\0';
}

static void enter(struct check *c, const char *name)
{
	if (c->path.len > 0)
		text_add_string(&c->path, ".");
	text_add_string(&c->path, name);
}

/* an infinite or undefined number is not JSON, though json-c reads it */
static int check_number(struct check *c, json_object *v)
{
	if (!json_object_is_type(v, json_type_int) && !json_object_is_type(v, json_type_double))
		return invalid(c, "must be a number");
	return isfinite(json_object_get_double(v)) ? 0 : invalid(c, "must be finite");
}

static int check_int(struct check *c, json_object *v)
{
	int64_t i;

	if (!json_object_is_type(v, json_type_int))
		return invalid(c, "must be an integer");
	i = json_object_get_int64(v); /* json-c saturates what is larger */
	if (i > MAX_INTEGER || i < -MAX_INTEGER)
		return invalid(c, "must lie between -2^53 and 2^53");
	return 0;
}

static int check_string(struct check *c, json_object *v)
{
	if (!json_object_is_type(v, json_type_string))
		return invalid(c, "must be a string");
	/* an escaped NUL would cut the string short for whoever reads it */
	if (memchr(json_object_get_string(v), '\0', (size_t)json_object_get_string_len(v)))
		return invalid(c, "must not contain a NUL");
	return 0;
}

static int check_enum(struct check *c, const struct idl_type *t, json_object *v)
{
	int r = check_string(c, v);

	if (r)
		return r;
	for (size_t i = 0; i < t->n_fields; i++)
		if (strcmp(t->fields[i].name, json_object_get_string(v)) == 0)
			return 0;
	return invalid(c, "is none of the values that the interface names");
}

static int check_array(struct check *c, const struct idl_type *t, json_object *v)
{
	size_t len = c->path.len;

	if (!json_object_is_type(v, json_type_array))
		return invalid(c, "must be an array");
	for (size_t i = 0; i < json_object_array_length(v); i++) {
		int r;

		text_addf(&c->path, "[%zu]", i);
		r = check_type(c, t->inner, json_object_array_get_idx(v, i));
		if (r)
			return r;
		leave(c, len);
	}
	return 0;
}

static int check_map(struct check *c, const struct idl_type *t, json_object *v)
{
	size_t len = c->path.len;

	if (!json_object_is_type(v, json_type_object))
		return invalid(c, "must be an object");
	json_object_object_foreach (v, key, value) {
		int r;

		enter(c, key);
		r = check_type(c, t->inner, value);
		if (r)
			return r;
		leave(c, len);
	}
	return 0;
}

static bool has_field(const struct idl_type *t, const char *name)
{
	for (size_t i = 0; i < t->n_fields; i++)
		if (strcmp(t->fields[i].name, name) == 0)
			return true;
	return false;
}

static int check_unknown(struct check *c, const struct idl_type *t, json_object *v)
{
	json_object_object_foreach (v, key, value) {
		(void)value;
		if (!has_field(t, key)) {
			enter(c, key);
			return invalid(c, "is not known here");
		}
	}
	return 0;
}

static int check_struct(struct check *c, const struct idl_type *t, json_object *v)
{
	size_t len = c->path.len;
	int r;

	if (v && !json_object_is_type(v, json_type_object))
		return invalid(c, "must be an object");
	for (size_t i = 0; i < t->n_fields; i++) {
		json_object *value = NULL;

		enter(c, t->fields[i].name);
		if (!json_object_object_get_ex(v, t->fields[i].name, &value) &&
		    t->fields[i].type->kind != IDL_KIND_MAYBE)
			return invalid(c, "is missing");
		r = check_type(c, t->fields[i].type, value);
		if (r)
			return r;
		leave(c, len);
	}
	return v ? check_unknown(c, t, v) : 0;
}

static int check_type(struct check *c, const struct idl_type *t, json_object *v)
{
	if (t->kind == IDL_KIND_NAMED)
		return check_type(c, t->target, v);
	if (t->kind == IDL_KIND_MAYBE)
		return v ? check_type(c, t->inner, v) : 0;
	if (!v)
		return invalid(c, "must not be null");

	switch (t->kind) {
	case IDL_KIND_BOOL:
		return json_object_is_type(v, json_type_boolean) ? 0
								 : invalid(c, "must be a boolean");
	case IDL_KIND_INT:
		return check_int(c, v);
	case IDL_KIND_FLOAT:
		return check_number(c, v);
	case IDL_KIND_STRING:
		return check_string(c, v);
	case IDL_KIND_OBJECT:
		return json_object_is_type(v, json_type_object) ? 0
								: invalid(c, "must be an object");
	case IDL_KIND_ARRAY:
		return check_array(c, t, v);
	case IDL_KIND_MAP:
		return check_map(c, t, v);
	case IDL_KIND_STRUCT:
		return check_struct(c, t, v);
	case IDL_KIND_ENUM:
		return check_enum(c, t, v);
	case IDL_KIND_NAMED:
	case IDL_KIND_MAYBE:
		break;
	}
	return 0;
}

static int check_params(const struct idl_type *t, json_object *params, char **ret_field,
			struct fault *f)
{
	struct check c = { .f = f };
	int r = check_struct(&c, t, params);

	if (r == IDL_E_INVALID) {
		char *path = c.path.failed ? NULL : text_take(&c.path);

		if (path)
			*ret_field = path;
		else
			r = fault_oom(f);
	}
	text_deinit(&c.path);
	return r;
}

static const struct idl_member *find_method(const struct idl *idl, const char *method,
					    struct fault *f)
{
	const struct idl_member *m = idl_find(idl, IDL_MEMBER_METHOD, method);

	if (!m)
		fault(f, 0, "%s has no method '%.100s'", idl->name, method);
	return m;
}

int idl_check_call(const struct idl *idl, const char *method, json_object *params, char **ret_field,
		   struct fault *f)
{
	const struct idl_member *m = find_method(idl, method, f);

	return m ? check_params(m->type, params, ret_field, f) : IDL_E_NO_METHOD;
}

int idl_check_reply(const struct idl *idl, const char *method, json_object *params,
		    char **ret_field, struct fault *f)
{
	const struct idl_member *m = find_method(idl, method, f);

	return m ? check_params(m->reply, params, ret_field, f) : IDL_E_NO_METHOD;
}
