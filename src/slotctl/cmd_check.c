/* slotctl check: is everything whole, and if not, what is it and what now? */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "slotctl/cli.h"
#include "slotctl/out.h"
#include "slotd/slot.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

/* --- the table --- */

static enum out_color color_of(const char *severity)
{
	return text_is_equal(severity, "error") ? OUT_RED :
	       text_is_equal(severity, "warning") ? OUT_YELLOW : OUT_DIM;
}

static bool is_info(json_object *finding)
{
	return text_is_equal(json_get_string(finding, "severity"), "info");
}

/* whom it concerns: one slot, or the store of a pool and so all of its slots */
static const char *concerned(json_object *finding)
{
	const char *slot = json_get_string(finding, "slot");

	return slot ? slot : out_field(finding, "pool");
}

static void add_finding(struct table *t, json_object *f)
{
	const char *severity = json_get_string(f, "severity"), *object = json_get_string(f, "object");
	char begin[13];

	snprintf(begin, sizeof(begin), "%.12s", object ? object : "");
	table_add_colored(t, severity, color_of(severity));
	table_add(t, json_get_string(f, "id"));
	table_add(t, concerned(f));
	table_add(t, json_get_string(f, "where"));
	table_add(t, begin);
	table_add(t, json_get_string(f, "path"));
	table_add(t, json_get_string(f, "detail"));
}

/* what is of information alone only for who wants to know; how many were left out */
static size_t print_table(const struct cli *cli, json_object *findings)
{
	_cleanup_(table_deinit) struct table t = { 0 };
	size_t left_out = 0;

	table_init(&t, "SEVERITY FINDING CONCERNS WHERE OBJECT PATH DETAIL");
	for (size_t i = 0; i < json_object_array_length(findings); i++) {
		json_object *f = json_object_array_get_idx(findings, i);

		if (is_info(f) && !cli->verbose)
			left_out++;
		else
			add_finding(&t, f);
	}
	table_print(&t, stdout);
	if (t.n_cells)
		putchar('\n');
	return left_out;
}

/* --- what it means --- */

static bool is_shown(const struct cli *cli, json_object *findings, const char *id)
{
	for (size_t i = 0; i < json_object_array_length(findings); i++) {
		json_object *f = json_object_array_get_idx(findings, i);

		if (text_is_equal(json_get_string(f, "id"), id) && (cli->verbose || !is_info(f)))
			return true;
	}
	return false;
}

static void print_meanings(const struct cli *cli, json_object *reply)
{
	json_object *meanings = json_get_object(reply, "meanings"), *findings = json_get_array(reply, "findings");

	if (!meanings)
		return;
	json_object_object_foreach (meanings, id, meaning) {
		if (is_shown(cli, findings, id))
			out_line(stdout, OUT_PLAIN, "%s: %s", id, json_object_get_string(meaning));
	}
}

static bool is_in(json_object *names, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(names); i++)
		if (text_is_equal(json_object_get_string(json_object_array_get_idx(names, i)), name))
			return true;
	return false;
}

static void print_what_next(const char *name, bool is_slot)
{
	if (is_slot)
		out_line(stdout, OUT_PLAIN, "%s: no other slot is concerned; what happened to it: slotctl explain %s",
			 name, name);
	else
		out_line(stdout, OUT_PLAIN,
			 "%s: every slot may be concerned; to hand out no more until it is repaired: slotctl pool "
			 "pause %s",
			 name, name);
}

/* once for each slot and store that has an error */
static void print_advice(json_object *findings)
{
	_cleanup_json_ json_object *told = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(findings); i++) {
		json_object *f = json_object_array_get_idx(findings, i);
		const char *name = concerned(f);

		if (!text_is_equal(json_get_string(f, "severity"), "error") || is_in(told, name))
			continue;
		json_object_array_add(told, json_object_new_string(name));
		print_what_next(name, json_get_string(f, "slot") != NULL);
	}
}

/* --- the summary --- */

static void count(struct text *t, int64_t n, const char *one, const char *many)
{
	if (n > 0)
		text_addf(t, "%s%lld %s", t->len ? ", " : "", (long long)n,
			  text_plural((unsigned long long)n, one, many));
}

