/**
 * DOC: check - is everything in a store as it should be, and in the slots made of it?
 *
 * What "git fsck" does, and what it does not look at, in one pass for all slots. git is never run, and
 * nothing is changed. Three depths: CHECK_QUICK looks at slots alone; CHECK_PLAIN at everything, but
 * believes what a memo (memo.h) says of files that have not changed; CHECK_FULL reads all again.
 *
 * Order
 * -----
 * files of the store and refs, worktrees, then objects (objects.h, pack.h, loose objects), in one pass over
 * their content (content.h); last, what leads where (roots.h). A repository that is used meanwhile makes no
 * false alarms: roots are read before objects are listed, and what is missing is looked for again, in a
 * fresh list, before it is told.
 *
 * Errors
 * ------
 * Damage is a finding, never an error. 0; -ECANCELED and what the progress function returns;
 * -ETIME: the budget of a scrub is used up; -ENOENT: no such store; -ENOMEM, -EIO.
 *
 * Threads
 * -------
 * check_run() in one; it makes and ends up to @threads of its own.
 */
#ifndef INTEGRITY_CHECK_H
#define INTEGRITY_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "integrity/finding.h"
#include "util/fault.h"

struct memo;
struct fsck_rules;

enum check_depth {
	CHECK_QUICK,
	CHECK_PLAIN,
	CHECK_FULL,
};

/* a slot as the ledger knows it */
struct check_slot {
	const char *name;     /* "api-3"; its administration is worktrees/slotd-api-3 */
	const char *path;     /* absolute: the worktree */
	uint64_t dev, ino;    /* of the worktree; 0: not known */
	const char *head;     /* the commit that the ledger knows of; NULL: none */
	bool is_leased;	      /* somebody works in it: HEAD, index and files may be anything that is whole */
};

/**
 * check_progress_fn - how far it is
 * @phase: "refs", "worktrees", "objects", "links"
 *
 * From the thread of check_run() alone. A negative return ends the check and is returned by it.
 */
typedef int (*check_progress_fn)(const char *phase, uint64_t done, uint64_t total, void *userdata);

struct check_spec {
	const char *common_dir; /* absolute */
	bool is_adopted;	/* somebody's repository: worktrees that are no slots are looked at as well */
	bool is_idle;		/* nobody works in it: what looks half done is told at once */
	enum check_depth depth;
	const struct check_slot *slots; /* of CHECK_QUICK: those that are checked; else all of the pool */
	size_t n_slots;
	unsigned threads;	/* at least 1 */
	uint64_t memory_bytes;	/* for what is inflated; 0: 256 MiB */
	uint64_t scrub_usec;	/* with CHECK_PLAIN: go on reading what was read longest ago, so long; 0: do not */
	uint64_t overdue_usec;	/* what was not read for so long is read whatever scrub_usec says; 0: never */
	uint64_t now_usec;	/* since 1970 */
	struct memo *memo;	/* what was verified before, and then is; NULL: nothing, and it is not told */
	check_progress_fn progress; /* or NULL */
	void *userdata;
};

struct check_result {
	uint64_t objects, packs; /* that there are */
	uint64_t objects_read;	 /* of them in this run */
	uint64_t elapsed_usec;
};

/**
 * check_run
 * @all: where the findings go; @ret: filled in any case
 *
 * See above.
 */
int check_run(const struct check_spec *spec, struct findings *all, struct check_result *ret,
	      struct fault *f);

/**
 * struct check - one run, as its parts see it
 *
 * All is borrowed and stays until the end of the run.
 */
struct check {
	const struct check_spec *spec;
	int common_fd;	/* the common directory */
	struct findings *findings;
	const struct fsck_rules *rules; /* severities of content, and what is skipped */
	struct roots *roots;		/* filled by refs and worktrees, read by links */
	bool is_sha1;			/* false: another object format; objects cannot be checked */
	volatile int stop;		/* a negative errno that ends all threads, by check_stop() */
	uint64_t done, total;		/* of the phase; done by atomic addition from any thread */
	const char *phase;
};

/* from the thread of check_run() now and then: tells progress; a negative errno: stop */
int check_tell(struct check *c);

/* from any thread */
static inline bool check_is_stopped(const struct check *c)
{
	return __atomic_load_n(&c->stop, __ATOMIC_RELAXED) != 0;
}

/* from any thread; the first one counts */
void check_stop(struct check *c, int r);

#endif
