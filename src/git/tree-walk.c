/*
 * A queue of directories, and threads that empty it.
 *
 * A directory that the list knows is one task (tree-compare.c); its subdirectories are put into the
 * queue for whoever is free. Untracked ones are looked through at once (tree-untracked.c).
 */
#include "git/tree-walk.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "git/tree-walker.h"

struct tree_queue {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct list tasks;
	size_t pending; /* queued or being worked on */
	int r;		/* the first fault; ends it */
	struct fault fault;
};

struct walk_thread {
	struct tree_walker walker;
	pthread_t thread;
};

int tree_walker_push(struct tree_walker *w, const char *path, size_t low, size_t high,
		     unsigned fate)
{
	struct tree_queue *q = w->queue;
	struct tree_task *task = calloc(1, sizeof(*task));

	if (!task || !(task->path = strdup(path))) {
		free(task);
		return -ENOMEM;
	}
	task->low = low;
	task->high = high;
	task->fate = fate;
	pthread_mutex_lock(&q->lock);
	list_append(&q->tasks, &task->link);
	q->pending++;
	pthread_cond_signal(&q->more);
	pthread_mutex_unlock(&q->lock);
	return 0;
}

static void task_free(struct tree_task *task)
{
	free(task->path);
	free(task);
}

/* the next directory; NULL when all is done, or something failed */
static struct tree_task *queue_pop(struct tree_queue *q)
{
	struct tree_task *task;

	pthread_mutex_lock(&q->lock);
	while (list_is_empty(&q->tasks) && q->pending > 0 && q->r == 0)
		pthread_cond_wait(&q->more, &q->lock);
	task = q->r == 0 ? list_first(&q->tasks, struct tree_task, link) : NULL;
	if (task)
		list_del(&task->link);
	pthread_mutex_unlock(&q->lock);
	return task;
}

static void queue_done(struct tree_queue *q, int r, const struct fault *f)
{
	pthread_mutex_lock(&q->lock);
	q->pending--;
	if (r < 0 && q->r == 0) {
		q->r = r;
		q->fault = *f;
	}
	if (q->pending == 0 || q->r < 0)
		pthread_cond_broadcast(&q->more);
	pthread_mutex_unlock(&q->lock);
}

static void *walk_thread_run(void *userdata)
{
	struct walk_thread *t = userdata;
	struct tree_task *task;

	while ((task = queue_pop(t->walker.queue))) {
		int r = tree_compare(&t->walker, task);

		if (r == -ENOMEM)
			fault_oom(&t->walker.fault);
		task_free(task);
		queue_done(t->walker.queue, r, &t->walker.fault);
	}
	return NULL;
}

static int found_compare(const void *a, const void *b)
{
	const struct tree_found *x = a, *y = b;
	int c = strcmp(x->path, y->path);

	return c ? c : (x->change > y->change) - (x->change < y->change);
}

/* what a thread found becomes the walk's */
static int found_join(struct tree_walk *walk, struct tree_walker *w)
{
	struct tree_found *more;

	walk->disk_bytes += w->disk_bytes;
	if (w->n_found == 0)
		return 0;
	more = realloc(walk->found, (walk->n_found + w->n_found) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	walk->found = more;
	memcpy(more + walk->n_found, w->found, w->n_found * sizeof(*more));
	walk->n_found += w->n_found;
	w->n_found = 0;
	return 0;
}

static void walk_thread_init(struct walk_thread *t, struct tree_walk *walk, struct tree_queue *q,
			     struct repo *repo)
{
	*t = (struct walk_thread){ .walker = { .walk = walk, .queue = q } };
	tree_worker_init(&t->walker.worker, walk->slot, repo, &t->walker.fault);
}

static void walk_thread_deinit(struct walk_thread *t)
{
	tree_walker_forget(&t->walker, 0);
	free(t->walker.found);
	tree_worker_deinit(&t->walker.worker);
}

static int run_threads(struct tree_walk *walk, struct tree_queue *q, unsigned threads)
{
	struct walk_thread t[TREE_MAX_THREADS];
	unsigned started = 1;
	int r = 0;

	walk_thread_init(&t[0], walk, q, walk->repo);
	while (started < threads && started < TREE_MAX_THREADS) {
		walk_thread_init(&t[started], walk, q, NULL);
		if (pthread_create(&t[started].thread, NULL, walk_thread_run, &t[started]) != 0)
			break;
		started++;
	}
	walk_thread_run(&t[0]);
	for (unsigned i = 0; i < started; i++) {
		if (i > 0)
			pthread_join(t[i].thread, NULL);
		if (found_join(walk, &t[i].walker) < 0)
			r = -ENOMEM;
		walk_thread_deinit(&t[i]);
	}
	return r;
}

int tree_walk_run(struct tree_walk *walk, struct fault *f)
{
	struct tree_queue q = { .lock = PTHREAD_MUTEX_INITIALIZER,
				.more = PTHREAD_COND_INITIALIZER };
	struct tree_walker first = { .queue = &q };
	struct tree_task *task;
	struct stat st;
	int r;

	list_init(&q.tasks);
	r = tree_stat_at(walk->slot->slot_fd, ".", &st, &walk->checker.mount_id);
	if (r < 0)
		return fault_errno(f, r, "cannot look at the slot");
	if (tree_walker_push(&first, "", 0, walk->list->n, 0) < 0)
		return fault_oom(f);
	r = run_threads(walk, &q, walk->threads);
	while ((task = list_first(&q.tasks, struct tree_task, link))) {
		list_del(&task->link);
		task_free(task);
	}
	if (q.r < 0)
		return fault(f, q.r, "%s", q.fault.text);
	if (r < 0)
		return fault_oom(f);
	if (walk->n_found > 0)
		qsort(walk->found, walk->n_found, sizeof(*walk->found), found_compare);
	return 0;
}

void tree_walk_deinit(struct tree_walk *walk)
{
	for (size_t i = 0; i < walk->n_found; i++)
		free(walk->found[i].path);
	free(walk->found);
	walk->found = NULL;
	walk->n_found = 0;
}

bool tree_trust_filemode(struct repo *repo)
{
	git_config *config = NULL;
	int yes = 1;

	if (git_repository_config_snapshot(&config, repo_git(repo)) < 0)
		return true;
	if (git_config_get_bool(&yes, config, "core.filemode") < 0)
		yes = 1;
	git_config_free(config);
	return yes;
}
