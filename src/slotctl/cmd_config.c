/* slotctl config: what a file says, and what holds. */
#include <errno.h>
#include <stdio.h>

#include "config/conf.h"
#include "slotctl/cli.h"
#include "slotctl/out.h"
#include "util/cleanup.h"
#include "util/json.h"

static void unref_confp(struct conf **c)
{
	conf_unref(*c);
}

static void print_faults_json(struct cli *cli, const struct conf_faults *faults)
{
	_cleanup_json_ json_object *doc = json_object_new_object();
	json_object *list = json_object_new_array();

	for (size_t i = 0; i < faults->n; i++)
		json_object_array_add(list, json_object_new_string(faults->lines[i]));
	json_set_bool(doc, "ok", faults->n == 0);
	json_set(doc, "faults", list);
	cli_print_json(cli, doc);
}

enum exit_status cmd_config_check(struct cli *cli)
{
	_cleanup_(conf_faults_deinit) struct conf_faults faults = { 0 };
	_cleanup_(unref_confp) struct conf *conf = NULL;
	enum conf_scope scope = cli_flag(cli, "user") ? CONF_SCOPE_USER : CONF_SCOPE_SYSTEM;
	const char *file = cli_word(cli, 0);
	struct fault f = FAULT_NONE;
	int r;

	r = conf_load(file, scope, &conf, &faults, &f);
	if (r < 0 && faults.n == 0)
		return cli_fail(cli, EXIT_STATUS_FAILED, "%s", *f.text ? f.text : "cannot read it");
	if (cli->json) {
		print_faults_json(cli, &faults);
	} else {
		for (size_t i = 0; i < faults.n; i++) {
			_cleanup_(freep) char *line = out_clean(faults.lines[i]);

			puts(line);
		}
		if (r == 0)
			printf("%s: OK\n", file);
	}
	return r < 0 ? EXIT_STATUS_FAILED : EXIT_STATUS_DONE;
}

enum exit_status cmd_config_show(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status = cli_connect(cli, false);
	const char *file, *yaml;

	if (status == EXIT_STATUS_DONE)
		status = cli_call(cli, "ConfigShow", NULL, &reply);
	if (status != EXIT_STATUS_DONE || cli_print_json(cli, reply))
		return status;
	file = json_get_string(reply, "file");
	yaml = json_get_string(reply, "yaml");
	printf("# %s\n", file ? file : "no file: built-in defaults");
	fputs(yaml ? yaml : "", stdout);
	return status;
}
