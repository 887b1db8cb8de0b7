/* slotctl pool and slot: what operators do to pools. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf.h"
#include "slotctl/cli.h"
#include "slotctl/lacks.h"
#include "slotctl/out.h"
#include "slotctl/place.h"
#include "slotd/slot.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/parse.h"
#include "util/text.h"

static void add_pool(struct table *t, json_object *pool)
{
	const char *state = out_field(pool, "state"), *url = json_get_string(pool, "url");

	if (json_get_bool(pool, "draining", false))
		state = "draining";
	else if (json_get_bool(pool, "paused", false))
		state = "paused";
	table_add(t, out_field(pool, "name"));
	table_add_colored(t, state, out_state_color(state));
	table_add_int(t, json_get_int(pool, "slotsReady", 0));
	table_add_int(t, json_get_int(pool, "slotsMax", 0));
	table_add(t, out_field(pool, "ref"));
	table_add(t, out_field(pool, "source"));
	table_add(t, url ? url : out_field(pool, "path"));
}

static void print_problem(json_object *pool)
{
	const char *problem = json_get_string(pool, "problem");

	if (problem)
		out_line(stdout, OUT_RED, "%s: %s", out_field(pool, "name"), problem);
}

enum exit_status cmd_pool_list(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	_cleanup_(table_deinit) struct table t = { 0 };
	enum exit_status status = cli_connect(cli, false);
	json_object *pools;

	if (status == EXIT_STATUS_DONE)
		status = cli_call_list(cli, "PoolList", NULL, "pools", &reply);
	if (status != EXIT_STATUS_DONE || cli_print_json(cli, reply))
		return status;
	pools = json_get_array(reply, "pools");
	table_init(&t, "POOL STATE >READY >MAX REF SOURCE FROM");
	for (size_t i = 0; i < json_object_array_length(pools); i++)
		add_pool(&t, json_object_array_get_idx(pools, i));
	table_print(&t, stdout);
	for (size_t i = 0; i < json_object_array_length(pools); i++)
		print_problem(json_object_array_get_idx(pools, i));
	if (json_object_array_length(pools) == 0)
		puts("no pools yet; make one: slotctl pool add NAME --url URL");
	return EXIT_STATUS_DONE;
}

static void print_field(const char *name, const char *value)
{
	if (value && *value)
		out_line(stdout, OUT_PLAIN, "%-12s %s", name, value);
}

static void print_number(const char *name, int64_t n)
{
	printf("%-12s %lld\n", name, (long long)n);
}

/* everything about a pool, a line each */
static void print_pool(json_object *pool)
{
	int64_t fetched_at = json_get_int(pool, "fetchedAtUsec", -1);
	_cleanup_(freep) char *fetched = fetched_at < 0 ? NULL : out_ago(fetched_at);

	print_field("pool", json_get_string(pool, "name"));
	print_field("state", json_get_string(pool, "state"));
	print_field("problem", json_get_string(pool, "problem"));
	print_field("source", json_get_string(pool, "source"));
	print_field("url", json_get_string(pool, "url"));
	print_field("path", json_get_string(pool, "path"));
	print_field("ref", json_get_string(pool, "ref"));
	print_field("head", json_get_string(pool, "head"));
	print_field("fetched", fetched);
	print_field("store", json_get_string(pool, "store"));
	print_field("slots in", json_get_string(pool, "slotsDirectory"));
	print_number("keeps ready", json_get_int(pool, "slotsReady", 0));
	print_number("at most", json_get_int(pool, "slotsMax", 0));
	if (json_get_bool(pool, "paused", false))
		print_field("paused", "yes; 'slotctl pool resume' goes on");
	if (json_get_bool(pool, "draining", false))
		print_field("draining", "yes; slots go when they are released");
	for (size_t i = 0; i < lacks_count(pool); i++) {
		_cleanup_(freep) char *sentence = lacks_sentence(pool, i);

		print_field("lacks", sentence);
	}
}

/* the only pool there is; NULL with a report when there is none, or a choice */
static const char *only_pool(struct cli *cli, json_object *list)
{
	json_object *pools = json_get_array(list, "pools");
	size_t n = json_object_array_length(pools);

	if (n == 1)
		return out_field(json_object_array_get_idx(pools, 0), "name");
	if (n == 0)
		cli_fail(cli, EXIT_STATUS_USAGE,
			 "there are no pools yet; make one: slotctl pool add NAME --url URL");
	else
		cli_fail(cli, EXIT_STATUS_USAGE,
			 "which pool? there are %zu; see 'slotctl pool list'", n);
	return NULL;
}

enum exit_status cmd_pool_show(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	_cleanup_json_ json_object *list = NULL;
	const char *name = cli_word(cli, 0);
	enum exit_status status = cli_connect(cli, false);

	if (status == EXIT_STATUS_DONE && !name) {
		status = cli_call_list(cli, "PoolList", NULL, "pools", &list);
		name = status == EXIT_STATUS_DONE ? only_pool(cli, list) : NULL;
		if (status == EXIT_STATUS_DONE && !name)
			return EXIT_STATUS_USAGE;
	}
	if (status == EXIT_STATUS_DONE)
		status = cli_call(cli, "PoolShow",
				  json_set_string(json_object_new_object(), "pool", name), &reply);
	if (status == EXIT_STATUS_DONE && !cli_print_json(cli, reply))
		print_pool(json_get_object(reply, "pool"));
	return status;
}

