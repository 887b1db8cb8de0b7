/* When a lease may end, and when it has to. */
#include "promises.h"

#include <string.h>

struct model model;

static struct when this_moment(void)
{
	return (struct when){ model.now, model.slept, model.wall, model.boot };
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void model_end(int slot)
{
	struct model_lease *m = &model.lease[slot];

	if (m->key >= 0)
		model.key[m->key].slot = -1;
	memset(m, 0, sizeof(*m));
}

bool model_has_passed(const struct model_lease *m)
{
	return m->deadline != NO_DEADLINE && model.now >= later(m->deadline, model.woke) + GRACE;
}

void model_hear(struct model_lease *m)
{
	m->heard = this_moment();
	m->deadline = m->bind & LEASE_BIND_TTL ? model.now + TTL : NO_DEADLINE;
}

void model_lose(struct model_lease *m)
{
	if (m->lost)
		return;
	m->lost = true;
	m->deadline = model.now;
}

void model_renew(struct model_lease *m)
{
	if (m->lost)
		m->bind = LEASE_BIND_TTL;
	m->lost = false;
	model_hear(m);
}

/* that moment, as if the machine had not slept since: nobody can give a sign while it does */
static uint64_t awake(const struct when *w)
{
	uint64_t at = w->usec + (model.slept - w->slept);

	if (w->boot != model.boot)
		return 0;
	return at < model.now ? at : model.now;
}

/* what is from before the machine slept is no older for that */
static uint64_t as_if_awake(uint64_t at)
{
	uint64_t slept = model.slept - model.slept_before;

	return at >= model.woke ? at : at + slept < model.woke ? at + slept : model.woke;
}

static bool all_is_known(const struct lease_evidence *e)
{
	return e->processes == LEASE_SIGN_NO && e->operation != LEASE_SIGN_UNKNOWN && !e->unread;
}

bool model_judge(struct model_lease *m, const struct lease_evidence *e)
{
	bool lives = !m->lost && m->bind & (LEASE_BIND_PROCESS | LEASE_BIND_CONNECTION);
	bool here = m->heard.boot == model.boot;
	uint64_t sign;

	if (m->lost || !here)
		return true;
	if (lives || e->processes == LEASE_SIGN_YES)
		m->seen = this_moment();
	else if (e->seen_usec && (m->seen.boot != model.boot || as_if_awake(e->seen_usec) > m->seen.usec))
		m->seen = (struct when){ as_if_awake(e->seen_usec), model.slept, model.wall, model.boot };
	if (e->operation == LEASE_SIGN_YES && m->extensions < 2) {
		m->extensions++;
		m->deadline = model.now + EXTENSION;
		return false;
	}
	sign = later(awake(&m->heard), awake(&m->seen));
	return !lives && e->processes != LEASE_SIGN_YES &&
	       model.now - sign >= (all_is_known(e) ? ABANDON : ABANDON_UNKNOWN);
}

void model_bind(struct model_lease *m, const struct acquire_spec *spec)
{
	bool is_under_way = !m->lost && m->heard.boot == model.boot &&
			    m->bind == spec->bind && m->pid == spec->bound_pid &&
			    (m->deadline == NO_DEADLINE || model.now < m->deadline);

	if (!is_under_way && model.is_broken)
		return;
	m->conn = spec->conn_id;
	m->pid = spec->bound_pid;
	if (is_under_way)
		return;
	m->lost = false;
	m->bind = spec->bind;
	model_hear(m);
}

void model_restart(struct model_lease *m)
{
	bool is_gone = m->bind & LEASE_BIND_CONNECTION ||
		       (m->bind & LEASE_BIND_PROCESS && m->heard.boot != model.boot);

	m->is_asked = false;
	m->retry = m->conn = 0;
	if (m->deadline != NO_DEADLINE && (m->heard.boot != model.boot || m->deadline < model.now))
		m->deadline = model.now;
	if (is_gone)
		model_lose(m);
}
