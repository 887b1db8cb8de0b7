/* One process, one job at a time, and never longer than its deadline. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jobs/jobs-private.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/log.h"
#include "util/text.h"

/* children are looked at after their last words were read */
#define CHILD_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 5)

#define WORKER_SOCKET_FD 3

static void set_timer(struct worker *w, uint64_t usec)
{
	if (usec == 0) {
		sd_event_source_set_enabled(w->timer, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time_relative(w->timer, usec);
	sd_event_source_set_enabled(w->timer, SD_EVENT_ONESHOT);
}

static void worker_set_idle(struct worker *w)
{
	w->state = WORKER_IDLE;
	set_timer(w, WORKER_IDLE_USEC);
}

void worker_kill(struct worker *w)
{
	if (w->state == WORKER_DYING || w->state == WORKER_STUCK)
		return;
	w->state = WORKER_DYING;
	set_timer(w, WORKER_DEATH_USEC);
	kill(w->pid, SIGKILL);
}

void worker_end(struct worker *w)
{
	/* an idle worker leaves when its socket closes; it gets no longer than a killed one */
	w->state = WORKER_DYING;
	set_timer(w, WORKER_DEATH_USEC);
	rpc_client_free(TAKE(w->client));
}

static void uncount(struct worker *w)
{
	if (!w->site->commands)
		w->jobs->n_workers--;
}

void worker_free(struct worker *w)
{
	if (w->state != WORKER_STUCK)
		uncount(w);
	list_del(&w->link);
	rpc_client_free(w->client);
	closep(&w->lock_fd);
	sd_event_source_disable_unref(w->child);
	sd_event_source_disable_unref(w->timer);
	if (w->pid > 0)
		kill(w->pid, SIGKILL);
	job_site_leave(w->site);
	free(w);
}

/* --- its end --- */

static void describe_end(const siginfo_t *si, char *ret, size_t size)
{
	if (si->si_code == CLD_EXITED)
		snprintf(ret, size, "the worker exited with status %d", si->si_status);
	else
		snprintf(ret, size, "the worker was killed by signal %d (%s)", si->si_status,
			 strsignal(si->si_status));
}

static int on_child(sd_event_source *s, const siginfo_t *si, void *userdata)
{
	struct worker *w = userdata;
	struct jobs *j = w->jobs;
	struct job *job = w->job;
	char text[96];

	describe_end(si, text, sizeof(text));
	if (job && !w->late)
		log_warning("%s during %s pool=%s lock=%s pid=%d", text, job->spec.method,
			    w->site->pool, job->lock, (int)w->pid);
	w->pid = 0; /* reaped: the number may be somebody else's now */
	if (job)
		job_finish(job, w->late ? JOB_LATE : JOB_LOST, NULL,
			   w->late ? "the worker did not finish in time" : text, NULL);
	worker_free(w);
	jobs_look(j);
	return 0;
}

/* the kernel cannot end it (a dead network mount, for instance): let it be, and go on without */
static void give_up(struct worker *w)
{
	log_error("a worker does not die; its slot or store stays locked pid=%d pool=%s",
		  (int)w->pid, w->site->pool);
	w->state = WORKER_STUCK;
	uncount(w);
	if (w->job)
		job_finish(w->job, JOB_STUCK, NULL, "the worker cannot be ended by the kernel", NULL);
	jobs_look(w->jobs);
}

/* but not reaped: where there is much to do, the loop comes to the ends of children late */
static bool has_ended(const struct worker *w)
{
	siginfo_t si = { 0 };

	return waitid(P_PID, (id_t)w->pid, &si, WEXITED | WNOHANG | WNOWAIT) == 0 && si.si_pid == w->pid;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct worker *w = userdata;

	switch (w->state) {
	case WORKER_IDLE:
		worker_end(w);
		break;
	case WORKER_STARTING:
	case WORKER_BUSY:
		log_warning("job not finished in time, its worker is killed: %s pool=%s lock=%s pid=%d",
			    w->job ? w->job->spec.method : "Hello", w->site->pool,
			    w->job ? w->job->lock : "-", (int)w->pid);
		w->late = true;
		worker_kill(w);
		break;
	case WORKER_DYING:
		if (has_ended(w)) {
			set_timer(w, WORKER_DEATH_USEC);
		} else if (w->client || w->late || w->job) {
			give_up(w);
		} else {
			/* told to end and did not */
			kill(w->pid, SIGKILL);
			w->late = true;
			set_timer(w, WORKER_DEATH_USEC);
		}
		break;
	case WORKER_STUCK:
		break;
	}
	return 0;
}

static void on_gone(struct rpc_client *c, void *userdata)
{
	worker_kill(userdata);
}

/* --- its work --- */

static const char *short_error(const char *error)
{
	const char *dot = strrchr(error, '.');

	return dot ? dot + 1 : error;
}

static void on_reply(struct rpc_client *c, const char *error, json_object *params, bool continues,
		     void *userdata)
{
	struct worker *w = userdata;
	struct job *job = w->job;
	const char *message;

	if (!job || w->state == WORKER_DYING || w->state == WORKER_STUCK)
		return;
	if (error && strcmp(error, "io.slotd.worker.Gone") == 0) {
		worker_kill(w); /* the job ends with the process */
		return;
	}
	if (continues) {
		if (job->spec.progress)
			job->spec.progress(params, job->spec.userdata);
		if (job->spec.progress && job->spec.deadline_usec)
			set_timer(w, job->spec.deadline_usec);
		return;
	}
	worker_set_idle(w);
	if (!error) {
		job_finish(job, JOB_DONE, NULL, "", params);
		return;
	}
	message = json_get_string(params, "message");
	job_finish(job, JOB_REFUSED, short_error(error), message ? message : short_error(error),
		   params);
}

/* the lock goes to the worker: our own descriptor of it is closed in every case */
static int send_job(struct worker *w, struct fault *f)
{
	_cleanup_(freep) char *method = text_printf("io.slotd.worker.%s", w->job->spec.method);
	_cleanup_(closep) int lock_fd = TAKE_FD(w->lock_fd);
	struct job *job = w->job;

	if (!method)
		return fault_oom(f);
	w->state = WORKER_BUSY;
	set_timer(w, job->spec.deadline_usec);
	return rpc_client_call(w->client, method, json_object_get(job->spec.params),
			       job->spec.progress != NULL, lock_fd, on_reply, w, f);
}

static void on_hello(struct rpc_client *c, const char *error, json_object *params, bool continues,
		     void *userdata)
{
	struct worker *w = userdata;
	struct fault f = FAULT_NONE;

	if (w->state != WORKER_STARTING)
		return;
	if (error || json_get_int(params, "protocol", 0) != JOBS_PROTOCOL) {
		const char *message = json_get_string(params, "message");

		log_error("a worker did not greet as expected: %s pool=%s",
			  message ? message : "another protocol", w->site->pool);
		worker_kill(w);
		return;
	}
	worker_set_idle(w);
	if (w->job && send_job(w, &f) < 0) {
		log_error("cannot hand a job to a worker: %s pool=%s", f.text, w->site->pool);
		worker_kill(w);
	}
	jobs_look(w->jobs);
}

int worker_run(struct worker *w, struct job *job, int lock_fd, struct fault *f)
{
	w->job = job;
	w->lock_fd = lock_fd;
	job->worker = w;
	return w->state == WORKER_STARTING ? 0 : send_job(w, f);
}

/* --- its start --- */

/* what a worker may see of slotd's environment; the last ones only ever matter to tests */
static const char *const passed_on[] = {
	"HOME",		 "USER",	   "LOGNAME",	    "PATH",	    "SSH_AUTH_SOCK",
	"SSL_CERT_FILE", "SSL_CERT_DIR",   "TZ",	    "http_proxy",   "https_proxy",
	"no_proxy",	 "SLOTD_DEBUG",	   "JOURNAL_STREAM", "SLOTD_CRASH_FILE", "ASAN_OPTIONS",
	"UBSAN_OPTIONS", "LSAN_OPTIONS",
};

static int make_environment(char **env, size_t size)
{
	size_t n = 0;

	env[n] = strdup("LANG=C.UTF-8");
	if (!env[n++])
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(passed_on) && n < size - 1; i++) {
		const char *value = getenv(passed_on[i]);

		if (!value)
			continue;
		env[n] = text_printf("%s=%s", passed_on[i], value);
		if (!env[n++])
			return -ENOMEM;
	}
	return 0;
}

static int spawn(struct job_site *site, int socket_fd, pid_t *ret)
{
	char protocol[12], parent[16], fd_text[12], program[32];
	const char *argv[] = { "slotd-worker", "--protocol", protocol, "--pool",   site->pool,
			       "--store",      site->store,  "--slots", site->slots, "--fd",
			       fd_text,	       "--parent",   parent,
			       site->commands ? "--commands" : site->adopted ? "--path-store" : NULL, NULL };
	char *env[ARRAY_SIZE(passed_on) + 2] = { NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	snprintf(protocol, sizeof(protocol), "%d", JOBS_PROTOCOL);
	snprintf(parent, sizeof(parent), "%d", (int)getpid());
	snprintf(fd_text, sizeof(fd_text), "%d", WORKER_SOCKET_FD);
	snprintf(program, sizeof(program), "/proc/self/fd/%d", site->jobs->worker_fd);
	r = -make_environment(env, ARRAY_SIZE(env));
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&actions, socket_fd, WORKER_SOCKET_FD);
	if (r == 0)
		r = posix_spawnattr_setsigmask(&attr, &none);
	if (r == 0)
		r = posix_spawnattr_setsigdefault(&attr, &all);
	if (r == 0)
		r = posix_spawnattr_setflags(&attr,
					     POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	if (r == 0)
		r = posix_spawn(ret, program, &actions, &attr, (char **)argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	for (size_t i = 0; env[i]; i++)
		free(env[i]);
	return -r;
}

static int add_sources(struct worker *w)
{
	int r;

	r = sd_event_add_child(w->jobs->event, &w->child, w->pid, WEXITED, on_child, w);
	if (r >= 0)
		r = sd_event_source_set_priority(w->child, CHILD_PRIORITY);
	if (r >= 0)
		r = sd_event_add_time_relative(w->jobs->event, &w->timer, CLOCK_MONOTONIC,
					       WORKER_HELLO_USEC, 0, on_timer, w);
	return r < 0 ? r : 0;
}

static int say_hello(struct worker *w, struct fault *f)
{
	json_object *params = json_set_int(json_object_new_object(), "protocol", JOBS_PROTOCOL);

	return rpc_client_call(w->client, "io.slotd.worker.Hello", params, false, -1, on_hello, w, f);
}

/* it has just begun and has nothing in hand; perhaps nobody else would notice its end */
static void discard(struct worker *w)
{
	pid_t pid = w->pid;

	worker_free(w);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int worker_start(struct job_site *site, struct worker **ret, struct fault *f)
{
	_cleanup_(closep) int ours = -1, theirs = -1;
	struct worker *w;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return fault_errno(f, -errno, "cannot make a socket pair");
	ours = pair[0];
	theirs = pair[1];
	w = calloc(1, sizeof(*w));
	if (!w)
		return fault_oom(f);
	w->jobs = site->jobs;
	w->site = site;
	w->state = WORKER_STARTING;
	w->lock_fd = -1;
	list_append(&site->jobs->workers, &w->link);
	if (!site->commands)
		site->jobs->n_workers++;
	site->n_workers++;
	r = spawn(site, theirs, &w->pid);
	if (r < 0)
		r = fault_errno(f, r, "cannot start a worker");
	if (r == 0) {
		r = add_sources(w);
		if (r < 0)
			fault_errno(f, r, "cannot watch a worker");
	}
	if (r == 0)
		r = rpc_client_new(site->jobs->event, TAKE_FD(ours), on_gone, w, &w->client, f);
	if (r == 0)
		r = say_hello(w, f);
	if (r < 0) {
		discard(w);
		return r;
	}
	log_debug("jobs", "worker started pool=%s pid=%d", site->pool, (int)w->pid);
	*ret = w;
	return 0;
}
