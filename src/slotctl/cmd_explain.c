/* slotctl explain: evidence and decisions, in sentences. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "slotctl/cli.h"
#include "util/cleanup.h"
#include "util/json.h"

static void print_all(json_object *list)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		puts(json_object_get_string(json_object_array_get_idx(list, i)));
}

enum exit_status cmd_explain(struct cli *cli)
{
	_cleanup_(freep) char *here = NULL;
	_cleanup_json_ json_object *reply = NULL;
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
	status = cli_call(cli, "Explain", params, &reply);
	if (status != EXIT_STATUS_DONE || cli_print_json(cli, reply))
		return status;
	print_all(json_get_array(reply, "sentences"));
	puts("");
	print_all(json_get_array(reply, "history"));
	return EXIT_STATUS_DONE;
}
