/* slotctl slots, leases, queue: one row for each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slotctl/cli.h"
#include "slotctl/out.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

static void add_time(struct table *t, char *text)
{
	table_add(t, text);
	free(text);
}

static void add_commit(struct table *t, const char *head)
{
	char commit[13];

	snprintf(commit, sizeof(commit), "%.12s", head ? head : "");
	table_add(t, commit);
}

static void add_slot(struct table *t, json_object *s)
{
	const char *state = json_get_string(s, "state");
	const char *branch = json_get_string(s, "branch");

	table_add(t, json_get_string(s, "slot"));
	table_add_colored(t, state, out_state_color(state));
	add_time(t, out_ago(json_get_int(s, "sinceAtUsec", -1)));
	table_add(t, json_get_string(s, "agent"));
	table_add(t, json_get_string(s, "task"));
	if (branch)
		table_add(t, branch);
	else
		add_commit(t, json_get_string(s, "head"));
	table_add(t, json_get_string(s, "path"));
}

/* the reason of each slot that has one, and what a person can do about it */
static void print_reason(json_object *s)
{
	const char *state = json_get_string(s, "state"), *reason = json_get_string(s, "reason");
	const char *slot = out_field(s, "slot");
	bool isolated = text_is_equal(state, "isolated");

	if (!reason && !isolated)
		return;
	out_line(stdout, isolated ? OUT_RED : OUT_PLAIN, "%s: %s", slot,
		 reason ? reason : "no reason recorded");
	if (isolated)
		out_line(stdout, OUT_PLAIN,
			 "  look into its path, take what you need, then: "
			 "slotctl slot remove %s --discard",
			 slot);
}

static bool is_state(const char *state)
{
	static const char *const states[] = { "creating", "ready",	"preparing", "leased",
					      "cleaning", "recovering", "isolated",  "removing" };

	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (strcmp(states[i], state) == 0)
			return true;
	return false;
}

enum exit_status cmd_slots(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	_cleanup_(table_deinit) struct table t = { 0 };
	bool filtered = json_object_object_length(cli->fields) > 0 || cli_word(cli, 0);
	const char *state = json_get_string(cli->fields, "state");
	enum exit_status status;
	json_object *slots;
	size_t n;

	if (state && !is_state(state))
		return cli_fail(cli, EXIT_STATUS_USAGE,
				"there is no state '%s'; see 'slotctl help slots'", state);
	status = cli_call_pool_list(cli, "Slots", "slots", &reply);
	if (status != EXIT_STATUS_DONE || cli_print_json(cli, reply))
		return status;
	slots = json_get_array(reply, "slots");
	n = json_object_array_length(slots);
	table_init(&t, "SLOT STATE SINCE AGENT TASK AT PATH");
	for (size_t i = 0; i < n; i++)
		add_slot(&t, json_object_array_get_idx(slots, i));
	table_print(&t, stdout);
	for (size_t i = 0; i < n; i++)
		print_reason(json_object_array_get_idx(slots, i));
	if (n == 0)
		puts(filtered ? "no such slots" : "no slots; 'slotctl status' shows the pools");
	return EXIT_STATUS_DONE;
}

static void add_lease(struct table *t, json_object *l)
{
	const char *status = json_get_string(l, "status");
	int64_t progress = json_get_int(l, "progress", -1);
	int64_t expires_at = json_get_int(l, "expiresAtUsec", -1);
	char percent[24] = "";

	if (progress >= 0)
		snprintf(percent, sizeof(percent), "%lld%%", (long long)progress);
	table_add(t, json_get_string(l, "slot"));
	table_add(t, json_get_string(l, "agent"));
	table_add(t, json_get_string(l, "task"));
	table_add_colored(t, status, out_state_color(status));
	add_time(t, out_ago(json_get_int(l, "acquiredAtUsec", -1)));
	add_time(t, expires_at < 0 ? strdup("never") : out_until(expires_at));
	table_add_int(t, json_get_int(l, "renewals", 0));
	table_add(t, percent);
	table_add(t, json_get_string(l, "lease"));
	table_add(t, json_get_string(l, "message"));
}

enum exit_status cmd_leases(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	_cleanup_(table_deinit) struct table t = { 0 };
	enum exit_status status = cli_call_pool_list(cli, "Leases", "leases", &reply);
	json_object *leases, *stats;

	if (status != EXIT_STATUS_DONE || cli_print_json(cli, reply))
		return status;
	leases = json_get_array(reply, "leases");
	stats = json_get_object(reply, "stats");
	table_init(&t, "SLOT AGENT TASK STATUS ACQUIRED ENDS >RENEWALS >DONE LEASE MESSAGE");
	for (size_t i = 0; i < json_object_array_length(leases); i++)
		add_lease(&t, json_object_array_get_idx(leases, i));
	table_print(&t, stdout);
	if (json_object_array_length(leases) == 0)
		puts("no leases; 'slotctl acquire' or 'slotctl run' takes one");
	if (json_get_int(stats, "expiringSoon", 0) > 0)
		out_line(stdout, OUT_YELLOW,
			 "%lld will end soon unless renewed: slotctl renew LEASE",
			 (long long)json_get_int(stats, "expiringSoon", 0));
	return EXIT_STATUS_DONE;
}

static void add_waiter(struct table *t, json_object *w)
{
	table_add_int(t, json_get_int(w, "position", 0));
	table_add(t, json_get_string(w, "pool"));
	table_add(t, json_get_string(w, "agent"));
	table_add(t, json_get_string(w, "task"));
	table_add_int(t, json_get_int(w, "priority", 0));
	add_time(t, out_ago(json_get_int(w, "sinceAtUsec", -1)));
	add_time(t, out_until(json_get_int(w, "deadlineAtUsec", -1)));
	table_add(t, json_get_string(w, "reason"));
}

/* pool by pool, who is next first */
static int compare_waiters(const void *a, const void *b)
{
	json_object *x = *(json_object *const *)a, *y = *(json_object *const *)b;
	const char *pool = json_get_string(x, "pool"), *other = json_get_string(y, "pool");
	int64_t i = json_get_int(x, "position", 0), k = json_get_int(y, "position", 0);
	int order = strcmp(pool ? pool : "", other ? other : "");

	return order ? order : (i > k) - (i < k);
}

enum exit_status cmd_queue(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	_cleanup_(table_deinit) struct table t = { 0 };
	enum exit_status status = cli_call_pool_list(cli, "Queue", "queue", &reply);
	json_object *queue;

	if (status != EXIT_STATUS_DONE || cli_print_json(cli, reply))
		return status;
	queue = json_get_array(reply, "queue");
	json_object_array_sort(queue, compare_waiters);
	table_init(&t, ">NEXT POOL AGENT TASK >PRIORITY SINCE GIVES_UP REASON");
	for (size_t i = 0; i < json_object_array_length(queue); i++)
		add_waiter(&t, json_object_array_get_idx(queue, i));
	table_print(&t, stdout);
	if (json_object_array_length(queue) == 0)
		puts("nobody waits");
	else
		puts("a slot comes free when a lease ends (slotctl leases), or with a greater "
		     "maximum (slotctl pool resize)");
	return EXIT_STATUS_DONE;
}
