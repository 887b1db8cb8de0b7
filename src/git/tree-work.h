/**
 * DOC: tree-work - do something to many files, on several threads
 *
 * Each thread has a store of its own (opened when it first asks) and remembers the last
 * directory that it opened, for files come in path order.
 */
#ifndef GIT_TREE_WORK_H
#define GIT_TREE_WORK_H

#include "git/tree.h"
#include "git/tree-list.h"

#define TREE_MAX_THREADS 8

struct tree_worker {
	const struct tree_slot *slot;
	struct repo *repo; /* see tree_worker_repo() */
	bool repo_is_borrowed;
	char *dir; /* path of dir_fd, without slash at the end; NULL: none yet */
	size_t dir_len;
	int dir_fd;
	int beside_fd; /* see tree-file.h; -1 */
	struct tree_stats stats;
	struct fault *f; /* of this thread */
};

/* of item i; a negative return stops everybody */
typedef int (*tree_work_fn)(struct tree_worker *w, size_t i, void *userdata);

/**
 * tree_work - call fn for every number below n
 * @repo: for the caller's own thread; borrowed
 * @chunk: how many neighbours a thread takes at once, 1 or more
 * @ret: what the threads counted is added; may be NULL
 *
 * Returns 0, or the first fault. Order is kept within a chunk only.
 */
int tree_work(const struct tree_slot *slot, struct repo *repo, size_t n, size_t chunk,
	      unsigned threads, tree_work_fn fn, void *userdata, struct tree_stats *ret,
	      struct fault *f);

/* for those who run threads of their own; @repo: borrowed, NULL: opened when needed */
void tree_worker_init(struct tree_worker *w, const struct tree_slot *slot, struct repo *repo,
		      struct fault *f);
void tree_worker_deinit(struct tree_worker *w);

/* this thread's store */
int tree_worker_repo(struct tree_worker *w, struct repo **ret);

/**
 * tree_worker_dir - the directory of a path, through no link and no mount
 * @path, @len: of a directory, relative to the slot; "" is the slot itself
 *
 * Returns a borrowed descriptor, good until the next call, or a negative errno without a fault.
 */
int tree_worker_dir(struct tree_worker *w, const char *path, size_t len);

/* the directory is another one now: open it again next time */
void tree_worker_forget_dir(struct tree_worker *w);

#endif
