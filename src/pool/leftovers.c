/*
 * Who is still in a slot that was given back, or that is to be removed.
 *
 * Nothing in a slot is touched while somebody may be at work in it. Before it is cleaned a look is taken at
 * who is there (look.c). With `clean.processes: wait` the slot waits for them, looking again less and less
 * often and whenever those that were seen have ended, and after clean.wait it is isolated as it is. With `end`
 * they get TERM and KILL_USEC later KILL, by pidfd and never by number alone. Whoever comes in meanwhile is
 * found by the next look: the slot is cleaned only when nobody was found, twice when somebody had been there.
 *
 * Whoever gave the slot back is done with it, and so are its ancestors, though a shell among them may stand
 * there. They are remembered with the slot, for slotd may be started anew meanwhile: nothing else of this is
 * in the ledger, the look is repeated.
 *
 * A slot that is to be removed, whoever has had it, goes the same way: a directory is not deleted under
 * whoever works in it. There everybody counts, but whoever asked for it and its ancestors are not ended.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/parse.h"
#include "util/text.h"

#define PAUSE_FIRST (50 * USEC_PER_MSEC) /* between two looks */
#define PAUSE_MOST  (2 * USEC_PER_SEC)
#define AGAIN_USEC  (100 * USEC_PER_MSEC) /* who has just gone may be followed by another */
#define KILL_USEC   (5 * USEC_PER_SEC)	/* between TERM and KILL */
#define END_USEC    (20 * USEC_PER_SEC) /* who is to be ended and is there all the same: the slot is isolated */
#define CLEAR_USEC  (5 * USEC_PER_SEC)	/* that nobody is there is news for so long */
#define MOST_KNOWN  100 /* that are remembered by name */

#define WAITING "waiting up to "
#define ENDING	"ending processes in it: "

struct leftover {
	struct list link; /* leftovers.all */
	struct leftovers *of;
	struct process_found p;
	bool is_there; /* the last look saw it, and it has not ended since */
	sd_event_source *end; /* its pidfd */
	uint64_t told_usec; /* CLOCK_BOOTTIME; it was sent TERM; 0: it was not */
	bool is_killed;
};

struct leftovers {
	struct slot *slot;
	struct id lease; /* whose end left them */
	struct look_ask ask;
	struct process_id line[LINE_MOST]; /* who gave it back or has it removed, and ancestors */
	size_t n_line;
	bool has_isolated; /* the slot, since somebody stayed */
	sd_event_source *timer; /* of the next look */
	struct list all; /* leftover; whoever was seen since the lease ended */
	size_t n_all;
	size_t n_unnamed; /* in it, and not in all */
	unsigned looks;
	uint64_t looked_usec; /* CLOCK_BOOTTIME; the last one was over */
	uint64_t since_usec; /* CLOCK_BOOTTIME; somebody is there; 0: nobody was found yet */
	bool is_told; /* in the history, that somebody is there */
	bool is_deserted; /* the last look found nobody any more */
	uint64_t clear_usec; /* CLOCK_BOOTTIME; nobody was there then; 0: that is not so */
};

static void take_a_look(struct leftovers *left);
static void look_soon(struct leftovers *left);

/* --- life --- */

static void leftover_free(struct leftover *l)
{
	list_del(&l->link);
	l->of->n_all--;
	sd_event_source_disable_unref(l->end);
	free(l);
}

void leftovers_free(struct slot *slot)
{
	struct leftovers *left = slot->left;
	struct leftover *l, *tmp;

	if (!left)
		return;
	list_for_each_safe(l, tmp, &left->all, link)
		leftover_free(l);
	list_del(&left->ask.link);
	sd_event_source_disable_unref(left->timer);
	free(left);
	slot->left = NULL;
}

static void on_looked(struct look_ask *a, bool is_known, size_t n, const struct process_found *found);

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	take_a_look(userdata);
	return 0;
}

static struct leftovers *leftovers_new(struct slot *slot)
{
	struct leftovers *left = calloc(1, sizeof(*left));

