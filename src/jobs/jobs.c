/* Who works on what, and who waits. */
#include "jobs/jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/jobs-private.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/log.h"
#include "util/text.h"

static int on_dispatch(sd_event_source *s, void *userdata);

void jobs_look(struct jobs *j)
{
	sd_event_source_set_enabled(j->dispatch, SD_EVENT_ONESHOT);
}

static int on_retry(sd_event_source *s, uint64_t usec, void *userdata)
{
	jobs_look(userdata);
	return 0;
}

static void retry_later(struct jobs *j)
{
	sd_event_source_set_time_relative(j->retry, JOBS_LOCK_RETRY_USEC);
	sd_event_source_set_enabled(j->retry, SD_EVENT_ONESHOT);
}

/* --- when there is not enough of something to start a worker --- */

static int on_pause_over(sd_event_source *s, uint64_t usec, void *userdata)
{
	jobs_look(userdata);
	return 0;
}

static bool is_paused(const struct jobs *j)
{
	return sd_event_source_get_enabled(j->pause, NULL) > 0;
}

static void note_shortage(struct jobs *j, bool of_locks, const struct fault *why)
{
	uint64_t usec = JOBS_SHORTAGE_FIRST_USEC;

	if (is_paused(j))
		return;
	for (unsigned i = 0; i < j->shortages && usec < JOBS_SHORTAGE_MOST_USEC; i++)
		usec *= 2;
	if (usec > JOBS_SHORTAGE_MOST_USEC)
		usec = JOBS_SHORTAGE_MOST_USEC;
	if (strcmp(j->shortage.text, why->text) != 0)
		log_warning("jobs wait until a worker can be started: %s", why->text);
	j->shortage = *why;
	j->short_of_locks = of_locks;
	j->shortages++;
	sd_event_source_set_time_relative(j->pause, usec);
	sd_event_source_set_enabled(j->pause, SD_EVENT_ONESHOT);
}

static void end_shortage(struct jobs *j)
{
	if (j->shortages > 0)
		log_info("workers can be started again attempts=%u", j->shortages);
	j->shortages = 0;
	j->shortage.text[0] = '\0';
	j->short_of_locks = false;
	sd_event_source_set_enabled(j->pause, SD_EVENT_OFF);
}

const char *jobs_shortage(const struct jobs *j)
{
	return j->n_waiting > 0 ? j->shortage.text : "";
}

static int open_locks(const char *state_dir, int *ret, struct fault *f)
{
	_cleanup_(freep) char *path = text_printf("%s/locks", state_dir);
	int r;

	if (!path)
		return fault_oom(f);
	r = fs_mkdir_all(path, 0700, f);
	if (r < 0)
		return r;
	*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? fault_errno(f, -errno, "cannot open %s", path) : 0;
}

int jobs_new(sd_event *event, const char *state_dir, const char *worker_path, unsigned workers,
	     struct jobs **ret, struct fault *f)
{
	struct jobs *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return fault_oom(f);
	j->event = sd_event_ref(event);
	j->worker_fd = j->locks_fd = -1;
	list_init(&j->waiting[0]);
	list_init(&j->waiting[1]);
	list_init(&j->workers);
	j->worker_fd = open(worker_path, O_RDONLY | O_CLOEXEC);
	if (j->worker_fd < 0) {
		r = fault_errno(f, -errno, "cannot open the worker program %s", worker_path);
		goto out;
	}
	r = open_locks(state_dir, &j->locks_fd, f);
	if (r < 0)
		goto out;
	r = sd_event_add_defer(event, &j->dispatch, on_dispatch, j);
	if (r >= 0)
		r = sd_event_source_set_enabled(j->dispatch, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &j->retry, CLOCK_MONOTONIC, 0, 0, on_retry, j);
	if (r >= 0)
		r = sd_event_source_set_enabled(j->retry, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &j->pause, CLOCK_MONOTONIC, 0, 0,
					       on_pause_over, j);
	if (r >= 0)
		r = sd_event_source_set_enabled(j->pause, SD_EVENT_OFF);
	if (r < 0) {
		r = fault_errno(f, r, "cannot add to the event loop");
		goto out;
	}
	jobs_set_workers(j, workers);
	*ret = TAKE(j);
	r = 0;
out:
	jobs_free(j);
	return r;
}

