/* From "in this directory, please" to a lease. */
#include "slotctl/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/conf-word.h"
#include "slotctl/daemon.h"
#include "slotctl/interrupt.h"
#include "slotctl/lacks.h"
#include "slotctl/place.h"
#include "slotctl/shell.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

/* the builder remembers what it refused; slot_acquire() then tells it */
static void set_strings(struct slot_request *q, json_object *fields)
{
	static const struct {
		const char *field;
		int (*set)(struct slot_request *q, const char *value);
	} setters[] = {
		{ "ref", slot_request_set_ref },     { "branch", slot_request_set_branch },
		{ "agent", slot_request_set_agent }, { "task", slot_request_set_task },
		{ "key", slot_request_set_key },     { "bind", slot_request_set_bind },
		{ "resume", slot_request_set_resume },
	};

	for (size_t i = 0; i < ARRAY_SIZE(setters); i++) {
		const char *value = json_get_string(fields, setters[i].field);

		if (value)
			setters[i].set(q, value);
	}
}

static void set_numbers(struct slot_request *q, json_object *fields)
{
	static const struct {
		const char *field;
		int (*set)(struct slot_request *q, uint64_t usec);
	} setters[] = {
		{ "waitUsec", slot_request_set_wait_usec },
		{ "ttlUsec", slot_request_set_ttl_usec },
		{ "estimateUsec", slot_request_set_estimate_usec },
	};

	for (size_t i = 0; i < ARRAY_SIZE(setters); i++) {
		int64_t usec = json_get_int(fields, setters[i].field, -1);

		if (usec >= 0)
			setters[i].set(q, (uint64_t)usec);
	}
	if (json_object_object_get(fields, "priority"))
		slot_request_set_priority(q, json_get_int(fields, "priority", 0));
}

static void set_lists(struct slot_request *q, json_object *fields)
{
	json_object *labels = json_get_array(fields, "labels");
	json_object *meta = json_get_object(fields, "meta");

	for (size_t i = 0; labels && i < json_object_array_length(labels); i++)
		slot_request_add_label(
			q, json_object_get_string(json_object_array_get_idx(labels, i)));
	if (!meta)
		return;
	json_object_object_foreach (meta, name, value)
		slot_request_add_meta(q, name, json_object_get_string(value));
}

/* the pool by its name, or whatever the daemon can tell it by */
static void set_place(struct slot_request *q, const char *pool, const struct place *p)
{
	if (pool) {
		slot_request_set_pool(q, pool);
		return;
	}
	slot_request_set_directory(q, p->directory);
	slot_request_set_common_dir(q, p->common_dir);
}

/*
 * An acquired slot outlives slotctl: whoever runs it may give the slot back by its name or from
 * within. A parent that is init is everybody's.
 */
static pid_t find_holder(const struct cli *cli)
{
	return strcmp(cli->command->name, "acquire") == 0 ? getppid() : 0;
}

static bool is_about_pool(struct cli *cli)
{
	const char *error = slot_client_error_name(cli->client);
	const char *text = slot_client_error_parameters_json(cli->client);
	_cleanup_json_ json_object *parameters = text ? json_tokener_parse(text) : NULL;
	const char *what = json_get_string(parameters, "what");

	return text_is_equal(error, "io.slotd.pool.NotFound") &&
	       (!what || strcmp(what, "pool") == 0);
}

static bool is_pool_of(struct cli *cli, const char *name, const char *repository,
		       const char *common_dir)
{
	_cleanup_json_ json_object *reply = NULL;
	json_object *params = json_set_string(json_object_new_object(), "pool", name), *pool;
	int code;

	if (cli_try_call(cli, "PoolShow", params, &reply, &code) != EXIT_STATUS_DONE)
		return false;
	pool = json_get_object(reply, "pool");
	return text_is_equal(json_get_string(pool, "path"), repository) ||
	       text_is_equal(json_get_string(pool, "store"), common_dir);
}

/* -EEXIST: the name is another repository's */
static int add_pool(struct cli *cli, const char *name, const char *repository,
		    const char *common_dir)
{
	json_object *params = json_object_new_object();
	_cleanup_json_ json_object *reply = NULL;
	int code;

	json_set_string(params, "pool", name);
	json_set_string(params, "path", repository);
	json_set_int(params, "ready", 1);
	cli_try_call(cli, "PoolAdd", params, &reply, &code);
	if (code == 0) {
		cli_note(cli, "made pool %s of %s", name, repository);
		lacks_tell(cli, json_get_object(reply, "pool"));
	} else if (code == -EEXIST && is_pool_of(cli, name, repository, common_dir)) {
		code = 0; /* somebody else was faster */
	}
	return code;
}

static enum exit_status make_pool(struct cli *cli, const struct place *place)
{
	_cleanup_(freep) char *repository = place_repository(place);
	int r = -EEXIST;

