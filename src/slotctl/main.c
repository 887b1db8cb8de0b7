/* slotctl: one command, one exit status. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "slotctl/cli.h"
#include "slotctl/help.h"
#include "slotctl/out.h"
#include "util/cleanup.h"

static void show_help(const struct cli *cli)
{
	if (cli->command)
		help_print_command(cli->command);
	else if (cli->family)
		help_print_family(cli->family);
	else
		help_print_all();
}

static enum exit_status run(struct cli *cli, int argc, char **argv)
{
	struct fault f = FAULT_NONE;
	int r;

	r = cli_parse(cli, argc, argv, &f);
	if (r < 0)
		return cli_fail(cli, r == -EINVAL ? EXIT_STATUS_USAGE : EXIT_STATUS_FAILED, "%s",
				f.text);
	if (cli->want_help) {
		show_help(cli);
		return EXIT_STATUS_DONE;
	}
	if (cli->want_version) {
		printf("slotctl %s\n", SLOTD_VERSION);
		return EXIT_STATUS_DONE;
	}
	return cli->command->run(cli);
}

int main(int argc, char **argv)
{
	_cleanup_(cli_deinit) struct cli cli = { 0 };
	enum exit_status status;

	out_init();
	status = run(&cli, argc, argv);
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == EXIT_STATUS_DONE) {
		fprintf(stderr, "slotctl: cannot write to standard output: %s\n", strerror(errno));
		return EXIT_STATUS_FAILED;
	}
	return (int)status;
}
