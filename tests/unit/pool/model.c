/*
 * Leases against a model of what is promised.
 *
 * Random steps go to the real pools, with their ledger and batch, and to a model (promises.h). After each,
 * both must hold the same leases, and memory must be what the ledger says. Time is faked, and so far ahead
 * that no timer of the loop is due by itself: pass() drives those that are. No git work is done: slots are
 * cleaned by hand. Inquiries are answered here, in place of pool/inquiry.c.
 *
 * SLOTD_MODEL_SEQUENCES and SLOTD_MODEL_SEED make it longer, and repeat what a failure names.
 */
#include "promises.h"
#include "world.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/log.h"
#include "util/process.h"

#define HOLDERS 2
#define STEPS	60
#define FAR	(10000 * USEC_PER_DAY)

/* --- chance, and what it led to --- */

static uint64_t seed;
static char trace[16384];

static unsigned chance(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % n;
}

__attribute__((format(printf, 1, 2))) static void note(const char *fmt, ...)
{
	size_t len = strlen(trace);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(trace + len, sizeof(trace) - len, fmt, ap);
	va_end(ap);
}

#define HOLDS(condition, what)                                                                  \
	cr_assert(condition, "%s: %s\n%s\nat %.6f s: %s", what, #condition, trace,              \
		  (double)(model.now - FAR) / 1e6, model.is_broken ? "nothing can be recorded" : "")

/* --- the pools, without git --- */

static struct lease *asked[SLOTS]; /* an inquiry about it is under way */

static int number_of(const struct slot *slot)
{
	return atoi(slot->rec.name + 2) - 1;
}

static struct lease *lease_in(int slot)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "p-%d", slot + 1);
	return slot_of(name)->lease;
}

void lease_inquire(struct lease *lease)
{
	struct model_lease *m = &model.lease[number_of(lease->slot)];

	HOLDS(m->is_held && model_has_passed(m), "nobody is asked about before its grace has passed");
	HOLDS(!m->lost, "where there is proof nobody is asked");
	m->is_asked = true;
	asked[number_of(lease->slot)] = lease;
}

void lease_stop_inquiry(struct lease *lease)
{
	asked[number_of(lease->slot)] = NULL;
}

void inquiries_lose_jobs(struct pool *pool)
{
}

void inquiries_free(struct pools *p)
{
}

/* from now on nothing is asked of a worker */
static void do_without_git(void)
{
	pool_close_store(world.pool);
	world.pool->opened = true;
	world.pool->head_is_stale = false;
	world.pool->refs_moved = false;
}

static void set_clocks(void)
{
	struct boot_id boot = { .bytes = { (uint8_t)model.boot, (uint8_t)(model.boot >> 8), 1 } };

	clock_fake((uint64_t)((int64_t)model.now + model.wall), model.now, &boot);
}

static void clean_slots(void)
{
	static const enum slot_state dirty[] = { SLOT_STATE_CLEANING, SLOT_STATE_RECOVERING };
	struct slot *slot, *tmp;

	for (size_t i = 0; i < ARRAY_SIZE(dirty); i++)
		list_for_each_safe(slot, tmp, &world.pool->slots[dirty[i]], link)
			slot_move(slot, SLOT_STATE_READY, NULL);
	world_settle();
}

/* the handlers of all timers that are due */
static void drive_timers(void)
{
	for (int i = 0; i < SLOTS; i++) {
		struct lease *lease = lease_in(i);
		uint64_t at;

		if (!lease || sd_event_source_get_enabled(lease->timer, NULL) <= 0)
			continue;
		cr_assert_geq(sd_event_source_get_time(lease->timer, &at), 0);
		if (at > model.now)
			continue;
		sd_event_source_set_enabled(lease->timer, SD_EVENT_OFF);
		lease_on_timer(lease->timer, at, lease);
	}
	world_settle();
}

/* --- holders --- */

static pid_t holders[HOLDERS];

