/* slotctl renew, touch, finish: signs of life, and the declared end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slotctl/cli.h"
#include "slotctl/out.h"
#include "slotctl/release.h"
#include "util/cleanup.h"
#include "util/json.h"

/* connects; the fields of a call on the lease that was named, or on SLOT_LEASE */
static enum exit_status prepare(struct cli *cli, json_object **ret)
{
	const char *lease = cli_word(cli, 0);
	enum exit_status status;

	if (!lease)
		lease = getenv("SLOT_LEASE");
	if (!lease || !*lease)
		return cli_fail(cli, EXIT_STATUS_USAGE,
				"which lease? name it, or call this where SLOT_LEASE is set");
	status = cli_connect(cli, false);
	if (status == EXIT_STATUS_DONE)
		*ret = json_set_string(cli_take_fields(cli), "lease", lease);
	return status;
}

static enum exit_status call_on_lease(struct cli *cli, const char *method, json_object **ret)
{
	json_object *params = NULL;
	enum exit_status status = prepare(cli, &params);

	return status == EXIT_STATUS_DONE ? cli_call(cli, method, params, ret) : status;
}

static void print_expiry(struct cli *cli, json_object *reply)
{
	int64_t at_usec = json_get_int(reply, "expiresAtUsec", -1);
	_cleanup_(freep) char *left = out_until(at_usec);

	if (cli->quiet)
		return;
	if (at_usec < 0)
		printf("the lease has no time limit\n");
	else
		printf("the lease ends %s\n", left);
}

enum exit_status cmd_renew(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status = call_on_lease(cli, "Renew", &reply);

	if (status == EXIT_STATUS_DONE && !cli_print_json(cli, reply))
		print_expiry(cli, reply);
	return status;
}

enum exit_status cmd_touch(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status = call_on_lease(cli, "Touch", &reply);

	if (status == EXIT_STATUS_DONE && !cli_print_json(cli, reply))
		print_expiry(cli, reply);
	return status;
}

static bool is_finish_state(const char *state)
{
	return strcmp(state, "done") == 0 || strcmp(state, "failed") == 0 ||
	       strcmp(state, "blocked") == 0;
}

enum exit_status cmd_finish(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	const char *state = json_get_string(cli->fields, "state");
	enum exit_status status;
	json_object *params = NULL;
	int r;

	if (state && !is_finish_state(state))
		return cli_fail(cli, EXIT_STATUS_USAGE,
				"--state wants done, failed or blocked, not '%s'", state);
	status = prepare(cli, &params);
	if (status != EXIT_STATUS_DONE)
		return status;
	r = release_call(cli, "Finish", params, &reply);
	if (r < 0)
		return cli_fail_call(cli, r);
	if (!cli_print_json(cli, reply))
		release_print(cli, reply, NULL, stdout);
	return EXIT_STATUS_DONE;
}
