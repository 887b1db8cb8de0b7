/* What a right file gives. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "scratch.h"
#include "util/cleanup.h"
#include "util/clock.h"

/* the example of the design, which every reader of it will try first */
static const char example[] =
	"state_dir: /var/lib/slotd            # user service: $XDG_STATE_HOME/slotd\n"
	"slots_dir: /var/lib/slotd/slots\n"
	"socket: /run/slotd/slotd.sock\n"
	"workers: 0                           # 0: one per CPU\n"
	"shutdown_timeout: 30s\n"
	"limits: { message: 64KiB, connections_per_uid: 64, pending_per_uid: 256 }\n"
	"events: { keep: 100000 }\n"
	"recovery: { keep: 90d, max_size: 64MiB, auto_every: 0s, detect_every: 10m }\n"
	"checkpoints: { keep: 7d }\n"
	"disk: { reserve: 1GiB }\n"
	"salvage: { keep: 30d, max_size: 10GiB, max_count: 10000 }\n"
	"integrity: { check_every: 24h, scrub_days: 7, scrub_budget: 30m, memory: 256MiB }\n"
	"breaker: { failures: 5, rate: 50%, window: 20, open: 30s, max_open: 10m,\n"
	"  classes: [transient] }\n"
	"alert: { success_rate: 0.95, breaker_open: 5m, fallback_rate: 10%, retry_exhausted: 5%,\n"
	"  breakers_at_once: 2, run: [] }\n"
	"\n"
	"defaults: {}                         # any key of a pool, for all pools\n"
	"\n"
	"pools:\n"
	"  api:\n"
	"    url: https://git.example.org/api.git   # or path: /srv/git/api\n"
	"    credentials: { ssh_key: \"\", known_hosts: \"\", token_file: \"\", helper: [] }\n"
	"    ref: main                        # where ready slots stand\n"
	"    branch: \"\"                       # e.g. agent/{agent}\n"
	"    slots: { ready: 4, max: 16, shrink_after: 14d, quota_per_agent: 0 }\n"
	"    fetch: { every: 5m, max_age: 60s, timeout: 30s }\n"
	"    clean: { ignored: keep, wipe: [\"*.pem\", \".env\"], keep: [], precious: [],\n"
	"      processes: wait }\n"
	"    seed: { from: /srv/seeds/api, files: [\".env\"] }\n"
	"    warmup: { run: [\"npm\", \"ci\"], when_changed: [\"package-lock.json\"], timeout: "
	"10m,\n"
	"      concurrent: 1, home: \"\", writable: [], env: {} }\n"
	"    lease: { mode: phases, ttl: 4m, grace: 60s, min_ttl: 60s, max_ttl: 4h,\n"
	"      warn_before: 60s, abandon_after: 2h, max_age: 24h, max_renewals: 10,\n"
	"      stuck_after: 5, monitor_every: 60s }\n"
	"    strategy: conservative\n"
	"    access: { users: [], groups: [], operators: [root] }\n"
	"\n"
	"strategies:\n"
	"  conservative:\n"
	"    long_allocated: { after: 48h, when: any, do: [report] }\n"
	"    corrupted:      { do: [repair, recreate, reclone, isolate] }\n"
	"    orphaned_lock:  { after: 24h, do: [remove] }\n"
	"    retry:          { attempts: 3, delay: 2s, factor: 2.0, max_delay: 60s, jitter: true "
	"}\n"
	"    limits:         { actions_per_run: 50, concurrent: 2 }\n";

Test(conf_load, the_example_of_the_design_parses)
{
	struct conf *c = load(example);
	const struct conf_pool *p = conf_find_pool(c, "api");

	cr_assert(p != NULL);
	cr_expect(eq(str, p->url, S("https://git.example.org/api.git")));
	cr_expect(p->path == NULL);
	cr_expect(p->branch == NULL);
	cr_expect(eq(str, p->ref, S("main")));
	cr_expect(eq(uint, p->line, 21));
	cr_expect(eq(uint, p->column, 3));
	cr_expect(eq(sz, p->clean.wipe.n, 2));
	cr_expect(eq(str, p->warmup.run.items[1], S("ci")));
	cr_expect(eq(u64, p->lease.max_ttl_usec, 4 * USEC_PER_HOUR));
	cr_expect(eq(u64, c->disk.reserve_bytes, 1ULL << 30));
	cr_expect(eq(u64, c->integrity.check_every_usec, USEC_PER_DAY));
	cr_expect(eq(u32, c->integrity.scrub_days, 7));
	cr_expect(eq(u64, c->integrity.scrub_budget_usec, 30 * USEC_PER_MIN));
	cr_expect(eq(u64, c->integrity.memory_bytes, 256ULL << 20));
	cr_expect(eq(dbl, c->breaker.rate, 0.5));
	conf_unref(c);
}

