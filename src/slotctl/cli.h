/**
 * DOC: cli - one run of slotctl
 *
 * Calling sequence
 * ----------------
 * 1. cli_parse()
 * 2. the command's function, which mostly is cli_connect(), cli_call(), print
 * 3. cli_deinit()
 *
 * Errors
 * ------
 * Whatever fails is told to the person where it fails, by cli_fail() and its
 * relatives, and travels up as the exit status; 0 is success.
 */
#ifndef SLOTCTL_CLI_H
#define SLOTCTL_CLI_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slotctl/command.h"
#include "slotctl/exit.h"
#include "util/fault.h"

struct slot_client;

enum daemon_scope {
	DAEMON_EXPLICIT, /* a socket was named: never started */
	DAEMON_SYSTEM,
	DAEMON_USER,
};

struct cli {
	const struct command *command; /* NULL: none was named */
	const char *family;	       /* the first of two words, when the second is missing */
	json_object *fields;	       /* of the call */
	json_object *own;	       /* options that slotctl itself obeys, by name */
	const char **words;	       /* operands; borrowed from argv */
	size_t n_words;
	char **rest; /* behind "--", for a command that takes it; NULL-terminated */
	size_t n_rest;
	bool has_rest;

	bool json, quiet, verbose, want_help, want_version;
	bool terse; /* a failure is one sentence, without what a person could type next */
	uint64_t timeout_usec; /* 0: not given */

	enum daemon_scope scope;
	char *socket;
	struct slot_client *client;
};

/**
 * cli_parse - read the command line
 *
 * 0, or -EINVAL with a sentence; then only @cli->json and what came before is set.
 */
int cli_parse(struct cli *cli, int argc, char **argv, struct fault *f);
void cli_deinit(struct cli *cli);

/* options of slotctl's own, by name */
bool cli_flag(const struct cli *cli, const char *name);
const char *cli_string(const struct cli *cli, const char *name);
int64_t cli_int(const struct cli *cli, const char *name, int64_t fallback);

/* the i-th operand; NULL when it was left out */
const char *cli_word(const struct cli *cli, size_t i);

/* takes the fields of the call; the caller puts them or hands them on */
json_object *cli_take_fields(struct cli *cli);

/**
 * cli_connect - find the daemon and connect
 * @may_start: this command may start the user's daemon (--no-start forbids it)
 */
enum exit_status cli_connect(struct cli *cli, bool may_start);

/**
 * cli_call - call a method of io.slotd.pool
 * @params: taken over; NULL: none
 * @ret: the reply, which the caller puts; NULL: not wanted
 */
enum exit_status cli_call(struct cli *cli, const char *method, json_object *params,
			  json_object **ret);

/* the same without a report of a failure; *ret_code is its negative errno */
enum exit_status cli_try_call(struct cli *cli, const char *method, json_object *params,
			      json_object **ret, int *ret_code);

/**
 * cli_call_list - call a method that answers with a list, in one reply or in many
 * @key: of the list in each reply
 * @ret: the first reply with all parts of the list, which the caller puts
 */
enum exit_status cli_call_list(struct cli *cli, const char *method, json_object *params,
			       const char *key, json_object **ret);

/* connects, and calls with the fields and the pool that were given on the command line, if any */
enum exit_status cli_call_pool_list(struct cli *cli, const char *method, const char *key,
				    json_object **ret);

/* reports the failure of the last call on the client, and returns its exit status */
enum exit_status cli_fail_call(struct cli *cli, int code);

/* the same in other words; NULL: in the daemon's */
enum exit_status cli_fail_call_as(struct cli *cli, int code, const char *sentence);

/* reports a failure of slotctl's own; returns the status */
__attribute__((format(printf, 3, 4))) enum exit_status
cli_fail(struct cli *cli, enum exit_status status, const char *fmt, ...);

/* one line on standard error: something went wrong that ends nothing */
__attribute__((format(printf, 1, 2))) void cli_warn(const char *fmt, ...);

/* the same, good to know: not with --quiet */
__attribute__((format(printf, 2, 3))) void cli_note(const struct cli *cli, const char *fmt, ...);

/* prints the reply as it is when --json was given; else returns false */
bool cli_print_json(const struct cli *cli, json_object *reply);

/* what each command does: cmd_*.c */
enum exit_status cmd_acquire(struct cli *cli);
enum exit_status cmd_release(struct cli *cli);
enum exit_status cmd_renew(struct cli *cli);
enum exit_status cmd_touch(struct cli *cli);
enum exit_status cmd_finish(struct cli *cli);
enum exit_status cmd_run(struct cli *cli);
enum exit_status cmd_hook_create(struct cli *cli);
enum exit_status cmd_hook_remove(struct cli *cli);
enum exit_status cmd_status(struct cli *cli);
enum exit_status cmd_slots(struct cli *cli);
enum exit_status cmd_leases(struct cli *cli);
enum exit_status cmd_explain(struct cli *cli);
enum exit_status cmd_handoff(struct cli *cli);
enum exit_status cmd_queue(struct cli *cli);
enum exit_status cmd_pool_list(struct cli *cli);
enum exit_status cmd_pool_show(struct cli *cli);
enum exit_status cmd_pool_add(struct cli *cli);
enum exit_status cmd_pool_remove(struct cli *cli);
enum exit_status cmd_pool_resize(struct cli *cli);
enum exit_status cmd_pool_pause(struct cli *cli);
enum exit_status cmd_pool_resume(struct cli *cli);
enum exit_status cmd_pool_drain(struct cli *cli);
enum exit_status cmd_pool_fetch(struct cli *cli);
enum exit_status cmd_salvage_list(struct cli *cli);
enum exit_status cmd_salvage_show(struct cli *cli);
enum exit_status cmd_salvage_restore(struct cli *cli);
enum exit_status cmd_salvage_drop(struct cli *cli);
enum exit_status cmd_check(struct cli *cli);
enum exit_status cmd_slot_add(struct cli *cli);
enum exit_status cmd_slot_remove(struct cli *cli);
enum exit_status cmd_slot_warm(struct cli *cli);
enum exit_status cmd_ping(struct cli *cli);
enum exit_status cmd_ping_health(struct cli *cli);
enum exit_status cmd_ping_cleanup(struct cli *cli);
enum exit_status cmd_ping_reset(struct cli *cli);
enum exit_status cmd_stats(struct cli *cli);
enum exit_status cmd_events(struct cli *cli);
enum exit_status cmd_config_check(struct cli *cli);
enum exit_status cmd_config_show(struct cli *cli);
enum exit_status cmd_daemon_start(struct cli *cli);
enum exit_status cmd_daemon_stop(struct cli *cli);
enum exit_status cmd_daemon_status(struct cli *cli);
enum exit_status cmd_daemon_log(struct cli *cli);
enum exit_status cmd_help(struct cli *cli);
enum exit_status cmd_version(struct cli *cli);

#endif
