/* Jobs with the real worker program: what it does to slotd when it dies, stops or is slow. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jobs/jobs-private.h"
#include "scratch.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/text.h"

struct world {
	char *dir;
	sd_event *event;
	struct jobs *jobs;
	struct job_site *site, *other;
};

struct outcome {
	unsigned told;
	enum job_outcome outcome;
	char error[40];
	char message[256];
};

static void on_done(const struct job_result *r, void *userdata)
{
	struct outcome *o = userdata;

	o->told++;
	o->outcome = r->outcome;
	snprintf(o->error, sizeof(o->error), "%s", r->error ? r->error : "");
	snprintf(o->message, sizeof(o->message), "%s", r->message);
}

static struct job_site *make_site(struct world *w, const char *pool)
{
	_cleanup_(freep) char *store = text_printf("%s/%s.git", w->dir, pool);
	_cleanup_(freep) char *slots = text_printf("%s/slots-%s", w->dir, pool);
	struct fault f = FAULT_NONE;
	struct job_site *site = NULL;

	cr_assert_eq(fs_mkdir_all(store, 0755, &f), 0);
	cr_assert_eq(fs_mkdir_all(slots, 0755, &f), 0);
	cr_assert_eq(job_site_new(w->jobs, pool, store, false, slots, &site, &f), 0, "%s", f.text);
	return site;
}

static void world_open(struct world *w, unsigned workers)
{
	struct fault f = FAULT_NONE;
	sigset_t set;

	memset(w, 0, sizeof(*w));
	w->dir = scratch_make();
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	cr_assert_geq(sd_event_new(&w->event), 0);
	cr_assert_eq(jobs_new(w->event, w->dir, getenv("SLOTD_WORKER"), workers, &w->jobs, &f), 0,
		     "%s", f.text);
	w->site = make_site(w, "one");
	w->other = make_site(w, "two");
}

static void world_close(struct world *w)
{
	jobs_stop(w->jobs);
	job_site_free(w->site);
	job_site_free(w->other);
	for (int i = 0; i < 1000 && jobs_count_workers(w->jobs) > 0; i++)
		sd_event_run(w->event, 10000);
	cr_expect_eq(jobs_count_workers(w->jobs), 0, "every worker ends");
	jobs_free(w->jobs);
	sd_event_unref(w->event);
}

/* runs the loop until the job was told, at most so long */
static bool run_until(struct world *w, const unsigned *told, unsigned wanted, uint64_t usec)
{
	uint64_t end = clock_boot_usec() + usec;

	while (*told < wanted && clock_boot_usec() < end)
		sd_event_run(w->event, 20000);
	return *told >= wanted;
}

static struct job *start(struct job_site *site, const char *lock, bool background, uint64_t deadline,
			 struct outcome *o)
{
	struct job_spec spec = {
		/* of an empty store: refused, which is an answer */
		.method = "StoreResolve",
		.params = json_set(json_object_new_object(), "ref", NULL),
		.lock = lock,
		.background = background,
		.deadline_usec = deadline,
		.done = on_done,
		.userdata = o,
	};
	struct job *job = NULL;

	cr_assert_eq(job_start(site, &spec, &job), 0);
	cr_assert_eq(o->told, 0, "nobody is told from inside job_start");
	return job;
}

/* the worker of a running job; the loop runs until it has been started */
static struct worker *worker_of(struct world *w, struct job *job)
{
	while (!job->worker)
		sd_event_run(w->event, 1000);
	return job->worker;
}

Test(jobs, worker_answers_and_is_used_again)
{
	struct outcome o = { 0 }, p = { 0 };
	struct world w;

	world_open(&w, 2);
	start(w.site, "one", false, 0, &o);
	cr_assert(run_until(&w, &o.told, 1, 20 * USEC_PER_SEC));
	cr_expect_eq(o.outcome, JOB_REFUSED);
	cr_expect_neq(o.message[0], '\0', "a refusal says why");
	cr_expect_eq(jobs_count_workers(w.jobs), 1);
	start(w.site, "one", false, 0, &p);
	cr_assert(run_until(&w, &p.told, 1, 20 * USEC_PER_SEC));
	cr_expect_eq(jobs_count_workers(w.jobs), 1, "the idle worker took it");
	world_close(&w);
}

