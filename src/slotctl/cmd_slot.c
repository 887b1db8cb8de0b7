/* slotctl slot: one slot more, one less, one warm. */
#include <stdio.h>

#include "slotctl/cli.h"
#include "slotctl/out.h"
#include "util/json.h"

enum exit_status cmd_slot_add(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status = cli_connect(cli, false);
	json_object *slot;

	if (status == EXIT_STATUS_DONE)
		status = cli_call(cli, "SlotAdd",
				  json_set_string(cli_take_fields(cli), "pool", cli_word(cli, 0)),
				  &reply);
	if (status != EXIT_STATUS_DONE || cli_print_json(cli, reply))
		return status;
	slot = json_get_object(reply, "slot");
	out_line(stdout, OUT_PLAIN, "%s is %s at %s", out_field(slot, "slot"),
		 out_field(slot, "state"), out_field(slot, "path"));
	return status;
}

enum exit_status cmd_slot_remove(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status = cli_connect(cli, false);

	if (status == EXIT_STATUS_DONE)
		status = cli_call(cli, "SlotRemove",
				  json_set_string(cli_take_fields(cli), "slot", cli_word(cli, 0)),
				  &reply);
	if (status == EXIT_STATUS_DONE && !cli_print_json(cli, reply) && !cli->quiet)
		out_line(stdout, OUT_PLAIN, "%s is removed", out_field(reply, "slot"));
	return status;
}

enum exit_status cmd_slot_warm(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status = cli_connect(cli, false);
	json_object *slot;

	if (status == EXIT_STATUS_DONE)
		status = cli_call(cli, "SlotWarm",
				  json_set_string(cli_take_fields(cli), "slot", cli_word(cli, 0)),
				  &reply);
	if (status != EXIT_STATUS_DONE || cli_print_json(cli, reply) || cli->quiet)
		return status;
	slot = json_get_object(reply, "slot");
	out_line(stdout, OUT_PLAIN, "%s is warm and %s", out_field(slot, "slot"), out_field(slot, "state"));
	return status;
}
