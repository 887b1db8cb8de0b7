/*
 * What can be found out about a holder that was not heard of in time.
 *
 * Two probes run beside each other, each in a process that may hang without anybody waiting: a worker
 * looks at the slot (an operation in progress, what was written last), and a child of slotd looks for
 * processes in it, since a worker that Landlock confines sees none. After INQUIRY_USEC whatever is
 * missing counts as unknown. Neither takes the slot's own lock, so a release waits for nothing.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ledger/child.h"
#include "lease/processes.h"
#include "pool/private.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/text.h"

#define INQUIRY_USEC (10 * USEC_PER_SEC)
#define INQUIRIES    16 /* at once; the others come when one has ended */
#define MOST_PIDS    100
#define EXIT_UNKNOWN 255 /* of the child; else how many processes it found */

struct inquiry {
	struct list link; /* pools.inquiries */
	struct lease *lease; /* NULL: it has ended, or was renewed */
	struct pools *pools;
	struct pool *pool; /* whose site the job is of */
	struct job *job;
	sd_event_source *child, *timer;
	struct inquiry_result result;
};

/* one that hangs in the kernel is gone and reaped when it can be: nobody waits for that */
static void drop_child(struct inquiry *q)
{
	if (!q->child)
		return;
	(void)sd_event_source_send_child_signal(q->child, SIGKILL, NULL, 0);
	(void)sd_event_source_set_userdata(q->child, NULL);
	(void)sd_event_source_set_floating(q->child, true);
	q->child = sd_event_source_unref(q->child);
}

static void inquiry_free(struct inquiry *q)
{
	list_del(&q->link);
	q->pools->n_inquiries--;
	if (q->lease)
		q->lease->inquiry = NULL;
	drop_child(q);
	sd_event_source_disable_unref(q->timer);
	free(q);
}

static void finish_if_done(struct inquiry *q)
{
	struct lease *lease = q->lease;
	struct inquiry_result result = q->result;

	if (q->job || q->child)
		return;
	inquiry_free(q);
	if (lease)
		lease_judge_now(lease, &result);
}

/* --- the slot --- */

static bool take_usec(json_object *params, const char *key, uint64_t *ret)
{
	int64_t usec = json_get_int(params, key, -1);

	*ret = usec < 0 ? 0 : (uint64_t)usec;
	return usec >= 0;
}

static void on_observed(const struct job_result *r, void *userdata)
{
	struct inquiry *q = userdata;
	struct lease_evidence *e = &q->result.evidence;
	const char *operation = json_get_string(r->params, "operation");

	q->job = NULL;
	if (r->outcome == JOB_DONE && operation) {
		e->operation = operation[0] ? LEASE_SIGN_YES : LEASE_SIGN_NO;
		snprintf(q->result.operation, sizeof(q->result.operation), "%s", operation);
	}
	/* gone, or another one in its place: nobody works there, which is an answer as well */
	if (r->outcome == JOB_REFUSED && r->error && strcmp(r->error, "Damaged") == 0)
		e->operation = LEASE_SIGN_NO;
	if (r->outcome == JOB_DONE)
		e->unread = !json_get_bool(r->params, "sawAll", false);
	if (r->outcome == JOB_DONE) {
		q->result.has_written = take_usec(r->params, "writtenAgoUsec", &q->result.written_ago_usec);
		q->result.has_written_ahead = take_usec(r->params, "writtenAheadUsec", &q->result.written_ahead_usec);
	}
	if (r->outcome != JOB_DONE)
		log_info("a slot could not be looked at: %s slot=%s", r->message,
			 q->lease ? q->lease->rec.slot : "-");
	finish_if_done(q);
}