	if (!left)
		return NULL;
	left->slot = slot;
	left->lease = slot->rec.left_lease;
	list_init(&left->all);
	list_init(&left->ask.link);
	left->ask.slot = slot;
	left->ask.fn = on_looked;
	left->ask.userdata = left;
	left->ask.but = left->line;
	if (sd_event_add_time(slot->pool->pools->event, &left->timer, CLOCK_BOOTTIME, UINT64_MAX,
			      10 * USEC_PER_MSEC, on_timer, left) < 0 ||
	    sd_event_source_set_enabled(left->timer, SD_EVENT_OFF) < 0) {
		sd_event_source_disable_unref(left->timer);
		free(left);
		return NULL;
	}
	slot->left = left;
	return left;
}

static void forget_end(struct leftover *l)
{
	l->is_there = false;
	l->end = sd_event_source_disable_unref(l->end);
}

/* this one is over, and who was seen is known by name only */
static void begin_anew(struct leftovers *left)
{
	struct leftover *l;

	list_for_each(l, &left->all, link)
		forget_end(l);
	left->since_usec = 0;
	left->looks = 0;
	left->is_told = left->is_deserted = false;
}

/* --- what is told of them --- */

static bool is_removal(const struct leftovers *left)
{
	return left->slot->rec.state == SLOT_STATE_REMOVING;
}

static bool ends_them(const struct leftovers *left)
{
	return left->slot->pool->conf->clean.processes == CONF_PROCESSES_END;
}

static uint64_t limit_of(const struct leftovers *left)
{
	return ends_them(left) ? END_USEC : left->slot->pool->conf->clean.wait_usec;
}

static size_t count_there(const struct leftovers *left)
{
	size_t n = left->n_unnamed;
	struct leftover *l;

	list_for_each(l, &left->all, link)
		n += l->is_there;
	return n;
}

/* "vim (4711), node (4712), and 2 more"; what does not fit is counted */
static void name_them(const struct leftovers *left, char *ret, size_t size)
{
	static const char more[] = ", and 1000000 more";
	size_t at = strlen(ret), n = count_there(left);
	char text[PROCESS_TEXT_SIZE];
	const char *comma = "";
	struct leftover *l;

	list_for_each(l, &left->all, link) {
		if (!l->is_there)
			continue;
		process_found_to_string(&l->p, text);
		if (at + strlen(comma) + strlen(text) + sizeof(more) > size)
			break;
		at += (size_t)snprintf(ret + at, size - at, "%s%s", comma, text);
		comma = ", ";
		n--;
	}
	if (n > 0)
		snprintf(ret + at, size - at, "%s%zu more", comma[0] ? ", and " : "", n);
}

__attribute__((format(printf, 3, 4))) static void event(struct leftovers *left, const char *kind,
							 const char *fmt, ...)
{
	struct slot *slot = left->slot;
	struct event_record e = { .uid = UID_SLOTD };
	va_list ap;

	snprintf(e.kind, sizeof(e.kind), "%s", kind);
	memcpy(e.pool, slot->rec.pool, sizeof(e.pool));
	memcpy(e.slot, slot->rec.name, sizeof(e.slot));
	if (!id_is_null(&left->lease))
		id_to_string(&left->lease, e.lease);
	va_start(ap, fmt);
	vsnprintf(e.detail, sizeof(e.detail), fmt, ap);
	va_end(ap);
	text_mend_utf8(e.detail);
	pools_changed(slot->pool->pools);
	batch_event(slot->pool->pools->batch, &e);
}

static void set_reason(struct slot *slot, const char *reason)
{
	slot_edit(slot);
	snprintf(slot->rec.reason, sizeof(slot->rec.reason), "%s", reason);
	slot_put(slot);
}

static void tell_followers(void *arg, int error, const struct fault *why)
{
	if (!error)
		slot_tell_left(arg);
}

