/* slotctl ping, stats and version: is anybody there, who, and how is it? */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "slotctl/cli.h"
#include "slotctl/daemon.h"
#include "slotctl/out.h"
#include "slotd/slot.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/parse.h"

enum exit_status cmd_ping(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	uint64_t began = clock_boot_usec(), took;
	enum exit_status status = cli_connect(cli, false);
	char up[DURATION_TEXT_SIZE];

	if (status == EXIT_STATUS_DONE) {
		began = clock_boot_usec();
		status = cli_call(cli, "Ping", NULL, &reply);
	}
	took = clock_boot_usec() - began;
	if (status != EXIT_STATUS_DONE || cli_print_json(cli, reply) || cli->quiet)
		return status;
	out_line(stdout, OUT_PLAIN, "slotd %s answered in %.2f ms; pid %lld, up for %s",
		 out_field(reply, "version"), (double)took / 1000,
		 (long long)json_get_int(reply, "pid", 0),
		 format_age((uint64_t)json_get_int(reply, "uptimeUsec", 0), up));
	return status;
}

static void print_health(json_object *h)
{
	static const struct {
		const char *key, *name;
	} counts[] = {
		{ "leases", "leases" },
		{ "activeAgents", "agents" },
		{ "assigned", "slots assigned" },
		{ "queue", "waiting" },
		{ "activeOperations", "operations" },
		{ "workers", "workers" },
	};
	json_object *stuck = json_get_array(h, "stuck");
	size_t n = stuck ? json_object_array_length(stuck) : 0;

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		printf("%-16s %lld\n", counts[i].name,
		       (long long)json_get_int(h, counts[i].key, 0));
	for (size_t i = 0; i < n; i++) {
		json_object *s = json_object_array_get_idx(stuck, i);

		out_line(stdout, OUT_RED, "stuck: %s",
			 json_object_to_json_string_ext(s, JSON_C_TO_STRING_PLAIN));
	}
	if (json_get_bool(h, "shutdownPending", false))
		out_line(stdout, OUT_YELLOW, "slotd is stopping");
	out_line(stdout, n == 0 ? OUT_GREEN : OUT_RED, "%s",
		 n == 0 ? "healthy" : "not healthy; see 'slotctl events' for what led there");
}

enum exit_status cmd_ping_health(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status = cli_connect(cli, false);
	json_object *stuck;

	if (status == EXIT_STATUS_DONE)
		status = cli_call(cli, "PingHealth", NULL, &reply);
	if (status != EXIT_STATUS_DONE)
		return status;
	if (!cli_print_json(cli, reply))
		print_health(reply);
	stuck = json_get_array(reply, "stuck");
	return stuck && json_object_array_length(stuck) > 0 ? EXIT_STATUS_FINDINGS
							    : EXIT_STATUS_DONE;
}

/* --- clearing --- */

static void print_cleared(json_object *c)
{
	const char *agent = json_get_string(c, "agent"), *slot = json_get_string(c, "slot");

	if (strcmp(out_field(c, "what"), "acquire") == 0)
		out_line(stdout, OUT_PLAIN, "an acquire that waited for pool %s%s%s", out_field(c, "pool"),
			 agent ? ", by " : "", agent ? agent : "");
	else
		out_line(stdout, OUT_PLAIN, "the delay before %s %s is tried again", slot ? "slot" : "pool",
			 slot ? slot : out_field(c, "pool"));
}

enum exit_status cmd_ping_cleanup(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	json_object *params = cli_take_fields(cli), *list;
	enum exit_status status = cli_connect(cli, false);

	if (status != EXIT_STATUS_DONE) {
		json_object_put(params);
		return status;
	}
	status = cli_call(cli, "PingCleanup", params, &reply);
	if (status != EXIT_STATUS_DONE || cli_print_json(cli, reply) || cli->quiet)
		return status;
	list = json_get_array(reply, "cleared");
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		print_cleared(json_object_array_get_idx(list, i));
	if (!list || json_object_array_length(list) == 0)
		puts("nothing to clear");
	return status;
}