Test(jobs, killed_worker_is_a_lost_job_and_the_next_one_works)
{
	struct outcome o = { 0 }, p = { 0 };
	struct world w;
	struct job *job;

	world_open(&w, 2);
	job = start(w.site, "one", false, 0, &o);
	kill(worker_of(&w, job)->pid, SIGKILL);
	cr_assert(run_until(&w, &o.told, 1, 10 * USEC_PER_SEC));
	cr_expect_eq(o.outcome, JOB_LOST);
	cr_expect_not_null(strstr(o.message, "signal 9"));
	start(w.site, "one", false, 0, &p);
	cr_assert(run_until(&w, &p.told, 1, 20 * USEC_PER_SEC));
	cr_expect_eq(p.outcome, JOB_REFUSED);
	world_close(&w);
}

/* a worker that has answered before, and answers nothing from now on */
static void make_stopped_worker(struct world *w)
{
	struct outcome o = { 0 };
	struct job *job = start(w->site, "one", false, 0, &o);
	pid_t pid = worker_of(w, job)->pid;

	cr_assert(run_until(w, &o.told, 1, 20 * USEC_PER_SEC));
	cr_assert_eq(jobs_count_workers(w->jobs), 1);
	cr_assert_eq(kill(pid, SIGSTOP), 0);
}

Test(jobs, stopped_worker_is_killed_at_its_deadline)
{
	struct outcome o = { 0 }, p = { 0 };
	uint64_t before;
	struct world w;
	struct job *job;
	pid_t pid;

	world_open(&w, 2);
	make_stopped_worker(&w);
	before = clock_boot_usec();
	job = start(w.site, "one", false, 300 * USEC_PER_MSEC, &o);
	pid = worker_of(&w, job)->pid;
	cr_assert(run_until(&w, &o.told, 1, 10 * USEC_PER_SEC));
	cr_expect_eq(o.outcome, JOB_LATE);
	cr_expect_geq(clock_boot_usec() - before, 300 * USEC_PER_MSEC);
	cr_expect_eq(kill(pid, 0), -1, "the job is over when its worker is reaped");
	start(w.site, "one", false, 0, &p);
	cr_assert(run_until(&w, &p.told, 1, 20 * USEC_PER_SEC));
	cr_expect_eq(p.outcome, JOB_REFUSED, "a fresh worker answers");
	world_close(&w);
}

Test(jobs, worker_that_was_not_reaped_in_time_is_not_taken_for_one_that_lives)
{
	struct outcome o = { 0 };
	struct worker *worker;
	struct world w;
	struct job *job;

	world_open(&w, 2);
	make_stopped_worker(&w);
	job = start(w.site, "one", false, 100 * USEC_PER_MSEC, &o);
	worker = worker_of(&w, job);
	while (worker->state != WORKER_DYING)
		sd_event_run(w.event, 1000);
	/* the loop is busy elsewhere for longer than a worker may take to die */
	usleep(WORKER_DEATH_USEC + 100 * USEC_PER_MSEC);
	cr_assert(run_until(&w, &o.told, 1, 10 * USEC_PER_SEC));
	cr_expect_eq(o.outcome, JOB_LATE);
	world_close(&w);
}

Test(jobs, worker_that_does_not_greet_is_killed)
{
	struct outcome o = { 0 };
	uint64_t before;
	struct world w;
	struct job *job;

	if (getenv("SLOTD_UNDER_VALGRIND"))
		cr_skip_test("who starts a process there waits until it is the other program");
	world_open(&w, 2);
	before = clock_boot_usec();
	job = start(w.site, "one", false, 0, &o);
	kill(worker_of(&w, job)->pid, SIGSTOP);
	cr_assert_eq(job->worker->state, WORKER_STARTING);
	cr_assert(run_until(&w, &o.told, 1, 2 * WORKER_HELLO_USEC));
	cr_expect_eq(o.outcome, JOB_LATE);
	cr_expect_geq(clock_boot_usec() - before, WORKER_HELLO_USEC);
	world_close(&w);
}

