/* slotctl explain and handoff: what is known of a slot, and what its last holder left. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "slotctl/cli.h"
#include "slotctl/out.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/parse.h"

static void print_all(json_object *list)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		out_line(stdout, OUT_PLAIN, "%s", json_object_get_string(json_object_array_get_idx(list, i)));
}

/* asks about what was named, else about the caller's own lease or place */
static enum exit_status ask(struct cli *cli, const char *method, json_object **ret)
{
	_cleanup_(freep) char *here = NULL;
	json_object *params = cli_take_fields(cli);
	const char *what = cli_word(cli, 0) ? cli_word(cli, 0) : getenv("SLOT_LEASE");
	enum exit_status status;

	if (!what || !*what)
		what = here = getcwd(NULL, 0);
	json_set_string(params, "what", what);
	status = cli_connect(cli, false);
	if (status != EXIT_STATUS_DONE) {
		json_object_put(params);
		return status;
	}
	return cli_call(cli, method, params, ret);
}

enum exit_status cmd_explain(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status = ask(cli, "Explain", &reply);

	if (status != EXIT_STATUS_DONE || cli_print_json(cli, reply))
		return status;
	print_all(json_get_array(reply, "sentences"));
	puts("");
	print_all(json_get_array(reply, "history"));
	return EXIT_STATUS_DONE;
}

static void print_handoff(json_object *h)
{
	_cleanup_(freep) char *ended = out_ago(json_get_int(h, "recoveredAtUsec", -1));
	const char *task = json_get_string(h, "task");
	char held[DURATION_TEXT_SIZE];

	format_age((uint64_t)json_get_int(h, "heldUsec", 0), held);
	out_line(stdout, OUT_PLAIN, "%s had it for %s%s%s; that ended %s (%s).",
		 json_get_string(h, "agent") ? json_get_string(h, "agent") : "Somebody", held,
		 task ? ", for " : "", task ? task : "", ended, out_field(h, "reason"));
	print_all(json_get_array(h, "instructions"));
}

enum exit_status cmd_handoff(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status = ask(cli, "Handoff", &reply);

	if (status == EXIT_STATUS_DONE && !cli_print_json(cli, reply))
		print_handoff(json_get_object(reply, "handoff"));
	return status;
}