void jobs_set_workers(struct jobs *j, unsigned workers)
{
	j->max_workers = workers < 2 ? 2 : workers;
	jobs_look(j);
}

static void job_free(struct job *job)
{
	json_object_put(job->spec.params);
	free(job->lock);
	free(job);
}

void jobs_free(struct jobs *j)
{
	struct worker *w, *wt;
	struct job *job, *jt;

	if (!j)
		return;
	list_for_each_safe(w, wt, &j->workers, link) {
		if (w->job)
			job_free(w->job);
		w->job = NULL;
		worker_free(w);
	}
	for (int i = 0; i < 2; i++) {
		list_for_each_safe(job, jt, &j->waiting[i], link) {
			list_del(&job->link);
			job_free(job);
		}
	}
	sd_event_source_disable_unref(j->dispatch);
	sd_event_source_disable_unref(j->retry);
	sd_event_source_disable_unref(j->pause);
	if (j->worker_fd >= 0)
		close(j->worker_fd);
	if (j->locks_fd >= 0)
		close(j->locks_fd);
	sd_event_unref(j->event);
	free(j);
}

void jobs_each_stuck(const struct jobs *j, void (*fn)(const char *pool, pid_t pid, void *userdata),
		     void *userdata)
{
	struct worker *w;

	list_for_each(w, &j->workers, link)
		if (w->state == WORKER_STUCK)
			fn(w->site->pool, w->pid, userdata);
}

unsigned jobs_count_workers(const struct jobs *j)
{
	return j->n_workers;
}

unsigned jobs_count_waiting(const struct jobs *j)
{
	return j->n_waiting;
}

unsigned jobs_count_running(const struct jobs *j)
{
	const struct worker *w;
	unsigned n = 0;

	list_for_each(w, &j->workers, link)
		n += w->job != NULL;
	return n;
}

/* --- sites --- */

int job_site_new(struct jobs *j, const char *pool, const char *store, bool adopted,
		 const char *slots, struct job_site **ret, struct fault *f)
{
	struct job_site *site = calloc(1, sizeof(*site));

	if (!site)
		return fault_oom(f);
	site->jobs = j;
	site->pool = strdup(pool);
	site->store = strdup(store);
	site->slots = strdup(slots);
	site->adopted = adopted;
	if (!site->pool || !site->store || !site->slots) {
		job_site_free(site);
		return fault_oom(f);
	}
	*ret = site;
	return 0;
}

int job_site_new_for_commands(struct jobs *j, const char *pool, const char *store, const char *slots,
			      struct job_site **ret, struct fault *f)
{
	int r = job_site_new(j, pool, store, false, slots, ret, f);

	if (r == 0)
		(*ret)->commands = true;
	return r;
}

void job_site_leave(struct job_site *site)
{
	site->n_workers--;
	if (site->freed && site->n_workers == 0)
		job_site_free(site);
}

void job_site_free(struct job_site *site)
{
	struct worker *w, *wt;
	struct job *job, *jt;

	if (!site)
		return;
	if (!site->freed) {
		site->freed = true;
		for (int i = 0; i < 2; i++) {
			list_for_each_safe(job, jt, &site->jobs->waiting[i], link) {
				if (job->site != site)
					continue;
				list_del(&job->link);
				site->jobs->n_waiting--;
				job_free(job);
			}
		}
		site->n_workers++; /* hold it through the loop */
		list_for_each_safe(w, wt, &site->jobs->workers, link)
			if (w->site == site && w->state != WORKER_STUCK)
				w->state == WORKER_IDLE ? worker_end(w) : worker_kill(w);
		site->n_workers--;
	}
	if (site->n_workers > 0)
		return;
	free(site->pool);
	free(site->store);
	free(site->slots);
	free(site);
}

