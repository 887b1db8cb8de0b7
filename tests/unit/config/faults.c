/* Every fault has its line, its column, and what to do. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "util/cleanup.h"
#include "util/text.h"

struct fault_case {
	const char *text;
	const char *expected; /* at the beginning of the first fault */
	const char *words;    /* somewhere in it; NULL: nothing more */
};

static void check(const struct fault_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_(freep) char *faults = faults_of(cases[i].text);

		cr_expect(text_has_prefix(faults, cases[i].expected), "%s\ngives %s", cases[i].text,
			  faults);
		if (cases[i].words)
			cr_expect(strstr(faults, cases[i].words) != NULL, "%s\ngives %s",
				  cases[i].text, faults);
		/* one fault, one sentence */
		cr_expect(strchr(faults, '\n') == faults + strlen(faults) - 1, "%s\ngives %s",
			  cases[i].text, faults);
	}
}

Test(conf_faults, unknown_keys_come_with_the_nearest_one)
{
	static const struct fault_case cases[] = {
		{ "stat_dir: /x", "f:1:1: ", "did you mean \"state_dir\"?" },
		{ "workers: 1\npool: {}", "f:2:1: ", "did you mean \"pools\"?" },
		{ "limits: { mesage: 1 }", "f:1:11: limits has no key", "\"message\"" },
		{ "pools:\n  a:\n    url: /a\n    slots: { redy: 1 }", "f:4:14: slots ",
		  "\"ready\"" },
		{ "pools:\n  a:\n    url: /a\n    ttl: 5m", "f:4:5: pool a ", "lease.ttl" },
		{ "ttl: 5m", "f:1:1: ", "lease.ttl" },
		{ "strategies: { s: { retri: {} } }", "f:1:20: strategy s ", "\"retry\"" },
		{ "quux: 1", "f:1:1: ", "slotd.yaml(5)" },
		{ "lease.ttl: 5m", "f:1:1: ", NULL },
		{ "limits.message: 5m", "f:1:1: ", "limits: { message:" },
		{ "<<: {}", "f:1:1: ", NULL },
		{ "\"\": 1", "f:1:1: ", NULL },
	};

	check(cases, ARRAY_SIZE(cases));
}

Test(conf_faults, wrong_types_say_what_is_wanted)
{
	static const struct fault_case cases[] = {
		{ "workers: many", "f:1:10: workers does not understand \"many\"",
		  "number, 0 to 256" },
		{ "workers: 1.5", "f:1:10: ", NULL },
		{ "workers: 0x10", "f:1:10: ", NULL },
		{ "workers: [1]", "f:1:10: ", "cannot be a list" },
		{ "workers: {}", "f:1:10: ", NULL },
		{ "workers:", "f:1:9: workers has no value", NULL },
		{ "workers: ~", "f:1:10: workers has no value", NULL },
		{ "shutdown_timeout: 5 minutes", "f:1:19: ", "duration, 1s to 1h" },
		{ "limits: 5", "f:1:9: limits is a section", NULL },
		{ "limits: [message]", "f:1:9: limits is a section", NULL },
		{ "limits: { message: 64KB2 }", "f:1:20: ", "size" },
		{ "alert: { run: mail }", "f:1:15: alert.run is no list", NULL },
		{ "alert: { run: [[a]] }", "f:1:16: ", NULL },
		{ "breaker: { rate: half }", "f:1:18: ", "ratio" },
		{ "breaker: { classes: [bad] }", "f:1:22: ", "it is one of transient, damage" },
		{ "defaults: { clean: { ignored: wipe } }", "f:1:31: ", "keep or remove" },
		{ "defaults: { warmup: { env: [A] } }", "f:1:28: ", "section" },
		{ "defaults: { warmup: { env: { A: [] } } }", "f:1:33: ", NULL },
		{ "defaults: { warmup: { env: { \"A=B\": c } } }", "f:1:30: ", "variable" },
		{ "defaults: { lease: { bind: pid } }", "f:1:28: ", "connection" },
		{ "defaults: { lease: { bind: ttl+ttl } }", "f:1:28: ", "twice" },
		{ "defaults: { lease: { bind: ttl+manual } }", "f:1:28: ", "alone" },
		{ "strategies: { s: { dry_run: maybe } }", "f:1:29: ", "true or false" },
		{ "strategies: { s: { corrupted: { when: never } } }", "f:1:39: ", "suspect" },
		{ "[]", "f:1:1: the configuration is a section", NULL },
		{ "pools: [a]", "f:1:8: pools is a section", NULL },
		{ "pools: { a: b }", "f:1:13: pool a is a section", NULL },
	};

	check(cases, ARRAY_SIZE(cases));
}

