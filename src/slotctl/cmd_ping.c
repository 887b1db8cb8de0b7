/* slotctl ping and version: is anybody there, and who? */
#include <stdio.h>

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