static void begin_holder(int i)
{
	pid_t parent = getpid(), pid = fork();

	while (pid == 0 && getppid() == parent)
		usleep(50000);
	if (pid == 0)
		_exit(0);
	cr_assert_gt(pid, 0);
	holders[i] = pid;
}

static void end_holder(int i)
{
	kill(holders[i], SIGKILL);
	cr_assert_eq(waitpid(holders[i], NULL, 0), holders[i]);
}

/* --- what must hold after each step --- */

static unsigned n_seen;

static int same_lease(const struct lease_record *r, void *userdata)
{
	static uint8_t ours[RECORD_MAX], theirs[RECORD_MAX];
	struct lease *lease = pools_find_lease(world.pools, &r->id);
	size_t n;

	n_seen++;
	HOLDS(lease, "a lease of the ledger is there");
	n = lease_record_encode(&lease->rec, ours);
	HOLDS(n == lease_record_encode(r, theirs) && memcmp(ours, theirs, n) == 0, "a lease is as recorded");
	return 0;
}

static int same_slot(const struct slot_record *r, void *userdata)
{
	static uint8_t ours[RECORD_MAX], theirs[RECORD_MAX];
	struct slot *slot = slot_of(r->name);
	size_t n;

	n_seen++;
	HOLDS(slot, "a slot of the ledger is there");
	n = slot_record_encode(&slot->rec, ours);
	HOLDS(n == slot_record_encode(r, theirs) && memcmp(ours, theirs, n) == 0, "a slot is as recorded");
	return 0;
}

static int same_key(const struct key_record *r, void *userdata)
{
	static uint8_t ours[RECORD_MAX], theirs[RECORD_MAX];
	struct key *key = key_find(world.pools, r->uid, r->key);
	size_t n;

	n_seen++;
	HOLDS(key, "a key of the ledger is there");
	n = key_record_encode(&key->rec, ours);
	HOLDS(n == key_record_encode(r, theirs) && memcmp(ours, theirs, n) == 0, "a key is as recorded");
	return 0;
}

static int same_token(const char *name, const struct token_record *r, void *userdata)
{
	struct slot *slot = slot_of(name);

	if (slot)
		HOLDS(r->token == slot->rec.token && r->token == model.token[number_of(slot)],
		      "a token is as recorded");
	return 0;
}

static int same_handoff(const struct handoff_record *r, void *userdata)
{
	const struct handoff *h = handoff_find(world.pools, &r->lease);

	n_seen++;
	HOLDS(h && memcmp(handoff_record(h), r, sizeof(*r)) == 0, "what a lease left is as the ledger has it");
	return 0;
}

static int same_stats(const struct lease_stats_record *r, void *userdata)
{
	HOLDS(memcmp(r, pools_lease_stats(world.pools), sizeof(*r)) == 0, "what was counted is as the ledger has it");
	return 0;
}

static void compare_lease(int i)
{
	const struct model_lease *m = &model.lease[i];
	struct lease *lease = lease_in(i);

	HOLDS(!lease || m->is_held, "a lease that has to be over is over");
	HOLDS(lease || !m->is_held, "no lease ends for no reason");
	if (!lease)
		return;
	HOLDS(strcmp(lease->id_text, m->id) == 0, "it is the same lease");
	HOLDS(lease->rec.token == model.token[i], "it has its token");
	HOLDS((lease->rec.deadline.wall_usec ? lease->rec.deadline.boot_usec : NO_DEADLINE) == m->deadline,
	      "its time is right");
	HOLDS(lease->rec.renewals == m->renewals && lease->rec.progress == m->progress, "its reports count");
	HOLDS(lease->rec.bind == m->bind && !lease->rec.bound_end.wall_usec == !m->lost, "its binding is right");
	HOLDS(lease->rec.extensions == m->extensions && m->extensions <= 2, "it was extended twice at most");
}