Test(conf_faults, impossible_values_are_refused)
{
	static const struct fault_case cases[] = {
		{ "workers: -1", "f:1:10: workers is out of range", NULL },
		{ "workers: 257", "f:1:10: workers is out of range", NULL },
		{ "workers: 99999999999999999999", "f:1:10: workers is out of range", NULL },
		{ "shutdown_timeout: 0s", "f:1:19: ", NULL },
		{ "limits: { message: 99999999T }", "f:1:20: ", NULL },
		{ "breaker: { rate: 101% }", "f:1:18: ", NULL },
		{ "breaker: { open: 2m, max_open: 1m }", "f:1:32: breaker.max_open", NULL },
		{ "defaults: { slots: { ready: 5, max: 4 } }", "f:1:29: slots.ready (5)", NULL },
		{ "defaults: { slots: { max: 0 } }", "f:1:27: ", NULL },
		{ "defaults: { lease: { ttl: 1s, min_ttl: 2s } }", "f:1:27: lease.ttl is below",
		  NULL },
		{ "defaults: { lease: { ttl: 2h, max_ttl: 1h } }", "f:1:27: lease.ttl is above",
		  NULL },
		{ "defaults: { lease: { ttl: 5m, warn_before: 5m } }", "f:1:44: ", NULL },
		{ "defaults: { strategy: agressive }", "f:1:23: ", "\"aggressive\"" },
		{ "defaults: { strategy: '' }", "f:1:23: ", NULL },
		{ "defaults: { url: /a }", "f:1:13: url belongs to one pool", NULL },
		{ "defaults: { seed: { files: [a] } }", "f:1:28: seed.files needs seed.from",
		  NULL },
		{ "state_dir: /s\ndefaults: { warmup: { home: /s/x } }", "f:2:29: warmup.home", "state_dir" },
		{ "state_dir: /s\ndefaults: { warmup: { writable: [/a, /] } }", "f:2:33: ", "state_dir" },
		{ "slots_dir: /s\ndefaults: { warmup: { writable: [/s] } }", "f:2:33: ", "slots_dir" },
		{ "state_dir: /s\npools: { a: { path: /r, warmup: { home: /s } } }", "f:2:41: ", "state_dir" },
		{ "defaults: { warmup: { when_changed: [/a] } }", "f:1:38: ", "in front" },
		{ "defaults: { acquire: { timeout: 0s } }", "f:1:33: ", NULL },
		{ "defaults: { slots: { max: 100, ports: { base: 65000 } } }", "f:1:47: ", "do not fit" },
		{ "defaults: { slots: { ports: { base: 80 } } }", "f:1:37: slots.ports.base", NULL },
		{ "defaults: { seed: { from: /a, files: [/b] } }", "f:1:39: seed.files", "in front" },
		{ "defaults: { seed: { from: /a, files: [a/../b] } }", "f:1:39: ", "\"..\"" },
		{ "defaults: { seed: { from: /a, files: [\"..\"] } }", "f:1:39: ", "\"..\"" },
		{ "defaults: { seed: { from: /a, files: [a, b/] } }", "f:1:42: ", "empty" },
		{ "defaults: { seed: { from: /a, files: [\"\"] } }", "f:1:39: ", "empty" },
		{ "defaults: { seed: { from: /a, files: [a/.Git/b] } }", "f:1:39: ", "git's own" },
		{ "defaults: { access: { users: [root, no-such-user] } }", "f:1:37: ", "no user" },
		{ "defaults: { access: { groups: [no-such-group] } }", "f:1:32: ", "no group" },
		{ "defaults: { access: { operators: [4294967295] } }", "f:1:35: ", "no user" },
		{ "pools: { a: {} }", "f:1:10: pool a has neither", NULL },
		{ "pools:\n  a:\n", "f:2:3: pool a has neither", NULL },
		{ "pools: { a: { url: /a, path: /b } }", "f:1:30: pool a has both", NULL },
		{ "pools: { a: { url: '' } }", "f:1:20: ", NULL },
		{ "pools: { a: { path: b } }", "f:1:21: ", "beginning with \"/\"" },
		{ "pools: { a: { path: ~/b } }", "f:1:21: ", "\"~\" is not replaced" },
		{ "pools: { a: { path: /b/../c } }", "f:1:21: ", "\"..\"" },
		{ "pools: { a: { path: /var/lib/slotd/stores/x } }", "f:1:21: ", "slotd's own" },
		{ "pools: { a: { path: /b }, b: { path: /b/ } }", "f:1:38: pool a has this", NULL },
		{ "pools: { A: { url: /a } }", "f:1:10: \"A\" is no name", NULL },
		{ "pools: { a-1: { url: /a } }", "f:1:10: \"a-1\" is no name", NULL },
		{ "pools: { a/b: { url: /a } }", "f:1:10: ", NULL },
		{ "strategies: { 'a b': {} }", "f:1:15: \"a b\" is no name", NULL },
		{ "strategies: { s: { retry: { delay: 2m } } }", "f:1:27: ", "max_delay" },
		{ "strategies: { s: { corrupted: { do: [repai] } } }", "f:1:38: ", "\"repair\"" },
		{ "strategies: { s: { corrupted: { do: [remove] } } }",
		  "f:1:38: ", "cannot be done" },
		{ "strategies: { s: { orphaned_lock: { do: [release] } } }", "f:1:42: ", NULL },
		{ "strategies: { s: { corrupted: { do: [{ run: mail }] } } }", "f:1:45: run",
		  NULL },
		{ "strategies: { s: { corrupted: { do: [{ run: [] }] } } }", "f:1:45: run", NULL },
		{ "strategies: { s: { corrupted: { do: [{ exec: [a] }] } } }", "f:1:38: ", NULL },
		{ "strategies: { s: { corrupted: { do: [run] } } }", "f:1:38: ", NULL },
	};

	check(cases, ARRAY_SIZE(cases));
}