/* --- jobs --- */

int job_start(struct job_site *site, const struct job_spec *spec, struct job **ret)
{
	struct jobs *j = site->jobs;
	struct job *job = calloc(1, sizeof(*job));
	char *lock = strdup(spec->lock);

	if (!job || !lock) {
		free(job);
		free(lock);
		json_object_put(spec->params);
		return -ENOMEM;
	}
	job->site = site;
	job->spec = *spec;
	job->spec.lock = job->lock = lock;
	list_append(&j->waiting[spec->background], &job->link);
	j->n_waiting++;
	jobs_look(j);
	if (ret)
		*ret = job;
	return 0;
}

static void count_running(struct jobs *j, const struct job *job, int change)
{
	if (job->spec.idle)
		j->n_idle += (unsigned)change;
	else if (job->spec.background)
		j->n_background += (unsigned)change;
}

/* takes the job out of everything, then tells */
void job_finish(struct job *job, enum job_outcome outcome, const char *error, const char *message,
		json_object *params)
{
	_cleanup_json_ json_object *none = params ? NULL : json_object_new_object();
	struct job_result result = {
		.outcome = job->canceled ? JOB_CANCELED : outcome,
		.error = error,
		.message = message,
		.params = params ? params : none,
	};
	struct jobs *j = job->site->jobs;

	if (job->worker) {
		job->worker->job = NULL;
		count_running(j, job, -1);
	} else {
		list_del(&job->link);
		j->n_waiting--;
	}
	log_debug("jobs", "job over: %s outcome=%d %s lock=%s", job->spec.method, result.outcome,
		  message, job->lock);
	if (!job->site->freed)
		job->spec.done(&result, job->spec.userdata);
	job_free(job);
	jobs_look(j);
}

void job_cancel(struct job *job)
{
	job->canceled = true;
	if (job->worker)
		worker_kill(job->worker);
	else
		jobs_look(job->site->jobs); /* job_start()'s promise: never told from inside a call */
}

unsigned jobs_stop(struct jobs *j)
{
	struct worker *w, *wt;

	j->stopping = true;
	jobs_look(j);
	list_for_each_safe(w, wt, &j->workers, link)
		if (w->state == WORKER_IDLE)
			worker_end(w);
	return jobs_count_running(j);
}

/* --- scheduling --- */

/* 0 and a locked descriptor; -EAGAIN: somebody has it */
static int lock_take(struct jobs *j, struct job *job, int *ret, struct fault *f)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	_cleanup_(closep) int fd = -1;

	fd = openat(j->locks_fd, job->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fault_errno(f, -errno, "cannot open the lock locks/%s", job->lock);
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		if (errno == EAGAIN || errno == EACCES)
			return -EAGAIN;
		return fault_errno(f, -errno, "cannot lock locks/%s", job->lock);
	}
	*ret = TAKE_FD(fd);
	return 0;
}

static struct worker *find_idle(struct jobs *j, const struct job_site *site, bool same)
{
	struct worker *w;

	list_for_each(w, &j->workers, link)
		if (w->state == WORKER_IDLE && (w->site == site) == same &&
		    (same || !w->site->commands))
			return w;
	return NULL;
}

/*
 * Is there a worker for this job, or room for one? If only a worker of another pool is idle, it
 * gives up its place, and the job starts when it is gone.
 */
static bool has_room(struct jobs *j, const struct job *job)
{
	struct worker *other;

	if (job->site->commands)
		return true;
	if (job->spec.idle)
		return j->n_idle == 0 && (j->n_workers <= j->max_workers || find_idle(j, job->site, true));
	if (job->spec.background && j->n_background + 1 >= j->max_workers)
		return false;
	if (j->n_workers < j->max_workers + j->n_idle || find_idle(j, job->site, true))
		return true;
	other = find_idle(j, job->site, false);
	if (other)
		worker_end(other);
	return false;
}