Test(jobs, stopped_worker_delays_nobody_else)
{
	struct outcome stopped = { 0 }, other = { 0 };
	uint64_t before;
	struct world w;
	struct job *job;

	world_open(&w, 2);
	job = start(w.site, "one", false, 0, &stopped);
	kill(worker_of(&w, job)->pid, SIGSTOP);
	before = clock_boot_usec();
	start(w.other, "two", false, 0, &other);
	cr_assert(run_until(&w, &other.told, 1, 20 * USEC_PER_SEC));
	cr_expect_lt(clock_boot_usec() - before, 10 * USEC_PER_SEC);
	cr_expect_eq(stopped.told, 0);
	kill(job->worker->pid, SIGCONT);
	cr_assert(run_until(&w, &stopped.told, 1, 20 * USEC_PER_SEC));
	world_close(&w);
}

Test(jobs, one_place_is_never_given_to_background_jobs)
{
	struct outcome a = { 0 }, b = { 0 }, c = { 0 };
	struct world w;
	struct job *job;

	world_open(&w, 2);
	job = start(w.site, "a", true, 0, &a);
	kill(worker_of(&w, job)->pid, SIGSTOP);
	start(w.site, "b", true, 0, &b);
	start(w.other, "c", false, 0, &c);
	cr_assert(run_until(&w, &c.told, 1, 20 * USEC_PER_SEC), "foreground work passes");
	cr_expect_eq(b.told, 0, "a second background job waits");
	kill(job->worker->pid, SIGCONT);
	cr_assert(run_until(&w, &b.told, 1, 20 * USEC_PER_SEC));
	world_close(&w);
}

static struct job *start_idle(struct job_site *site, const char *lock, struct outcome *o)
{
	struct job *job = start(site, lock, true, 0, o);

	job->spec.idle = true;
	return job;
}

Test(jobs, idle_job_runs_beside_all_others_and_one_at_a_time)
{
	struct outcome idle = { 0 }, second = { 0 }, a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
	struct job *maintenance, *background;
	struct world w;

	world_open(&w, 2);
	maintenance = start_idle(w.site, "i", &idle);
	kill(worker_of(&w, maintenance)->pid, SIGSTOP);
	start_idle(w.other, "j", &second);
	/* both places are there for the others as ever */
	background = start(w.site, "a", true, 0, &a);
	kill(worker_of(&w, background)->pid, SIGSTOP);
	start(w.site, "b", true, 0, &b);
	start(w.site, "c", false, 0, &c);
	cr_assert(run_until(&w, &c.told, 1, 20 * USEC_PER_SEC), "foreground work passes");
	cr_expect_eq(b.told + second.told, 0);
	cr_expect_eq(jobs_count_workers(w.jobs), 3);
	kill(background->worker->pid, SIGCONT);
	cr_assert(run_until(&w, &b.told, 1, 20 * USEC_PER_SEC));
	cr_expect_eq(second.told, 0, "there is an idle job already");
	kill(maintenance->worker->pid, SIGCONT);
	cr_assert(run_until(&w, &second.told, 1, 20 * USEC_PER_SEC));
	start(w.other, "d", false, 0, &d);
	cr_assert(run_until(&w, &d.told, 1, 20 * USEC_PER_SEC));
	for (int i = 0; i < 200 && jobs_count_workers(w.jobs) > 2; i++)
		sd_event_run(w.event, 20000);
	cr_expect_leq(jobs_count_workers(w.jobs), 2, "its place is gone with it");
	world_close(&w);
}

Test(jobs, number_of_workers_may_change_and_ends_no_job)
{
	struct outcome o[4] = { 0 }, p = { 0 };
	const char *locks[4] = { "a", "b", "c", "d" };
	struct job *jobs[4];
	struct world w;

	world_open(&w, 2);
	for (int i = 0; i < 4; i++)
		jobs[i] = start(w.site, locks[i], false, 0, &o[i]);
	for (int i = 0; i < 2; i++)
		kill(worker_of(&w, jobs[i])->pid, SIGSTOP);
	jobs_set_workers(w.jobs, 4);
	for (int i = 2; i < 4; i++)
		kill(worker_of(&w, jobs[i])->pid, SIGSTOP);
	cr_assert_eq(jobs_count_running(w.jobs), 4, "there is room for those that waited");
	jobs_set_workers(w.jobs, 2);
	start(w.site, "e", false, 0, &p);
	kill(jobs[0]->worker->pid, SIGCONT);
	cr_assert(run_until(&w, &o[0].told, 1, 20 * USEC_PER_SEC));
	cr_expect_not(run_until(&w, &p.told, 1, 300 * USEC_PER_MSEC), "three are still too many");
	for (int i = 1; i < 4; i++)
		kill(jobs[i]->worker->pid, SIGCONT);
	for (int i = 1; i < 4; i++) {
		cr_assert(run_until(&w, &o[i].told, 1, 20 * USEC_PER_SEC));
		cr_expect_eq(o[i].outcome, JOB_REFUSED, "each came to its own end");
	}
	cr_assert(run_until(&w, &p.told, 1, 20 * USEC_PER_SEC));
	while (jobs_count_workers(w.jobs) > 2)
		sd_event_run(w.event, 20000);
	world_close(&w);
}

