#include "world.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/text.h"

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

static void write_conf(struct world *w)
{
	_cleanup_(freep) char *path = text_printf("%s/slotd.yaml", w->dir);
	_cleanup_(freep) char *text = text_printf(
		"state_dir: %s/state\nslots_dir: %s/slots\nsocket: %s/sock\ndisk: { reserve: 0 }\n"
		"defaults: { lease: { ttl: 60s, grace: 1s, min_ttl: 1s } }\n",
		w->dir, w->dir, w->dir);
	struct fault f = FAULT_NONE;

	cr_assert_eq(fs_write_file_at(AT_FDCWD, path, text, strlen(text), 0600), 0);
	cr_assert_eq(conf_load(path, CONF_SCOPE_SYSTEM, &w->conf, NULL, &f), 0, "%s", f.text);
}

static void start(struct world *w, bool rebuilt)
{
	struct fault f = FAULT_NONE;

	cr_assert_geq(sd_event_new(&w->event), 0);
	cr_assert_eq(ledger_open(w->conf->state_dir, 0, 1000, &w->ledger, &f), 0, "%s", f.text);
	cr_assert_eq(jobs_new(w->event, w->conf->state_dir, getenv("SLOTD_WORKER"), 2, &w->jobs, &f),
		     0, "%s", f.text);
	cr_assert_eq(pools_new(w->event, w->jobs, w->ledger, w->conf, &w->pools, &f), 0, "%s",
		     f.text);
	cr_assert_eq(pools_start(w->pools, rebuilt, &f), 0, "%s", f.text);
	w->pool = pools_find(w->pools, "p");
}

static void stop(struct world *w)
{
	pools_stop(w->pools);
	jobs_stop(w->jobs);
	for (int i = 0; i < 3000 && jobs_count_running(w->jobs) + jobs_count_waiting(w->jobs); i++)
		sd_event_run(w->event, 20000);
	pools_free(w->pools);
	jobs_free(w->jobs);
	ledger_close(w->ledger);
	sd_event_unref(w->event);
}

void world_open(struct world *w)
{
	struct fault f = FAULT_NONE;
	sigset_t set;

	memset(w, 0, sizeof(*w));
	strcpy(w->dir, "/tmp/slotd-test-pool-XXXXXX");
	cr_assert_not_null(mkdtemp(w->dir));
	log_open("test", LOG_ERR);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	write_conf(w);
	cr_assert_eq(fs_mkdir_all(w->conf->state_dir, 0700, &f), 0);
	cr_assert_eq(shell("git init -q -b main %s/repo && cd %s/repo && echo one >a && git add a && "
			   "git -c user.name=a -c user.email=a@b commit -qm one", w->dir, w->dir), 0);
	start(w, false);
}

void world_restart(struct world *w, bool rebuilt)
{
	stop(w);
	start(w, rebuilt);
}

void world_close(struct world *w)
{
	struct fault f = FAULT_NONE;

	stop(w);
	conf_unref(w->conf);
	cr_expect_eq(fs_remove_tree(w->dir, &f), 0, "%s", f.text);
}

static void on_added(struct pool *pool, const struct refusal *refusal, void *userdata)
{
	cr_assert_null(refusal->error, "%s", refusal->why.text);
	*(bool *)userdata = true;
}

void world_add_pool(struct world *w, int ready, int max)
{
	_cleanup_(freep) char *path = text_printf("%s/repo", w->dir);
	struct refusal no = { 0 };
	bool added = false;

	cr_assert_eq(pool_add(w->pools, "p", NULL, path, NULL, ready, max, 0, NULL, on_added, &added,
			      NULL, &no), 0, "%s", no.why.text);
	RUN_UNTIL(w, added);
	w->pool = pools_find(w->pools, "p");
	RUN_UNTIL(w, pool_count(w->pool, SLOT_STATE_READY) == (unsigned)ready &&
			     !w->pool->head_is_stale && !w->pool->store_job);
	world_settle(w); /* and all of that is on disk */
}

void world_settle(struct world *w)
{
	while (sd_event_run(w->event, 0) > 0)
		;
}

static void on_answer(struct lease *lease, const struct refusal *refusal, void *userdata)
{
	struct answer *a = userdata;

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

struct waiter *ask(struct world *w, const struct acquire_spec *spec, struct answer *ret)
{
	struct waiter *waiter;

	memset(ret, 0, sizeof(*ret));
	lease_acquire(w->pools, spec, on_answer, ret, &waiter);
	return waiter;
}

struct acquire_spec spec_of(struct world *w, const char *agent)
{
	struct acquire_spec spec = { .pool = w->pool, .priority = 1 };

	snprintf(spec.agent, sizeof(spec.agent), "%s", agent);
	return spec;
}

struct lease *lease_of(struct world *w, const struct answer *a)
{
	struct id id;

	return id_from_string(a->lease, &id) == 0 ? pools_find_lease(w->pools, &id) : NULL;
}

void give_back(struct world *w, const struct answer *a, bool discard)
{
	struct lease *lease = lease_of(w, a);

	cr_assert_not_null(lease);
	lease_finish(lease, LEASE_END_RELEASED, discard, 0, "");
}
