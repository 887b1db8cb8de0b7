/* Many hands, one list. */
#include "git/tree-work.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/fs.h"

struct work {
	const struct tree_slot *slot;
	size_t n, chunk;
	size_t next; /* atomic */
	int stop;    /* atomic */
	tree_work_fn fn;
	void *userdata;
};

struct hand {
	struct work *work;
	struct tree_worker worker;
	struct fault fault;
	pthread_t thread;
	int r;
};

int tree_worker_repo(struct tree_worker *w, struct repo **ret)
{
	int r = 0;

	if (!w->repo)
		r = repo_open(w->slot->common_dir, &w->repo, w->f);
	*ret = w->repo;
	return r;
}

void tree_worker_forget_dir(struct tree_worker *w)
{
	if (w->dir_fd >= 0)
		close(w->dir_fd);
	w->dir_fd = -1;
	free(w->dir);
	w->dir = NULL;
}

int tree_worker_dir(struct tree_worker *w, const char *path, size_t len)
{
	if (len == 0)
		return w->slot->slot_fd;
	if (w->dir && w->dir_len == len && memcmp(w->dir, path, len) == 0)
		return w->dir_fd;
	tree_worker_forget_dir(w);
	w->dir = strndup(path, len);
	if (!w->dir)
		return -ENOMEM;
	w->dir_len = len;
	w->dir_fd = fs_open_beneath(w->slot->slot_fd, w->dir, O_RDONLY | O_DIRECTORY, 0);
	if (w->dir_fd < 0) {
		int r = w->dir_fd;

		tree_worker_forget_dir(w);
		return r;
	}
	return w->dir_fd;
}

static void *hand_run(void *userdata)
{
	struct hand *hand = userdata;
	struct work *work = hand->work;

	while (hand->r >= 0 && !__atomic_load_n(&work->stop, __ATOMIC_RELAXED)) {
		size_t i = __atomic_fetch_add(&work->next, work->chunk, __ATOMIC_RELAXED);
		size_t end = i + work->chunk < work->n ? i + work->chunk : work->n;

		if (i >= work->n)
			break;
		for (; i < end && hand->r >= 0; i++)
			hand->r = work->fn(&hand->worker, i, work->userdata);
	}
	if (hand->r < 0)
		__atomic_store_n(&work->stop, 1, __ATOMIC_RELAXED);
	return NULL;
}

void tree_worker_init(struct tree_worker *w, const struct tree_slot *slot, struct repo *repo,
		      struct fault *f)
{
	*w = (struct tree_worker){ .slot = slot, .repo = repo, .dir_fd = -1, .beside_fd = -1, .f = f };
	w->repo_is_borrowed = repo != NULL;
}

void tree_worker_deinit(struct tree_worker *w)
{
	tree_worker_forget_dir(w);
	if (!w->repo_is_borrowed)
		repo_close(w->repo);
	w->repo = NULL;
}

static void hand_init(struct hand *hand, struct work *work, struct repo *repo)
{
	*hand = (struct hand){ .work = work };
	tree_worker_init(&hand->worker, work->slot, repo, &hand->fault);
}

static void stats_add(struct tree_stats *sum, const struct tree_stats *one)
{
	sum->files += one->files;
	sum->written += one->written;
	sum->removed += one->removed;
	sum->disk_bytes += one->disk_bytes;
}

int tree_work(const struct tree_slot *slot, struct repo *repo, size_t n, size_t chunk,
	      unsigned threads, tree_work_fn fn, void *userdata, struct tree_stats *ret,
	      struct fault *f)
{
	struct work work = { slot, n, chunk, 0, 0, fn, userdata };
	struct hand hands[TREE_MAX_THREADS];
	unsigned started = 1;
	int r = 0;

	if (threads > TREE_MAX_THREADS)
		threads = TREE_MAX_THREADS;
	hand_init(&hands[0], &work, repo);
	/* a thread that does not start is one less, no failure */
	while (started < threads && (size_t)started * chunk < n) {
		hand_init(&hands[started], &work, NULL);
		if (pthread_create(&hands[started].thread, NULL, hand_run, &hands[started]) != 0)
			break;
		started++;
	}
	hand_run(&hands[0]);
	for (unsigned i = 0; i < started; i++) {
		if (i > 0)
			pthread_join(hands[i].thread, NULL);
		if (hands[i].r < 0 && r == 0)
			r = fault(f, hands[i].r, "%s", hands[i].fault.text);
		if (ret)
			stats_add(ret, &hands[i].worker.stats);
		tree_worker_deinit(&hands[i].worker);
	}
	return r;
}
