/* What a job works on: the store of its pool, and mostly one slot. */
#ifndef WORKER_SITE_H
#define WORKER_SITE_H

#include "git/ignore.h"
#include "git/worktree.h"
#include "worker/jobs.h"

struct site {
	const char *slot;
	uint64_t dev;
	uint64_t ino;
	struct repo *repo;
	struct worktree *worktree;
};

void site_deinit(struct site *s);

#define _cleanup_site_ __attribute__((__cleanup__(site_deinit)))

/* false: the parameter "slot" is not a slot's name, and the error says so */
bool site_read_slot(struct work *work, struct site *ret);

/* a mandatory or optional full commit id in "commit"; false: it is none, and the error says so */
bool site_read_commit(struct work *work, git_oid *ret);

/* that the store cannot be opened says nothing about the slot: StoreGone */
int site_open_store(struct work *work, struct site *s);

/* the store as well, if it is not open yet */
int site_open_slot(struct work *work, struct site *s);

/* an array of strings, borrowed; @ret is allocated, NULL at the end; -ENOMEM */
int site_read_words(struct work *work, const char *key, const char ***ret, size_t *ret_n);

/* an array of patterns as in gitignore(5); NULL: none. The caller frees it */
int site_read_patterns(struct work *work, const char *key, struct ignore **ret);

/* "head" and "branch" of the reply; zero, NULL: null */
void site_set_head(struct work *work, const git_oid *commit, const char *branch);

#endif
