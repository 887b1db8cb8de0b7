/* Tables of messages against one definition that has every form of type. */
#include "rpc/idl.h"

#include <stdlib.h>

#include "support.h"

#include "util/cleanup.h"

static const char definition[] = "interface a.b\n"
				 "type Point (x: int, y: ?int)\n"
				 "type Tree (children: []Tree)\n"
				 "type Colour (red, green)\n"
				 "method M(\n"
				 "  b: ?bool, i: ?int, f: ?float, s: ?string, o: ?object,\n"
				 "  list: ?[]string, map: ?[string]int, point: ?Point,\n"
				 "  points: ?[string][]?Point, tree: ?Tree, colour: ?Colour,\n"
				 "  inline: ?(a: (b: string))\n"
				 ") -> (id: string)\n"
				 "method Two(must: int, also: []int) -> ()\n";

static struct idl *idl;

static void setup(void)
{
	cr_assert(zero(int, idl_parse(definition, &idl, NULL)));
}

static void teardown(void)
{
	idl_free(idl);
}

TestSuite(idl_check, .init = setup, .fini = teardown);

struct row {
	const char *params;
	const char *field; /* NULL: fine */
	const char *fault;
};

static void run(const char *method, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_json_ json_object *params = json_tokener_parse(rows[i].params);
		_cleanup_(freep) char *field = NULL;
		struct fault f = FAULT_NONE;
		int r = idl_check_call(idl, method, params, &field, &f);

		cr_expect(eq(int, r, rows[i].field ? IDL_E_INVALID : 0), "%s: %s", rows[i].params,
			  f.text);
		if (!rows[i].field) {
			cr_expect(zero(ptr, field));
			continue;
		}
		cr_expect(eq(str, field, (char *)rows[i].field), "%s", rows[i].params);
		cr_expect(eq(str, f.text, (char *)rows[i].fault), "%s", rows[i].params);
	}
}

Test(idl_check, each_type_takes_its_own_and_nothing_else)
{
	static const struct row rows[] = {
		{ "{}" },
		{ "null" },
		{ "{\"b\":true}" },
		{ "{\"b\":null,\"i\":null,\"list\":null,\"map\":null,\"point\":null}" },
		{ "{\"b\":1}", "b", "'b' must be a boolean" },
		{ "{\"b\":\"true\"}", "b", "'b' must be a boolean" },
		{ "{\"i\":9007199254740992}" },
		{ "{\"i\":-9007199254740992}" },
		{ "{\"i\":9007199254740993}", "i", "'i' must lie between -2^53 and 2^53" },
		{ "{\"i\":-9007199254740993}", "i", "'i' must lie between -2^53 and 2^53" },
		{ "{\"i\":9223372036854775807}", "i", "'i' must lie between -2^53 and 2^53" },
		{ "{\"i\":18446744073709551615}", "i", "'i' must lie between -2^53 and 2^53" },
		{ "{\"i\":99999999999999999999999}", "i", "'i' must lie between -2^53 and 2^53" },
		{ "{\"i\":-99999999999999999999999}", "i", "'i' must lie between -2^53 and 2^53" },
		{ "{\"i\":1.0}", "i", "'i' must be an integer" },
		{ "{\"i\":\"1\"}", "i", "'i' must be an integer" },
		{ "{\"f\":1}" },
		{ "{\"f\":1.5}" },
		{ "{\"f\":\"1.5\"}", "f", "'f' must be a number" },
		{ "{\"f\":1e999}", "f", "'f' must be finite" },
		{ "{\"f\":NaN}", "f", "'f' must be finite" },
		{ "{\"f\":-Infinity}", "f", "'f' must be finite" },
		{ "{\"s\":\"\"}" },
		{ "{\"s\":\"\\u00e4\"}" },
		{ "{\"s\":1}", "s", "'s' must be a string" },
		{ "{\"s\":[\"\"]}", "s", "'s' must be a string" },
		{ "{\"s\":\"a\\u0000\"}", "s", "'s' must not contain a NUL" },
		{ "{\"o\":{\"any\":[1,{\"thing\":null}]}}" },
		{ "{\"o\":[]}", "o", "'o' must be an object" },
		{ "{\"o\":\"{}\"}", "o", "'o' must be an object" },
		{ "{\"colour\":\"red\"}" },
		{ "{\"colour\":\"blue\"}", "colour",
		  "'colour' is none of the values that the interface names" },
		{ "{\"colour\":0}", "colour", "'colour' must be a string" },
	};

	run("M", rows, ARRAY_SIZE(rows));
}

