/* slotctl release: the end of a lease, and what became of the work. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "slotctl/cli.h"
#include "slotctl/out.h"
#include "slotctl/release.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

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

	if (!target)
		return cli_fail(cli, EXIT_STATUS_FAILED, "cannot tell which lease: %s",
				strerror(errno));
	status = cli_connect(cli, false);
	if (status != EXIT_STATUS_DONE)
		return status;
	params = json_set_string(cli_take_fields(cli), "lease", target);
	status = cli_call(cli, "Release", params, &reply);
	if (status == EXIT_STATUS_DONE && !cli_print_json(cli, reply))
		release_print(cli, reply, NULL, stdout);
	return status;
}