/* on a terminal a person may say so; a program has to know */
static bool may_reset(struct cli *cli)
{
	char answer[16] = "";

	if (cli_flag(cli, "yes"))
		return true;
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return false;
	fprintf(stderr, "slotctl: this takes every slot back, also from who works in it now; type yes to go on: ");
	return fgets(answer, sizeof(answer), stdin) && strcmp(answer, "yes\n") == 0;
}

static enum exit_status print_reset(json_object *list)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		json_object *s = json_object_array_get_idx(list, i);
		const char *state = out_field(s, "state"), *reason = json_get_string(s, "reason");

		out_line(stdout, out_state_color(state), "%s is %s%s%s", out_field(s, "slot"), state,
			 reason ? ": " : "", reason ? reason : "");
	}
	return EXIT_STATUS_DONE;
}

enum exit_status cmd_ping_reset(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status;

	if (!may_reset(cli))
		return cli_fail(cli, EXIT_STATUS_USAGE,
				"nothing was taken back; without a terminal say that it is meant: --yes");
	status = cli_connect(cli, false);
	if (status == EXIT_STATUS_DONE)
		status = cli_call(cli, "PingReset", NULL, &reply);
	if (status != EXIT_STATUS_DONE || cli_print_json(cli, reply) || cli->quiet)
		return status;
	return print_reset(json_get_array(reply, "slots"));
}

/* --- statistics --- */

enum exit_status cmd_stats(struct cli *cli)
{
	static const struct {
		const char *key, *name;
	} rows[] = {
		{ "total", "leases" },
		{ "active", "active" },
		{ "expiringSoon", "expiring soon" },
		{ "grace", "in grace" },
		{ "expired", "past grace" },
		{ "suspect", "suspect" },
		{ "stuck", "stuck" },
		{ "renewals", "renewals ever" },
		{ "extensions", "extensions" },
		{ "suspected", "became suspect" },
		{ "recoveries", "recovered" },
		{ "recoveriesStopped", "recoveries stopped by an inquiry" },
		{ "recoveriesSkippedTerminal", "recoveries skipped, finished" },
		{ "lateReports", "late reports" },
		{ "handoffs", "hand-offs" },
	};
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status = cli_connect(cli, false);

	if (status == EXIT_STATUS_DONE)
		status = cli_call(cli, "Stats", NULL, &reply);
	if (status != EXIT_STATUS_DONE || cli_print_json(cli, reply))
		return status;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		printf("%-34s %lld\n", rows[i].name,
		       (long long)json_get_int(json_get_object(reply, "leases"), rows[i].key, 0));
	return EXIT_STATUS_DONE;
}

/* --- versions --- */

/* a daemon that is not there is no failure here */
static json_object *ping_quietly(struct cli *cli)
{
	struct fault f = FAULT_NONE;
	json_object *reply = NULL;
	int code;

	if (daemon_choose(cli, &f) < 0 || slot_client_new(cli->socket, &cli->client) < 0 ||
	    slot_client_connect(cli->client) < 0)
		return NULL;
	cli_try_call(cli, "Ping", NULL, &reply, &code);
	return reply;
}

enum exit_status cmd_version(struct cli *cli)
{
	_cleanup_json_ json_object *reply = ping_quietly(cli);
	_cleanup_json_ json_object *doc = json_object_new_object();
	const char *slotd = json_get_string(reply, "version");

	json_set_string(doc, "slotctl", SLOTD_VERSION);
	json_set_string(doc, "slotd", slotd);
	if (cli_print_json(cli, doc))
		return EXIT_STATUS_DONE;
	printf("slotctl %s\n", SLOTD_VERSION);
	if (slotd)
		out_line(stdout, OUT_PLAIN, "slotd %s, pid %lld, at %s", slotd,
			 (long long)json_get_int(reply, "pid", 0), cli->socket);
	else
		out_line(stdout, OUT_PLAIN, "slotd does not run%s%s", cli->socket ? " at " : "",
			 cli->socket ? cli->socket : "");
	return EXIT_STATUS_DONE;
}
