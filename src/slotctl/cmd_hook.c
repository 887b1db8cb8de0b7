/*
 * slotctl hook: a harness's worktrees are slots.
 *
 * The lease is bound to the harness, so it holds as long as that lives and nobody has to renew it.
 * A session that comes back asks with the same key: within the grace it gets its lease, bound to its
 * new harness; after the end a key is used up, and the next one of the same worktree gets a new lease.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/conf-word.h"
#include "slotctl/cli.h"
#include "slotctl/hook.h"
#include "slotctl/place.h"
#include "slotctl/release.h"
#include "slotctl/request.h"
#include "slotctl/shell.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

static enum exit_status read_input(struct cli *cli,
				   int (*take)(json_object *object, struct hook_input *ret,
					       struct fault *f),
				   struct hook_input *ret)
{
	json_object *object = NULL;
	struct fault f = FAULT_NONE;
	int r;

	cli->terse = true;
	if (isatty(STDIN_FILENO))
		return cli_fail(
			cli, EXIT_STATUS_USAGE,
			"a harness runs this: the hook's JSON has to come on standard input");
	r = hook_read(STDIN_FILENO, &object, &f);
	if (r == 0)
		r = take(object, ret, &f);
	if (r == 0)
		return EXIT_STATUS_DONE;
	return cli_fail(cli, r == -ENOMEM ? EXIT_STATUS_FAILED : EXIT_STATUS_USAGE, "%s", f.text);
}

/* --- what is leased --- */

/* "KEY", or "KEY.2": is it one of this worktree's? */
static bool is_key_of(const char *key, const char *first)
{
	size_t len = strlen(first);

	return key && strncmp(key, first, len) == 0 && (!key[len] || key[len] == '.');
}

/* how many of @slots are leased to this worktree: @key: the first of its keys; NULL: in whatever
 * repository. *ret is one of them */
static size_t find_leased(json_object *slots, const struct hook_input *in, const char *key,
			  json_object **ret)
{
	_cleanup_(freep) char *agent = hook_agent(in);
	_cleanup_(freep) char *task = hook_task(in);
	size_t found = 0;

	for (size_t i = 0; agent && task && i < json_object_array_length(slots); i++) {
		json_object *slot = json_object_array_get_idx(slots, i);
		json_object *meta = json_get_object(slot, "meta");

		if (!text_is_equal(json_get_string(slot, "agent"), agent) ||
		    !text_is_equal(json_get_string(slot, "task"), task) ||
		    (key && !is_key_of(json_get_string(meta, REQUEST_KEY), key)))
			continue;
		*ret = slot;
		found++;
	}
	return found;
}

static enum exit_status list_slots(struct cli *cli, json_object **ret)
{
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status = cli_call_list(cli, "Slots", NULL, "slots", &reply);

	if (status == EXIT_STATUS_DONE)
		*ret = json_object_get(json_get_array(reply, "slots"));
	return status;
}

/* --- create --- */

/* the keys to ask with, in turn */
struct keys {
	char *own[HOOK_KEYS + 1]; /* the one that has a lease, if any; then all of them */
	size_t n;
};

static void keys_deinit(struct keys *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->own[i]);
}

/*
 * slotd forgets a key some time after its lease, so a lower one may be free again while a higher one
 * still has its lease: that one comes first.
 */
static enum exit_status find_keys(struct cli *cli, const struct hook_input *in,
				  const struct place *place, struct keys *ret)
{
	const char *repository = place->common_dir ? place->common_dir : place->directory;
	_cleanup_(freep) char *first = hook_key(in, repository, 1);
	_cleanup_json_ json_object *slots = NULL;
	enum exit_status status = list_slots(cli, &slots);
	json_object *held = NULL;

	if (status != EXIT_STATUS_DONE)
		return status;
	if (first && find_leased(slots, in, first, &held) > 0)
		ret->own[ret->n++] =
			text_dup(json_get_string(json_get_object(held, "meta"), REQUEST_KEY));
	for (unsigned i = 1; ret->n < HOOK_KEYS; i++)
		ret->own[ret->n++] = hook_key(in, repository, i);
	for (size_t i = 0; i < ret->n; i++)
		if (!ret->own[i])
			return cli_fail(cli, EXIT_STATUS_FAILED, "out of memory");
	return EXIT_STATUS_DONE;
}

/* what "acquire" would have been told by options */
static enum exit_status fill_fields(struct cli *cli, const struct hook_input *in, pid_t harness)
{
	_cleanup_(freep) char *agent = hook_agent(in);
	_cleanup_(freep) char *task = hook_task(in);
	_cleanup_(freep) char *branch = hook_branch(in);
	/* init is everybody's parent, and its end no sign of anything: then life in the slot counts */
	_cleanup_(freep) char *bind =
		harness > 1 ? text_printf("process:%d", (int)harness) : strdup("ttl");

	if (!agent || !task || !branch || !bind)
		return cli_fail(cli, EXIT_STATUS_FAILED, "out of memory");
	json_set_string(cli->fields, "agent", agent);
	json_set_string(cli->fields, "task", task);
	json_set_string(cli->fields, "branch", branch);
	json_set_string(cli->fields, "bind", bind);
	return EXIT_STATUS_DONE;
}

static enum exit_status lease_for(struct cli *cli, const struct hook_input *in,
				  const struct place *place, struct slot_lease **ret)
{
	_cleanup_(keys_deinit) struct keys keys = { 0 };
	struct request_source from = { .place = place, .keys = (const char *const *)keys.own };
	enum exit_status status;

	from.holder = shell_find_user();
	status = fill_fields(cli, in, from.holder);
	if (status == EXIT_STATUS_DONE)
		status = cli_connect(cli, true);
	if (status == EXIT_STATUS_DONE)
		status = find_keys(cli, in, place, &keys);
	return status == EXIT_STATUS_DONE ? request_lease_for(cli, &from, ret) : status;
}

