/* What a harness says, and the names that are made of it. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "slotctl/hook.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

#define LABEL_BYTES 127 /* of slotd, at most */

static struct fault f;

/* reads what another process writes, @part bytes at a time; the pipe stays open */
static int read_parts(const char *data, size_t len, size_t part, json_object **ret)
{
	int ends[2], r;
	pid_t pid;

	f = (struct fault)FAULT_NONE;
	cr_assert(eq(int, pipe2(ends, O_CLOEXEC), 0));
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		for (size_t at = 0; at < len;) {
			ssize_t n = write(ends[1], data + at, len - at < part ? len - at : part);

			if (n <= 0)
				_exit(0);
			at += (size_t)n;
		}
		_exit(0);
	}
	close(ends[1]);
	r = hook_read(ends[0], ret, &f);
	close(ends[0]);
	waitpid(pid, NULL, 0);
	return r;
}

static int read_text(const char *text, json_object **ret)
{
	return read_parts(text, strlen(text), strlen(text) + 1, ret);
}

Test(hook_read, an_object_is_read_in_whatever_parts_it_comes)
{
	static const char text[] =
		" {\"name\": \"gr\xc3\xbc\xc3\x9f\x65\", \"x\": [1, {\"y\": null}]} \n";

	for (size_t part = 1; part <= sizeof(text); part++) {
		_cleanup_json_ json_object *o = NULL;

		cr_assert(eq(int, read_parts(text, sizeof(text) - 1, part, &o), 0), "%zu: %s", part,
			  f.text);
		cr_expect(eq(str, (char *)json_get_string(o, "name"),
			     (char *)"gr\xc3\xbc\xc3\x9f\x65"));
	}
}

Test(hook_read, ends_with_the_object_though_nobody_closes, .timeout = 20)
{
	_cleanup_json_ json_object *o = NULL;
	int ends[2];

	cr_assert(eq(int, pipe2(ends, O_CLOEXEC), 0));
	cr_assert(eq(int, (int)write(ends[1], "{\"a\":1}", 7), 7));
	cr_expect(eq(int, hook_read(ends[0], &o, &f), 0));
	cr_expect(eq(int, (int)json_get_int(o, "a", 0), 1));
}

Test(hook_read, what_is_no_object_is_refused_in_a_sentence)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "", "empty" },
		{ " \n\t", "empty" },
		{ "nonsense", "no JSON" },
		{ "{\"a\":", "ends at byte 5" },
		{ "42", "ends at byte 2" },
		{ "null", "ends at byte 4" },
		{ "[1]", "no object" },
		{ "\"x\"", "no object" },
		{ "{\"a\":1} x", "no JSON" },
		{ "{\"a\":1,}", "no JSON" },
		{ "{\"a\":\"\xff\"}", "UTF-8" },
		{ "{\"a\":\"\xed\xa0\x80\"}", "UTF-8" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_object *o = NULL;

		cr_expect(eq(int, read_text(cases[i].text, &o), -EINVAL), "%s", cases[i].text);
		cr_expect(strstr(f.text, cases[i].says) != NULL, "%s: %s", cases[i].text, f.text);
		cr_expect(strstr(f.text, "standard input") != NULL, "%s: %s", cases[i].text,
			  f.text);
		cr_expect(o == NULL);
	}
}

Test(hook_read, a_nul_is_no_json)
{
	json_object *o = NULL;

	cr_expect(eq(int, read_parts("{\"a\":1}\0", 8, 8, &o), -EINVAL));
	cr_expect(strstr(f.text, "NUL") != NULL, "%s", f.text);
}

Test(hook_read, nests_so_deep_and_no_deeper)
{
	char text[512] = "{\"a\":";
	json_object *o = NULL;

	memset(text + 5, '[', 400);
	cr_expect(eq(int, read_text(text, &o), -EINVAL));
	cr_expect(strstr(f.text, "nesting") != NULL, "%s", f.text);
}

/* an object of so many bytes */
static char *make_long(size_t len)
{
	char *text = malloc(len + 1);

	cr_assert(text != NULL);
	memset(text, 'x', len);
	memcpy(text, "{\"a\":\"", 6);
	memcpy(text + len - 2, "\"}", 3);
	return text;
}

Test(hook_read, a_mebibyte_is_read_and_a_byte_more_is_not)
{
	_cleanup_(freep) char *fits = make_long(HOOK_INPUT_BYTES);
	_cleanup_(freep) char *does_not = make_long(HOOK_INPUT_BYTES + 1);
	_cleanup_json_ json_object *o = NULL, *none = NULL;

	cr_expect(eq(int, read_text(fits, &o), 0), "%s", f.text);
	cr_expect(eq(int, read_text(does_not, &none), -EINVAL));
	cr_expect(strstr(f.text, "too long") != NULL, "%s", f.text);
}

