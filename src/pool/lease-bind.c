/*
 * What a lease is bound to: a process, a connection.
 *
 * A process is known by its pid and start time and, while slotd runs, watched by a pidfd, so a pid that
 * is used again is not taken for it. When what a lease is bound to ends, that is proof of its holder's
 * death: the grace begins, and after it the lease is over (lease-term.c). Until then a report, or the
 * same request with the lease's key, says that somebody is there all the same.
 */
#include <errno.h>
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

	if (lease->ended || lease->rec.bound_end.wall_usec || p->stopping)
		return;
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

void leases_retry_bound(struct pools *p)
{
	struct lease *lease;

	list_for_each(lease, &p->all_leases, link)
		if (lease->bound_due)
			bound_ended(lease, "what it was bound to is gone");
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

/* 0, or -ESRCH: it is not there any more */
static int watch_process(struct lease *lease)
{
	sd_event *event = lease->slot->pool->pools->event;
	pid_t pid = (pid_t)lease->rec.bound_pid;
	_cleanup_(closep) int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0 && errno != ESRCH)
		log_warning("a holder cannot be watched, it is looked at when its time is over: %s pid=%d",
			    strerror(errno), (int)pid);
	if (process_start_time(pid) != lease->rec.bound_start)
		return -ESRCH;
	if (fd < 0)
		return errno == ESRCH ? -ESRCH : 0;
	if (sd_event_add_io(event, &lease->bound, fd, EPOLLIN, on_process_ended, lease) < 0)
		return 0;
	(void)sd_event_source_set_io_fd_own(lease->bound, true);
	(void)sd_event_source_set_priority(lease->bound, PRIORITY_ENDS);
	TAKE_FD(fd);
	return 0;
}

/* --- all of it --- */

void lease_unbind(struct lease *lease)
{
	lease->bound = sd_event_source_disable_unref(lease->bound);
	lease->conn_id = 0;
}

void lease_bind(struct lease *lease, const struct acquire_spec *spec)
{
	struct lease_record *r = &lease->rec;
	bool was_ended = r->bound_end.wall_usec;

	lease_unbind(lease);
	if (was_ended || r->bound_pid != spec->bound_pid || r->bound_start != spec->bound_start) {
		lease_edit(lease);
		r->bound_pid = spec->bound_pid;
		r->bound_start = spec->bound_start;
		memset(&r->bound_end, 0, sizeof(r->bound_end));
		if (was_ended)
			lease_begin_term(r, lease->slot->pool->conf);
		batch_put_lease(lease->slot->pool->pools->batch, r);
		pools_changed(lease->slot->pool->pools);
	}
	if (r->bind & LEASE_BIND_CONNECTION)
		lease->conn_id = spec->conn_id;
	if (r->bind & LEASE_BIND_PROCESS && watch_process(lease) == -ESRCH)
		process_ended(lease);
	lease_set_timer(lease);
}

void lease_bind_again(struct lease *lease)
{
	struct lease_record *r = &lease->rec;

	if (r->bound_end.wall_usec)
		return;
	if (r->bind & LEASE_BIND_PROCESS &&
	    (!boot_id_is_same(&r->acquired.boot, clock_boot_id()) || watch_process(lease) == -ESRCH))
		process_ended(lease);
	else if (r->bind & LEASE_BIND_CONNECTION)
		bound_ended(lease, "its connection ended with the last slotd");
}

void lease_forgive(struct lease *lease)
{
	struct lease_record *r = &lease->rec;

	if (!r->bound_end.wall_usec)
		return;
	/* somebody is there who is not what it was bound to: from now on its reports keep it */
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
