/* What is typed, and what becomes of it. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

#include "slotctl/cli.h"
#include "util/cleanup.h"
#include "util/json.h"

static struct cli cli;
static struct fault f;

static int parse(const char *line)
{
	static char copy[512];
	static char *argv[32];
	char *save = NULL;
	int argc = 0;

	cli_deinit(&cli);
	f = (struct fault)FAULT_NONE;
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	argv[argc] = NULL;
	return cli_parse(&cli, argc, argv, &f);
}

static void forget(void)
{
	cli_deinit(&cli);
}

TestSuite(parse, .fini = forget);

#define PARSES(line) cr_assert(eq(int, parse(line), 0), "%s: %s", line, f.text)

#define EXPECT_FIELDS(expected)                                                                  \
	cr_expect(eq(str,                                                                        \
		     (char *)json_object_to_json_string_ext(cli.fields, JSON_C_TO_STRING_PLAIN), \
		     (char *)(expected)))

Test(parse, values_become_fields_of_the_call_with_their_units)
{
	static const struct {
		const char *line, *fields;
	} cases[] = {
		{ "slotctl acquire --wait 5m", "{\"waitUsec\":300000000}" },
		{ "slotctl acquire --wait=90", "{\"waitUsec\":90000000}" },
		{ "slotctl acquire --wait 1h30m --wait 1s", "{\"waitUsec\":1000000}" },
		{ "slotctl acquire --priority high", "{\"priority\":10}" },
		{ "slotctl acquire --priority -7", "{\"priority\":-7}" },
		{ "slotctl acquire --label a --label b", "{\"labels\":[\"a\",\"b\"]}" },
		{ "slotctl acquire --meta k=v=w --meta x=",
		  "{\"meta\":{\"k\":\"v=w\",\"x\":\"\"}}" },
		{ "slotctl release --no-wait --discard", "{\"wait\":false,\"discard\":true}" },
		{ "slotctl renew x --progress 100", "{\"progress\":100}" },
		{ "slotctl pool add api --ready 2 --max 4", "{\"ready\":2,\"max\":4}" },
		{ "slotctl pool remove api --delete-store", "{\"deleteStore\":true}" },
		{ "slotctl events -f --slot api-1", "{\"follow\":true,\"slot\":\"api-1\"}" },
		{ "slotctl acquire --ref --json", "{\"ref\":\"--json\"}" },
		{ "slotctl acquire --ref=", "{\"ref\":\"\"}" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		PARSES(cases[i].line);
		EXPECT_FIELDS(cases[i].fields);
	}
}

Test(parse, global_options_may_stand_anywhere_before_two_dashes)
{
	PARSES("slotctl --json status");
	cr_expect(cli.json);
	PARSES("slotctl status --json -qv --timeout 2s");
	cr_expect(cli.json && cli.quiet && cli.verbose);
	cr_expect(eq(u64, cli.timeout_usec, 2000000));
	PARSES("slotctl run api -- make --json -q");
	cr_expect(cli.json == false && cli.quiet == false);
	PARSES("slotctl --socket /s status");
	cr_expect(eq(str, (char *)cli_string(&cli, "socket"), (char *)"/s"));
}

Test(parse, commands_of_two_words_and_of_one_are_told_apart)
{
	static const struct {
		const char *line, *name;
		size_t n_words;
	} cases[] = {
		{ "slotctl pool add api", "pool add", 1 },
		{ "slotctl pool --json list", "pool list", 0 },
		{ "slotctl ping", "ping", 0 },
		{ "slotctl ping health", "ping health", 0 },
		{ "slotctl ping --json health", "ping health", 0 },
		{ "slotctl help pool add", "help", 2 },
		{ "slotctl slots api", "slots", 1 },
		{ "slotctl slot add api", "slot add", 1 },
		{ "slotctl release -- -odd-", "release", 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		PARSES(cases[i].line);
		cr_assert(cli.command != NULL, "%s", cases[i].line);
		cr_expect(eq(str, (char *)cli.command->name, (char *)cases[i].name));
		cr_expect(eq(sz, cli.n_words, cases[i].n_words));
	}
}

Test(parse, what_follows_two_dashes_is_the_command_of_run)
{
	PARSES("slotctl run api --ttl 5m -- make -j 4 -- x");
	cr_expect(eq(str, (char *)cli_word(&cli, 0), (char *)"api"));
	cr_assert(eq(sz, cli.n_rest, 5));
	cr_expect(eq(str, cli.rest[0], (char *)"make"));
	cr_expect(eq(str, cli.rest[3], (char *)"--"));
	cr_expect(cli.rest[5] == NULL);

	PARSES("slotctl run");
	cr_expect(cli.has_rest == false);
	PARSES("slotctl run --");
	cr_expect(cli.has_rest && cli.n_rest == 0);
}

Test(parse, mistakes_are_named_with_the_nearest_right_word)
{
	static const struct {
		const char *line, *part;
	} cases[] = {
		{ "slotctl", "command is missing" },
		{ "slotctl sttatus", "did you mean 'status'" },
		{ "slotctl qqqqqqqq", "slotctl help" },
		{ "slotctl pool", "slotctl help pool" },
		{ "slotctl pool ad x", "did you mean 'pool add'" },
		{ "slotctl ping healht", "did you mean 'ping health'" },
		{ "slotctl status --jsno", "did you mean --json" },
		{ "slotctl acquire --brnach x", "did you mean --branch" },
		{ "slotctl status --branch x", "no option --branch" },
		{ "slotctl --branch x acquire", "come after it" },
		{ "slotctl status -x", "no option -x" },
		{ "slotctl status --json=yes", "takes no value" },
		{ "slotctl acquire --ttl", "--ttl DUR" },
		{ "slotctl acquire --ttl soon", "not 'soon'" },
		{ "slotctl acquire --ttl 5x", "duration" },
		{ "slotctl acquire --wait -5", "duration" },
		{ "slotctl acquire --priority urgent", "critical, high" },
		{ "slotctl acquire --priority 9999999999", "small number" },
		{ "slotctl acquire --meta kv", "KEY=VALUE" },
		{ "slotctl acquire --meta =v", "KEY=VALUE" },
		{ "slotctl renew x --progress 101", "0 to 100" },
		{ "slotctl pool add x --ready -1", "number" },
		{ "slotctl pool add x --ready 9007199254740992", "number" },
		{ "slotctl pool add", "usage: slotctl pool add NAME" },
		{ "slotctl acquire a b", "'b' is one too many" },
		{ "slotctl run a make", "behind '--'" },
		{ "slotctl --system --user status", "exclude one another" },
		{ "slotctl --socket /s --user status", "exclude one another" },
		{ "slotctl acquire --label \xff", "UTF-8" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cr_expect(eq(int, parse(cases[i].line), -EINVAL), "%s", cases[i].line);
		cr_expect(strstr(f.text, cases[i].part) != NULL, "%s: %s", cases[i].line, f.text);
	}
}

Test(parse, a_mistake_before_the_json_option_is_still_told_in_json)
{
	cr_expect(eq(int, parse("slotctl --wrong status --json"), -EINVAL));
	cr_expect(cli.json);
	cr_expect(eq(int, parse("slotctl run --wrong -- x --json"), -EINVAL));
	cr_expect(cli.json == false);
}

Test(parse, help_wins_over_mistakes_behind_it)
{
	PARSES("slotctl --help");
	cr_expect(cli.want_help && cli.command == NULL);
	PARSES("slotctl acquire -h --nonsense");
	cr_expect(cli.want_help);
	cr_expect(eq(str, (char *)cli.command->name, (char *)"acquire"));
	PARSES("slotctl pool --help");
	cr_expect(eq(str, (char *)cli.family, (char *)"pool"));
	PARSES("slotctl --version");
	cr_expect(cli.want_version);
}

Test(parse, check_takes_any_number_of_pools_and_slots)
{
	PARSES("slotctl check");
	cr_expect(eq(sz, cli.n_words, 0));
	PARSES("slotctl check a b-1 c --strict -- d");
	cr_expect(eq(sz, cli.n_words, 4));
	cr_expect(json_get_bool(cli.fields, "strict", false));
}

Test(parse, commands_of_later_days_are_unknown)
{
	static const char *const lines[] = { "slotctl detect", "slotctl recover x", "slotctl locks",
					     "slotctl salvage", "slotctl isolate" };

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		cr_expect(eq(int, parse(lines[i]), -EINVAL), "%s", lines[i]);
}
