#include "world.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "scratch.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/text.h"

struct world world;

int shell(const char *fmt, ...)
{
	char *command = NULL;
	va_list ap;
	int r;

	va_start(ap, fmt);
	cr_assert_geq(vasprintf(&command, fmt, ap), 0);
	va_end(ap);
	r = system(command);
	free(command);
	return r;
}

static void write_conf(void)
{
	_cleanup_(freep) char *path = text_printf("%s/slotd.yaml", world.dir);
	_cleanup_(freep) char *text = text_printf(
		"state_dir: %s/state\nslots_dir: %s/slots\nsocket: %s/sock\ndisk: { reserve: 0 }\n"
		"defaults: { lease: { ttl: 60s, grace: 1s, min_ttl: 1s, abandon_after: 1s } }\n",
		world.dir, world.dir, world.dir);
	struct fault f = FAULT_NONE;

	cr_assert_eq(fs_write_file_at(AT_FDCWD, path, text, strlen(text), 0600), 0);
	cr_assert_eq(conf_load(path, CONF_SCOPE_SYSTEM, &world.conf, NULL, &f), 0, "%s", f.text);
}

static void start(bool rebuilt)
{
	struct world *w = &world;
	const char *state = w->conf->state_dir;
	struct fault f = FAULT_NONE;

	cr_assert_geq(sd_event_new(&w->event), 0);
	cr_assert_eq(ledger_open(state, 0, 1000, &w->ledger, &f), 0, "%s", f.text);
	cr_assert_eq(jobs_new(w->event, state, getenv("SLOTD_WORKER"), 2, &w->jobs, &f), 0, "%s",
		     f.text);
	cr_assert_eq(pools_new(w->event, w->jobs, w->ledger, w->conf, &w->pools, &f), 0, "%s",
		     f.text);
	cr_assert_eq(pools_start(w->pools, rebuilt, &f), 0, "%s", f.text);
	w->pool = pools_find(w->pools, "p");
}

static void stop(void)
{
	struct world *w = &world;

	if (!w->pools)
		return;
	pools_stop(w->pools);
	jobs_stop(w->jobs);
	for (int i = 0; i < 3000 && jobs_count_running(w->jobs) + jobs_count_waiting(w->jobs); i++)
		sd_event_run(w->event, 20000);
	pools_free(TAKE(w->pools));
	jobs_free(w->jobs);
	ledger_close(w->ledger);
	sd_event_unref(w->event);
}

void world_open(void)
{
	struct fault f = FAULT_NONE;
	sigset_t set;

	world.dir = scratch_make();
	log_open("test", LOG_ERR);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	write_conf();
	cr_assert_eq(fs_mkdir_all(world.conf->state_dir, 0700, &f), 0);
	cr_assert_eq(shell("git init -q -b main %s/repo && cd %s/repo && echo one >a && git add a && "
			   "git -c user.name=a -c user.email=a@b commit -qm one", world.dir,
			   world.dir), 0);
	start(false);
}

void world_restart(bool rebuilt)
{
	stop();
	start(rebuilt);
}

static struct rlimit before; /* the ledger was broken */
static bool is_broken;

void break_ledger(void)
{
	struct rlimit none;

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	is_broken = true;
}

void mend_ledger(void)
{
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	is_broken = false;
}

void world_close(void)
{
	if (is_broken)
		mend_ledger();
	world.over = true;
	clock_real();
	stop();
	conf_unref(world.conf);
}

static void on_added(struct pool *pool, const struct refusal *refusal, void *userdata)
{
	if (world.over)
		return;
	cr_assert_null(refusal->error, "%s", refusal->why.text);
	*(bool *)userdata = true;
}

void world_add_pool(int ready, int max)
{
	_cleanup_(freep) char *path = text_printf("%s/repo", world.dir);
	struct refusal no = { 0 };
	bool added = false;

	cr_assert_eq(pool_add(world.pools, "p", NULL, path, NULL, ready, max, 0, NULL, on_added,
			      &added, NULL, &no), 0, "%s", no.why.text);
	RUN_UNTIL(added);
	world.pool = pools_find(world.pools, "p");
	RUN_UNTIL(count(SLOT_STATE_READY) == (unsigned)ready && !world.pool->head_is_stale &&
		  !world.pool->store_job);
	world_settle(); /* and all of that is on disk */
}

void world_settle(void)
{
	while (sd_event_run(world.event, 0) > 0)
		;
}

static void on_answer(struct lease *lease, const struct refusal *refusal, void *userdata)
{
	struct answer *a = userdata;

	if (world.over)
		return;
	a->told++;
	if (!lease) {
		snprintf(a->error, sizeof(a->error), "%s", refusal->error);
		snprintf(a->text, sizeof(a->text), "%s", refusal->why.text);
		return;
	}
	snprintf(a->lease, sizeof(a->lease), "%s", lease_id(lease));
	snprintf(a->slot, sizeof(a->slot), "%s", lease_record(lease)->slot);
	a->token = lease_record(lease)->token;
}

struct acquire_spec spec_of(const char *agent)
{
	struct acquire_spec spec = { .priority = 1 };

	snprintf(spec.agent, sizeof(spec.agent), "%s", agent);
	return spec;
}

struct acquire_spec spec_waiting(const char *agent, uint64_t usec)
{
	struct acquire_spec spec = spec_of(agent);

	spec.has_wait = true;
	spec.wait_usec = usec;
	return spec;
}

struct waiter *ask(const struct acquire_spec *spec, struct answer *ret)
{
	struct acquire_spec whole = *spec;
	struct waiter *waiter;

	memset(ret, 0, sizeof(*ret));
	if (!whole.pool)
		whole.pool = world.pool;
	lease_acquire(world.pools, &whole, on_answer, ret, &waiter);
	return waiter;
}

void ask_and_wait(const struct acquire_spec *spec, struct answer *ret)
{
	ask(spec, ret);
	RUN_UNTIL(ret->told);
}

void give_back(const struct answer *a, bool discard)
{
	struct lease *lease = lease_of(a);

	cr_assert_not_null(lease);
	lease_finish(lease, LEASE_END_RELEASED, discard, 0, "");
}

struct lease *lease_of(const struct answer *a)
{
	struct id id;

	return id_from_string(a->lease, &id) == 0 ? pools_find_lease(world.pools, &id) : NULL;
}

struct slot *slot_of(const char *name)
{
	return pools_find_slot(world.pools, name);
}

unsigned count(enum slot_state state)
{
	return pool_count(world.pool, state);
}