Test(conf_load, the_example_says_the_defaults)
{
	struct conf *c = load(example), *d = NULL;

	cr_assert(conf_default(CONF_SCOPE_SYSTEM, &d, NULL) == 0);
	cr_assert(eq(sz, c->n_pools, 1));
	conf_pool_deinit(&c->pools[0]);
	c->n_pools = 0;
	cr_expect(first_difference(c, d) == NULL, "%s", first_difference(c, d));
	conf_unref(c);
	conf_unref(d);
}

Test(conf_load, an_empty_file_is_the_defaults)
{
	static const char *const empty[] = {
		"", "\n", "# nothing\n", "---\n", "{}", "~", "\xEF\xBB\xBF# a byte order mark\n"
	};
	struct conf *d = NULL;

	cr_assert(conf_default(CONF_SCOPE_SYSTEM, &d, NULL) == 0);
	cr_expect(d->file == NULL);
	for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
		struct conf *c = load(empty[i]);

		cr_expect(first_difference(c, d) == NULL, "%zu", i);
		cr_expect(eq(str, c->file, S("f")));
		conf_unref(c);
	}
	conf_unref(d);
}

Test(conf_load, empty_sections_are_fine)
{
	struct conf *c = load("limits:\ndefaults:\npools:\nstrategies:\n");

	cr_expect(eq(u64, c->limits.message_bytes, 65536));
	cr_expect(eq(sz, c->n_strategies, 3));
	conf_unref(c);
}

Test(conf_load, a_pool_inherits_and_overrides_defaults)
{
	struct conf *c = load("pools:\n"
			      "  a: { url: /srv/a, slots: { max: 3 }, clean: { wipe: [] } }\n"
			      "  b: { url: /srv/b, branch: '' }\n"
			      "defaults:\n"
			      "  ref: dev\n"
			      "  branch: agent/{agent}\n"
			      "  slots: { ready: 2, max: 8 }\n"
			      "  clean: { wipe: ['*.pem'] }\n");
	const struct conf_pool *a = conf_find_pool(c, "a"), *b = conf_find_pool(c, "b");

	cr_expect(eq(str, a->ref, S("dev")));
	cr_expect(eq(str, a->branch, S("agent/{agent}")));
	cr_expect(eq(uint, a->slots.ready, 2));
	cr_expect(eq(uint, a->slots.max, 3));
	cr_expect(eq(sz, a->clean.wipe.n, 0));
	cr_expect(b->branch == NULL);
	cr_expect(eq(sz, b->clean.wipe.n, 1));
	cr_expect(conf_find_pool(c, "c") == NULL);
	conf_unref(c);
}

Test(conf_load, what_is_inherited_gives_way_to_what_a_pool_says)
{
	struct conf *c = load("pools:\n"
			      "  few: { url: /srv/a, slots: { max: 2 } }\n"
			      "  many: { url: /srv/b, slots: { ready: 40 } }\n"
			      "  quick: { url: /srv/c, lease: { ttl: 2s } }\n"
			      "  slow: { url: /srv/d, lease: { ttl: 2d } }\n"
			      "  late: { url: /srv/e, lease: { min_ttl: 1h } }\n");

	cr_expect(eq(uint, conf_find_pool(c, "few")->slots.ready, 2));
	cr_expect(eq(uint, conf_find_pool(c, "many")->slots.max, 40));
	cr_expect(eq(u64, conf_find_pool(c, "quick")->lease.min_ttl_usec, 2 * USEC_PER_SEC));
	cr_expect(lt(u64, conf_find_pool(c, "quick")->lease.warn_before_usec, 2 * USEC_PER_SEC));
	cr_expect(eq(u64, conf_find_pool(c, "slow")->lease.max_ttl_usec, 2 * USEC_PER_DAY));
	cr_expect(eq(u64, conf_find_pool(c, "late")->lease.ttl_usec, USEC_PER_HOUR));
	cr_expect_eq(conf_find_pool(c, "late")->lease.mode, CONF_LEASE_PHASES);
	cr_expect_eq(conf_find_pool(c, "quick")->lease.mode, CONF_LEASE_FIXED, "a ttl means that ttl");
	conf_unref(c);
}