	for (int suffixed = 0; repository && suffixed <= 1 && r == -EEXIST; suffixed++) {
		_cleanup_(freep) char *name = place_pool_name(repository, suffixed);

		if (!name)
			break;
		r = add_pool(cli, name, repository, place->common_dir);
	}
	if (!repository)
		return cli_fail(cli, EXIT_STATUS_FAILED, "out of memory");
	return r < 0 ? cli_fail_call(cli, r) : EXIT_STATUS_DONE;
}

/* a key is good for one lease: the first one that is not used up has the answer */
static int acquire(struct cli *cli, struct slot_request *q, const char *const *keys,
		   struct slot_lease **ret)
{
	int r = -ESTALE;

	if (!keys)
		return slot_acquire(cli->client, q, ret);
	for (size_t i = 0; keys[i] && (r == -ESTALE || r == -EEXIST); i++) {
		slot_request_set_key(q, keys[i]);
		slot_request_add_meta(q, REQUEST_KEY, keys[i]);
		r = slot_acquire(cli->client, q, ret);
	}
	return r;
}

/* where no repository is, what would help? a hook has no POOL to name */
static char *explain_nowhere(const struct cli *cli, const struct place *place)
{
	return text_printf("%s is in no repository and in no slot%s", place->directory,
			   cli->command->max_operands > 0
				   ? ": name a POOL; 'slotctl pool list' shows them"
				   : "");
}

/* asks, makes a pool if there is none, asks again */
static enum exit_status ask(struct cli *cli, struct slot_request *q, const char *const *keys,
			    const struct place *place, struct slot_lease **ret)
{
	_cleanup_(freep) char *nowhere = NULL;
	enum exit_status status;
	int r = acquire(cli, q, keys, ret);

	if (r == -ENOENT && !cli_word(cli, 0) && place->common_dir && daemon_is_users(cli) &&
	    !cli_flag(cli, "no-create") && is_about_pool(cli)) {
		status = make_pool(cli, place);
		if (status != EXIT_STATUS_DONE)
			return status;
		r = acquire(cli, q, keys, ret);
	}
	if (r < 0 && interrupt_signal())
		interrupt_die();
	if (r == 0)
		return EXIT_STATUS_DONE;
	if (r == -ENOENT && !cli_word(cli, 0) && !place->common_dir && is_about_pool(cli))
		nowhere = explain_nowhere(cli, place);
	return cli_fail_call_as(cli, r, nowhere);
}

/* the process that "process" means to an acquire, slotctl's parent, has to stay */
static enum exit_status check_binding(struct cli *cli)
{
	const char *bind = json_get_string(cli->fields, "bind");
	const char *word = bind ? strstr(bind, "process") : NULL;

	if (!word || word[strlen("process")] == ':' || strcmp(cli->command->name, "acquire") != 0)
		return EXIT_STATUS_DONE;
	if (getppid() <= 1 || shell_is_brief(getppid()))
		return cli_fail(cli, EXIT_STATUS_USAGE,
				"who runs slotctl is a shell for this one command, and the lease would end with "
				"it; say whose it is: --bind process:PID");
	return EXIT_STATUS_DONE;
}

/* an empty variable of a script, which would silently mean nothing */
static enum exit_status check_empty(struct cli *cli)
{
	static const char *const fields[] = { "key", "resume", "bind", "agent", "task", "branch", "ref" };

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (text_is_equal(json_get_string(cli->fields, fields[i]), ""))
			return cli_fail(cli, EXIT_STATUS_USAGE, "--%s is empty: give it a value, or leave it away",
					fields[i]);
	return EXIT_STATUS_DONE;
}

/* what no daemon would accept is refused before one is asked, or started */
static enum exit_status check_values(struct cli *cli)
{
	static const struct {
		const char *field;
		const char *(*objection)(const char *value);
	} checks[] = {
		{ "branch", conf_word_branch_objection },
		{ "bind", conf_word_bind_objection },
	};

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		const char *value = json_get_string(cli->fields, checks[i].field);
		const char *why = value && *value ? checks[i].objection(value) : NULL;

		if (why)
			return cli_fail(cli, EXIT_STATUS_USAGE, "--%s cannot be \"%s\": %s",
					checks[i].field, value, why);
	}
	if (check_empty(cli) != EXIT_STATUS_DONE)
		return EXIT_STATUS_USAGE;
	return check_binding(cli);
}

/* a lease of run ends with slotctl, which lives as long as the command */
static void bind_to_self(struct slot_request *q, const struct cli *cli)
{
	if (strcmp(cli->command->name, "run") == 0 && !json_get_string(cli->fields, "bind"))
		slot_request_set_bind(q, "process+ttl");
}