enum exit_status cmd_hook_create(struct cli *cli)
{
	_cleanup_(hook_input_deinit) struct hook_input in = { 0 };
	_cleanup_(place_deinit) struct place place = { 0 };
	_cleanup_(slot_lease_freep) struct slot_lease *lease = NULL;
	enum exit_status status = read_input(cli, hook_take_create, &in);
	struct fault f = FAULT_NONE;
	int r;

	if (status != EXIT_STATUS_DONE)
		return status;
	r = place_find(in.cwd, &place, &f);
	if (r < 0)
		return cli_fail(cli, EXIT_STATUS_ABSENT,
				"\"cwd\" of the hook's input cannot be used: %s: %s", in.cwd,
				strerror(-r));
	status = lease_for(cli, &in, &place, &lease);
	if (status == EXIT_STATUS_DONE)
		puts(cli->json ? slot_lease_to_json(lease) : slot_lease_path(lease));
	return status;
}

/* --- remove --- */

static const char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* by whatever links a slot's directory is reached */
static bool is_same_directory(const char *a, const char *b)
{
	struct stat x, y;

	if (strcmp(a, b) == 0)
		return true;
	return strcmp(last_name(a), last_name(b)) == 0 && stat(a, &x) == 0 && stat(b, &y) == 0 &&
	       x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* the slot that is this very directory: what lies in a slot may be somebody's worktree, too */
static json_object *find_at(json_object *slots, const char *path)
{
	_cleanup_(freep) char *clean = conf_word_clean_path(path);

	for (size_t i = 0; clean && i < json_object_array_length(slots); i++) {
		json_object *slot = json_object_array_get_idx(slots, i);
		const char *place = json_get_string(slot, "path");

		if (place && is_same_directory(clean, place))
			return slot;
	}
	return NULL;
}

/* the lease ended before; @slot: NULL when not even that is known */
static enum exit_status tell_given_back(struct cli *cli, json_object *slot)
{
	_cleanup_json_ json_object *reply = json_object_new_object();

	json_set(reply, "lease", NULL);
	json_set_string(reply, "slot", json_get_string(slot, "slot"));
	json_set_string(reply, "pool", json_get_string(slot, "pool"));
	json_set(reply, "salvage", NULL);
	json_set_string(reply, "state", json_get_string(slot, "state"));
	if (!cli_print_json(cli, reply))
		cli_note(cli, slot ? "%s was given back before" : "no slot is leased to %s",
			 slot ? json_get_string(slot, "slot") : "this worktree");
	return EXIT_STATUS_DONE;
}

/* the slot is leased by now to another worktree of the same session */
static bool is_another(json_object *slot, const struct hook_input *in)
{
	_cleanup_(freep) char *agent = hook_agent(in);
	_cleanup_(freep) char *task = in->name ? hook_task(in) : NULL;

	return task && agent && text_is_equal(json_get_string(slot, "agent"), agent) &&
	       !text_is_equal(json_get_string(slot, "task"), task);
}

static enum exit_status release(struct cli *cli, json_object *slot, const struct hook_input *in)
{
	_cleanup_(freep) char *agent = hook_agent(in);
	_cleanup_json_ json_object *reply = NULL;
	json_object *params;
	int code;

	if (!agent)
		return cli_fail(cli, EXIT_STATUS_FAILED, "out of memory");
	params = json_set_string(json_object_new_object(), "agent", agent);
	json_set_string(params, "lease", json_get_string(slot, "slot"));
	code = release_call(cli, "Release", params, &reply);
	if (code == -ESTALE)
		return tell_given_back(cli, slot);
	if (code < 0)
		return cli_fail_call(cli, code);
	if (!cli_print_json(cli, reply))
		release_print(cli, reply, json_get_string(slot, "path"), stderr);
	return EXIT_STATUS_DONE;
}

/* *ret NULL: it was given back before */
static enum exit_status find_slot(struct cli *cli, const struct hook_input *in, json_object *slots,
				  json_object **ret)
{
	if (in->path) {
		*ret = find_at(slots, in->path);
		return *ret ? EXIT_STATUS_DONE
			    : cli_fail(cli, EXIT_STATUS_ABSENT,
				       "%s is no slot: nothing was given back", in->path);
	}
	if (find_leased(slots, in, NULL, ret) > 1)
		return cli_fail(cli, EXIT_STATUS_USAGE,
				"this worktree's name has slots of several repositories: the "
				"hook's input has "
				"to have \"worktree_path\"");
	return EXIT_STATUS_DONE;
}

enum exit_status cmd_hook_remove(struct cli *cli)
{
	_cleanup_(hook_input_deinit) struct hook_input in = { 0 };
	_cleanup_json_ json_object *slots = NULL;
	enum exit_status status = read_input(cli, hook_take_remove, &in);
	json_object *slot = NULL;

	if (status == EXIT_STATUS_DONE)
		status = cli_connect(cli, false);
	if (status == EXIT_STATUS_DONE)
		status = list_slots(cli, &slots);
	if (status == EXIT_STATUS_DONE)
		status = find_slot(cli, &in, slots, &slot);
	if (status != EXIT_STATUS_DONE)
		return status;
	if (!slot || is_another(slot, &in))
		return tell_given_back(cli, slot);
	return release(cli, slot, &in);
}