Test(idl_check, the_path_leads_to_the_culprit)
{
	static const struct row rows[] = {
		{ "{\"list\":[]}" },
		{ "{\"list\":[\"a\",\"b\"]}" },
		{ "{\"list\":{}}", "list", "'list' must be an array" },
		{ "{\"list\":[\"a\",\"b\",3]}", "list[2]", "'list[2]' must be a string" },
		{ "{\"list\":[null]}", "list[0]", "'list[0]' must not be null" },
		{ "{\"map\":{}}" },
		{ "{\"map\":{\"x\":1,\"y\":2}}" },
		{ "{\"map\":[]}", "map", "'map' must be an object" },
		{ "{\"map\":{\"x\":1,\"y\":\"2\"}}", "map.y", "'map.y' must be an integer" },
		{ "{\"map\":{\"x\":null}}", "map.x", "'map.x' must not be null" },
		{ "{\"point\":{\"x\":1}}" },
		{ "{\"point\":{\"x\":1,\"y\":null}}" },
		{ "{\"point\":{}}", "point.x", "'point.x' is missing" },
		{ "{\"point\":{\"x\":null}}", "point.x", "'point.x' must not be null" },
		{ "{\"point\":{\"x\":1,\"z\":1}}", "point.z", "'point.z' is not known here" },
		{ "{\"point\":[]}", "point", "'point' must be an object" },
		{ "{\"points\":{\"a\":[null,{\"x\":1}]}}" },
		{ "{\"points\":{\"a\":[],\"b\":[{\"x\":1},{\"x\":\"\"}]}}", "points.b[1].x",
		  "'points.b[1].x' must be an integer" },
		{ "{\"tree\":{\"children\":[{\"children\":[]}]}}" },
		{ "{\"tree\":{\"children\":[{\"children\":[{}]}]}}",
		  "tree.children[0].children[0].children",
		  "'tree.children[0].children[0].children' is missing" },
		{ "{\"inline\":{\"a\":{\"b\":\"\"}}}" },
		{ "{\"inline\":{\"a\":{\"b\":1}}}", "inline.a.b", "'inline.a.b' must be a string" },
		{ "{\"colour\":\"red\",\"color\":\"red\"}", "color", "'color' is not known here" },
		{ "{\"\":1}", "", "'' is not known here" },
	};

	run("M", rows, ARRAY_SIZE(rows));
}

Test(idl_check, mandatory_parameters_must_be_there)
{
	static const struct row rows[] = {
		{ "null", "must", "'must' is missing" },
		{ "{\"must\":1}", "also", "'also' is missing" },
		{ "{\"must\":null,\"also\":[]}", "must", "'must' must not be null" },
		{ "{\"must\":1,\"also\":[]}" },
	};

	run("Two", rows, ARRAY_SIZE(rows));
}

Test(idl_check, an_unknown_method_is_an_outcome_and_leaves_the_field_alone)
{
	char untouched, *field = &untouched;
	struct fault f = FAULT_NONE;

	cr_assert(eq(int, idl_check_call(idl, "Nope", NULL, &field, &f), IDL_E_NO_METHOD));
	cr_assert(eq(int, idl_check_reply(idl, "Point", NULL, &field, &f), IDL_E_NO_METHOD));
	cr_assert(eq(ptr, field, &untouched));
	cr_assert(eq(str, f.text, (char *)"a.b has no method 'Point'"));
}

Test(idl_check, replies_are_held_against_the_reply)
{
	_cleanup_json_ json_object *good = json_tokener_parse("{\"id\":\"x\"}");
	_cleanup_json_ json_object *bad = json_tokener_parse("{\"i\":1}");
	_cleanup_(freep) char *field = NULL;

	cr_assert(zero(int, idl_check_reply(idl, "M", good, &field, NULL)));
	cr_assert(zero(int, idl_check_call(idl, "M", bad, &field, NULL)));
	cr_assert(eq(int, idl_check_reply(idl, "M", bad, &field, NULL), IDL_E_INVALID));
	cr_assert(eq(str, field, (char *)"id"));
}