Test(hook_read, a_descriptor_that_is_closed_is_said)
{
	json_object *o = NULL;

	cr_expect(eq(int, hook_read(-1, &o, &f), -EBADF));
	cr_expect(strstr(f.text, "cannot read standard input") != NULL, "%s", f.text);
}

/* --- fields --- */

typedef int (*take_fn)(json_object *object, struct hook_input *ret, struct fault *f);

static int take_fields(take_fn take, const char *text, struct hook_input *ret)
{
	json_object *o = json_tokener_parse(text);

	cr_assert(o != NULL, "%s", text);
	f = (struct fault)FAULT_NONE;
	return take(o, ret, &f);
}

static void expect_refused(take_fn take, const char *text, const char *says)
{
	struct hook_input in = { 0 };

	cr_expect(eq(int, take_fields(take, text, &in), -EINVAL), "%s", text);
	cr_expect(strstr(f.text, says) != NULL, "%s: %s", text, f.text);
	cr_expect(in.object == NULL);
}

Test(hook_fields, of_a_worktree_to_be_made_are_three_and_the_rest_is_passed_over)
{
	_cleanup_(hook_input_deinit) struct hook_input in = { 0 };

	cr_assert(eq(int,
		     take_fields(hook_take_create,
				 "{\"session_id\":\"s\",\"transcript_path\":\"/t\",\"cwd\":\"/c\","
				 "\"hook_event_name\":\"WorktreeCreate\",\"name\":\"n\",\"x\":{"
				 "\"name\":1}}",
				 &in),
		     0),
		  "%s", f.text);
	cr_expect(eq(str, (char *)in.session, (char *)"s"));
	cr_expect(eq(str, (char *)in.cwd, (char *)"/c"));
	cr_expect(eq(str, (char *)in.name, (char *)"n"));
	cr_expect(in.path == NULL);
}

Test(hook_fields, that_are_missing_or_odd_are_named)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "{}", "has no \"session_id\"" },
		{ "{\"session_id\":null,\"cwd\":\"/\",\"name\":\"n\"}", "has no \"session_id\"" },
		{ "{\"session_id\":\"s\",\"name\":\"n\"}", "has no \"cwd\"" },
		{ "{\"session_id\":\"s\",\"cwd\":\"/\"}", "has no \"name\"" },
		{ "{\"session_id\":7,\"cwd\":\"/\",\"name\":\"n\"}",
		  "\"session_id\" of the hook's input is no string but int" },
		{ "{\"session_id\":\"s\",\"cwd\":[],\"name\":\"n\"}",
		  "\"cwd\" of the hook's input is no string but array" },
		{ "{\"session_id\":\"s\",\"cwd\":\"/\",\"name\":\"\"}",
		  "\"name\" of the hook's input is empty" },
		{ "{\"session_id\":\"s\",\"cwd\":\"/\",\"name\":\"a\\u0000b\"}", "has a NUL" },
		{ "{\"session_id\":\"s\",\"cwd\":\"here\",\"name\":\"n\"}", "no absolute path" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect_refused(hook_take_create, cases[i].text, cases[i].says);
}