static void compare(void)
{
	struct fault f = FAULT_NONE;
	unsigned held = 0, keys = 0;

	for (int i = 0; i < SLOTS; i++) {
		compare_lease(i);
		held += model.lease[i].is_held;
	}
	HOLDS(world.pools->n_leases == held, "one lease a slot");
	n_seen = 0;
	cr_assert_eq(ledger_each_lease(world.ledger, same_lease, NULL, &f), 0, "%s", f.text);
	HOLDS(n_seen == held, "all leases are recorded");
	n_seen = 0;
	cr_assert_eq(ledger_each_slot(world.ledger, same_slot, NULL, &f), 0, "%s", f.text);
	HOLDS(n_seen == SLOTS, "all slots are recorded");
	n_seen = 0;
	cr_assert_eq(ledger_each_key(world.ledger, same_key, NULL, &f), 0, "%s", f.text);
	for (int i = 0; i < KEYS; i++)
		keys += model.key[i].is_used;
	HOLDS(n_seen == keys, "all keys are recorded");
	cr_assert_eq(ledger_each_token(world.ledger, same_token, NULL, &f), 0, "%s", f.text);
	n_seen = 0;
	cr_assert_eq(ledger_each_handoff(world.ledger, same_handoff, NULL, &f), 0, "%s", f.text);
	HOLDS(n_seen == world.pools->n_handoffs, "what leases left is recorded");
	cr_assert_eq(ledger_each_lease_stats(world.ledger, same_stats, NULL, &f), 0, "%s", f.text);
}

/* --- steps: acquire --- */

static void fill_binding(struct acquire_spec *spec)
{
	static const uint8_t binds[] = { LEASE_BIND_TTL, LEASE_BIND_TTL, LEASE_BIND_PROCESS,
					 LEASE_BIND_CONNECTION, LEASE_BIND_TTL | LEASE_BIND_PROCESS,
					 LEASE_BIND_TTL | LEASE_BIND_CONNECTION, LEASE_BIND_MANUAL };
	static uint64_t last_conn;

	if (!spec->bind)
		spec->bind = binds[chance(ARRAY_SIZE(binds))];
	if (spec->bind & LEASE_BIND_PROCESS) {
		spec->bound_pid = (uint32_t)holders[chance(HOLDERS)];
		spec->bound_start = process_start_time((pid_t)spec->bound_pid);
	}
	if (spec->bind & LEASE_BIND_CONNECTION)
		spec->conn_id = ++last_conn;
}

static void check_granted(const struct answer *a, const struct acquire_spec *spec, int key)
{
	int i = number_of(slot_of(a->slot));
	struct model_lease *m = &model.lease[i];

	HOLDS(!m->is_held, "a slot has one lease at most");
	HOLDS(a->token > model.token[i], "the tokens of a slot rise");
	model.token[i] = a->token;
	*m = (struct model_lease){ .is_held = true, .bind = spec->bind, .pid = spec->bound_pid, .conn = spec->conn_id,
				   .progress = -1, .key = key };
	memcpy(m->id, a->lease, sizeof(m->id));
	model_hear(m);
	if (key >= 0) {
		model.key[key] = (struct model_key){ .is_used = true, .slot = i, .spec = *spec };
		memcpy(model.key[key].id, a->lease, sizeof(m->id));
	}
}

static void step_acquire(int key)
{
	struct acquire_spec spec = spec_waiting("anna", 0);
	bool is_full = true;
	struct answer a;

	if (key >= 0)
		snprintf(spec.key, sizeof(spec.key), "k%d", key);
	fill_binding(&spec);
	for (int i = 0; i < SLOTS; i++)
		is_full &= model.lease[i].is_held;
	note("acquire%s%s bind=%d", key >= 0 ? " key=" : "", spec.key, spec.bind);
	ask(&spec, &a);
	world_settle();
	HOLDS(a.told == 1, "an acquire is answered once");
	if (is_full)
		HOLDS(strcmp(a.error, "Busy") == 0, "nothing is free");
	else if (model.is_broken)
		HOLDS(strcmp(a.error, "LedgerFailed") == 0, "what is not recorded was not given");
	else
		HOLDS(a.lease[0], "one that is free is given");
	note(" -> %s%s\n", a.slot, a.error);
	if (a.lease[0])
		check_granted(&a, &spec, key);
}

