/*
 * Each object inflated once, by all threads at a time.
 *
 * What is no delta is a root; threads take roots as they lie in the pack, and go down what is made of each, a
 * base at a time in memory for each step of the chain. A thread that finds no root any more is given what
 * others have not begun: half of what is left to do of the lowest base of their stack.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "integrity/pack-visit.h"
#include "util/cleanup.h"

#define MEMORY_BYTES (256ULL << 20)
#define PIECE_SHARE  8 /* of the memory, that a blob may have as a whole */
#define LARGE_SHARE  8 /* and what one must have for threads to take turns */
#define THREADS_MAX  64
#define WAIT_NSEC    100000000L /* between two words about progress, while there is nothing to do */

static bool is_idle_somewhere(const struct walk *w)
{
	return __atomic_load_n(&w->n_idle, __ATOMIC_RELAXED) > 0;
}

static void finish(struct walk *w, int r)
{
	int none = 0;

	if (r < 0)
		__atomic_compare_exchange_n(&w->result, &none, r, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	pthread_mutex_lock(&w->lock);
	w->is_done = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

/* the lowest frame that has its content: most is made of that */
static void give_away(struct walk_thread *t)
{
	struct walk *w = t->walk;

	for (size_t k = 0; k < t->n; k++) {
		struct frame *f = &t->frames[k];
		uint32_t left = f->end - f->next;

		if (!f->content || left == 0 || (k + 1 == t->n && left == 1))
			continue;
		pthread_mutex_lock(&w->lock);
		if (w->n_gifts < w->n_idle) {
			uint32_t half = f->end - (left + 1) / 2;

			w->gifts[w->n_gifts] = *f;
			w->gifts[w->n_gifts++].next = half;
			__atomic_add_fetch(&f->content->refs, 1, __ATOMIC_RELAXED);
			f->end = half;
			pthread_cond_broadcast(&w->changed); /* others wait for other things */
		}
		pthread_mutex_unlock(&w->lock);
		return;
	}
}

/* frames of which all is done; only what was given away leaves such */
static void pop_empty(struct walk_thread *t)
{
	while (t->n > 0 && t->frames[t->n - 1].next == t->frames[t->n - 1].end)
		content_unref(t->walk, t->frames[--t->n].content);
}

static void give_large(struct walk_thread *t)
{
	struct walk *w = t->walk;

	if (!t->may_large)
		return;
	t->may_large = false;
	pthread_mutex_lock(&w->lock);
	w->is_large_taken = false;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static int go_down(struct walk_thread *t)
{
	int r = 0;

	while (r >= 0 && t->n > 0) {
		r = visit_next(t);
		if (is_idle_somewhere(t->walk))
			give_away(t);
		pop_empty(t);
	}
	give_large(t);
	return r;
}

static bool is_root(const struct walk *w, uint32_t i)
{
	uint64_t at = w->pack->order->starts[i];

	if (w->tree.base[i] != TREE_ROOT && w->tree.base[i] != TREE_CYCLE)
		return false;
	return w->to->until == 0 || (at >= w->to->from && at < w->to->until);
}

static int walk_roots(struct walk_thread *t)
{
	struct walk *w = t->walk;
	int r = 0;

	while (r >= 0) {
		uint32_t i = __atomic_fetch_add(&w->next_root, 1, __ATOMIC_RELAXED);

		if (i >= w->pack->order->n)
			break;
		if (!is_root(w, i))
			continue;
		r = visit_root(t, i);
		if (r >= 0)
			r = go_down(t);
	}
	return r;
}

static void wait_changed(struct walk_thread *t)
{
	struct walk *w = t->walk;
	struct timespec until;

	if (t->number > 0) {
		pthread_cond_wait(&w->changed, &w->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += WAIT_NSEC;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_cond_timedwait(&w->changed, &w->lock, &until);
}

/* with the lock; lets go of it to tell */
static int wait_telling(struct walk_thread *t)
{
	struct walk *w = t->walk;
	int r = 0;

	wait_changed(t);
	if (t->number == 0 && !w->is_done) {
		pthread_mutex_unlock(&w->lock);
		r = check_tell(w->check);
		pthread_mutex_lock(&w->lock);
	}
	return r;
}

int walk_take_large(struct walk_thread *t)
{
	struct walk *w = t->walk;
	int r = 0;

	if (t->may_large)
		return 0;
	pthread_mutex_lock(&w->lock);
	while (w->is_large_taken && !w->is_done && r >= 0)
		r = wait_telling(t);
	if (w->is_done)
		r = walk_result(w);
	if (r >= 0)
		w->is_large_taken = t->may_large = true;
	pthread_mutex_unlock(&w->lock);
	return r;
}

/* a gift onto the stack: true; false: all is done */
static bool receive(struct walk_thread *t)
{
	struct walk *w = t->walk;
	bool is_given = false;
	int r = 0;

	pthread_mutex_lock(&w->lock);
	__atomic_add_fetch(&w->n_idle, 1, __ATOMIC_RELAXED);
	while (!w->is_done && w->n_gifts == 0 && r >= 0) {
		if (w->n_idle == w->n_threads) {
			w->is_done = true;
			pthread_cond_broadcast(&w->changed);
			break;
		}
		r = wait_telling(t);
	}
	if (!w->is_done && w->n_gifts > 0 && r >= 0) {
		t->frames[t->n++] = w->gifts[--w->n_gifts];
		is_given = true;
	}
	__atomic_sub_fetch(&w->n_idle, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&w->lock);
	if (r < 0)
		finish(w, r);
	return is_given;
}

static void *run(void *userdata)
{
	struct walk_thread *t = userdata;
	int r = walk_roots(t);

	if (r >= 0 && !t->frames) { /* room for what it is given */
		t->frames = calloc(1, sizeof(*t->frames));
		t->size = t->frames ? 1 : 0;
		r = t->frames ? 0 : -ENOMEM;
	}
	while (r >= 0 && receive(t))
		r = go_down(t);
	if (r < 0)
		finish(t->walk, r);
	return NULL;
}

/* this thread is the first of them; one that cannot be started is done without */
static void run_all(struct walk *w, struct walk_thread *threads, unsigned n)
{
	pthread_t ids[THREADS_MAX];
	unsigned started = 1;

	w->n_threads = n;
	for (; started < n; started++)
		if (pthread_create(&ids[started], NULL, run, &threads[started]) != 0)
			break;
	pthread_mutex_lock(&w->lock);
	w->n_threads = started;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	run(&threads[0]);
	for (unsigned i = 1; i < started; i++)
		pthread_join(ids[i], NULL);
}

static int run_with(struct walk *w, unsigned n)
{
	_cleanup_(freep) struct walk_thread *threads = calloc(n, sizeof(*threads));
	int r = 0;

	w->gifts = calloc(n, sizeof(*w->gifts));
	if (!threads || !w->gifts)
		return -ENOMEM;
	for (unsigned i = 0; i < n && r == 0; i++)
		r = walk_thread_init(&threads[i], w, i);
	if (r == 0) {
		run_all(w, threads, n);
		r = walk_result(w);
	}
	for (unsigned i = 0; i < w->n_gifts; i++)
		content_unref(w, w->gifts[i].content);
	for (unsigned i = 0; i < n; i++)
		if (threads[i].walk)
			walk_thread_deinit(&threads[i]);
	free(w->gifts);
	return r;
}

/* those that the index leads out of the pack for are in no order, and in no tree */
static int tell_placeless(struct walk *w)
{
	int r = 0;

	if (w->to->from > 0 || w->pack->order->n == w->pack->n)
		return 0;
	for (uint32_t pos = 0; pos < w->pack->n && r == 0; pos++) {
		if (pack_offset(w->pack, pos) != PACK_NO_OFFSET)
			continue;
		__atomic_add_fetch(&w->check->done, 1, __ATOMIC_RELAXED);
		r = pack_tell(w->check, w->pack, pos, "corrupt-object",
			      "by the index it is outside of the pack");
		if (r == 0)
			r = w->to->on_bad(0, pos, w->to->userdata);
	}
	return r;
}

static int prepare_lock(struct walk *w)
{
	pthread_condattr_t attr;
	int rc = pthread_condattr_init(&attr);

	if (rc != 0)
		return -rc;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	rc = pthread_cond_init(&w->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (rc == 0) {
		rc = pthread_mutex_init(&w->lock, NULL);
		if (rc != 0)
			pthread_cond_destroy(&w->changed);
	}
	return -rc;
}

int pack_walk(struct check *c, struct pack *p, const struct pack_walker *to)
{
	unsigned n = c->spec->threads < 1 ? 1 : c->spec->threads;
	struct walk w = { .check = c, .pack = p, .to = to };
	int r = pack_order_make(p);

	if (r < 0)
		return r;
	w.memory_bytes = c->spec->memory_bytes ? c->spec->memory_bytes : MEMORY_BYTES;
	w.piece_bytes = w.memory_bytes / PIECE_SHARE;
	w.large_bytes = w.memory_bytes / LARGE_SHARE;
	r = pack_tree_make(p, &w.tree);
	if (r == 0)
		r = prepare_lock(&w);
	if (r == 0) {
		r = tell_placeless(&w);
		if (r == 0)
			r = run_with(&w, n > THREADS_MAX ? THREADS_MAX : n);
		pthread_mutex_destroy(&w.lock);
		pthread_cond_destroy(&w.changed);
	}
	pack_tree_deinit(&w.tree);
	pack_order_drop(p);
	return r;
}