Test(conf_load, an_adopted_repository_is_fetched_only_when_its_pool_says_so)
{
	struct conf *c = load("defaults: { fetch: { every: 1m, max_age: 3s } }\n"
			      "pools:\n"
			      "  a: { path: /srv/a }\n"
			      "  b: { path: /srv/b, fetch: { every: 2m } }\n"
			      "  d: { path: /srv/d, fetch: { max_age: 5s } }\n"
			      "  c: { url: /srv/c }\n");

	cr_expect(eq(u64, conf_find_pool(c, "a")->fetch.every_usec, 0));
	cr_expect(eq(u64, conf_find_pool(c, "b")->fetch.every_usec, 2 * USEC_PER_MIN));
	cr_expect(eq(u64, conf_find_pool(c, "c")->fetch.every_usec, USEC_PER_MIN));
	cr_expect(eq(u64, conf_find_pool(c, "a")->fetch.max_age_usec, 0));
	cr_expect(eq(u64, conf_find_pool(c, "b")->fetch.max_age_usec, 0), "each key for itself");
	cr_expect(eq(u64, conf_find_pool(c, "c")->fetch.max_age_usec, 3 * USEC_PER_SEC));
	cr_expect(eq(u64, conf_find_pool(c, "d")->fetch.max_age_usec, 5 * USEC_PER_SEC));
	cr_expect(eq(u64, conf_find_pool(c, "d")->fetch.every_usec, 0));
	conf_unref(c);
}

Test(conf_load, all_forms_of_urls_are_taken)
{
	static const char *const urls[] = {
		"file:///srv/git/a.git",
		"https://example.org/a.git",
		"http://localhost:8080/a",
		"ssh://git@example.org/a",
		"git@example.org:a/b.git",
		"example.org:a",
		"/srv/git/a",
	};

	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		_cleanup_(freep) char *text = NULL;
		struct conf *c;

		cr_assert(asprintf(&text, "pools: { a: { url: \"%s\" } }", urls[i]) > 0);
		c = load(text);
		cr_expect(eq(str, c->pools[0].url, S(urls[i])));
		conf_unref(c);
	}
}

Test(conf_load, paths_are_cleaned_and_slots_follow_the_state_directory)
{
	struct conf *c = load("state_dir: /srv//slotd/./state/\n");

	cr_expect(eq(str, c->state_dir, S("/srv/slotd/state")));
	cr_expect(eq(str, c->slots_dir, S("/srv/slotd/state/slots")));
	cr_expect(eq(str, c->socket, S(CONF_SYSTEM_SOCKET)));
	conf_unref(c);
}

Test(conf_load, words_of_yaml_stay_words_where_a_string_is_wanted)
{
	struct conf *c =
		load("pools: { a: { url: /srv/a, ref: no, branch: 1.10,\n"
		     "  warmup: { env: { A: yes, B: '', C: 010 }, run: [\"\", null] } } }");
	const struct conf_pool *p = &c->pools[0];

	cr_expect(eq(str, p->ref, S("no")));
	cr_expect(eq(str, p->branch, S("1.10")));
	cr_assert(eq(sz, p->warmup.env.n, 3));
	cr_expect(eq(str, p->warmup.env.items[0], S("A=yes")));
	cr_expect(eq(str, p->warmup.env.items[1], S("B=")));
	cr_expect(eq(str, p->warmup.env.items[2], S("C=010")));
	cr_assert(eq(sz, p->warmup.run.n, 2));
	cr_expect(eq(str, p->warmup.run.items[0], S("")));
	conf_unref(c);
}

Test(conf_load, three_strategies_are_built_in)
{
	struct conf *c = load("");
	const struct conf_strategy *s = conf_find_strategy(c, "conservative");

	cr_assert(s != NULL);
	cr_expect(eq(u64, s->long_allocated.after_usec, 48 * USEC_PER_HOUR));
	cr_expect(eq(str, s->long_allocated.actions.items[0], S("report")));
	cr_expect(eq(sz, s->corrupted.actions.n, 4));
	cr_expect(eq(str, s->orphaned_lock.actions.items[0], S("remove")));
	s = conf_find_strategy(c, "aggressive");
	cr_expect(eq(u64, s->long_allocated.after_usec, 24 * USEC_PER_HOUR));
	cr_expect(eq(str, s->long_allocated.actions.items[0], S("release")));
	s = conf_find_strategy(c, "maintenance");
	cr_expect(eq(str, s->long_allocated.actions.items[0], S("skip")));
	cr_expect(conf_find_strategy(c, "none") == NULL);
	conf_unref(c);
}