static void report_busy_lock(struct job *job)
{
	if (!job->warned)
		log_info("a job waits until an earlier worker is gone lock=%s", job->lock);
	job->warned = true;
}

static void job_give(struct jobs *j, struct job *job, struct worker *w, int lock_fd)
{
	struct fault f = FAULT_NONE;

	list_del(&job->link);
	j->n_waiting--;
	count_running(j, job, 1);
	if (worker_run(w, job, lock_fd, &f) < 0) {
		log_error("cannot hand a job to a worker: %s lock=%s", f.text, job->lock);
		worker_kill(w); /* the job ends when it was reaped */
	}
}

/* an idle worker of another pool gives back what it has, until the next attempt */
static void wait_for_means(struct jobs *j, const struct job *job, bool of_locks,
			   const struct fault *f)
{
	struct worker *other = find_idle(j, job->site, false);

	note_shortage(j, of_locks, f);
	if (other)
		worker_end(other);
}

static bool is_shortage(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -ENOSPC || r == -EDQUOT;
}

/* 0: ours; 1: not for now; negative: never */
static int get_lock(struct jobs *j, struct job *job, int *ret, struct fault *f)
{
	int r = lock_take(j, job, ret, f);

	if (r == 0 && j->short_of_locks)
		end_shortage(j);
	if (r == -EAGAIN) {
		report_busy_lock(job);
		retry_later(j);
		return 1;
	}
	if (is_shortage(r)) {
		wait_for_means(j, job, true, f);
		return 1;
	}
	return r;
}

/* NULL: not for now */
static struct worker *get_worker(struct jobs *j, const struct job *job)
{
	struct worker *w = find_idle(j, job->site, true);
	struct fault f = FAULT_NONE;

	if (w)
		return w;
	if (worker_start(job->site, &w, &f) < 0) {
		wait_for_means(j, job, false, &f);
		return NULL;
	}
	end_shortage(j);
	return w;
}

/* true: the job left the queue */
static bool job_try(struct jobs *j, struct job *job)
{
	_cleanup_(closep) int lock_fd = -1;
	struct fault f = FAULT_NONE;
	struct worker *w;
	int r;

	if (job->canceled) {
		job_finish(job, JOB_CANCELED, NULL, "cancelled", NULL);
		return true;
	}
	if (is_paused(j) && !find_idle(j, job->site, true))
		return false;
	if (!has_room(j, job))
		return false;
	r = get_lock(j, job, &lock_fd, &f);
	if (r < 0) {
		job_finish(job, JOB_REFUSED, "Failed", f.text, NULL);
		return true;
	}
	w = r == 0 ? get_worker(j, job) : NULL;
	if (!w)
		return false;
	job_give(j, job, w, TAKE_FD(lock_fd));
	return true;
}

/* after max_workers was lowered: what works comes to its end, and is not given more */
static void end_surplus(struct jobs *j)
{
	struct worker *w, *wt;
	unsigned n = 0;

	list_for_each(w, &j->workers, link)
		n += !w->site->commands && (w->state == WORKER_STARTING || w->state == WORKER_BUSY ||
					    w->state == WORKER_IDLE);
	list_for_each_safe(w, wt, &j->workers, link) {
		if (n <= j->max_workers + j->n_idle)
			return;
		if (w->state == WORKER_IDLE && !w->site->commands) {
			worker_end(w);
			n--;
		}
	}
}

static int on_dispatch(sd_event_source *s, void *userdata)
{
	struct jobs *j = userdata;
	struct job *job, *jt;
	bool again;

	end_surplus(j);
	/* a done function may start or cancel jobs: begin anew after each that left */
	do {
		again = false;
		for (int i = 0; i < 2 && !again; i++) {
			list_for_each_safe(job, jt, &j->waiting[i], link) {
				if (j->stopping)
					job->canceled = true;
				if (job_try(j, job)) {
					again = true;
					break;
				}
			}
		}
	} while (again);
	return 0;
}