static void step_ask_again(int key)
{
	struct model_key *k = &model.key[key];
	struct acquire_spec spec = k->spec;
	bool is_other = chance(4) == 0;
	struct answer a;

	if (is_other)
		strcpy(spec.agent, "bert");
	spec.pool = NULL;
	fill_binding(&spec);
	note("ask again key=k%d%s pid=%u", key, is_other ? " for another request" : "", spec.bound_pid);
	ask(&spec, &a);
	world_settle();
	note(" -> %s%s\n", a.slot, a.error);
	HOLDS(a.told == 1, "an acquire is answered once");
	if (is_other)
		HOLDS(strcmp(a.error, "KeyReused") == 0, "a key is of one request");
	else if (k->slot < 0)
		HOLDS(strcmp(a.error, "LeaseGone") == 0, "a key is of one lease");
	else if (!a.lease[0])
		HOLDS(model.is_broken && strcmp(a.error, "LedgerFailed") == 0, "a key answers while its lease lives");
	else
		HOLDS(strcmp(a.lease, k->id) == 0, "a key answers the same lease");
	if (!is_other && k->slot >= 0)
		model_bind(&model.lease[k->slot], &spec);
}

/* --- steps: what a holder or an operator does --- */

static void step_renew(int i)
{
	struct model_lease *m = &model.lease[i];
	bool is_touch = chance(3) == 0;
	int32_t progress = (int32_t)chance(102) - 1;

	note("%s p-%d\n", is_touch ? "touch" : "renew", i + 1);
	lease_renew(lease_in(i), progress, "on it", is_touch);
	world_settle();
	if (model.is_broken)
		return;
	model_renew(m);
	if (is_touch)
		return;
	m->renewals++;
	m->progress = progress >= 0 ? progress : m->progress;
}

static void step_end(int i)
{
	static const enum lease_end how[] = { LEASE_END_RELEASED, LEASE_END_FINISHED, LEASE_END_FORCED };

	note("end p-%d\n", i + 1);
	lease_finish(lease_in(i), how[chance(ARRAY_SIZE(how))], chance(2), 0, "");
	world_settle();
	if (!model.is_broken)
		model_end(i);
}

static void step_lose_connection(int i)
{
	note("the connection of p-%d goes\n", i + 1);
	pools_conn_gone(world.pools, model.lease[i].conn);
	world_settle();
	model.lease[i].conn = 0;
	model_lose(&model.lease[i]);
}

static void step_lose_process(int holder)
{
	uint32_t pid = (uint32_t)holders[holder];

	note("process %u goes\n", pid);
	end_holder(holder);
	world_settle();
	begin_holder(holder);
	for (int i = 0; i < SLOTS; i++)
		if (model.lease[i].bind & LEASE_BIND_PROCESS && model.lease[i].pid == pid)
			model_lose(&model.lease[i]);
}

/* --- steps: time --- */

static void pass(uint64_t usec)
{
	model.now += usec;
	set_clocks();
	drive_timers();
	for (int i = 0; i < SLOTS; i++) {
		struct model_lease *m = &model.lease[i];

		if (!m->is_held || !m->lost || !model_has_passed(m))
			continue;
		if (model.is_broken)
			m->retry = model.now + RETRY;
		else if (model.now >= m->retry || !lease_in(i))
			model_end(i);
	}
}

static void step_pass(void)
{
	static const unsigned seconds[] = { 1, 5, 10, 20, 60, 75, 300, 900, 1100 };
	unsigned n = seconds[chance(ARRAY_SIZE(seconds))];

	note("%u s pass\n", n);
	pass(n * USEC_PER_SEC);
}

static void step_sleep(void)
{
	uint64_t usec = (1 + chance(180)) * USEC_PER_MIN;

	note("the machine sleeps for %.0f min\n", (double)usec / (double)USEC_PER_MIN);
	clock_fake_sleep(clock_slept_usec() + usec);
	model.woke = model.now + usec;
	model.slept_before = model.slept;
	model.slept += usec;
	pass(usec);
	leases_note_sleep(world.pools); /* as the janitor does, when no timer was due */
}

