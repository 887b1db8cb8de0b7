/*
 * How it ends.
 *
 * The first SIGTERM or SIGINT: stop accepting; refuse who waits; let running jobs come to
 * their end, or cancel them when time is up; stop watches; answer or fail what is pending;
 * commit and close the ledger; leave. Each step says how much it had. A second signal leaves at
 * once: every commit is on disk, and what runs is taken up at the next start.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "slotd/slotd.h"
#include "util/clock.h"
#include "util/log.h"

#define CHECK_USEC (20 * USEC_PER_MSEC)
#define FLUSH_USEC (2 * USEC_PER_SEC)

static void finish(struct slotd *d)
{
	struct fault f = FAULT_NONE;
	unsigned failed, watches = d->watch != NULL;
	size_t left;

	watch_free(d->watch);
	d->watch = NULL;
	log_info("stopping: streams and watches ended count=%u", watches + events_close(d));
	log_info("stopping: last changes are recorded count=%zu", batch_count(pools_batch(d->pools)));
	if (pools_commit(d->pools, &f) < 0)
		log_error("the last changes could not be recorded: %s", f.text);
	failed = rpc_service_fail_calls(d->service, "io.slotd.pool.ShuttingDown",
					"slotd is stopping; ask again in a moment");
	log_info("stopping: pending calls ended count=%u", failed);
	left = rpc_service_flush(d->service, FLUSH_USEC);
	log_info("stopping: answers sent, not taken bytes=%zu", left);
	sd_event_exit(d->event, EXIT_SUCCESS);
}

/* jobs that have come to their end are still recorded; then that is all */
static int on_check(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct slotd *d = userdata;
	unsigned running = jobs_count_running(d->jobs) + jobs_count_waiting(d->jobs);

	if (running > 0 && usec < d->stop_deadline_usec) {
		sd_event_source_set_time_relative(s, CHECK_USEC);
		sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
		return 0;
	}
	log_info("stopping: jobs given up count=%u", running);
	finish(d);
	return 0;
}

static void stop(struct slotd *d)
{
	uint64_t now;

	d->stopping = true;
	sd_notify(0, "STOPPING=1\nSTATUS=stopping");
	sd_event_now(d->event, CLOCK_MONOTONIC, &now);
	/* a part of the time is kept for the steps after the jobs */
	d->stop_deadline_usec = now + d->conf->shutdown_timeout_usec * 8 / 10;
	log_info("stopping: no new connections; open count=%u", rpc_service_count_conns(d->service));
	server_stop_listening(d);
	rpc_service_stop_reading(d->service);
	log_info("stopping: who waited was refused count=%u", pools_stop(d->pools));
	log_info("stopping: running jobs may end count=%u", jobs_stop(d->jobs));
	if (sd_event_add_time_relative(d->event, &d->stop_check, CLOCK_MONOTONIC, CHECK_USEC, 0,
				       on_check, d) < 0)
		finish(d);
}

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata)
{
	struct slotd *d = userdata;

	if (d->signals++ > 0) {
		log_notice("a second signal: leaving at once");
		_exit(EXIT_SUCCESS);
	}
	stop(d);
	return 0;
}

static int on_hangup(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata)
{
	reload(userdata);
	return 0;
}

int shutdown_init(struct slotd *d, struct fault *f)
{
	int r;

	r = sd_event_add_signal(d->event, NULL, SIGTERM, on_signal, d);
	if (r >= 0)
		r = sd_event_add_signal(d->event, NULL, SIGINT, on_signal, d);
	if (r >= 0)
		r = sd_event_add_signal(d->event, NULL, SIGHUP, on_hangup, d);
	return r < 0 ? fault_errno(f, r, "cannot take signals") : 0;
}

void shutdown_deinit(struct slotd *d)
{
	d->stop_check = sd_event_source_disable_unref(d->stop_check);
}
