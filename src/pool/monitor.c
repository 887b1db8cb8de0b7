/* How the leases are, for the log: one line a round, when there are any. */
#include <string.h>

#include "pool/private.h"
#include "util/log.h"

struct round {
	unsigned active, expiring, expired, past_grace;
};

static void count(struct round *r, const struct lease *lease)
{
	const char *status = lease_status(lease);

	if (lease_is_past_grace(lease))
		r->past_grace++;
	else if (strcmp(status, "grace") == 0)
		r->expired++;
	else if (strcmp(status, "expiring_soon") == 0)
		r->expiring++;
	else
		r->active++;
}

static void arm(struct pools *p)
{
	sd_event_source_set_time_relative(p->monitor, p->conf->defaults.lease.monitor_every_usec);
	sd_event_source_set_enabled(p->monitor, SD_EVENT_ONESHOT);
}

static int on_round(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct pools *p = userdata;
	struct round r = { 0 };
	struct lease *lease;

	if (p->stopping)
		return 0;
	for (lease = lease_next(p, NULL); lease; lease = lease_next(p, lease))
		count(&r, lease);
	if (p->n_leases || p->n_recovered)
		log_info("leases: active=%u expiring=%u expired=%u past_grace=%u recovered=%u", r.active,
			 r.expiring, r.expired, r.past_grace, p->n_recovered);
	p->n_recovered = 0;
	arm(p);
	return 0;
}

int monitor_start(struct pools *p, struct fault *f)
{
	int r = sd_event_add_time_relative(p->event, &p->monitor, CLOCK_MONOTONIC, 0, USEC_PER_SEC / 4,
					   on_round, p);

	if (r < 0)
		return fault_errno(f, r, "cannot add a timer");
	arm(p);
	return 0;
}