static void step_set_wall_clock(void)
{
	model.wall = ((int64_t)chance(20001) - 10000) * (int64_t)USEC_PER_HOUR;
	note("the wall clock is set\n");
	set_clocks();
}

static void step_restart(void)
{
	bool is_boot = chance(3) == 0;

	note("%s\n", is_boot ? "reboot" : "restart");
	if (is_boot) {
		model.boot++;
		model.now = FAR + chance(1000) * USEC_PER_SEC;
		set_clocks();
	}
	world_restart(false);
	do_without_git();
	world_settle();
	model.woke = 0;
	for (int i = 0; i < SLOTS; i++)
		if (model.lease[i].is_held)
			model_restart(&model.lease[i]);
}

/* --- steps: inquiries --- */

static struct inquiry_result some_result(const struct model_lease *m)
{
	struct inquiry_result r = { .evidence = { .operation = LEASE_SIGN_NO, .processes = LEASE_SIGN_NO } };
	bool goes_on = m->extensions && chance(2); /* as a merge does, once somebody was seen in one */

	switch (goes_on ? 0 : chance(8)) {
	case 0:
		r.evidence.operation = LEASE_SIGN_YES;
		snprintf(r.operation, sizeof(r.operation), "merge");
		break;
	case 1:
		r.evidence.processes = LEASE_SIGN_YES;
		r.n_processes = 1;
		break;
	case 2:
		r.evidence.seen_usec = model.now - chance(1200) * USEC_PER_SEC;
		break;
	case 3:
		r.evidence.operation = LEASE_SIGN_UNKNOWN;
		break;
	case 4:
		r.evidence.processes = LEASE_SIGN_UNKNOWN;
		break;
	case 5:
		r.evidence.unread = true;
		break;
	}
	return r;
}

static void answer(int i, const struct inquiry_result *r)
{
	struct model_lease *m = &model.lease[i], before = *m;
	struct lease *lease = asked[i];

	m->is_asked = false;
	before.is_asked = false;
	if (!lease)
		return; /* over, and another one has the slot: nobody wants to know any more */
	asked[i] = NULL;
	lease_judge_now(lease, r);
	world_settle();
	if (!model_has_passed(m))
		return; /* its holder was heard meanwhile */
	if (model_judge(m, &r->evidence) && !model.is_broken)
		model_end(i);
	else if (model.is_broken)
		*m = before;
}

static void step_answer(int i)
{
	struct inquiry_result r = some_result(&model.lease[i]);
	const struct lease_evidence *e = &r.evidence;

	note("p-%d is answered: operation=%d processes=%d written=%.0f%s\n", i + 1, e->operation, e->processes,
	     e->seen_usec ? (double)(model.now - e->seen_usec) / 1e6 : -1, e->unread ? " unread" : "");
	answer(i, &r);
}

/* --- sequences --- */

static int some_lease(uint8_t bind)
{
	int found[SLOTS], n = 0;

	for (int i = 0; i < SLOTS; i++)
		if (model.lease[i].is_held && (model.lease[i].bind & bind))
			found[n++] = i;
	return n ? found[chance((unsigned)n)] : -1;
}

static int some_asked(void)
{
	for (int i = 0; i < SLOTS; i++)
		if (model.lease[i].is_held && model.lease[i].is_asked)
			return i;
	return -1;
}

static void some_acquire(void)
{
	int key = (int)chance(2 * KEYS) - KEYS;

	if (key >= 0 && model.key[key].is_used)
		step_ask_again(key);
	else
		step_acquire(key);
}

static void some_step(void)
{
	unsigned what = chance(100);
	int i = some_lease(UINT8_MAX), j = some_lease(LEASE_BIND_CONNECTION), asked_about = some_asked();

	if (what < 30)
		some_acquire();
	else if (what < 42 && i >= 0)
		step_renew(i);
	else if (what < 48 && i >= 0)
		step_end(i);
	else if (what < 52 && j >= 0 && model.lease[j].conn)
		step_lose_connection(j);
	else if (what < 54)
		step_lose_process((int)chance(HOLDERS));
	else if (what < 56)
		step_set_wall_clock();
	else if (what < 58)
		step_sleep();
	else if (what < 61 && !model.is_broken)
		step_restart();
	else if (what < 80 && asked_about >= 0)
		step_answer(asked_about);
	else
		step_pass();
}

