/* slotctl acquire: a path, and nothing else, on standard output. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "slotctl/cli.h"
#include "slotctl/out.h"
#include "slotctl/request.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

/* lines for a shell's eval */
static enum exit_status print_exports(struct cli *cli, const struct slot_lease *lease)
{
	struct request_variable v[REQUEST_VARIABLES];

	if (request_get_variables(cli, lease, v) < 0)
		return cli_fail(cli, EXIT_STATUS_FAILED, "out of memory");
	for (size_t i = 0; i < REQUEST_VARIABLES; i++) {
		_cleanup_(freep) char *quoted = v[i].value ? text_quote_shell(v[i].value) : NULL;

		if (quoted)
			printf("export %s=%s\n", v[i].name, quoted);
		else
			printf("unset %s\n", v[i].name);
	}
	request_free_variables(v);
	return EXIT_STATUS_DONE;
}

enum exit_status cmd_acquire(struct cli *cli)
{
	_cleanup_(slot_lease_freep) struct slot_lease *lease = NULL;
	enum exit_status status;

	if (request_is_bound_to_connection(cli))
		return cli_fail(cli, EXIT_STATUS_USAGE,
				"a lease that is bound to a connection ends with slotctl acquire; "
				"use slotctl run");
	status = request_lease(cli, &lease);
	if (status != EXIT_STATUS_DONE)
		return status;
	if (cli->json)
		puts(slot_lease_to_json(lease));
	else if (cli_flag(cli, "env"))
		status = print_exports(cli, lease);
	else
		puts(slot_lease_path(lease));
	if (!cli->json && isatty(STDERR_FILENO))
		cli_note(cli, "leased %s; give it back with: slotctl release %s",
			 slot_lease_slot(lease), slot_lease_id(lease));
	return status;
}
