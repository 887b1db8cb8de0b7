/* What an interface definition may say, and where it is told that it may not. */
#include "rpc/idl.h"

#include <stdlib.h>

#include "support.h"

#include "util/cleanup.h"
#include "util/text.h"

static struct idl *parse(const char *text)
{
	struct fault f = FAULT_NONE;
	struct idl *idl = NULL;

	cr_assert(zero(int, idl_parse(text, &idl, &f)), "%s", f.text);
	return idl;
}

Test(idl, every_form_of_type_is_understood)
{
	struct idl *idl =
		parse("# a comment\n"
		      "interface org.example.all-forms2\n"
		      "\n"
		      "type Colour (red, green , blue)\n"
		      "type Empty ()\n"
		      "method All(\n"
		      "  b: bool, i: int, f: float, s: string, o: object, # behind a field\n"
		      "  maybe: ?int, list: []string, map: [string]int,\n"
		      "  deep: ?[][string]?[]Later, colour: Colour, inline: (x: int, y: ?int),\n"
		      "  choice: (one, two), snake_case: ?Empty\n"
		      ") -> ()\n"
		      "type Later(value: ?Later)\n"
		      "error Bad(why: string)\n"
		      "method Second()->(a:int)");

	cr_assert(eq(str, (char *)idl_name(idl), (char *)"org.example.all-forms2"));
	cr_assert(eq(sz, idl_count_methods(idl), 2));
	cr_assert(eq(str, (char *)idl_method_name(idl, 0), (char *)"All"));
	cr_assert(eq(str, (char *)idl_method_name(idl, 1), (char *)"Second"));
	cr_assert(zero(ptr, (void *)idl_method_name(idl, 2)));
	idl_free(idl);
}

Test(idl, the_text_is_kept_as_given)
{
	const char *text = "interface a.b # c\n\n";
	struct idl *idl = parse(text);

	cr_assert(eq(str, (char *)idl_text(idl), (char *)text));
	idl_free(idl);
	idl_free(NULL);
}

#define HEAD "interface a.b\n"

