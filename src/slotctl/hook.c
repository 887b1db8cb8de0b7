/* From a harness's JSON to names that slotd takes. */
#include "slotctl/hook.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/conf-word.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

#define READ_BYTES   (64 << 10)
#define MAX_DEPTH    64	 /* of what is passed over; the fields that count are at the top */
#define BRANCH_BYTES 200 /* a branch is a file's name with something around it */
/* "claude-", session, "/", name, "@", 16 digits, ".64": fits a label of slotd */
#define SESSION_BYTES 48
#define NAME_BYTES    48
#define MARK_BYTES    17 /* "~" and 16 hex digits */

/* --- reading --- */

static void tokener_freep(json_tokener **t)
{
	if (*t)
		json_tokener_free(*t);
}

static int fail_early_end(const struct text *read_so_far, struct fault *f)
{
	size_t blank = read_so_far->data ? strspn(read_so_far->data, " \t\r\n") : 0;

	if (blank == read_so_far->len)
		return fault(f, -EINVAL,
			     "standard input is empty: the hook's JSON has to come there");
	return fault(
		f, -EINVAL,
		"standard input is no JSON object: it ends at byte %zu, before the object does",
		read_so_far->len);
}

/* the number of bytes that came; 0: that was all */
static ssize_t read_some(int fd, char *ret, size_t size, struct fault *f)
{
	ssize_t n;

	do
		n = read(fd, ret, size);
	while (n < 0 && errno == EINTR);
	return n < 0 ? fault_errno(f, -errno, "cannot read standard input") : n;
}

/* 1: the object goes on */
static int parse_some(json_tokener *t, const struct text *all, size_t from, json_object **ret,
		      struct fault *f)
{
	_cleanup_json_ json_object *o = NULL;
	enum json_tokener_error e;

	/* json-c takes a NUL for the end */
	if (memchr(all->data + from, '\0', all->len - from))
		return fault(f, -EINVAL, "standard input is no JSON object: there is a NUL in it");
	o = json_tokener_parse_ex(t, all->data + from, (int)(all->len - from));
	e = json_tokener_get_error(t);
	if (e == json_tokener_continue)
		return 1;
	if (e != json_tokener_success)
		return fault(f, -EINVAL, "standard input is no JSON object: %s at byte %zu",
			     json_tokener_error_desc(e), from + json_tokener_get_parse_end(t));
	if (!text_is_utf8(all->data, all->len))
		return fault(f, -EINVAL, "standard input is no JSON object: it is not UTF-8");
	if (!json_object_is_type(o, json_type_object))
		return fault(f, -EINVAL, "standard input is JSON, but no object");
	*ret = TAKE(o);
	return 0;
}

int hook_read(int fd, json_object **ret, struct fault *f)
{
	_cleanup_(tokener_freep) json_tokener *t = json_tokener_new_ex(MAX_DEPTH);
	_cleanup_(freep) char *part = malloc(READ_BYTES);
	_cleanup_(text_deinit) struct text all = { 0 };
	int r = 1;

	if (!t || !part)
		return fault_oom(f);
	json_tokener_set_flags(t, JSON_TOKENER_STRICT);
	while (r > 0) {
		ssize_t n = read_some(fd, part, READ_BYTES, f);
		size_t from = all.len;

		if (n < 0)
			return (int)n;
		if (n == 0)
			return fail_early_end(&all, f);
		text_add(&all, part, (size_t)n);
		if (all.failed)
			return fault_oom(f);
		if (all.len > HOOK_INPUT_BYTES)
			return fault(f, -EINVAL, "standard input is too long: %d MiB at most",
				     HOOK_INPUT_BYTES >> 20);
		r = parse_some(t, &all, from, ret, f);
	}
	return r;
}

/* --- fields --- */

static int get_string(json_object *o, const char *key, const char **ret, struct fault *f)
{
	json_object *value = json_object_object_get(o, key);

	if (!value)
		return 0;
	if (!json_object_is_type(value, json_type_string))
		return fault(f, -EINVAL, "\"%s\" of the hook's input is no string but %s: %.80s",
			     key, json_type_to_name(json_object_get_type(value)),
			     json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
	if (json_object_get_string_len(value) == 0)
		return fault(f, -EINVAL, "\"%s\" of the hook's input is empty", key);
	if (strlen(json_object_get_string(value)) != (size_t)json_object_get_string_len(value))
		return fault(f, -EINVAL, "\"%s\" of the hook's input has a NUL in it", key);
	*ret = json_object_get_string(value);
	return 0;
}

static int get_strings(struct hook_input *in, struct fault *f)
{
	const struct {
		const char *key;
		const char **ret;
	} fields[] = {
		{ "session_id", &in->session }, { "cwd", &in->cwd },
		{ "name", &in->name },		{ "path", &in->path },
		{ "worktree_path", &in->path },
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fields) && r == 0; i++)
		r = get_string(in->object, fields[i].key, fields[i].ret, f);
	return r;
}