/* the clone's progress, where a line can be written over; the last reply is kept */
struct adding {
	bool shows, shown;
	json_object *last;
};

static void show_progress(struct adding *a, json_object *progress)
{
	int64_t done = json_get_int(progress, "done", 0),
		total = json_get_int(progress, "total", 0);
	_cleanup_(freep) char *phase = out_clean(json_get_string(progress, "phase"));

	if (!a->shows || !progress)
		return;
	out_rewrite_line(stderr);
	fprintf(stderr, "%s", phase);
	if (total > 0)
		fprintf(stderr, " %.0f%% (%lld of %lld)", 100.0 * (double)done / (double)total,
			(long long)done, (long long)total);
	a->shown = true;
}

static int on_progress(struct slot_client *client, int r, const char *reply_json, bool continues,
		       void *userdata)
{
	struct adding *a = userdata;
	_cleanup_json_ json_object *reply = json_tokener_parse(reply_json);

	show_progress(a, json_get_object(reply, "progress"));
	if (continues)
		return 0;
	json_object_put(a->last);
	a->last = TAKE(reply);
	return 0;
}

static enum exit_status add(struct cli *cli, json_object *params)
{
	struct adding a = { .shows = out_takes_codes(stderr) && !cli->quiet && !cli->json };
	enum exit_status status = EXIT_STATUS_DONE;
	int r;

	r = slot_call_more(cli->client, "PoolAdd", json_object_to_json_string(params), on_progress,
			   &a);
	if (a.shown)
		out_rewrite_line(stderr);
	if (r < 0)
		status = cli_fail_call(cli, r);
	else if (!cli_print_json(cli, a.last))
		print_pool(json_get_object(a.last, "pool"));
	json_object_put(a.last);
	return status;
}

static void unref_confp(struct conf **c)
{
	conf_unref(*c);
}

/* what no slotd.yaml would allow is refused before a daemon is asked, or started */
static enum exit_status check_pool(struct cli *cli, const char *name, const char *url,
				   const char *path, json_object *params)
{
	_cleanup_(unref_confp) struct conf *conf = NULL;
	struct conf_pool *pool = NULL;
	struct fault f = FAULT_NONE;
	int r;

	r = conf_default(CONF_SCOPE_SYSTEM, &conf, &f);
	if (r == 0)
		r = conf_pool_new(conf, name, url, path, json_get_string(params, "ref"),
				  json_get_int(params, "ready", -1),
				  json_get_int(params, "max", -1), &pool, &f);
	conf_pool_free(pool);
	if (r < 0)
		return cli_fail(cli, r == -EINVAL ? EXIT_STATUS_USAGE : EXIT_STATUS_FAILED, "%s",
				f.text);
	return EXIT_STATUS_DONE;
}

/* from the root; what cannot be looked into from here is the daemon's to judge */
static enum exit_status find_path(struct cli *cli, const char *path, char **ret)
{
	char *real = realpath(path, NULL);

	if (!real && (errno == ENOENT || errno == ENOTDIR))
		return cli_fail(cli, EXIT_STATUS_ABSENT, "there is no repository at %s: %m", path);
	if (!real && path[0] == '/')
		real = strdup(path);
	if (!real)
		return cli_fail(cli, EXIT_STATUS_FAILED, "cannot find %s: %m", path);
	*ret = real;
	return EXIT_STATUS_DONE;
}

/* where the repository is, when no url was given: absolute, by default the one we are in */
static enum exit_status set_source(struct cli *cli, json_object *params)
{
	const char *path = json_get_string(params, "path");
	_cleanup_(place_deinit) struct place place = { 0 };
	_cleanup_(freep) char *absolute = NULL;
	struct fault f = FAULT_NONE;

	if (json_get_string(params, "url") && path)
		return cli_fail(cli, EXIT_STATUS_USAGE, "--url and --path exclude one another");
	if (json_get_string(params, "url"))
		return EXIT_STATUS_DONE;
	if (path) {
		enum exit_status status = find_path(cli, path, &absolute);

		if (status != EXIT_STATUS_DONE)
			return status;
	} else if (place_find(NULL, &place, &f) == 0) {
		absolute = place_repository(&place);
	}
	if (!absolute)
		return cli_fail(cli, EXIT_STATUS_USAGE,
				"no repository here: say --url URL or --path PATH");
	json_set_string(params, "path", absolute);
	return EXIT_STATUS_DONE;
}

enum exit_status cmd_pool_add(struct cli *cli)
{
	_cleanup_json_ json_object *params = cli_take_fields(cli);
	const char *name = cli_word(cli, 0), *why;
	enum exit_status status;

