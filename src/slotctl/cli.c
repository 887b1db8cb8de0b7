/* Connect, call, and tell people what came of it. */
#include "slotctl/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "slotctl/daemon.h"
#include "slotctl/out.h"
#include "slotd/slot.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/parse.h"
#include "util/text.h"

#define PATIENCE_USEC (3 * USEC_PER_SEC) /* with a slotd that does not listen */

void cli_deinit(struct cli *cli)
{
	slot_client_unref(cli->client);
	json_object_put(cli->fields);
	json_object_put(cli->own);
	free(cli->words);
	free(cli->socket);
	*cli = (struct cli){ 0 };
}

json_object *cli_take_fields(struct cli *cli)
{
	json_object *fields = TAKE(cli->fields);

	return fields ? fields : json_object_new_object();
}

__attribute__((format(printf, 1, 0))) static void print_line(const char *fmt, va_list ap)
{
	_cleanup_(freep) char *s = NULL;
	_cleanup_(freep) char *clean = NULL;

	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	clean = out_clean(s ? s : fmt);
	fprintf(stderr, "slotctl: %s\n", clean);
}

void cli_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line(fmt, ap);
	va_end(ap);
}

void cli_note(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	if (cli->quiet)
		return;
	va_start(ap, fmt);
	print_line(fmt, ap);
	va_end(ap);
}

bool cli_print_json(const struct cli *cli, json_object *reply)
{
	if (!cli->json)
		return false;
	puts(json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN |
							   JSON_C_TO_STRING_NOSLASHESCAPE));
	return true;
}

/* the one place where a failure is told; @parameters is taken over */
static void tell(const struct cli *cli, const char *error, const char *message,
		 json_object *parameters)
{
	_cleanup_(freep) char *clean = out_clean(message);
	_cleanup_json_ json_object *doc = json_object_new_object();

	json_set_string(doc, "error", error);
	json_set_string(doc, "message", message);
	json_set(doc, "parameters", parameters ? parameters : json_object_new_object());
	cli_print_json(cli, doc);
	fflush(stdout);
	fprintf(stderr, "slotctl: %s\n", clean);
}

static const char *own_error(enum exit_status status)
{
	if (status == EXIT_STATUS_USAGE)
		return "io.slotd.slotctl.Usage";
	if (status == EXIT_STATUS_UNREACHABLE)
		return "io.slotd.slotctl.Unreachable";
	if (status == EXIT_STATUS_ABSENT)
		return "io.slotd.slotctl.NotFound";
	return "io.slotd.slotctl.Failed";
}

enum exit_status cli_fail(struct cli *cli, enum exit_status status, const char *fmt, ...)
{
	_cleanup_(freep) char *message = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&message, fmt, ap) < 0)
		message = NULL;
	va_end(ap);
	tell(cli, own_error(status), message ? message : "out of memory", NULL);
	return status;
}

/* why none of them could be had */
static void tell_slots(json_object *slots)
{
	for (size_t i = 0; slots && i < json_object_array_length(slots); i++) {
		json_object *s = json_object_array_get_idx(slots, i);

		const char *reason = json_get_string(s, "reason");

		if (strcmp(out_field(s, "state"), "ready") != 0) /* that is not what it lacks */
			cli_warn("  %s is %s%s%s", out_field(s, "slot"), out_field(s, "state"),
				 reason ? ": " : "", reason ? reason : "");
	}
}

/* what a person can do about an answer */
static void tell_remedy(const struct cli *cli, const char *error, json_object *parameters)
{
	static const struct {
		const char *error, *remedy;
	} remedies[] = {
		{ "io.slotd.pool.BranchInUse", "choose another --branch, or leave that one there" },
	};
	int64_t retry_usec = json_get_int(parameters, "retryAfterUsec", -1);
	const char *next = json_get_string(parameters, "next");
	char text[DURATION_TEXT_SIZE];

	if (cli->json || cli->quiet || cli->terse)
		return;
	tell_slots(json_get_array(parameters, "slots"));
	if (next && !strstr(json_get_string(parameters, "message"), next))
		cli_warn("next: %s", next);
	if (strcmp(error, "io.slotd.pool.NotPermitted") == 0 &&
	    strcmp(cli->command->name, "release") == 0)
		fprintf(stderr,
			"slotctl: from another shell: slotctl release --agent NAME, as given to "
			"acquire; or with SLOT_LEASE set, as acquire --env prints it\n");
	for (size_t i = 0; i < ARRAY_SIZE(remedies); i++)
		if (strcmp(remedies[i].error, error) == 0)
			fprintf(stderr, "slotctl: %s\n", remedies[i].remedy);
	if (retry_usec > 0)
		fprintf(stderr, "slotctl: try again in %s\n",
			format_age((uint64_t)retry_usec, text));
}