static void ask_worker(struct inquiry *q)
{
	const struct slot_record *slot = &q->lease->slot->rec;
	struct job_site *site = q->lease->slot->pool->site;
	char lock[NAME_SIZE + 8];
	struct job_spec spec = {
		.method = "SlotObserve",
		.params = json_object_new_object(),
		.lock = lock,
		.deadline_usec = INQUIRY_USEC,
		.done = on_observed,
		.userdata = q,
	};

	snprintf(lock, sizeof(lock), "%s.look", slot->name);
	json_set_string(spec.params, "slot", slot->name);
	json_set_int(spec.params, "dev", (int64_t)slot->dev);
	json_set_int(spec.params, "ino", (int64_t)slot->ino);
	if (!site)
		json_object_put(spec.params);
	else if (job_start(site, &spec, &q->job) < 0)
		q->job = NULL;
}

/* --- processes --- */

static _Noreturn void look_for_processes(const char *slot, pid_t parent)
{
	struct processes_place place = { 0 };
	int n;

	child_begin(parent);
	/* if it hangs, it must hold no connection open, and no lock that the next slotd needs */
	close_range(STDERR_FILENO + 1, ~0U, 0);
	place.path = realpath(slot, NULL);
	n = place.path ? processes_look(&place, 1, parent) : errno == ENOENT ? 0 : -errno;
	_exit(n < 0 ? EXIT_UNKNOWN : place.n < MOST_PIDS ? (int)place.n : MOST_PIDS);
}

static int on_looked(sd_event_source *s, const siginfo_t *si, void *userdata)
{
	struct inquiry *q = userdata;

	if (!q)
		return sd_event_source_set_floating(s, false); /* which frees it */
	q->child = sd_event_source_unref(q->child);
	if (si->si_code == CLD_EXITED && si->si_status != EXIT_UNKNOWN) {
		q->result.n_processes = (unsigned)si->si_status;
		q->result.evidence.processes = si->si_status ? LEASE_SIGN_YES : LEASE_SIGN_NO;
	}
	finish_if_done(q);
	return 0;
}

static void ask_child(struct inquiry *q)
{
	_cleanup_(freep) char *path = slot_path(q->lease->slot);
	struct pools *p = q->lease->slot->pool->pools;
	pid_t parent = getpid(), pid = path ? fork() : -1;

	if (pid == 0)
		look_for_processes(path, parent);
	if (pid > 0 && sd_event_add_child(p->event, &q->child, pid, WEXITED, on_looked, q) < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

/* --- all of it --- */

static int on_late(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct inquiry *q = userdata;

	drop_child(q);
	if (q->job)
		job_cancel(q->job);
	else
		finish_if_done(q);
	return 0;
}

void lease_inquire(struct lease *lease)
{
	struct pools *p = lease->slot->pool->pools;
	struct inquiry *q;

	if (lease->inquiry)
		return;
	q = p->n_inquiries < INQUIRIES ? calloc(1, sizeof(*q)) : NULL;
	if (!q) {
		lease_ask_later(lease);
		return;
	}
	q->lease = lease;
	q->pools = p;
	q->pool = lease->slot->pool;
	lease->inquiry = q;
	list_append(&p->inquiries, &q->link);
	p->n_inquiries++;
	if (sd_event_add_time_relative(p->event, &q->timer, CLOCK_MONOTONIC, INQUIRY_USEC, 0, on_late, q) < 0) {
		inquiry_free(q);
		return;
	}
	ask_worker(q);
	ask_child(q);
	if (!q->job && !q->child) /* nobody could be asked: from the loop, as any answer */
		sd_event_source_set_time_relative(q->timer, 0);
}

void lease_stop_inquiry(struct lease *lease)
{
	if (lease->inquiry)
		lease->inquiry->lease = NULL;
	lease->inquiry = NULL;
}

void inquiries_lose_jobs(struct pool *pool)
{
	struct inquiry *q, *tmp;

	list_for_each_safe(q, tmp, &pool->pools->inquiries, link) {
		if (q->pool != pool || !q->job)
			continue;
		q->job = NULL;
		finish_if_done(q);
	}
}

void inquiries_free(struct pools *p)
{
	struct inquiry *q, *tmp;

	list_for_each_safe(q, tmp, &p->inquiries, link)
		inquiry_free(q);
}