Test(idl, every_refusal_has_its_place)
{
	static const struct {
		const char *text, *fault;
	} bad[] = {
		{ "", "1:1: expected 'interface'" },
		{ "\n\n  interfac a.b", "3:3: expected 'interface'" },
		{ "interfacea.b", "1:1: expected 'interface'" },
		{ "interface ab",
		  "1:11: expected the name of an interface, such as org.example.thing" },
		{ "interface a..b",
		  "1:11: expected the name of an interface, such as org.example.thing" },
		{ "interface 1a.b",
		  "1:11: expected the name of an interface, such as org.example.thing" },
		{ "interface a.-b",
		  "1:11: expected the name of an interface, such as org.example.thing" },
		{ "interface a-.b",
		  "1:11: expected the name of an interface, such as org.example.thing" },
		{ "interface a.b-",
		  "1:11: expected the name of an interface, such as org.example.thing" },
		{ HEAD "methods", "2:1: expected 'type', 'method' or 'error'" },
		{ HEAD "method", "2:7: expected a name that begins with a capital letter" },
		{ HEAD "method a() -> ()",
		  "2:8: expected a name that begins with a capital letter" },
		{ HEAD "method A_b() -> ()",
		  "2:8: expected a name that begins with a capital letter" },
		{ HEAD "method A", "2:9: expected '('" },
		{ HEAD "method A int -> ()", "2:10: expected '('" },
		{ HEAD "method A()", "2:11: expected '->' after the parameters of a method" },
		{ HEAD "method A() -> ", "2:15: expected '('" },
		{ HEAD "method A(a, b) -> ()", "2:9: expected fields with types, not an enum" },
		{ HEAD "error E(a)", "2:8: expected fields with types, not an enum" },
		{ HEAD "type T int", "2:8: expected '('" },
		{ HEAD "type T (a: int", "2:15: expected ')' or ',' after a field" },
		{ HEAD "type T (a: int,)", "2:16: expected the name of a field" },
		{ HEAD "type T (a: int b: int)", "2:16: expected ')' or ',' after a field" },
		{ HEAD "type T (a: int, b)", "2:18: expected ':' and a type after 'b'" },
		{ HEAD "type T (a, b: int)", "2:14: a type behind 'b' in an enum" },
		{ HEAD "type T (a: int, a: int)", "2:17: the field 'a' is there twice" },
		{ HEAD "type T (a, a)", "2:12: the field 'a' is there twice" },
		{ HEAD "type T (1a: int)", "2:9: expected the name of a field" },
		{ HEAD "type T (a_: int)", "2:9: expected the name of a field" },
		{ HEAD "type T (a__b: int)", "2:9: expected the name of a field" },
		{ HEAD "type T (a: integer)", "2:12: expected a type" },
		{ HEAD "type T (a: ??int)", "2:13: '?' twice" },
		{ HEAD "type T (a: ? ?int)", "2:14: '?' twice" },
		{ HEAD "type T (a: [int]int)", "2:12: expected a type" },
		{ HEAD "type T (\n  a: int,\n  b: []Missing\n)", "4:8: no type 'Missing'" },
		{ HEAD "error E()\ntype T (a: E)", "3:12: no type 'E'" },
		{ HEAD "type T ()\nmethod T() -> ()", "3:8: the name 'T' is there twice" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fault f = FAULT_NONE;
		struct idl *idl = (struct idl *)&f;

		cr_assert(eq(int, idl_parse(bad[i].text, &idl, &f), -EINVAL), "%s", bad[i].text);
		cr_expect(eq(str, f.text, (char *)bad[i].fault), "%s", bad[i].text);
		cr_assert(eq(ptr, (void *)idl, (void *)&f));
	}
}

Test(idl, hostile_nesting_is_refused_before_it_hurts)
{
	struct text t = { 0 };
	struct fault f = FAULT_NONE;
	struct idl *idl;

	text_add_string(&t, HEAD "type T (a: ");
	for (int i = 0; i < 100000; i++)
		text_add_string(&t, "[]");
	text_add_string(&t, "int)");
	cr_assert(eq(int, idl_parse(t.data, &idl, &f), -EINVAL));
	cr_assert(strstr(f.text, "nested deeper than 32") != NULL, "%s", f.text);
	text_deinit(&t);
}

/* a cut definition is refused or is a shorter one; it never reads beyond its end */
Test(idl, no_prefix_of_a_definition_breaks_the_parser)
{
	size_t len = strlen(io_slotd_worker_varlink);

	for (size_t n = 0; n < len; n++) {
		_cleanup_(freep) char *cut = strndup(io_slotd_worker_varlink, n);
		struct idl *idl = NULL;

		idl_parse(cut, &idl, NULL);
		idl_free(idl);
	}
}

/* --- our own definitions --- */

/* the checks name what is missing or wrong: each kind in turn, until they are satisfied */
static json_object *some_value(void)
{
	static const char *const kinds[] = { "\"x\"", "1", "true", "{}", "[]", "\"quick\"", NULL };
	static size_t turn;

	if (!kinds[turn])
		turn = 0;
	return json_tokener_parse(kinds[turn++]);
}

typedef int (*check_fn)(const struct idl *idl, const char *method, json_object *params,
			char **ret_field, struct fault *f);

/* puts a value at a path of names joined by dots */
static void put_at(json_object *o, const char *path, json_object *value)
{
	const char *dot;

	while ((dot = strchr(path, '.'))) {
		_cleanup_(freep) char *key = strndup(path, (size_t)(dot - path));

		o = json_get_object(o, key);
		cr_assert(o != NULL);
		path = dot + 1;
	}
	json_set(o, path, value);
}

/* builds the least that a method takes, or answers, from nothing but the refusals */
static void assert_satisfiable(const struct idl *idl, const char *method, check_fn check)
{
	_cleanup_json_ json_object *o = json_object_new_object();
	int r = IDL_E_INVALID;

	for (int i = 0; i < 2000 && r == IDL_E_INVALID; i++) {
		_cleanup_(freep) char *field = NULL;
		struct fault f = FAULT_NONE;

		r = check(idl, method, o, &field, &f);
		if (r == IDL_E_INVALID)
			put_at(o, field, some_value());
	}
	cr_expect(zero(int, r), "%s: %s", method, json_object_to_json_string(o));
	json_set_int(o, "surplus", 1);
	{
		_cleanup_(freep) char *field = NULL;

		cr_expect(eq(int, check(idl, method, o, &field, NULL), IDL_E_INVALID));
		cr_expect(eq(str, field, (char *)"surplus"));
	}
}

static void assert_sound(const char *text, size_t at_least)
{
	struct idl *idl = parse(text);

	cr_assert(ge(sz, idl_count_methods(idl), at_least));
	for (size_t i = 0; i < idl_count_methods(idl); i++) {
		assert_satisfiable(idl, idl_method_name(idl, i), idl_check_call);
		assert_satisfiable(idl, idl_method_name(idl, i), idl_check_reply);
	}
	idl_free(idl);
}

Test(idl, each_method_of_our_interfaces_can_be_called_and_answered)
{
	assert_sound(io_slotd_pool_varlink, 20);
	assert_sound(io_slotd_worker_varlink, 8);
	assert_sound(org_varlink_service_varlink, 2);
}