Test(jobs, lock_of_an_earlier_worker_is_waited_for)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct outcome o = { 0 };
	char path[128];
	struct world w;
	int fd;

	world_open(&w, 2);
	snprintf(path, sizeof(path), "%s/locks/one-1", w.dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	cr_assert_geq(fd, 0);
	cr_assert_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
	start(w.site, "one-1", false, 0, &o);
	cr_expect_not(run_until(&w, &o.told, 1, 300 * USEC_PER_MSEC), "it waits");
	close(fd);
	cr_assert(run_until(&w, &o.told, 1, 20 * USEC_PER_SEC), "and starts when the lock is free");
	world_close(&w);
}

Test(jobs, lock_is_held_while_the_worker_works)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct outcome o = { 0 };
	char path[128];
	struct world w;
	struct job *job;
	int fd;

	world_open(&w, 2);
	job = start(w.site, "one-1", false, 0, &o);
	kill(worker_of(&w, job)->pid, SIGSTOP);
	snprintf(path, sizeof(path), "%s/locks/one-1", w.dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_expect_eq(fcntl(fd, F_OFD_SETLK, &lock), -1, "locked");
	kill(job->worker->pid, SIGCONT);
	cr_assert(run_until(&w, &o.told, 1, 20 * USEC_PER_SEC));
	cr_expect_eq(fcntl(fd, F_OFD_SETLK, &lock), 0, "free again when the job is over");
	close(fd);
	world_close(&w);
}

Test(jobs, cancelled_jobs_are_told_once)
{
	struct outcome running = { 0 }, waiting = { 0 };
	struct world w;
	struct job *a, *b;

	world_open(&w, 2);
	a = start(w.site, "one", false, 0, &running);
	kill(worker_of(&w, a)->pid, SIGSTOP);
	b = start(w.site, "one", false, 0, &waiting); /* the same lock: it cannot start */
	job_cancel(b);
	job_cancel(a);
	cr_expect_eq(running.told + waiting.told, 0, "never from inside the call");
	cr_assert(run_until(&w, &running.told, 1, 10 * USEC_PER_SEC));
	cr_assert(run_until(&w, &waiting.told, 1, 10 * USEC_PER_SEC));
	cr_expect_eq(running.outcome, JOB_CANCELED);
	cr_expect_eq(waiting.outcome, JOB_CANCELED);
	sd_event_run(w.event, 50000);
	cr_expect_eq(running.told + waiting.told, 2);
	world_close(&w);
}

Test(jobs, stopping_cancels_what_waits_and_lets_what_runs_end)
{
	struct outcome running = { 0 }, waiting = { 0 };
	struct world w;
	struct job *job;

	world_open(&w, 2);
	job = start(w.site, "one", false, 0, &running);
	kill(worker_of(&w, job)->pid, SIGSTOP);
	start(w.site, "one", false, 0, &waiting);
	cr_expect_eq(jobs_stop(w.jobs), 1);
	cr_assert(run_until(&w, &waiting.told, 1, 5 * USEC_PER_SEC));
	cr_expect_eq(waiting.outcome, JOB_CANCELED);
	kill(job->worker->pid, SIGCONT);
	cr_assert(run_until(&w, &running.told, 1, 20 * USEC_PER_SEC));
	cr_expect_eq(running.outcome, JOB_REFUSED, "its answer still counts");
	world_close(&w);
}

