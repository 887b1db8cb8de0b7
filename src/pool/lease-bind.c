/*
 * What a lease is bound to: a process, a connection.
 *
 * A process is known by its pid and start time and, while slotd runs, watched by a pidfd, so a pid that
 * is used again is not taken for it. When what a lease is bound to ends, that is proof of its holder's
 * death: the grace begins, and after it the lease is over (lease-term.c). Until then a report, or the
 * same request with the lease's key, says that somebody is there all the same.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/process.h"

/* the ends of holders come before the acquires of the same turn */
#define PRIORITY_ENDS (SD_EVENT_PRIORITY_NORMAL - 10)

enum lease_sign lease_bound_sign(const struct lease *lease)
{
	if (lease->rec.bound_end.wall_usec)
		return LEASE_SIGN_NO;
	return lease->rec.bind & (LEASE_BIND_PROCESS | LEASE_BIND_CONNECTION) ? LEASE_SIGN_YES :
										 LEASE_SIGN_UNKNOWN;
}

/* nobody else would ask again: a process ends once */
static void undo_bound_ended(void *arg)
{
	struct lease *lease = arg;

	lease->bound_due = true;
	pools_look_later(lease->slot->pool->pools, USEC_PER_SEC);
}

/* the grace begins, whatever time was left */
static void bound_ended(struct lease *lease, const char *what)
{
	struct slot *slot = lease->slot;
	struct pools *p = slot->pool->pools;

	if (lease->rec.bound_end.wall_usec || p->stopping)
		return;
	if (lease->ended) {
		/* it matters only if that cannot be recorded */
		batch_undo(p->batch, undo_bound_ended, lease);
		return;
	}
	lease->bound_due = false;
	lease_edit(lease);
	batch_undo(p->batch, undo_bound_ended, lease);
	lease->rec.bound_end = lease->rec.deadline = moment_now();
	lease->rec.warned = true;
	lease->again_usec = 0;
	lease_set_timer(lease);
	batch_put_lease(p->batch, &lease->rec);
	pools_event(p, "holder_ended", slot->pool, slot, lease, UID_SLOTD, "%s", what);
	log_info("a holder has ended: %s slot=%s agent=%s", what, slot->rec.name, lease->rec.agent);
}

/* --- a process --- */

static void process_ended(struct lease *lease)
{
	char what[64];

	snprintf(what, sizeof(what), "process %u is gone", lease->rec.bound_pid);
	bound_ended(lease, what);
}

static int on_process_ended(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct lease *lease = userdata;

	lease->bound = sd_event_source_disable_unref(lease->bound);
	process_ended(lease);
	return 0;
}