static enum exit_status build(struct cli *cli, const struct place *place, pid_t holder,
			      struct slot_request **ret)
{
	struct slot_request *q;

	if (slot_request_new(&q) < 0)
		return cli_fail(cli, EXIT_STATUS_FAILED, "out of memory");
	set_strings(q, cli->fields);
	set_numbers(q, cli->fields);
	set_lists(q, cli->fields);
	set_place(q, cli_word(cli, 0), place);
	if (holder > 1)
		slot_request_set_holder(q, holder);
	bind_to_self(q, cli);
	*ret = q;
	return EXIT_STATUS_DONE;
}

bool request_is_bound_to_connection(const struct cli *cli)
{
	const char *bind = json_get_string(cli->fields, "bind");

	return bind && strstr(bind, "connection");
}

/* who asks again with the same key gets the same lease: then it is not ours to give back */
static void drop(struct slot_lease **lease, const struct cli *cli, const char *const *keys)
{
	if (keys || json_get_string(cli->fields, "key"))
		slot_lease_freep(lease);
	else
		slot_lease_releasep(lease);
}

enum exit_status request_lease_for(struct cli *cli, const struct request_source *from,
				   struct slot_lease **ret)
{
	_cleanup_(slot_request_freep) struct slot_request *q = NULL;
	struct slot_lease *lease = NULL;
	enum exit_status status;

	status = build(cli, from->place, from->holder, &q);
	if (status == EXIT_STATUS_DONE && !cli->client)
		status = cli_connect(cli, true);
	if (status != EXIT_STATUS_DONE)
		return status;
	interrupt_catch(cli->client);
	status = ask(cli, q, from->keys, from->place, &lease);
	interrupt_restore();
	if (interrupt_signal()) {
		drop(&lease, cli, from->keys);
		interrupt_die();
	}
	if (status == EXIT_STATUS_DONE)
		*ret = lease;
	return status;
}

enum exit_status request_lease(struct cli *cli, struct slot_lease **ret)
{
	_cleanup_(place_deinit) struct place place = { 0 };
	struct request_source from = { .place = &place, .holder = find_holder(cli) };
	enum exit_status status = check_values(cli);
	struct fault f = FAULT_NONE;

	if (status != EXIT_STATUS_DONE)
		return status;
	if (!cli_word(cli, 0) && place_find(NULL, &place, &f) < 0)
		return cli_fail(cli, EXIT_STATUS_FAILED, "%s; name a POOL", f.text);
	return request_lease_for(cli, &from, ret);
}

/* what the last holder left, as JSON */
static char *handoff_of(json_object *whole)
{
	json_object *handoff = json_get_object(whole, "handoff");

	return handoff ? text_dup(json_object_to_json_string_ext(handoff, JSON_C_TO_STRING_PLAIN)) : NULL;
}

static char *number_of(json_object *whole, const char *key)
{
	return json_object_object_get(whole, key) ? text_printf("%" PRId64, json_get_int(whole, key, 0)) : NULL;
}

int request_get_variables(const struct cli *cli, const struct slot_lease *lease,
			  struct request_variable ret[REQUEST_VARIABLES])
{
	_cleanup_json_ json_object *whole = json_tokener_parse(slot_lease_to_json(lease));
	const struct request_variable v[REQUEST_VARIABLES] = {
		{ "SLOT_PATH", text_dup(slot_lease_path(lease)) },
		{ "SLOT_LEASE", text_dup(slot_lease_id(lease)) },
		{ "SLOT_TOKEN", text_printf("%" PRIu64, slot_lease_token(lease)) },
		{ "SLOT_POOL", text_dup(slot_lease_pool(lease)) },
		{ "SLOT_ID", text_dup(slot_lease_slot(lease)) },
		{ "SLOTD_SOCKET", text_dup(cli->socket) },
		{ "SLOT_TMPDIR", text_dup(json_get_string(whole, "tmpDir")) },
		{ "SLOT_PORT_BASE", number_of(whole, "portBase") },
		{ "SLOT_PORT_COUNT", number_of(whole, "portCount") },
		{ "SLOT_BRANCH", text_dup(slot_lease_branch(lease)) },
		{ "SLOT_TASK", text_dup(slot_lease_task(lease)) },
		{ "SLOT_HANDOFF", handoff_of(whole) },
	};
	int optional = 6; /* the last ones may be missing */

	memcpy(ret, v, sizeof(v));
	for (int i = 0; i < REQUEST_VARIABLES - optional; i++) {
		if (!v[i].value) {
			request_free_variables(ret);
			return -ENOMEM;
		}
	}
	return 0;
}

void request_free_variables(struct request_variable v[REQUEST_VARIABLES])
{
	for (size_t i = 0; i < REQUEST_VARIABLES; i++) {
		free(v[i].value);
		v[i].value = NULL;
	}
}
