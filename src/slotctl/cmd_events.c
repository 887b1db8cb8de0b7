/* slotctl events: what happened, in order, from anywhere. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "slotctl/cli.h"
#include "slotctl/out.h"
#include "slotctl/when.h"
#include "slotd/slot.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/json.h"

struct stream {
	struct cli *cli;
	bool follow;
	json_object *all; /* of a list for programs; NULL: each is printed as it comes */
	int64_t last;	  /* sequence; negative: none yet */
};

static void print_event(json_object *e)
{
	_cleanup_(freep) char *at = out_time(json_get_int(e, "atUsec", 0));
	const char *slot = json_get_string(e, "slot"), *detail = json_get_string(e, "detail");

	out_line(stdout, OUT_PLAIN, "%s  %6lld  %-19s  %-16s  %s", at,
		 (long long)json_get_int(e, "sequence", 0), out_field(e, "kind"),
		 slot ? slot : out_field(e, "pool"), detail && detail[0] ? detail : "-");
}

static void take_event(struct stream *s, json_object *e)
{
	s->last = json_get_int(e, "sequence", s->last);
	if (s->all)
		json_object_array_add(json_get_array(s->all, "events"), json_object_get(e));
	else if (!cli_print_json(s->cli, e))
		print_event(e);
}

static int on_events(struct slot_client *client, int r, const char *reply_json, bool continues,
		     void *userdata)
{
	struct stream *s = userdata;
	_cleanup_json_ json_object *reply = json_tokener_parse(reply_json);
	json_object *events = json_get_array(reply, "events");

	for (size_t i = 0; events && i < json_object_array_length(events); i++)
		take_event(s, json_object_array_get_idx(events, i));
	return fflush(stdout) == 0 ? 0 : -EPIPE;
}

/* goes on where it was when the daemon was restarted */
static int read_stream(struct stream *s, json_object *params)
{
	int r;

	do {
		if (s->last >= 0) {
			json_object_object_del(params, "sinceAtUsec");
			json_set_int(params, "since", s->last);
		}
		r = slot_call_more(s->cli->client, "Events", json_object_to_json_string(params),
				   on_events, s);
	} while (s->follow && (r == -ECONNRESET || r == -ESHUTDOWN || r == 0));
	return r;
}

enum exit_status cmd_events(struct cli *cli)
{
	_cleanup_json_ json_object *params = cli_take_fields(cli);
	struct stream s = { .cli = cli, .last = -1 };
	const char *since = cli_string(cli, "since");
	enum exit_status status;
	int64_t n;
	int r;

	if (since) {
		r = when_parse(since, clock_wall_usec(), &n);
		if (r < 0)
			return cli_fail(
				cli, EXIT_STATUS_USAGE,
				"--since wants a sequence number, a duration such as 2h, or "
				"a time such as 2026-01-31T12:00:00Z, not '%s'",
				since);
		json_set_int(params, r == WHEN_IS_TIME ? "sinceAtUsec" : "since", n);
	}
	s.follow = json_get_bool(params, "follow", false);
	status = cli_connect(cli, false);
	if (status != EXIT_STATUS_DONE)
		return status;
	if (s.follow)
		slot_client_set_timeout(cli->client, UINT64_MAX); /* silence is no failure */
	if (cli->json && !s.follow)
		s.all = json_set(json_object_new_object(), "events", json_object_new_array());
	r = read_stream(&s, params);
	if (r < 0)
		status = cli_fail_call(cli, r);
	else if (s.all)
		cli_print_json(cli, s.all);
	else if (s.last < 0 && !cli->quiet)
		puts("no events");
	json_object_put(s.all);
	return status;
}
