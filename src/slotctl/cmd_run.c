/* slotctl run: a command in a slot, and the lease alive as long as it runs. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "slotctl/child.h"
#include "slotctl/cli.h"
#include "slotctl/interrupt.h"
#include "slotctl/out.h"
#include "slotctl/release.h"
#include "slotctl/request.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/json.h"

#define KILL_USEC  (10 * USEC_PER_SEC) /* between TERM and KILL when the lease is lost */
#define RETRY_USEC (5 * USEC_PER_SEC)  /* between failed renewals, besides libslot's own retries */
#define ASK_USEC   (10 * USEC_PER_SEC) /* whether a lease that has no time limit is still there */
#define TIDY_USEC  (2 * USEC_PER_SEC)  /* for a renewal that is under way when the command ends */

struct run {
	struct cli *cli;
	struct slot_lease *lease;
	struct child child;
	uint64_t renew_at_usec; /* of CLOCK_BOOTTIME; UINT64_MAX: never */
	uint64_t kill_at_usec;	/* likewise */
	bool lost;
	bool warned; /* that slotd does not answer */
};

/*
 * A lease is trusted for two thirds of its time: call at one third. One without a time is asked about
 * now and then, for an operator may have taken it. That slotctl lives is a sign of life and no progress:
 * reports are the command's own.
 */
static void plan_renewal(struct run *run)
{
	uint64_t now = clock_boot_usec(), until = slot_lease_valid_until_usec(run->lease);

	run->renew_at_usec = until == UINT64_MAX ? now + ASK_USEC
			     : until > now	 ? now + (until - now) / 2
						 : now + RETRY_USEC;
}

static void on_lost(struct run *run)
{
	cli_warn("the lease on %s is gone: ending the command", slot_lease_slot(run->lease));
	run->lost = true;
	run->renew_at_usec = UINT64_MAX;
	run->kill_at_usec = clock_boot_usec() + KILL_USEC;
	child_signal(&run->child, SIGTERM);
}

static void on_renewed(struct slot_client *client, int r, void *userdata)
{
	struct run *run = userdata;

	if (r == 0) {
		if (run->warned)
			cli_note(run->cli, "slotd answers again");
		run->warned = false;
		plan_renewal(run);
		return;
	}
	if (r == -ESTALE) {
		on_lost(run);
		return;
	}
	if (!run->warned)
		cli_warn("the lease could not be renewed, trying on: %s",
			 slot_client_error_message(client));
	run->warned = true;
	run->renew_at_usec = clock_boot_usec() + RETRY_USEC;
}

/* what is due now; then when the next thing is due */
static uint64_t act(struct run *run)
{
	struct slot_client *client = run->cli->client;
	uint64_t now = clock_boot_usec(), next = UINT64_MAX, wait;

	if (now >= run->kill_at_usec) {
		child_signal(&run->child, SIGKILL);
		run->kill_at_usec = UINT64_MAX;
	}
	if (now >= run->renew_at_usec && !slot_client_is_busy(client)) {
		run->renew_at_usec = UINT64_MAX; /* until the answer */
		if (slot_touch_async(client, run->lease, on_renewed, run) < 0)
			run->renew_at_usec = now + RETRY_USEC;
	}
	wait = slot_client_timeout_usec(client);
	next = wait < UINT64_MAX - now ? now + wait : UINT64_MAX;
	if (run->renew_at_usec < next)
		next = run->renew_at_usec;
	if (run->kill_at_usec < next)
		next = run->kill_at_usec;
	return next;
}