Test(conf_faults, urls_and_refs_that_git_would_not_take_are_refused)
{
	static const char *const bad[] = {
		"url: ext::sh",
		"url: relative/path",
		"url: git://example.org/a",
		"url: https://",
		"url: --upload-pack",
		"url: 'a b:c'",
		"url: \"a:\\nb\"",
		"url: ftp://a/b",
		"url: /a, ref: -x",
		"url: /a, ref: a..b",
		"url: /a, ref: 'a b'",
		"url: /a, ref: a.lock",
		"url: /a, ref: /a",
		"url: /a, ref: a//b",
		"url: /a, branch: 'a{user}'",
		"url: /a, branch: '{'",
		"url: /a, branch: 'x/.{agent}'",
		"url: /a, branch: '{agent}.lock'",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(freep) char *text = text_printf("pools: { a: { %s } }", bad[i]);
		_cleanup_(freep) char *faults = faults_of(text);

		cr_expect(text_has_prefix(faults, "f:1:"), "%s", faults);
	}
}

Test(conf_faults, directories_that_would_eat_each_other_are_refused)
{
	static const struct fault_case cases[] = {
		{ "state_dir: var", "f:1:12: ", NULL },
		{ "state_dir: /", "f:1:12: ", "root" },
		{ "state_dir: /a\nslots_dir: /a", "f:2:12: ", NULL },
		{ "state_dir: /a/b\nslots_dir: /a", "f:2:12: ", NULL },
		{ "state_dir: /a\nslots_dir: /a/ledger", "f:2:12: ", "\"ledger\"" },
		{ "state_dir: /a\nslots_dir: /a/stores/b", "f:2:12: ", NULL },
		{ "state_dir: /a\nsocket: /a/locks/s", "f:2:9: ", NULL },
		{ "state_dir: /a\nsocket: /a/slots/s", "f:2:9: ", NULL },
		{ "state_dir: /a/b\nsocket: /a", "f:2:9: socket is a file", NULL },
		{ "socket: "
		  "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		  "f:1:9: ", "107 at most" },
	};
	struct conf *c;

	check(cases, ARRAY_SIZE(cases));
	c = load("state_dir: /a\nslots_dir: /a/ledgers\nsocket: /a/s\n");
	conf_unref(c);
	c = load("state_dir: /a\nslots_dir: /ab\n");
	conf_unref(c);
}

Test(conf_faults, yaml_beyond_a_configuration_is_refused)
{
	static const struct fault_case cases[] = {
		{ "workers: &a 1", "f:1:10: anchors", NULL },
		{ "workers: *a", "f:1:10: ", NULL },
		{ "state_dir: !!str /a", "f:1:12: tags", NULL },
		{ "limits: !x {}", "f:1:9: tags", NULL },
		{ "workers: 1\n---\nworkers: 2", "f:2:1: a second document", NULL },
		{ "limits:\n\tmessage: 1", "f:2:1: ", "tab" },
		{ "a: [", "f:2:1: this is not YAML", NULL },
		{ "a: 'b", "f:1:6: this is not YAML", NULL },
		{ "a: b: c", "f:1:5: this is not YAML", NULL },
		{ "socket: \"\\0\"", "f:1:9: a value cannot hold a NUL", NULL },
		{ "a: \xFF", "f:1:4: here is a NUL or a byte", NULL },
		{ "# \xC3\xA4\n# \xC3\xA4\xC3\n", "f:2:4: here is", NULL },
		{ "\xFF\xFE\x61", "f:1:1: here is", NULL },
		{ "[[[[[[[[[[[[[[[[[[[[[[[", "f:1:17: this is nested deeper", NULL },
		{ "? [a]\n: b", "f:1:3: a key is one word", NULL },
		{ "workers: 1\nevents: {}\nworkers: 2", "f:3:1: \"workers\" is here twice",
		  "line 1" },
		{ "pools:\n  a: { url: /a }\n  a: { url: /b }", "f:3:3: \"a\" is here twice",
		  NULL },
	};

	check(cases, ARRAY_SIZE(cases));
}

Test(conf_faults, all_faults_are_told_in_the_order_of_lines)
{
	_cleanup_(freep) char *faults = faults_of("pools:\n"
						  "  a: { url: /a, slots: { ready: 9, max: 2 } }\n"
						  "  b: { url: x }\n"
						  "wrokers: 1\n"
						  "limits: { message: 1 }\n"
						  "socket: s\n");
	unsigned line = 0, n = 0;

	for (char *at = faults; *at; at = strchr(at, '\n') + 1, n++) {
		unsigned here = (unsigned)strtoul(at + 2, NULL, 10);

		cr_expect(ge(uint, here, line));
		line = here;
	}
	cr_expect(eq(uint, n, 5), "%s", faults);
}

Test(conf_faults, a_flood_of_faults_is_cut)
{
	struct text t = { 0 };
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) char *faults = NULL;
	unsigned n = 0;

	for (int i = 0; i < 5000; i++)
		text_addf(&t, "unknown%d: 1\n", i);
	text = text_take(&t);
	faults = faults_of(text);
	for (char *at = faults; *at; at = strchr(at, '\n') + 1)
		n++;
	cr_expect(eq(uint, n, 101));
	cr_expect(strstr(faults, "f: 4900 more faults") != NULL);
}

Test(conf_faults, what_is_shown_of_the_file_cannot_drive_a_terminal)
{
	_cleanup_(freep) char *faults =
		faults_of("\"\\e[31m\\n\\x9b\": 1\nworkers: \"\\a\xC3\xA4\\u0085\"");

	cr_expect(strpbrk(faults, "\a\x1B") == NULL);
	cr_expect(strstr(faults, "\xC2\x9b") == NULL);
	cr_expect(strstr(faults, "\xC3\xA4") != NULL);
}

Test(conf_faults, the_list_may_be_unwanted)
{
	struct fault f = FAULT_NONE;
	struct conf *c = NULL;

	int r = conf_load_buffer("f", "x: 1", 4, CONF_SCOPE_USER, &c, NULL, NULL);

	cr_expect(eq(int, r, -EINVAL));
	r = conf_load_buffer("f", "x: 1", 4, CONF_SCOPE_USER, &c, NULL, &f);
	cr_expect(eq(int, r, -EINVAL));
	cr_expect(text_has_prefix(f.text, "f:1:1: "));
}