	if (parse_pool_name(name, &why) < 0)
		return cli_fail(cli, EXIT_STATUS_USAGE, "\"%s\" is no pool name: %s", name, why);
	json_set_string(params, "pool", name);
	status = set_source(cli, params);
	if (status == EXIT_STATUS_DONE)
		status = check_pool(cli, name, json_get_string(params, "url"),
				    json_get_string(params, "path"), params);
	if (status == EXIT_STATUS_DONE)
		status = cli_connect(cli, true);
	return status == EXIT_STATUS_DONE ? add(cli, params) : status;
}

/* slotctl does not know them any more, and git(1) still does */
static void print_salvage_left(json_object *reply, const char *store)
{
	json_object *list = json_get_array(reply, "salvage");
	size_t n = list ? json_object_array_length(list) : 0;

	if (n == 0 || json_get_bool(reply, "deleted", false))
		return;
	out_line(stdout, OUT_YELLOW, "%zu %s of unsaved work %s kept in %s: git for-each-ref refs/slotd/salvage",
		 n, text_plural(n, "salvage", "salvages"), text_plural(n, "is", "are"),
		 store ? "it" : "its repository");
}

static void print_removed(json_object *reply)
{
	json_object *branches = json_get_array(reply, "branches");
	const char *store = json_get_string(reply, "store");
	size_t n = branches ? json_object_array_length(branches) : 0;

	out_line(stdout, OUT_PLAIN, "pool %s is removed", out_field(reply, "pool"));
	if (json_get_bool(reply, "deleted", false))
		printf("its store is deleted\n");
	else if (store)
		out_line(stdout, OUT_PLAIN, "its store is kept in %s", store);
	if (n > 0)
		printf("branches in it that its origin lacks:\n");
	for (size_t i = 0; i < n; i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(branches, i));

		out_line(stdout, OUT_PLAIN, "  %s", name ? name : "-");
	}
	print_salvage_left(reply, store);
}

enum exit_status cmd_pool_remove(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status;

	if (json_get_bool(cli->fields, "deleteStore", false) && !cli_flag(cli, "yes"))
		return cli_fail(
			cli, EXIT_STATUS_USAGE,
			"--delete-store deletes all branches and work in the store for good; "
			"say --yes as well");
	status = cli_connect(cli, false);
	if (status == EXIT_STATUS_DONE)
		status = cli_call(cli, "PoolRemove",
				  json_set_string(cli_take_fields(cli), "pool", cli_word(cli, 0)),
				  &reply);
	if (status == EXIT_STATUS_DONE && !cli_print_json(cli, reply))
		print_removed(reply);
	return status;
}

/* a call that takes the pool's name and answers with the pool */
static enum exit_status change(struct cli *cli, const char *method, json_object **ret)
{
	enum exit_status status = cli_connect(cli, false);

	if (status == EXIT_STATUS_DONE)
		status = cli_call(cli, method,
				  json_set_string(cli_take_fields(cli), "pool", cli_word(cli, 0)),
				  ret);
	return status;
}

/* says in a sentence what holds now */
static enum exit_status change_and_tell(struct cli *cli, const char *method, const char *sentence)
{
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status = change(cli, method, &reply);

	if (status == EXIT_STATUS_DONE && !cli_print_json(cli, reply) && !cli->quiet)
		printf("%s %s\n", cli_word(cli, 0), sentence);
	return status;
}

enum exit_status cmd_pool_resize(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status;
	json_object *pool;

	if (json_object_object_length(cli->fields) == 0)
		return cli_fail(cli, EXIT_STATUS_USAGE,
				"to what size? say --ready N, --max N or both");
	/* only the sizes are looked at: any pool will do */
	status = check_pool(cli, "pool", NULL, "/", cli->fields);
	if (status != EXIT_STATUS_DONE)
		return status;
	status = change(cli, "PoolResize", &reply);
	if (status != EXIT_STATUS_DONE || cli_print_json(cli, reply) || cli->quiet)
		return status;
	pool = json_get_object(reply, "pool");
	printf("%s keeps %lld ready, has %lld at most\n", cli_word(cli, 0),
	       (long long)json_get_int(pool, "slotsReady", 0),
	       (long long)json_get_int(pool, "slotsMax", 0));
	return status;
}

enum exit_status cmd_pool_pause(struct cli *cli)
{
	return change_and_tell(cli, "PoolPause", "hands out no more slots until 'pool resume'");
}

enum exit_status cmd_pool_resume(struct cli *cli)
{
	return change_and_tell(cli, "PoolResume", "hands out slots again");
}

enum exit_status cmd_pool_drain(struct cli *cli)
{
	return change_and_tell(cli, "PoolDrain", "runs empty: slots go when they are released");
}

enum exit_status cmd_pool_fetch(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status = change(cli, "PoolFetch", &reply);
	json_object *pool;

	if (status != EXIT_STATUS_DONE || cli_print_json(cli, reply) || cli->quiet)
		return status;
	pool = json_get_object(reply, "pool");
	out_line(stdout, OUT_PLAIN, "%s stands at %.12s (%s)", cli_word(cli, 0),
		 out_field(pool, "head"), out_field(pool, "ref"));
	print_problem(pool);
	return status;
}