static int poll_timeout(uint64_t at_usec)
{
	uint64_t now = clock_boot_usec(), msec;

	if (at_usec == UINT64_MAX)
		return -1;
	msec = at_usec > now ? (at_usec - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC : 0;
	return msec > 60000 ? 60000 : (int)msec; /* poll's clock stands still during a suspend */
}

static void watch_over(struct run *run)
{
	struct slot_client *client = run->cli->client;

	while (!run->child.ended) {
		struct pollfd fds[] = {
			{ .fd = run->child.signal_fd, .events = POLLIN },
			{ .fd = slot_client_fd(client),
			  .events = (short)slot_client_events(client) },
		};

		poll(fds, ARRAY_SIZE(fds), poll_timeout(act(run)));
		child_process(&run->child);
		if (run->child.was_stopped && !run->lost)
			run->renew_at_usec = clock_boot_usec();
		run->child.was_stopped = false;
		if (slot_client_process(client) < 0)
			return;
	}
}

/* the command is done: no renewal may be under way when the slot is given back */
static void settle(struct slot_client *client)
{
	if (slot_wait(client, TIDY_USEC) == 0)
		return;
	slot_client_cancel(client);
	if (slot_wait(client, TIDY_USEC) < 0)
		return;
	slot_client_clear_cancel(client);
}

static void give_back(struct run *run)
{
	struct cli *cli = run->cli;
	_cleanup_json_ json_object *reply = NULL;
	json_object *params = json_object_new_object();
	int r;

	json_set_string(params, "lease", slot_lease_id(run->lease));
	json_set_bool(params, "discard", json_get_bool(cli->fields, "discard", false));
	interrupt_catch(cli->client);
	child_deinit(&run->child);
	r = release_call(cli, "Release", params, &reply);
	interrupt_restore();
	if (r == 0) {
		release_print(cli, reply, slot_lease_path(run->lease), stderr);
	} else if (r == -ESTALE) {
		cli_note(cli, "the lease on %s had ended before", slot_lease_slot(run->lease));
	} else if (r < 0) {
		cli_warn("%s could not be given back: %s", slot_lease_slot(run->lease),
			 slot_client_error_message(cli->client));
		cli_warn("try: slotctl release %s", slot_lease_id(run->lease));
	}
}

/* the command line, or a shell for a person at a terminal */
static char **find_command(struct cli *cli, char *shell[2])
{
	const char *preferred = getenv("SHELL");

	if (cli->n_rest > 0)
		return cli->rest;
	if (!isatty(STDIN_FILENO))
		return NULL;
	shell[0] = (char *)(preferred && *preferred ? preferred : "/bin/sh");
	shell[1] = NULL;
	return shell;
}

static int start(struct run *run, char **argv)
{
	struct request_variable v[REQUEST_VARIABLES];
	struct fault f = FAULT_NONE;
	int r;

	r = child_init(&run->child, &f);
	if (r == 0)
		r = request_get_variables(run->cli, run->lease, v);
	if (r == 0) {
		r = child_start(&run->child, argv, slot_lease_path(run->lease), v, &f);
		request_free_variables(v);
	}
	if (r < 0) {
		if (run->child.status == 0)
			run->child.status = EXIT_STATUS_FAILED;
		cli_fail(run->cli, (enum exit_status)run->child.status, "%s",
			 *f.text ? f.text : strerror(-r));
	}
	return r;
}

enum exit_status cmd_run(struct cli *cli)
{
	_cleanup_(slot_lease_freep) struct slot_lease *lease = NULL;
	struct run run = { .cli = cli, .kill_at_usec = UINT64_MAX, .child.signal_fd = -1 };
	char *shell[2], **argv = find_command(cli, shell);
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	enum exit_status status;

	if (!argv)
		return cli_fail(cli, EXIT_STATUS_USAGE,
				"what to run? put a command behind '--', or use a terminal");
	if (request_is_bound_to_connection(cli))
		return cli_fail(cli, EXIT_STATUS_USAGE,
				"slotctl run binds its lease to itself, which ends with it as a connection does");
	status = request_lease(cli, &lease);
	if (status != EXIT_STATUS_DONE)
		return status;
	run.lease = lease;
	if (argv == shell || cli->verbose)
		cli_note(cli, "in %s, at %s%s", slot_lease_slot(lease), slot_lease_path(lease),
			 argv == shell ? "; leave this shell to give it back" : "");
	plan_renewal(&run);
	if (start(&run, argv) == 0) {
		sigaction(SIGPIPE, &ignore,
			  NULL); /* a closed standard error must not leak the slot */
		watch_over(&run);
	}
	settle(cli->client);
	if (!run.lost)
		give_back(&run);
	child_deinit(&run.child);
	return run.lost ? EXIT_STATUS_GONE : (enum exit_status)run.child.status;
}