/* as long as they are there, that is why the slot is not ready */
static void say_who(struct leftovers *left, bool is_known)
{
	struct slot *slot = left->slot;
	char reason[REASON_SIZE] = ENDING, limit[DURATION_TEXT_SIZE];

	if (!ends_them(left))
		snprintf(reason, sizeof(reason), WAITING "%s for processes in it: ",
			 format_age(limit_of(left), limit));
	if (is_known)
		name_them(left, reason, sizeof(reason));
	else
		snprintf(reason, sizeof(reason), WAITING "%s: who is in it cannot be found out",
			 format_age(limit_of(left), limit));
	if (strcmp(reason, slot->rec.reason) == 0)
		return;
	set_reason(slot, reason);
	if (is_known && !left->is_told) {
		left->is_told = true;
		event(left, "processes_left", "%s", reason);
		log_info("a slot %s with somebody in it: %s slot=%s",
			 is_removal(left) ? "is to be removed" : "was given back", reason, slot->rec.name);
	}
	batch_after(slot->pool->pools->batch, tell_followers, slot);
}

/* the shell that somebody has typed the removal into stands there, maybe */
static bool is_spared(const struct leftovers *left, const struct process_id *id)
{
	for (size_t i = 0; i < left->n_line; i++)
		if (left->line[i].pid == id->pid && left->line[i].start == id->start)
			return true;
	return false;
}

/* none of them ends before the removal is answered: there is nothing to wait for */
static bool waits_for_itself(const struct leftovers *left)
{
	struct leftover *l;

	if (!is_removal(left) || left->n_unnamed > 0)
		return false;
	list_for_each(l, &left->all, link)
		if (l->is_there && !is_spared(left, &l->p.id))
			return false;
	return true;
}

static void isolate(struct leftovers *left, bool is_known)
{
	char reason[REASON_SIZE] = "processes are still in it: ";

	if (ends_them(left) && !waits_for_itself(left))
		snprintf(reason, sizeof(reason), "processes in it could not be ended: ");
	if (is_known)
		name_them(left, reason, sizeof(reason));
	else
		snprintf(reason, sizeof(reason), "whether processes are in it could not be found out");
	begin_anew(left);
	left->has_isolated = true;
	slot_move(left->slot, SLOT_STATE_ISOLATED, reason);
}

/* --- one of them --- */

/* the last of them: it may have left children, which may end as fast */
static int on_ended(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct leftover *l = userdata;
	struct leftovers *left = l->of;

	forget_end(l);
	if (count_there(left) > 0)
		return 0;
	if (clock_boot_usec() < left->looked_usec + AGAIN_USEC)
		look_soon(left);
	else
		take_a_look(left);
	return 0;
}

/*
 * From here on the pidfd is the process, whatever becomes of its number. Without one nothing is sent, and the
 * next look tells whether it is there.
 */
static void watch(struct leftover *l)
{
	_cleanup_(closep) int fd = -1;
	int r;

	l->is_there = true;
	if (l->end)
		return;
	fd = (int)syscall(SYS_pidfd_open, l->p.id.pid, 0);
	r = fd < 0 ? -errno : 0;
	if (r == -ESRCH || !process_is(&l->p.id)) {
		l->is_there = false;
		return;
	}
	if (r == 0)
		r = sd_event_add_io(l->of->slot->pool->pools->event, &l->end, fd, EPOLLIN, on_ended, l);
	if (r < 0) {
		log_warning("a process in a slot cannot be watched: %s pid=%d slot=%s", strerror(-r),
			    (int)l->p.id.pid, l->of->slot->rec.name);
		return;
	}
	(void)sd_event_source_set_io_fd_own(l->end, true);
	TAKE_FD(fd);
}

/* false: it was not sent, and is sent again at the next look */
static bool send_to(struct leftover *l, int sig)
{
	int fd = l->end ? sd_event_source_get_io_fd(l->end) : -1;

	if (fd < 0)
		return false;
	if (syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0) < 0 && errno != ESRCH) {
		log_warning("a process in a slot cannot be ended: %s pid=%d name=%s slot=%s", strerror(errno),
			    (int)l->p.id.pid, l->p.name, l->of->slot->rec.name);
		return false;
	}
	log_info("a process in a slot was sent %s pid=%d name=%s slot=%s", sig == SIGKILL ? "KILL" : "TERM",
		 (int)l->p.id.pid, l->p.name, l->of->slot->rec.name);
	return true;
}

