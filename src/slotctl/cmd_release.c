/* slotctl release: the end of a lease, and what became of the work. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "slotctl/cli.h"
#include "slotctl/out.h"
#include "slotctl/release.h"
#include "slotd/slot.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

/* --- to wait for it --- */

struct releasing {
	const struct cli *cli;
	json_object *last; /* reply */
};

/* once for each way in which it is held up */
static void tell_held_up(const struct releasing *r, json_object *reply)
{
	const char *slot = json_get_string(reply, "slot"), *reason = json_get_string(reply, "reason");

	if (r->cli->quiet || !slot || !reason || text_is_equal(reason, json_get_string(r->last, "reason")))
		return;
	out_line(stderr, OUT_YELLOW, "slotctl: %s is %s", slot, reason);
	fflush(stderr);
}

static int on_reply(struct slot_client *client, int code, const char *reply_json, bool continues,
		    void *userdata)
{
	_cleanup_json_ json_object *reply = json_tokener_parse(reply_json);
	struct releasing *r = userdata;

	if (!reply)
		return -EPROTO;
	if (continues)
		tell_held_up(r, reply);
	json_object_put(r->last);
	r->last = TAKE(reply);
	return 0;
}

int release_call(struct cli *cli, const char *method, json_object *params, json_object **ret)
{
	_cleanup_json_ json_object *taken = params;
	struct releasing releasing = { .cli = cli };
	int r;

	if (!json_get_bool(taken, "wait", true)) {
		cli_try_call(cli, method, TAKE(taken), ret, &r);
		return r;
	}
	r = slot_call_more(cli->client, method, json_object_to_json_string(taken), on_reply, &releasing);
	if (!releasing.last)
		return r < 0 ? r : -EPROTO;
	*ret = releasing.last;
	return 0;
}

/* --- to tell of it --- */

/* where an isolated slot is; NULL: the daemon does not say */
static char *find_path(struct cli *cli, const char *slot, const char *pool)
{
	_cleanup_json_ json_object *reply = NULL;
	json_object *params = json_set_string(json_object_new_object(), "pool", pool), *slots;
	int code;

	if (cli_try_call(cli, "Slots", params, &reply, &code) != EXIT_STATUS_DONE)
		return NULL;
	slots = json_get_array(reply, "slots");
	for (size_t i = 0; slots && i < json_object_array_length(slots); i++) {
		json_object *s = json_object_array_get_idx(slots, i);

		if (text_is_equal(json_get_string(s, "slot"), slot))
			return text_dup(json_get_string(s, "path"));
	}
	return NULL;
}

static void print_isolated(struct cli *cli, const char *slot, const char *reason, const char *path,
			   FILE *to)
{
	out_line(to, OUT_YELLOW, "slotctl: %s is isolated: %s", slot,
		 reason ? reason : "no reason given");
	if (cli->quiet)
		return;
	if (path)
		out_line(to, OUT_PLAIN, "slotctl: what it holds is untouched in %s", path);
	if (reason && text_has_prefix(reason, "processes "))
		out_line(to, OUT_PLAIN, "slotctl: when they have ended: slotctl slot remove %s (saves what is "
			 "not safe elsewhere)", slot);
	else
		out_line(to, OUT_PLAIN,
			 "slotctl: when you have what you need: slotctl slot remove %s --discard", slot);
}

static void print_salvage(json_object *salvage, FILE *to)
{
	const char *id = json_get_string(salvage, "id"), *summary = json_get_string(salvage, "summary");
	json_object *all = json_get_array(salvage, "all");
	char more[80] = "";

	if (!id)
		return;
	if (all)
		snprintf(more, sizeof(more), ", and %zu more: slotctl salvage list",
			 json_object_array_length(all) - 1);
	out_line(to, OUT_PLAIN, "slotctl: what was not saved is kept (%s): slotctl salvage restore %s --to DIR%s",
		 summary ? summary : "", id, more);
}

void release_print(struct cli *cli, json_object *reply, const char *path, FILE *to)
{
	const char *slot = json_get_string(reply, "slot"), *state = json_get_string(reply, "state");
	_cleanup_(freep) char *found = NULL;

	if (!slot || !state)
		return;
	if (!cli->quiet)
		print_salvage(json_get_object(reply, "salvage"), to);
	if (strcmp(state, "isolated") == 0) {
		if (!path)
			path = found = find_path(cli, slot, json_get_string(reply, "pool"));
		print_isolated(cli, slot, json_get_string(reply, "reason"), path, to);
	} else if (!cli->quiet) {
		out_line(to, OUT_PLAIN, "slotctl: %s was given back and is %s%s", slot, state,
			 strcmp(state, "ready") == 0 ? " again" : "");
	}
}

/* an absolute path, whether or not it is still there */
static char *absolute(const char *path)
{
	_cleanup_(freep) char *cwd = NULL;
	char *real = realpath(path, NULL);

	if (real || path[0] == '/')
		return real ? real : strdup(path);
	cwd = getcwd(NULL, 0);
	return cwd ? text_printf("%s/%s", cwd, path) : NULL;
}

/* is this the slot that SLOT_LEASE is about, by its name or by a path in it? */
static bool is_own(const char *target)
{
	const char *slot = getenv("SLOT_ID"), *path = getenv("SLOT_PATH");
	size_t len = path ? strlen(path) : 0;

	if (text_is_equal(target, slot))
		return true;
	return len > 0 && strncmp(target, path, len) == 0 && (!target[len] || target[len] == '/');
}

/* LEASE, SLOT or PATH; without a word SLOT_LEASE, else where we are */
static char *find_target(const struct cli *cli)
{
	const char *word = cli_word(cli, 0), *lease = getenv("SLOT_LEASE");
	_cleanup_(freep) char *target = NULL;

	if (lease && !*lease)
		lease = NULL;
	if (!word)
		return lease ? strdup(lease) : getcwd(NULL, 0);
	if (strchr(word, '/') || strcmp(word, ".") == 0 || strcmp(word, "..") == 0)
		target = absolute(word);
	else
		target = strdup(word);
	return lease && target && is_own(target) ? strdup(lease) : TAKE(target);
}

enum exit_status cmd_release(struct cli *cli)
{
	_cleanup_(freep) char *target = find_target(cli);
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status;
	json_object *params;
	int r;

	if (!target)
		return cli_fail(cli, EXIT_STATUS_FAILED, "cannot tell which lease: %s",
				strerror(errno));
	status = cli_connect(cli, false);
	if (status != EXIT_STATUS_DONE)
		return status;
	params = json_set_string(cli_take_fields(cli), "lease", target);
	r = release_call(cli, "Release", params, &reply);
	if (r < 0)
		return cli_fail_call(cli, r);
	if (!cli_print_json(cli, reply))
		release_print(cli, reply, NULL, stdout);
	return EXIT_STATUS_DONE;
}