static int check_path(const char *key, const char *path, struct fault *f)
{
	if (path[0] != '/')
		return fault(f, -EINVAL, "\"%s\" of the hook's input is no absolute path: %.80s",
			     key, path);
	if (strlen(path) >= PATH_MAX)
		return fault(f, -EINVAL, "\"%s\" of the hook's input is too long for a path", key);
	return 0;
}

/* "worktree-" in front of it makes a branch */
static int check_name(const struct hook_input *in, struct fault *f)
{
	_cleanup_(freep) char *branch = hook_branch(in);
	const char *why;

	if (!branch)
		return fault_oom(f);
	why = strlen(branch) > BRANCH_BYTES ? "it is too long" : conf_word_branch_objection(branch);
	if (why)
		return fault(f, -EINVAL,
			     "\"name\" of the hook's input makes no branch, worktree-%.60s: %s",
			     in->name, why);
	return 0;
}

static int fail_missing(const char *what, struct fault *f)
{
	return fault(f, -EINVAL, "the hook's input on standard input has no %s", what);
}

static int check_create(const struct hook_input *in, struct fault *f)
{
	int r;

	if (!in->session)
		return fail_missing("\"session_id\"", f);
	if (!in->cwd)
		return fail_missing("\"cwd\"", f);
	if (!in->name)
		return fail_missing("\"name\"", f);
	r = check_path("cwd", in->cwd, f);
	return r < 0 ? r : check_name(in, f);
}

static int check_remove(const struct hook_input *in, struct fault *f)
{
	if (!in->session)
		return fail_missing("\"session_id\"", f);
	if (!in->path && !in->name)
		return fail_missing("\"worktree_path\", and no \"name\" either", f);
	return in->path ? check_path("worktree_path", in->path, f) : 0;
}

static int take(json_object *object, struct hook_input *ret,
		int (*check)(const struct hook_input *in, struct fault *f), struct fault *f)
{
	_cleanup_(hook_input_deinit) struct hook_input in = { .object = object };
	int r = get_strings(&in, f);

	if (r == 0)
		r = check(&in, f);
	if (r < 0)
		return r;
	*ret = in;
	in.object = NULL;
	return 0;
}

int hook_take_create(json_object *object, struct hook_input *ret, struct fault *f)
{
	return take(object, ret, check_create, f);
}

int hook_take_remove(json_object *object, struct hook_input *ret, struct fault *f)
{
	return take(object, ret, check_remove, f);
}

void hook_input_deinit(struct hook_input *in)
{
	json_object_put(in->object);
	*in = (struct hook_input){ 0 };
}

/* --- names --- */

/* FNV-1a: tells names apart, and is no secret */
static uint64_t hash(const char *s)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return h;
}

static bool is_plain(char c)
{
	return isalnum((unsigned char)c) || strchr("._-", c);
}

/* appends at most @room bytes that stand for @s; "~" is never plain, so none looks like another */
static void add_label(struct text *t, const char *s, size_t room)
{
	size_t len = strlen(s), plain = 0;

	while (plain < len && is_plain(s[plain]))
		plain++;
	if (plain == len && len <= room) {
		text_add(t, s, len);
		return;
	}
	for (size_t i = 0; i < len && i < room - MARK_BYTES; i++)
		text_add(t, is_plain(s[i]) ? &s[i] : "-", 1);
	text_addf(t, "~%016" PRIx64, hash(s));
}

char *hook_agent(const struct hook_input *in)
{
	struct text t = { 0 };

	text_add_string(&t, "claude-");
	add_label(&t, in->session, SESSION_BYTES);
	return text_take(&t);
}

char *hook_task(const struct hook_input *in)
{
	struct text t = { 0 };

	add_label(&t, in->session, SESSION_BYTES);
	text_add_string(&t, "/");
	add_label(&t, in->name, NAME_BYTES);
	return text_take(&t);
}

char *hook_branch(const struct hook_input *in)
{
	return text_printf("worktree-%s", in->name);
}

char *hook_key(const struct hook_input *in, const char *repository, unsigned n)
{
	_cleanup_(freep) char *task = hook_task(in);
	struct text t = { 0 };

	if (!task)
		return NULL;
	text_addf(&t, "claude-%s@%016" PRIx64, task, hash(repository));
	if (n > 1)
		text_addf(&t, ".%u", n);
	return text_take(&t);
}