static void end_it(struct leftover *l, uint64_t now)
{
	if (!l->told_usec)
		l->told_usec = send_to(l, SIGTERM) ? now : 0;
	else if (now >= l->told_usec + KILL_USEC && !l->is_killed)
		l->is_killed = send_to(l, SIGKILL);
}

/* --- all of them --- */

static struct leftover *find(struct leftovers *left, const struct process_found *p)
{
	struct leftover *l;

	list_for_each(l, &left->all, link)
		if (l->p.id.pid == p->id.pid && l->p.id.start == p->id.start)
			return l;
	return NULL;
}

static struct leftover *add(struct leftovers *left)
{
	struct leftover *l, *tmp;

	list_for_each_safe(l, tmp, &left->all, link)
		if (left->n_all >= MOST_KNOWN && !l->is_there)
			leftover_free(l); /* the oldest that has gone */
	l = left->n_all < MOST_KNOWN ? calloc(1, sizeof(*l)) : NULL;
	if (!l)
		return NULL;
	l->of = left;
	list_append(&left->all, &l->link);
	left->n_all++;
	return l;
}

static void take_in(struct leftovers *left, size_t n, const struct process_found *found)
{
	size_t n_named = n < PROCESSES_MOST ? n : PROCESSES_MOST;
	struct leftover *l;

	list_for_each(l, &left->all, link)
		l->is_there = false;
	left->n_unnamed = n - n_named;
	for (size_t i = 0; i < n_named; i++) {
		l = find(left, &found[i]);
		if (!l)
			l = add(left);
		if (!l) {
			left->n_unnamed++;
			continue;
		}
		l->p = found[i];
		watch(l);
	}
	/* who went elsewhere is of no interest any more, and is left in peace */
	list_for_each(l, &left->all, link)
		if (!l->is_there)
			forget_end(l);
}

static void end_them(struct leftovers *left, uint64_t now)
{
	struct leftover *l;

	list_for_each(l, &left->all, link)
		if (l->is_there && !is_spared(left, &l->p.id))
			end_it(l, now);
}

/* --- the looks --- */

static bool is_wanted(const struct leftovers *left)
{
	enum slot_state s = left->slot->rec.state;

	return (s == SLOT_STATE_CLEANING || s == SLOT_STATE_RECOVERING || is_removal(left)) && !left->slot->gone &&
	       !left->slot->job && id_is_equal(&left->lease, &left->slot->rec.left_lease) &&
	       !left->slot->pool->pools->stopping;
}

static void take_a_look(struct leftovers *left)
{
	(void)sd_event_source_set_enabled(left->timer, SD_EVENT_OFF);
	if (!is_wanted(left) || !list_is_empty(&left->ask.link))
		return;
	left->has_isolated = false;
	left->n_line = process_line_from_string(left->slot->rec.left_by, left->line, LINE_MOST);
	left->ask.n_but = is_removal(left) ? 0 : left->n_line;
	if (look_ask(&left->ask) < 0)
		slot_repeat_later(left->slot, USEC_PER_SEC);
}

/* who was there may have left something behind, which takes a moment to begin */
static void look_soon(struct leftovers *left)
{
	(void)sd_event_source_set_time(left->timer, clock_boot_usec() + AGAIN_USEC);
	(void)sd_event_source_set_enabled(left->timer, SD_EVENT_ONESHOT);
}

/* when is there something to be done, unless they end before? */
static uint64_t next_look(const struct leftovers *left, uint64_t now)
{
	uint64_t at = now + PAUSE_MOST, limit = left->since_usec + limit_of(left);
	struct leftover *l;

	if (left->looks < 6 && PAUSE_FIRST << left->looks < PAUSE_MOST)
		at = now + (PAUSE_FIRST << left->looks);
	list_for_each(l, &left->all, link)
		if (l->is_there && l->told_usec && !l->is_killed && l->told_usec + KILL_USEC < at)
			at = l->told_usec + KILL_USEC;
	if (limit < at)
		at = limit;
	return at > now ? at : now;
}

static void look_later(struct leftovers *left, uint64_t now)
{
	(void)sd_event_source_set_time(left->timer, next_look(left, now));
	(void)sd_event_source_set_enabled(left->timer, SD_EVENT_ONESHOT);
	left->looks++;
}