/* what can be wrong with a value that was fine for slotctl */
static const char *objection(const char *parameter)
{
	static const struct {
		const char *parameter, *why;
	} reasons[] = {
		{ "ref", "it is too long" },
		{ "branch", "it is too long, or git allows no such name" },
		{ "agent", "it is too long" },
		{ "task", "it is too long" },
		{ "key", "it is too long" },
		{ "message", "it may have 255 bytes, and nothing was done" },
		{ "resume", "it is too long" },
		{ "bind", "it is one of ttl, process, process:PID and manual, or several joined by +" },
		{ "estimateUsec", "--estimate wants more than 0" },
		{ "labels", "a label has no comma, and all together are 127 bytes at most" },
		{ "meta", "all of it together is too long" },
		{ "ttlUsec", "--ttl wants more than 0" },
	};

	for (size_t i = 0; parameter && i < ARRAY_SIZE(reasons); i++)
		if (strcmp(reasons[i].parameter, parameter) == 0)
			return reasons[i].why;
	return "perhaps it is of another version; 'slotctl version' shows that";
}

/* Varlink's own errors carry no sentence: theirs is made here; NULL for all others */
static char *explain(const char *error, json_object *parameters)
{
	const char *parameter = json_get_string(parameters, "parameter");

	if (text_is_equal(error, "org.varlink.service.InvalidParameter"))
		return text_printf("slotd does not accept this value of %s: %s",
				   parameter ? parameter : "a parameter", objection(parameter));
	if (text_is_equal(error, "org.varlink.service.MethodNotFound"))
		return text_printf(
			"this slotd cannot do that; 'slotctl version' shows how old it is");
	return NULL;
}

enum exit_status cli_fail_call(struct cli *cli, int code)
{
	return cli_fail_call_as(cli, code, NULL);
}

enum exit_status cli_fail_call_as(struct cli *cli, int code, const char *sentence)
{
	const char *error = slot_client_error_name(cli->client);
	const char *message = slot_client_error_message(cli->client);
	const char *text = slot_client_error_parameters_json(cli->client);
	_cleanup_json_ json_object *parameters = text ? json_tokener_parse(text) : NULL;
	_cleanup_(freep) char *explained = explain(error, parameters);
	enum exit_status status = exit_status_of(error, code);

	if (sentence || explained)
		message = sentence ? sentence : explained;
	tell(cli, error ? error : own_error(status), *message ? message : strerror(-code),
	     json_object_get(parameters));
	if (error)
		tell_remedy(cli, error, parameters);
	return status;
}

enum exit_status cli_try_call(struct cli *cli, const char *method, json_object *params,
			      json_object **ret, int *ret_code)
{
	_cleanup_json_ json_object *taken = params;
	_cleanup_(freep) char *reply = NULL;
	int r;

	r = slot_call(cli->client, method, taken ? json_object_to_json_string(taken) : NULL,
		      &reply);
	*ret_code = r;
	if (r < 0)
		return exit_status_of(slot_client_error_name(cli->client), r);
	if (ret) {
		*ret = json_tokener_parse(reply);
		if (!*ret) {
			*ret_code = -EPROTO;
			return EXIT_STATUS_FAILED;
		}
	}
	return EXIT_STATUS_DONE;
}

enum exit_status cli_call(struct cli *cli, const char *method, json_object *params,
			  json_object **ret)
{
	int code;
	enum exit_status status = cli_try_call(cli, method, params, ret, &code);

	return status == EXIT_STATUS_DONE ? status : cli_fail_call(cli, code);
}

/* a list may come in parts; they are joined in the first one */
struct joining {
	const char *key;
	json_object *joined;
};

static int on_part(struct slot_client *client, int r, const char *reply_json, bool continues,
		   void *userdata)
{
	struct joining *j = userdata;
	_cleanup_json_ json_object *part = json_tokener_parse(reply_json);
	json_object *list = json_get_array(part, j->key), *into = json_get_array(j->joined, j->key);

	if (!part)
		return -EPROTO;
	if (!j->joined) {
		j->joined = TAKE(part);
		return 0;
	}
	for (size_t i = 0; list && into && i < json_object_array_length(list); i++)
		json_object_array_add(into, json_object_get(json_object_array_get_idx(list, i)));
	return 0;
}