static bool has_exited(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/*
 * 0, or -ESRCH: it is not there any more. Without lease->bound at 0 it could not be told, as when
 * descriptors are scarce; leases_look_at_bound() tries again.
 */
static int watch_process(struct lease *lease)
{
	sd_event *event = lease->slot->pool->pools->event;
	pid_t pid = (pid_t)lease->rec.bound_pid;
	_cleanup_(closep) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	int r = fd < 0 ? -errno : 0;
	uint64_t start = process_start_time(pid);

	if (r == -ESRCH || (start && start != lease->rec.bound_start))
		return -ESRCH;
	if (r == 0 && !start)
		return has_exited(fd) ? -ESRCH : 0;
	if (r == 0)
		r = sd_event_add_io(event, &lease->bound, fd, EPOLLIN, on_process_ended, lease);
	if (r < 0) {
		log_warning("a holder cannot be watched, it is looked at now and then: %s pid=%d", strerror(-r),
			    (int)pid);
		return 0;
	}
	(void)sd_event_source_set_io_fd_own(lease->bound, true);
	(void)sd_event_source_set_priority(lease->bound, PRIORITY_ENDS);
	TAKE_FD(fd);
	return 0;
}

static bool is_unwatched(const struct lease *lease)
{
	return lease->rec.bind & LEASE_BIND_PROCESS && !lease->rec.bound_end.wall_usec && !lease->bound &&
	       !lease->ended;
}

void leases_look_at_bound(struct pools *p)
{
	struct lease *lease;

	list_for_each(lease, &p->all_leases, link) {
		if (lease->bound_due)
			bound_ended(lease, "what it was bound to is gone");
		else if (is_unwatched(lease) && watch_process(lease) == -ESRCH)
			process_ended(lease);
	}
}

/* --- all of it --- */

void lease_unbind(struct lease *lease)
{
	lease->bound = sd_event_source_disable_unref(lease->bound);
	lease->conn_id = 0;
}

/* a rollback put the record back: what was watched since is not what it names */
static void undo_watch(void *arg)
{
	struct lease *lease = arg;

	lease->bound = sd_event_source_disable_unref(lease->bound);
	pools_look_later(lease->slot->pool->pools, USEC_PER_SEC);
}

static uint8_t bind_of(const struct acquire_spec *spec)
{
	return spec->bind ? spec->bind : LEASE_BIND_TTL;
}

/* the same request finds its lease under way: nothing is to be recorded */
static bool is_under_way(const struct lease *lease, const struct acquire_spec *spec)
{
	const struct lease_record *r = &lease->rec;

	return !r->bound_end.wall_usec && !lease->bound_due && r->bind == bind_of(spec) &&
	       r->bound_pid == spec->bound_pid &&
	       r->bound_start == spec->bound_start && boot_id_is_same(&r->heard.boot, clock_boot_id()) &&
	       (!r->deadline.wall_usec || clock_boot_usec() < r->deadline.boot_usec);
}

void lease_bind(struct lease *lease, const struct acquire_spec *spec)
{
	struct batch *b = lease->slot->pool->pools->batch;
	struct lease_record *r = &lease->rec;

	/* a connection that is not told of it does not take the place of the one that was */
	batch_save(b, &lease->conn_id, sizeof(lease->conn_id));
	if (!is_under_way(lease, spec)) {
		batch_undo(b, undo_watch, lease);
		batch_save(b, &lease->bound_due, sizeof(lease->bound_due));
		lease_edit(lease);
		lease_unbind(lease);
		lease->bound_due = false;
		r->bind = bind_of(spec); /* its reports may have kept it meanwhile */
		r->bound_pid = spec->bound_pid;
		r->bound_start = spec->bound_start;
		memset(&r->bound_end, 0, sizeof(r->bound_end));
		lease_hear(lease);
	}
	if (r->bind & LEASE_BIND_CONNECTION)
		lease->conn_id = spec->conn_id;
	if (is_unwatched(lease) && watch_process(lease) == -ESRCH)
		process_ended(lease);
}

void lease_bind_again(struct lease *lease)
{
	struct lease_record *r = &lease->rec;

	if (r->bound_end.wall_usec)
		return;
	/* whoever bound it was heard then, in the same boot */
	if (r->bind & LEASE_BIND_PROCESS &&
	    (!boot_id_is_same(&r->heard.boot, clock_boot_id()) || watch_process(lease) == -ESRCH))
		process_ended(lease);
	else if (r->bind & LEASE_BIND_CONNECTION)
		bound_ended(lease, "its connection ended with the last slotd");
}

void lease_forgive(struct lease *lease)
{
	struct batch *b = lease->slot->pool->pools->batch;
	struct lease_record *r = &lease->rec;

	if (!r->bound_end.wall_usec && !lease->bound_due)
		return;
	/* somebody is there who is not what it was bound to: from now on its reports keep it */
	batch_save(b, &lease->bound_due, sizeof(lease->bound_due));
	lease->bound_due = false;
	memset(&r->bound_end, 0, sizeof(r->bound_end));
	r->bind = LEASE_BIND_TTL;
	lease_unbind(lease);
}

void pools_conn_gone(struct pools *p, uint64_t conn_id)
{
	struct lease *lease;

	list_for_each(lease, &p->all_leases, link) {
		if (lease->conn_id != conn_id)
			continue;
		lease->conn_id = 0;
		bound_ended(lease, "its connection is gone");
	}
}
