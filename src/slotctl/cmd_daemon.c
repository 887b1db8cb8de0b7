/* slotctl daemon: the user's own slotd, up and down. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "slotctl/cli.h"
#include "slotctl/daemon.h"
#include "slotctl/out.h"
#include "slotd/slot.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/parse.h"

#define STOP_USEC (40 * USEC_PER_SEC)
#define LOG_LINES 20
#define LOG_MAX	  100000

/* the user's daemon, unless another one was named */
static enum exit_status prepare(struct cli *cli)
{
	struct fault f = FAULT_NONE;
	int r;

	if (!cli_string(cli, "socket") && !cli_flag(cli, "system"))
		json_set_bool(cli->own, "user", true);
	r = daemon_choose(cli, &f);
	if (r == 0) {
		r = slot_client_new(cli->socket, &cli->client);
		if (r < 0)
			fault_errno(&f, r, "cannot use the socket %s", cli->socket);
	}
	return r < 0 ? cli_fail(cli, EXIT_STATUS_UNREACHABLE, "%s", f.text) : EXIT_STATUS_DONE;
}

/* reports, in both forms, what Ping says or that nobody answers */
static void print_state(struct cli *cli, json_object *ping)
{
	_cleanup_(daemon_paths_deinit) struct daemon_paths paths = { 0 };
	_cleanup_json_ json_object *doc = json_object_new_object();
	bool known = cli->scope == DAEMON_USER && daemon_find_paths(&paths, NULL) == 0;
	int64_t up = json_get_int(ping, "uptimeUsec", 0);
	char age[DURATION_TEXT_SIZE];

	json_set_bool(doc, "running", ping != NULL);
	json_set_string(doc, "socket", cli->socket);
	json_set_string(doc, "log", known ? paths.log : NULL);
	json_set_string(doc, "version", json_get_string(ping, "version"));
	json_set(doc, "pid", ping ? json_object_new_int64(json_get_int(ping, "pid", 0)) : NULL);
	json_set(doc, "uptimeUsec", ping ? json_object_new_int64(up) : NULL);
	if (cli_print_json(cli, doc))
		return;
	if (ping)
		out_line(stdout, OUT_PLAIN, "slotd %s runs, pid %lld, for %s",
			 out_field(ping, "version"), (long long)json_get_int(ping, "pid", 0),
			 format_age((uint64_t)up, age));
	else
		printf("slotd does not run; slotctl daemon start\n");
	printf("socket  %s\n", cli->socket);
	if (known)
		printf("log     %s\n", access(paths.log, F_OK) == 0 || !ping
					       ? paths.log
					       : "journalctl --user -u slotd");
}

static enum exit_status ping(struct cli *cli, json_object **ret)
{
	int code;

	if (slot_client_connect(cli->client) < 0)
		return EXIT_STATUS_UNREACHABLE;
	return cli_try_call(cli, "Ping", NULL, ret, &code);
}

enum exit_status cmd_daemon_status(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status = prepare(cli);

	if (status != EXIT_STATUS_DONE)
		return status;
	status = ping(cli, &reply);
	print_state(cli, reply);
	return status;
}

enum exit_status cmd_daemon_start(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	struct fault f = FAULT_NONE;
	enum exit_status status = prepare(cli);

	if (status != EXIT_STATUS_DONE)
		return status;
	if (cli->scope != DAEMON_USER)
		return cli_fail(cli, EXIT_STATUS_USAGE,
				"only your own daemon can be started by slotctl; the system's is "
				"started by " SYSTEM_START);
	if (slot_client_connect(cli->client) < 0 && daemon_start(cli, &f) < 0)
		return cli_fail(cli, EXIT_STATUS_UNREACHABLE, "%s", f.text);
	status = ping(cli, &reply);
	if (!cli->quiet || cli->json)
		print_state(cli, reply);
	return status;
}

/* by its unit, or it would be started again; else by the signal that means it */
static int ask_to_stop(struct cli *cli, pid_t pid)
{
	static const char *const active[] = { "is-active", "slotd.socket", NULL };
	static const char *const stop[] = { "stop", "slotd.socket", "slotd.service", NULL };

	if (cli->scope == DAEMON_USER && daemon_systemctl(active) == 0 &&
	    daemon_systemctl(stop) == 0)
		return 0;
	return kill(pid, SIGTERM) < 0 && errno != ESRCH ? -errno : 0;
}

static enum exit_status await_end(struct cli *cli, pid_t pid, int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int n;

	do
		n = poll(&p, 1, (int)(STOP_USEC / USEC_PER_MSEC));
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return cli_fail(
			cli, EXIT_STATUS_FAILED,
			"slotd (pid %d) has not ended within 40 s; see 'slotctl daemon log'",
			(int)pid);
	cli_note(cli, "slotd has ended; leases live on");
	return EXIT_STATUS_DONE;
}

enum exit_status cmd_daemon_stop(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	_cleanup_json_ json_object *doc = json_object_new_object();
	_cleanup_(closep) int pidfd = -1;
	enum exit_status status = prepare(cli);
	pid_t pid;
	int r;

	if (status != EXIT_STATUS_DONE)
		return status;
	json_set_bool(doc, "running", false);
	if (ping(cli, &reply) != EXIT_STATUS_DONE) {
		cli_note(cli, "slotd does not run");
		cli_print_json(cli, doc);
		return EXIT_STATUS_DONE;
	}
	pid = (pid_t)json_get_int(reply, "pid", 0);
	pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	if (pidfd < 0)
		return cli_fail(cli, EXIT_STATUS_FAILED, "cannot watch slotd (pid %d): %m",
				(int)pid);
	r = ask_to_stop(cli, pid);
	if (r < 0)
		return cli_fail(cli, r == -EPERM ? EXIT_STATUS_DENIED : EXIT_STATUS_FAILED,
				"cannot stop slotd (pid %d): %s", (int)pid, strerror(-r));
	status = await_end(cli, pid, pidfd);
	if (status == EXIT_STATUS_DONE)
		cli_print_json(cli, doc);
	return status;
}

/* a line an entry */
static json_object *split_lines(const char *lines)
{
	json_object *list = json_object_new_array();

	while (*lines) {
		size_t len = strcspn(lines, "\n");

		json_object_array_add(list, json_object_new_string_len(lines, (int)len));
		lines += len + (lines[len] == '\n');
	}
	return list;
}

enum exit_status cmd_daemon_log(struct cli *cli)
{
	_cleanup_(daemon_paths_deinit) struct daemon_paths paths = { 0 };
	_cleanup_json_ json_object *doc = json_object_new_object();
	_cleanup_(freep) char *lines = NULL;
	struct fault f = FAULT_NONE;
	int64_t n = cli_int(cli, "lines", LOG_LINES);

	if (n > LOG_MAX)
		return cli_fail(cli, EXIT_STATUS_USAGE, "--lines wants a number from 0 to %d",
				LOG_MAX);
	if (daemon_find_paths(&paths, &f) < 0)
		return cli_fail(cli, EXIT_STATUS_FAILED, "%s", f.text);
	if (access(paths.log, R_OK) < 0)
		return cli_fail(cli, EXIT_STATUS_FAILED,
				"%s: %m; where systemd runs it: journalctl --user -u slotd",
				paths.log);
	lines = daemon_read_log(paths.log, 0, (size_t)n);
	if (!lines)
		return cli_fail(cli, EXIT_STATUS_FAILED, "cannot read %s: %m", paths.log);
	json_set(doc, "lines", split_lines(lines));
	if (!cli_print_json(cli, doc))
		fputs(lines, stdout);
	return EXIT_STATUS_DONE;
}