static void print_summary(json_object *reply)
{
	int64_t objects = json_get_int(reply, "objects", 0), usec = json_get_int(reply, "elapsedUsec", 0);
	json_object *counts = json_get_object(reply, "counts");
	bool ok = json_get_bool(reply, "ok", false);
	_cleanup_(text_deinit) struct text t = { 0 };

	count(&t, json_get_int(counts, "error", 0), "error", "errors");
	count(&t, json_get_int(counts, "warning", 0), "warning", "warnings");
	count(&t, json_get_int(counts, "info", 0), "note", "notes");
	if (t.len == 0)
		text_add_string(&t, "nothing found");
	if (objects)
		text_addf(&t, "; %lld %s, %lld of them read", (long long)objects,
			  text_plural((unsigned long long)objects, "object", "objects"),
			  (long long)json_get_int(reply, "objectsRead", 0));
	out_line(stdout, ok ? OUT_GREEN : OUT_RED, "%s, in %.2f s", t.data ? t.data : "", (double)usec / 1000000);
}

static void print_slots_that_moved(json_object *names)
{
	for (size_t i = 0; names && i < json_object_array_length(names); i++)
		out_line(stdout, OUT_YELLOW, "%s moved while it was looked at, and did not look right: check again",
			 json_object_get_string(json_object_array_get_idx(names, i)));
}

static void print_problems(json_object *problems)
{
	for (size_t i = 0; problems && i < json_object_array_length(problems); i++)
		out_line(stdout, OUT_RED, "%s", json_object_get_string(json_object_array_get_idx(problems, i)));
}

static void print_reply(const struct cli *cli, json_object *reply)
{
	json_object *findings = json_get_array(reply, "findings");
	size_t left_out = print_table(cli, findings);

	print_meanings(cli, reply);
	print_advice(findings);
	print_slots_that_moved(json_get_array(reply, "unsettled"));
	print_problems(json_get_array(reply, "problems"));
	print_summary(reply);
	if (json_get_bool(reply, "truncated", false))
		out_line(stdout, OUT_YELLOW, "only the gravest of them are listed");
	if (left_out)
		out_line(stdout, OUT_PLAIN, "notes do no harm; slotctl -v check lists them");
}

/* --- the call --- */

struct checking {
	bool shows, shown;
	json_object *last;
};

static void show_progress(struct checking *c, json_object *reply)
{
	json_object *progress = json_get_object(reply, "progress");
	int64_t done = json_get_int(progress, "done", 0), total = json_get_int(progress, "total", 0);
	_cleanup_(freep) char *phase = out_clean(json_get_string(progress, "phase"));

	if (!c->shows || !progress)
		return;
	out_rewrite_line(stderr);
	fprintf(stderr, "%s: %s", out_field(reply, "pool"), phase);
	if (total > 0)
		fprintf(stderr, " %.0f%% (%lld of %lld)", 100.0 * (double)done / (double)total,
			(long long)done, (long long)total);
	fflush(stderr);
	c->shown = true;
}

static int on_reply(struct slot_client *client, int r, const char *reply_json, bool continues, void *userdata)
{
	struct checking *c = userdata;
	_cleanup_json_ json_object *reply = json_tokener_parse(reply_json);

	show_progress(c, reply);
	if (continues)
		return 0;
	json_object_put(c->last);
	c->last = TAKE(reply);
	return 0;
}

static json_object *params_of(struct cli *cli)
{
	json_object *params = cli_take_fields(cli), *targets;

	if (cli_flag(cli, "full") || cli_flag(cli, "quick"))
		json_set_string(params, "depth", cli_flag(cli, "full") ? "full" : "quick");
	if (cli->n_words == 0)
		return params;
	targets = json_object_new_array();
	for (size_t i = 0; i < cli->n_words; i++)
		json_object_array_add(targets, json_object_new_string(cli_word(cli, i)));
	return json_set(params, "targets", targets);
}

enum exit_status cmd_check(struct cli *cli)
{
	struct checking c = { .shows = cli_flag(cli, "progress") && out_takes_codes(stderr) };
	_cleanup_json_ json_object *params = NULL;
	enum exit_status status;
	int r;

	if (cli_flag(cli, "full") && cli_flag(cli, "quick"))
		return cli_fail(cli, EXIT_STATUS_USAGE, "--full and --quick exclude each other");
	status = cli_connect(cli, false);
	if (status != EXIT_STATUS_DONE)
		return status;
	params = params_of(cli);
	r = slot_call_more(cli->client, "Check", json_object_to_json_string(params), on_reply, &c);
	if (c.shown)
		out_rewrite_line(stderr);
	if (r == 0 && !json_get_array(c.last, "findings"))
		r = -EPROTO;
	if (r < 0)
		status = cli_fail_call(cli, r);
	else
		status = json_get_bool(c.last, "ok", false) ? EXIT_STATUS_DONE : EXIT_STATUS_FINDINGS;
	if (r == 0 && !cli_print_json(cli, c.last) && !(cli->quiet && status == EXIT_STATUS_DONE))
		print_reply(cli, c.last);
	json_object_put(c.last);
	return status;
}