static void step(unsigned n)
{
	model.is_broken = chance(8) == 0;
	note("%2u%s ", n, model.is_broken ? " (nothing can be recorded)" : "");
	if (model.is_broken)
		break_ledger();
	some_step();
	if (model.is_broken)
		mend_ledger();
	model.is_broken = false;
	/* the next round of the janitor */
	leases_look_at_bound(world.pools);
	clean_slots();
	compare();
}

static bool may_stay(const struct model_lease *m)
{
	bool lives = m->bind & (LEASE_BIND_PROCESS | LEASE_BIND_CONNECTION) && !m->lost;

	return !m->is_held || m->bind == LEASE_BIND_MANUAL || lives;
}

/* nobody is heard of any more: whoever is not kept by something ends, and in time */
static void fall_silent(void)
{
	struct inquiry_result nothing = { .evidence = { .operation = LEASE_SIGN_NO,
							.processes = LEASE_SIGN_NO } };
	uint64_t end = model.now + EXTENSION + TTL + GRACE + 2 * (ABANDON + RETRY);

	note("silence\n");
	while (model.now < end) {
		pass(RETRY);
		for (int i = 0; i < SLOTS; i++)
			if (model.lease[i].is_held && model.lease[i].is_asked)
				answer(i, &nothing);
		clean_slots();
	}
	compare();
	for (int i = 0; i < SLOTS; i++)
		HOLDS(may_stay(&model.lease[i]), "no lease is immortal");
}

/* back to where each sequence begins */
static void end_sequence(void)
{
	fall_silent();
	for (int i = 0; i < SLOTS; i++)
		if (model.lease[i].is_held)
			step_end(i);
	clean_slots();
	pass(25 * USEC_PER_HOUR);
	keys_expire(world.pools);
	world_settle();
	handoffs_expire(world.pools);
	world_settle();
	memset(model.key, 0, sizeof(model.key));
	compare();
}

static void configure(void)
{
	struct conf_pool *defaults = &world.conf->defaults;

	defaults->lease.mode = CONF_LEASE_FIXED;
	defaults->lease.ttl_usec = TTL;
	defaults->lease.grace_usec = GRACE;
	defaults->lease.abandon_after_usec = ABANDON;
	defaults->lease.max_age_usec = 0; /* an inquiry of its own, which ends nothing */
	defaults->lease.monitor_every_usec = RETRY;
}

static void begin(void)
{
	log_open("test", LOG_CRIT); /* that nothing can be recorded is no news here */
	configure();
	world_add_pool(SLOTS, SLOTS);
	do_without_git();
	model.now = FAR;
	set_clocks();
	for (int i = 0; i < HOLDERS; i++)
		begin_holder(i);
	world_restart(false); /* with these clocks from its start */
	do_without_git();
	clean_slots();
}

static unsigned long number(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 10) : otherwise;
}

TestSuite(model, .init = world_open, .fini = world_close);

Test(model, leases_do_what_was_promised_whatever_happens, .timeout = 86400)
{
	unsigned long first = number("SLOTD_MODEL_SEED", 1), n = number("SLOTD_MODEL_SEQUENCES", 200);

	begin();
	for (unsigned long i = first; i < first + n; i++) {
		seed = (i + 1) * 0x9e3779b97f4a7c15ULL;
		snprintf(trace, sizeof(trace), "SLOTD_MODEL_SEED=%lu SLOTD_MODEL_SEQUENCES=1\n", i);
		for (unsigned s = 0; s < STEPS; s++)
			step(s);
		end_sequence();
	}
	for (int i = 0; i < HOLDERS; i++)
		end_holder(i);
}
