/*
 * Who is in the slots of a pool: one look at /proc for all that want to know.
 *
 * A child of slotd looks, as nobody can say how long it takes: there may be thousands of processes, and the
 * directory of a slot may hang. It answers in memory that is shared with it. One child a pool at a time, so
 * that a file system that hangs holds up nobody else's slots.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ledger/child.h"
#include "pool/private.h"
#include "util/cleanup.h"
#include "util/log.h"

#define LOOK_USEC   (10 * USEC_PER_SEC)
#define LOOK_PLACES 64 /* at once; the others come when that is done */

/* written by the child */
struct answer {
	bool is_known;
	size_t n;
	struct process_found found[PROCESSES_MOST];
};

struct look {
	struct pool *pool;
	sd_event_source *begin; /* defer: who asks in the same turn is in it as well */
	sd_event_source *child, *timer;
	sd_event_source *again; /* no process can be made for now */
	bool is_short;		/* that was said */
	struct list asks; /* look_ask; by now fewer than began, when some do not want to know any more */
	struct answer *answers; /* shared */
};

/* one that hangs in the kernel is gone and reaped when it can be: nobody waits for that */
static void drop_child(struct look *look)
{
	if (!look->child)
		return;
	(void)sd_event_source_send_child_signal(look->child, SIGKILL, NULL, 0);
	(void)sd_event_source_set_userdata(look->child, NULL);
	(void)sd_event_source_set_floating(look->child, true);
	look->child = sd_event_source_unref(look->child);
}

static void look_free(struct look *look)
{
	struct look_ask *a, *tmp;

	if (!look)
		return;
	list_for_each_safe(a, tmp, &look->asks, link)
		list_del(&a->link);
	look->pool->look = NULL;
	drop_child(look);
	sd_event_source_disable_unref(look->begin);
	sd_event_source_disable_unref(look->timer);
	sd_event_source_disable_unref(look->again);
	if (look->answers)
		munmap(look->answers, LOOK_PLACES * sizeof(*look->answers));
	free(look);
}

/* --- in the child --- */

/* where it is really; of one that is not there it is known who is in it */
static void find_place(const struct look_ask *a, struct processes_place *ret, struct answer *answer)
{
	_cleanup_(freep) char *path = slot_path(a->slot);

	answer->is_known = false;
	ret->path = path ? realpath(path, NULL) : NULL;
	if (!ret->path && path && errno == ENOENT)
		answer->is_known = true;
	ret->but = a->but;
	ret->n_but = a->n_but;
	ret->found = answer->found;
}

static _Noreturn void look_around(struct look *look, pid_t parent)
{
	struct processes_place places[LOOK_PLACES] = { 0 };
	struct answer *of[LOOK_PLACES];
	struct look_ask *a;
	size_t n = 0;

	child_begin(parent);
	/* if it hangs, it must hold no connection open, and no lock that the next slotd needs */
	close_range(STDERR_FILENO + 1, ~0U, 0);
	list_for_each(a, &look->asks, link) {
		of[n] = &look->answers[a->place];
		find_place(a, &places[n], of[n]);
		n += places[n].path != NULL;
	}
	if (processes_look(places, n, parent) < 0)
		_exit(1);
	for (size_t i = 0; i < n; i++) {
		of[i]->n = places[i].n;
		of[i]->is_known = true;
	}
	_exit(0);
}

/* --- in the loop --- */

static void start_if_asked(struct pool *pool);

static void tell(struct look *look, bool is_over)
{
	struct pool *pool = look->pool;
	struct look_ask *a;

	/* who is told may ask again, or have others not want to know any more */
	while ((a = list_first(&look->asks, struct look_ask, link))) {
		struct answer *answer = &look->answers[a->place];
		bool is_known = is_over && answer->is_known;

		list_del(&a->link);
		a->fn(a, is_known, is_known ? answer->n : 0, answer->found);
	}
	look_free(look);
	start_if_asked(pool);
}