static void somebody(struct leftovers *left, bool is_known)
{
	uint64_t now = clock_boot_usec();

	left->is_deserted = false;
	if (!left->since_usec)
		left->since_usec = now;
	if (is_known && ends_them(left))
		end_them(left, now);
	if (now >= left->since_usec + limit_of(left) || (is_known && waits_for_itself(left))) {
		isolate(left, is_known);
		return;
	}
	say_who(left, is_known);
	look_later(left, now);
}

static void tell_ended(struct leftovers *left, uint64_t now)
{
	unsigned n_told = 0, n_killed = 0;
	char age[DURATION_TEXT_SIZE];
	struct leftover *l;

	list_for_each(l, &left->all, link) {
		n_told += l->told_usec != 0;
		n_killed += l->is_killed;
	}
	format_age(now - left->since_usec, age);
	if (n_told)
		event(left, "processes_ended", "after %s; %u %s sent TERM, %u of them KILL as well", age, n_told,
		      text_plural(n_told, "was", "were"), n_killed);
	else
		event(left, "processes_ended", "after %s, by themselves", age);
}

/* they may have been there for the slotd before: then that is only said in the reason */
static void nobody(struct leftovers *left)
{
	struct slot *slot = left->slot;
	uint64_t now = clock_boot_usec();

	if (left->since_usec && !left->is_deserted) {
		left->is_deserted = true;
		look_soon(left);
		return;
	}
	if (left->since_usec)
		tell_ended(left, now);
	begin_anew(left);
	left->clear_usec = now;
	if (!text_has_prefix(slot->rec.reason, WAITING) && !text_has_prefix(slot->rec.reason, ENDING)) {
		slot_work(slot);
		return;
	}
	set_reason(slot, "");
	batch_after(slot->pool->pools->batch, slot_work_after, slot);
}

static void on_looked(struct look_ask *a, bool is_known, size_t n, const struct process_found *found)
{
	struct leftovers *left = a->userdata;

	if (!is_wanted(left))
		return;
	left->looked_usec = clock_boot_usec();
	if (is_known && n == 0) {
		nobody(left);
		return;
	}
	if (is_known)
		take_in(left, n, found);
	if (is_known && count_there(left) == 0)
		look_soon(left); /* they have ended since */
	else
		somebody(left, is_known);
}

bool leftovers_hold(struct slot *slot)
{
	struct leftovers *left = slot->left;
	uint64_t now = clock_boot_usec();

	if (id_is_null(&slot->rec.left_lease) && slot->rec.state != SLOT_STATE_REMOVING)
		return false; /* nobody has given it back */
	if (left && !id_is_equal(&left->lease, &slot->rec.left_lease)) {
		leftovers_free(slot);
		left = NULL;
	}
	if (left && left->clear_usec && now < left->clear_usec + CLEAR_USEC)
		return false;
	if (!left && !(left = leftovers_new(slot)))
		slot_repeat_later(slot, USEC_PER_SEC);
	else if (sd_event_source_get_enabled(left->timer, NULL) <= 0)
		take_a_look(left);
	return true;
}

void leftovers_settle(struct slot *slot)
{
	if (slot->left && slot->left->n_all == 0)
		leftovers_free(slot);
}

/* --- who is asked, and who asks --- */

void slot_note_leaver(struct slot *slot, pid_t pid)
{
	struct process_id line[LINE_MOST];
	size_t n = process_line(pid, line, LINE_MOST);

	slot_edit(slot);
	process_line_to_string(line, n, slot->rec.left_by, sizeof(slot->rec.left_by));
	slot_put(slot);
}

bool slot_is_held_by_processes(const struct slot *slot)
{
	return slot->rec.state == SLOT_STATE_ISOLATED && slot->left && slot->left->has_isolated;
}

void slot_each_leftover(const struct slot *slot, const struct id *lease,
			void (*fn)(const struct process_found *p, void *userdata), void *userdata)
{
	struct leftover *l;

	if (!slot->left || !id_is_equal(&slot->left->lease, lease))
		return;
	list_for_each(l, &slot->left->all, link)
		fn(&l->p, userdata);
}