Test(conf_load, a_strategy_of_the_file_replaces_a_built_in_one_entirely)
{
	struct conf *c = load(
		"strategies:\n"
		"  conservative: { corrupted: { do: [isolate, { run: [tell, 'a \"b\"'] }] } }\n"
		"  mine: { dry_run: true, retry: { factor: 150% } }\n"
		"defaults: { strategy: mine }\n");
	const struct conf_strategy *s = conf_find_strategy(c, "conservative");

	cr_expect(eq(sz, c->n_strategies, 4));
	cr_expect(eq(uint, s->line, 2));
	cr_assert(eq(sz, s->corrupted.actions.n, 2));
	cr_expect(eq(str, s->corrupted.actions.items[1], S("run:[\"tell\",\"a \\\"b\\\"\"]")));
	/* not what the built-in one said */
	cr_expect(eq(u64, s->long_allocated.after_usec, 24 * USEC_PER_HOUR));
	cr_expect(eq(str, s->orphaned_lock.actions.items[0], S("report")));
	s = conf_find_strategy(c, "mine");
	cr_expect(s->dry_run);
	cr_expect(eq(dbl, s->retry.factor, 1.5));
	conf_unref(c);
}

Test(conf_load, a_reference_keeps_it_alive)
{
	struct conf *c = load("workers: 3"), *d = conf_ref(c);

	conf_unref(c);
	cr_expect(eq(uint, d->workers, 3));
	conf_unref(d);
	conf_unref(NULL);
}

/* files */

static char *dir;

static void write_file(const char *name, const char *text, size_t len)
{
	_cleanup_(closep) int fd = -1;
	_cleanup_(freep) char *path = NULL;

	cr_assert(asprintf(&path, "%s/%s", dir, name) > 0);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	cr_assert(write(fd, text, len) == (ssize_t)len);
}

static int load_file(const char *name, struct conf **ret, struct fault *f)
{
	_cleanup_(freep) char *path = NULL;

	cr_assert(asprintf(&path, "%s/%s", dir, name) > 0);
	return conf_load(path, CONF_SCOPE_SYSTEM, ret, NULL, f);
}

Test(conf_load, files_are_read_also_through_a_link_but_nothing_else_is)
{
	_cleanup_(freep) char *large = calloc(1, CONF_MAX_FILE_BYTES + 1);
	struct conf *c = NULL;
	struct fault f = FAULT_NONE;

	dir = scratch_make();
	cr_assert(chdir(dir) == 0);
	write_file("real", "workers: 2\n", 11);
	cr_assert(symlink("real", "link") == 0);
	cr_assert(mkfifo("fifo", 0600) == 0);
	memset(large, '#', CONF_MAX_FILE_BYTES + 1);
	write_file("large", large, CONF_MAX_FILE_BYTES + 1);
	write_file("full", large, CONF_MAX_FILE_BYTES);

	cr_expect(eq(int, load_file("link", &c, &f), 0), "%s", f.text);
	cr_expect(eq(uint, c->workers, 2));
	conf_unref(c);
	c = NULL;
	cr_expect(eq(int, load_file("none", &c, &f), -ENOENT));
	cr_expect(eq(int, load_file("fifo", &c, &f), -EINVAL));
	cr_expect(strstr(f.text, "regular file") != NULL);
	cr_expect(eq(int, load_file(".", &c, &f), -EINVAL));
	cr_expect(eq(int, load_file("large", &c, &f), -EINVAL));
	cr_expect(strstr(f.text, "1 MiB") != NULL);
	cr_expect(c == NULL);
	cr_expect(eq(int, load_file("full", &c, &f), 0), "%s", f.text);
	conf_unref(c);
}

Test(conf_load, a_grace_holds_in_every_phase_that_has_none_of_its_own)
{
	struct conf *c = load("defaults: { lease: { grace: 7s, phases: { late: { grace: 9s } } } }\n"
			      "pools: { a: { path: /a }, b: { path: /b, lease: { grace: 3s } } }\n");
	const struct conf_pool *a = conf_find_pool(c, "a"), *b = conf_find_pool(c, "b");
	struct conf *d = load("");

	cr_expect(eq(u64, a->lease.phases.silent.grace_usec, 7 * USEC_PER_SEC));
	cr_expect(eq(u64, a->lease.phases.middle.grace_usec, 7 * USEC_PER_SEC));
	cr_expect(eq(u64, a->lease.phases.late.grace_usec, 9 * USEC_PER_SEC));
	cr_expect(eq(u64, b->lease.phases.first.grace_usec, 3 * USEC_PER_SEC));
	cr_expect(eq(u64, b->lease.phases.late.grace_usec, 3 * USEC_PER_SEC), "it says so itself");
	cr_expect(eq(u64, d->defaults.lease.phases.late.grace_usec, 90 * USEC_PER_SEC));
	conf_unref(c);
	conf_unref(d);
}