enum exit_status cli_call_list(struct cli *cli, const char *method, json_object *params,
			       const char *key, json_object **ret)
{
	_cleanup_json_ json_object *taken = params;
	struct joining j = { .key = key };
	int r;

	r = slot_call_more(cli->client, method, taken ? json_object_to_json_string(taken) : NULL,
			   on_part, &j);
	if (r == 0 && !json_get_array(j.joined, key))
		r = -EPROTO;
	if (r < 0) {
		json_object_put(j.joined);
		return cli_fail_call(cli, r);
	}
	*ret = j.joined;
	return EXIT_STATUS_DONE;
}

enum exit_status cli_call_pool_list(struct cli *cli, const char *method, const char *key,
				    json_object **ret)
{
	json_object *params = cli_take_fields(cli);
	enum exit_status status = cli_connect(cli, false);

	if (status != EXIT_STATUS_DONE) {
		json_object_put(params);
		return status;
	}
	if (cli_word(cli, 0))
		json_set_string(params, "pool", cli_word(cli, 0));
	return cli_call_list(cli, method, params, key, ret);
}

/* one daemon may serve clients of several versions; who wonders is told */
static void compare_versions(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	const char *version;
	int code;

	if (cli->quiet || cli_try_call(cli, "Ping", NULL, &reply, &code) != EXIT_STATUS_DONE)
		return;
	version = json_get_string(reply, "version");
	if (version && strcmp(version, SLOTD_VERSION) != 0)
		cli_note(cli, "slotd is version %s, slotctl %s; restart slotd after an upgrade",
			 version, SLOTD_VERSION);
}

static enum exit_status fail_connect(struct cli *cli, int code)
{
	const char *message = slot_client_error_message(cli->client);
	const char *remedy = cli->scope == DAEMON_USER ? "; start it with 'slotctl daemon start'"
			     : cli->scope == DAEMON_SYSTEM ? "; start it with " SYSTEM_START
							   : "";

	if (code == -ENOENT || code == -ECONNREFUSED)
		return cli_fail(cli, EXIT_STATUS_UNREACHABLE, "slotd does not run: %s at %s%s",
				code == -ENOENT ? "there is no socket" : "nobody listens",
				cli->socket, remedy);
	return cli_fail(cli, exit_status_of(NULL, code), "%s",
			*message ? message : strerror(-code));
}

/* what an agent says of its lease must not be lost because slotd is just being started again */
static bool is_about_lease(const struct cli *cli)
{
	static const char *const names[] = { "release", "renew", "touch", "finish" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(cli->command->name, names[i]) == 0)
			return true;
	return false;
}

static int connect_patiently(struct cli *cli)
{
	uint64_t until = clock_boot_usec() + (is_about_lease(cli) ? PATIENCE_USEC : 0);
	int r;

	if (cli->timeout_usec > 0 && until > clock_boot_usec() + cli->timeout_usec)
		until = clock_boot_usec() + cli->timeout_usec;
	while ((r = slot_client_connect(cli->client)) == -ENOENT || r == -ECONNREFUSED) {
		if (clock_boot_usec() >= until)
			break;
		usleep(100000);
	}
	return r;
}

enum exit_status cli_connect(struct cli *cli, bool may_start)
{
	struct fault f = FAULT_NONE;
	int r;

	r = daemon_choose(cli, &f);
	if (r < 0)
		return cli_fail(cli, EXIT_STATUS_UNREACHABLE, "%s", f.text);
	r = slot_client_new(cli->socket, &cli->client);
	if (r < 0)
		return cli_fail(cli, EXIT_STATUS_UNREACHABLE, "slotd cannot be reached at %s: %s",
				cli->socket, strerror(-r));
	if (cli->timeout_usec > 0)
		slot_client_set_timeout(cli->client, cli->timeout_usec);
	r = connect_patiently(cli);
	if ((r == -ENOENT || r == -ECONNREFUSED) && may_start && cli->scope == DAEMON_USER &&
	    !cli_flag(cli, "no-start")) {
		r = daemon_start(cli, &f);
		if (r < 0)
			return cli_fail(cli, EXIT_STATUS_UNREACHABLE, "%s", f.text);
	}
	if (r < 0)
		return fail_connect(cli, r);
	compare_versions(cli);
	return EXIT_STATUS_DONE;
}