Test(hook_fields, a_name_has_to_make_a_branch)
{
	static const struct {
		const char *name;
		bool fine;
	} cases[] = {
		{ "a", true },
		{ "fix/login-2", true },
		{ "gr\xc3\xbc\xc3\x9f\x65", true },
		{ "-x", true },
		{ "a b", false },
		{ "a..b", false },
		{ "a.lock", false },
		{ "a/", false },
		{ "/a", true },
		{ "a//b", false },
		{ "a~1", false },
		{ "a\\u0007", false },
		{ "../../x", false },
		{ "@{u}", false },
		{ "a/.b", false },
		{ "\\u001b[31m", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(hook_input_deinit) struct hook_input in = { 0 };
		_cleanup_(freep) char *text = text_printf(
			"{\"session_id\":\"s\",\"cwd\":\"/\",\"name\":\"%s\"}", cases[i].name);

		if (!cases[i].fine)
			expect_refused(hook_take_create, text, "makes no branch");
		else
			cr_expect(eq(int, take_fields(hook_take_create, text, &in), 0), "%s: %s",
				  text, f.text);
	}
}

Test(hook_fields, a_name_is_no_longer_than_a_file_s)
{
	char name[256] = "", text[512];
	_cleanup_(hook_input_deinit) struct hook_input in = { 0 };

	memset(name, 'n', 191);
	snprintf(text, sizeof(text), "{\"session_id\":\"s\",\"cwd\":\"/\",\"name\":\"%s\"}", name);
	cr_expect(eq(int, take_fields(hook_take_create, text, &in), 0), "%s", f.text);
	name[191] = 'n';
	snprintf(text, sizeof(text), "{\"session_id\":\"s\",\"cwd\":\"/\",\"name\":\"%s\"}", name);
	expect_refused(hook_take_create, text, "too long");
}

Test(hook_fields, of_a_worktree_to_be_removed_are_a_session_and_a_path_or_a_name)
{
	static const struct {
		const char *text, *path, *name;
	} cases[] = {
		{ "{\"session_id\":\"s\",\"worktree_path\":\"/w\"}", "/w", NULL },
		{ "{\"session_id\":\"s\",\"path\":\"/p\"}", "/p", NULL },
		{ "{\"session_id\":\"s\",\"path\":\"/p\",\"worktree_path\":\"/w\"}", "/w", NULL },
		{ "{\"session_id\":\"s\",\"name\":\"any ~ name\"}", NULL, "any ~ name" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(hook_input_deinit) struct hook_input in = { 0 };

		cr_assert(eq(int, take_fields(hook_take_remove, cases[i].text, &in), 0), "%s",
			  f.text);
		cr_expect(text_is_equal(in.path, cases[i].path), "%s", cases[i].text);
		cr_expect(text_is_equal(in.name, cases[i].name), "%s", cases[i].text);
	}
	expect_refused(hook_take_remove, "{\"worktree_path\":\"/w\"}", "has no \"session_id\"");
	expect_refused(hook_take_remove, "{\"session_id\":\"s\"}", "has no \"worktree_path\"");
	expect_refused(hook_take_remove, "{\"session_id\":\"s\",\"path\":\"w\"}",
		       "no absolute path");
	expect_refused(hook_take_remove, "{\"session_id\":\"s\",\"worktree_path\":{}}",
		       "no string but object");
}

/* --- names --- */

Test(hook_names, are_readable_where_they_can_be)
{
	struct hook_input in = { .session = "0b8c3f4e-1d2a-4b5c-8d9e-0f1a2b3c4d5e",
				 .name = "fix-login" };
	_cleanup_(freep) char *agent = hook_agent(&in), *task = hook_task(&in),
			      *branch = hook_branch(&in);
	_cleanup_(freep) char *first = hook_key(&in, "/r", 1), *second = hook_key(&in, "/r", 2);

	cr_expect(eq(str, agent, (char *)"claude-0b8c3f4e-1d2a-4b5c-8d9e-0f1a2b3c4d5e"));
	cr_expect(eq(str, task, (char *)"0b8c3f4e-1d2a-4b5c-8d9e-0f1a2b3c4d5e/fix-login"));
	cr_expect(eq(str, branch, (char *)"worktree-fix-login"));
	cr_expect(text_has_prefix(first, "claude-0b8c3f4e-1d2a-4b5c-8d9e-0f1a2b3c4d5e/fix-login@"));
	cr_expect(text_has_prefix(second, first) && text_has_suffix(second, ".2"), "%s", second);
}

Test(hook_names, of_another_repository_have_another_key)
{
	struct hook_input in = { .session = "s", .name = "n" };
	_cleanup_(freep) char *one = hook_key(&in, "/a", 1), *other = hook_key(&in, "/b", 1);
	_cleanup_(freep) char *again = hook_key(&in, "/a", 1);

	cr_expect(ne(str, one, other));
	cr_expect(eq(str, one, again));
}

Test(hook_names, fit_and_stay_apart_whatever_they_are_made_of)
{
	static char lengthy[2][3000];
	memset(lengthy, 'a', sizeof(lengthy));
	lengthy[0][2999] = lengthy[1][2998] = '\0';
	/* each is a session and a name: no two pairs may come out the same */
	const char *const words[] = {
		"a",	    "b",	"a/b",	    "b/a", "a b", "a-b",
		"a~b",	    "\xc3\xbc", "\xc3\xb6", "a\n", "a\t", lengthy[0],
		lengthy[1], "claude-a", "a.2",	    "a@b", "",
	};
	_cleanup_(freep) char **keys =
		calloc(ARRAY_SIZE(words) * ARRAY_SIZE(words), sizeof(char *));
	size_t n = 0, wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(words); k++) {
			struct hook_input in = { .session = words[i], .name = words[k] };
			_cleanup_(freep) char *agent = hook_agent(&in), *task = hook_task(&in);

			keys[n] = hook_key(&in, "/r", HOOK_KEYS);
			cr_expect(strlen(keys[n]) <= LABEL_BYTES, "%s", keys[n]);
			cr_expect(strlen(task) <= LABEL_BYTES, "%s", task);
			cr_expect(strlen(agent) <= LABEL_BYTES, "%s", agent);
			for (const char *p = keys[n]; *p; p++)
				wrong += !isgraph((unsigned char)*p);
			for (size_t j = 0; j < n; j++)
				cr_expect(not(text_is_equal(keys[j], keys[n])), "%s", keys[n]);
			n++;
		}
	}
	cr_expect(eq(sz, wrong, 0));
	for (size_t i = 0; i < n; i++)
		free(keys[i]);
}