Test(jobs, freed_site_tells_nobody)
{
	struct outcome o = { 0 };
	struct world w;

	world_open(&w, 2);
	start(w.site, "one", false, 0, &o);
	sd_event_run(w.event, 1000);
	job_site_free(w.site);
	w.site = make_site(&w, "three");
	cr_expect_not(run_until(&w, &o.told, 1, 500 * USEC_PER_MSEC));
	world_close(&w);
}

Test(jobs, program_that_is_no_worker_is_a_lost_job)
{
	struct fault f = FAULT_NONE;
	struct outcome o = { 0 };
	struct world w;

	world_open(&w, 2);
	close(w.jobs->worker_fd);
	w.jobs->worker_fd = open("/bin/true", O_RDONLY | O_CLOEXEC);
	start(w.site, "one", false, 0, &o);
	cr_assert(run_until(&w, &o.told, 1, 10 * USEC_PER_SEC));
	cr_expect_eq(o.outcome, JOB_LOST);
	(void)f;
	world_close(&w);
}

static unsigned count_descriptors(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* so many more may be opened */
static void leave_descriptors(unsigned more)
{
	struct rlimit limit;
	unsigned fd = 0;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	for (;; fd++)
		if (fcntl(fd, F_GETFD) < 0 && more-- == 0)
			break;
	limit.rlim_cur = fd;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* from none to be had to one too few: every step of the start fails once */
Test(jobs, shortage_of_descriptors_delays_jobs_and_fails_none)
{
	struct rlimit plenty;
	struct outcome o = { 0 };
	struct world w;
	unsigned used;

	world_open(&w, 2);
	/* libsystemd makes what it needs for times with the first use */
	sd_event_run(w.event, 1000);
	getrlimit(RLIMIT_NOFILE, &plenty);
	used = count_descriptors();
	start(w.site, "one", false, 0, &o);
	for (unsigned more = 0; more < 4; more++) {
		leave_descriptors(more);
		w.jobs->shortages = 0;
		sd_event_source_set_enabled(w.jobs->pause, SD_EVENT_OFF);
		jobs_look(w.jobs);
		cr_expect_not(run_until(&w, &o.told, 1, 20 * USEC_PER_MSEC));
		cr_expect_neq(jobs_shortage(w.jobs)[0], '\0', "%u more", more);
		cr_expect_eq(jobs_count_workers(w.jobs), 0, "%u more", more);
		cr_expect_eq(count_descriptors(), used, "%u more", more);
	}
	cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1, "nobody is left unburied");
	cr_expect_eq(jobs_count_waiting(w.jobs), 1);
	setrlimit(RLIMIT_NOFILE, &plenty);
	cr_assert(run_until(&w, &o.told, 1, 20 * USEC_PER_SEC), "it is tried again by itself");
	cr_expect_eq(o.outcome, JOB_REFUSED, "the worker answered");
	cr_expect_eq(jobs_shortage(w.jobs)[0], '\0');
	world_close(&w);
}

Test(jobs, shortage_of_one_pool_does_not_stop_another_that_has_a_worker)
{
	struct outcome o = { 0 }, p = { 0 }, q = { 0 };
	struct world w;
	int worker_fd;

	if (getenv("SLOTD_UNDER_VALGRIND"))
		cr_skip_test("descriptor -1 cannot be executed there, which is told too late");
	world_open(&w, 3);
	start(w.other, "two", false, 0, &o);
	cr_assert(run_until(&w, &o.told, 1, 20 * USEC_PER_SEC));
	worker_fd = w.jobs->worker_fd;
	w.jobs->worker_fd = -1; /* no program, no worker */
	start(w.other, "two", false, 0, &p);
	start(w.site, "one", false, 0, &q);
	cr_assert(run_until(&w, &p.told, 1, 20 * USEC_PER_SEC));
	cr_expect_eq(p.outcome, JOB_REFUSED, "the worker answered");
	cr_expect_not(run_until(&w, &q.told, 1, 50 * USEC_PER_MSEC));
	cr_expect_neq(jobs_shortage(w.jobs)[0], '\0');
	w.jobs->worker_fd = worker_fd;
	cr_assert(run_until(&w, &q.told, 1, 20 * USEC_PER_SEC));
	cr_expect_eq(q.outcome, JOB_REFUSED, "the worker answered");
	world_close(&w);
}
