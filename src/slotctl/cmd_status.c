/* slotctl status: all pools on one screen, and what to do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slotctl/cli.h"
#include "slotctl/lacks.h"
#include "slotctl/out.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/parse.h"
#include "util/text.h"

/* slots that are neither ready, leased nor isolated */
static int64_t count_busy(json_object *pool)
{
	static const char *const states[] = { "preparing", "cleaning", "creating", "recovering",
					      "removing" };
	int64_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		n += json_get_int(pool, states[i], 0);
	return n;
}

static void add_count(struct table *t, json_object *pool, const char *key, enum out_color color)
{
	int64_t n = json_get_int(pool, key, 0);
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)n);
	table_add_colored(t, text, n > 0 ? color : OUT_DIM);
}

static const char *state_of(json_object *pool)
{
	const char *state = json_get_string(pool, "state");

	if (json_get_bool(pool, "draining", false))
		return "draining";
	if (json_get_bool(pool, "paused", false))
		return "paused";
	return state ? state : "-";
}

static void add_pool(struct table *t, json_object *pool)
{
	const char *head = json_get_string(pool, "head"), *state = state_of(pool);
	char busy[24], commit[13];

	snprintf(busy, sizeof(busy), "%lld", (long long)count_busy(pool));
	snprintf(commit, sizeof(commit), "%.12s", head ? head : "-");
	table_add(t, json_get_string(pool, "name"));
	add_count(t, pool, "ready", OUT_GREEN);
	add_count(t, pool, "leased", OUT_PLAIN);
	table_add_colored(t, busy, strcmp(busy, "0") == 0 ? OUT_DIM : OUT_YELLOW);
	add_count(t, pool, "isolated", OUT_RED);
	add_count(t, pool, "total", OUT_PLAIN);
	add_count(t, pool, "max", OUT_PLAIN);
	add_count(t, pool, "waiting", OUT_YELLOW);
	table_add_colored(t, state, out_state_color(state));
	table_add(t, commit);
}

static void print_lacks(json_object *pool)
{
	for (size_t i = 0; i < lacks_count(pool); i++) {
		_cleanup_(freep) char *sentence = lacks_sentence(pool, i);

		if (sentence)
			out_line(stdout, OUT_YELLOW, "%s: lacks %s", out_field(pool, "name"),
				 sentence);
	}
}

/* what is wrong with a pool, and the command that helps */
static void print_advice(json_object *pool)
{
	const char *name = out_field(pool, "name");
	int64_t isolated = json_get_int(pool, "isolated", 0);
	const char *problem = json_get_string(pool, "problem");
	int64_t errors = json_get_int(pool, "checkErrors", 0), warnings = json_get_int(pool, "checkWarnings", 0);

	if (problem)
		out_line(stdout, OUT_RED, "%s: %s", name, problem);
	if (isolated > 0)
		out_line(
			stdout, OUT_RED,
			"%s: %lld isolated; why, and what to do: slotctl slots %s --state isolated",
			name, (long long)isolated, name);
	if (errors + warnings > 0)
		out_line(stdout, errors > 0 ? OUT_RED : OUT_YELLOW,
			 "%s: the last check found %lld %s and %lld %s; which: slotctl check %s", name,
			 (long long)errors, text_plural((unsigned long long)errors, "error", "errors"),
			 (long long)warnings, text_plural((unsigned long long)warnings, "warning", "warnings"), name);
	if (json_get_bool(pool, "paused", false))
		out_line(stdout, OUT_PLAIN, "%s: paused; 'slotctl pool resume %s' goes on", name,
			 name);
	if (json_get_int(pool, "waiting", 0) > 0)
		out_line(stdout, OUT_PLAIN, "%s: who waits, and why: slotctl queue %s", name, name);
	print_lacks(pool);
}

static void add_command(struct text *t, bool applies, const char *command)
{
	if (applies)
		text_addf(t, "%s%s", t->len ? ", " : "", command);
}

/* each kind has its command: slots that are isolated, pools that have a problem, what a check found, what is saved */
static void print_findings(int64_t findings, json_object *pools, json_object *problems)
{
	bool isolated = false, broken = false, damaged = false;
	_cleanup_(text_deinit) struct text t = { 0 };

	for (size_t i = 0; pools && i < json_object_array_length(pools); i++) {
		json_object *pool = json_object_array_get_idx(pools, i);

		isolated = isolated || json_get_int(pool, "isolated", 0) > 0;
		broken = broken || json_get_string(pool, "problem");
		damaged = damaged || json_get_int(pool, "checkErrors", 0) + json_get_int(pool, "checkWarnings", 0) > 0;
	}
	add_command(&t, isolated, "slotctl slots --state isolated");
	add_command(&t, broken, "slotctl pool list");
	add_command(&t, damaged, "slotctl check");
	add_command(&t, problems && json_object_array_length(problems) > 0, "slotctl salvage list");
	if (findings == 0)
		out_line(stdout, OUT_GREEN, "no findings");
	else
		out_line(stdout, OUT_YELLOW, "%lld %s; see %s", (long long)findings,
			 text_plural((unsigned long long)findings, "finding", "findings"), t.data ? t.data : "");
}

static void print_problems(json_object *problems)
{
	for (size_t i = 0; problems && i < json_object_array_length(problems); i++) {
		const char *problem = json_object_get_string(json_object_array_get_idx(problems, i));

		out_line(stdout, OUT_YELLOW, "%s", problem ? problem : "-");
	}
}

static void print_pools(json_object *pools)
{
	_cleanup_(table_deinit) struct table t;

	table_init(&t, "POOL >READY >LEASED >BUSY >ISOLATED >TOTAL >MAX >WAITING STATE HEAD");
	for (size_t i = 0; pools && i < json_object_array_length(pools); i++)
		add_pool(&t, json_object_array_get_idx(pools, i));
	table_print(&t, stdout);
	if (t.n_cells == 0)
		printf("no pools yet; make one: slotctl pool add NAME --url URL, "
		       "or slotctl run in a repository\n");
	else
		putchar('\n');
	for (size_t i = 0; pools && i < json_object_array_length(pools); i++)
		print_advice(json_object_array_get_idx(pools, i));
}

enum exit_status cmd_status(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status = cli_connect(cli, false);
	char age[DURATION_TEXT_SIZE];

	if (status == EXIT_STATUS_DONE)
		status = cli_call_list(cli, "Status", NULL, "pools", &reply);
	if (status != EXIT_STATUS_DONE || cli_print_json(cli, reply))
		return status;
	print_pools(json_get_array(reply, "pools"));
	print_problems(json_get_array(reply, "problems"));
	if (cli->verbose)
		out_line(stdout, OUT_PLAIN, "slotd %s, up for %s, at %s",
			 out_field(reply, "version"),
			 format_age((uint64_t)json_get_int(reply, "uptimeUsec", 0), age),
			 cli->socket);
	print_findings(json_get_int(reply, "findings", 0), json_get_array(reply, "pools"),
		       json_get_array(reply, "problems"));
	return EXIT_STATUS_DONE;
}