static int on_child(sd_event_source *s, const siginfo_t *si, void *userdata)
{
	struct look *look = userdata;

	if (!look)
		return sd_event_source_set_floating(s, false); /* which frees it */
	look->child = sd_event_source_unref(look->child);
	tell(look, si->si_code == CLD_EXITED && si->si_status == 0);
	return 0;
}

static int on_late(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct look *look = userdata;

	log_warning("who is in the slots could not be found out in time pool=%s", look->pool->rec.name);
	drop_child(look);
	tell(look, false);
	return 0;
}

static int fork_child(struct look *look)
{
	sd_event *event = look->pool->pools->event;
	pid_t parent = getpid(), pid = fork();
	int r;

	if (pid == 0)
		look_around(look, parent);
	if (pid < 0)
		return -errno;
	r = sd_event_add_child(event, &look->child, pid, WEXITED, on_child, look);
	if (r >= 0)
		return 0;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return r;
}

static void take_asks(struct look *look)
{
	struct look_ask *a;

	for (unsigned i = 0; i < LOOK_PLACES; i++) {
		a = list_first(&look->pool->look_asks, struct look_ask, link);
		if (!a)
			return;
		list_del(&a->link);
		list_append(&look->asks, &a->link);
		a->place = i;
	}
}

static int begin(struct look *look);

static int on_again(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct look *look = userdata;

	look->again = sd_event_source_disable_unref(look->again);
	return begin(look);
}

/* descriptors or processes are short: that is slotd's trouble, and says nothing of any slot */
static void begin_later(struct look *look, int r)
{
	if (!look->is_short)
		log_warning("who is in the slots cannot be found out for now: %s; tried again pool=%s", strerror(-r),
			    look->pool->rec.name);
	look->is_short = true;
	look->timer = sd_event_source_disable_unref(look->timer);
	if (sd_event_add_time_relative(look->pool->pools->event, &look->again, CLOCK_MONOTONIC, USEC_PER_SEC, 0,
				       on_again, look) < 0)
		tell(look, false);
}

static int begin(struct look *look)
{
	int r;

	if (list_is_empty(&look->asks)) {
		look_free(look);
		return 0;
	}
	r = sd_event_add_time_relative(look->pool->pools->event, &look->timer, CLOCK_MONOTONIC, LOOK_USEC, 0,
				       on_late, look);
	if (r >= 0)
		r = fork_child(look);
	if (r < 0)
		begin_later(look, r);
	return 0;
}

static int on_begin(sd_event_source *s, void *userdata)
{
	struct look *look = userdata;

	look->begin = sd_event_source_disable_unref(look->begin);
	take_asks(look);
	return begin(look);
}

static int look_new(struct pool *pool)
{
	size_t size = LOOK_PLACES * sizeof(struct answer);
	struct look *look = calloc(1, sizeof(*look));
	void *memory;

	if (!look)
		return -ENOMEM;
	look->pool = pool;
	list_init(&look->asks);
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory != MAP_FAILED)
		look->answers = memory;
	if (!look->answers || sd_event_add_defer(pool->pools->event, &look->begin, on_begin, look) < 0) {
		look_free(look);
		return -ENOMEM;
	}
	pool->look = look;
	return 0;
}

/* without memory they are told that nothing is known; they will ask again */
static void start_if_asked(struct pool *pool)
{
	struct look_ask *a;

	if (list_is_empty(&pool->look_asks) || pool->look || look_new(pool) == 0)
		return;
	while ((a = list_first(&pool->look_asks, struct look_ask, link))) {
		list_del(&a->link);
		a->fn(a, false, 0, NULL);
	}
}

int look_ask(struct look_ask *a)
{
	struct pool *pool = a->slot->pool;

	if (!pool->look && look_new(pool) < 0)
		return -ENOMEM;
	list_append(&pool->look_asks, &a->link);
	return 0;
}

void look_stop(struct pool *pool)
{
	struct look_ask *a, *tmp;

	list_for_each_safe(a, tmp, &pool->look_asks, link)
		list_del(&a->link);
	look_free(pool->look);
}
