/**
 * DOC: reach - which commits would be lost with their tips
 *
 * The commits that are reachable from some tips and from nothing that holds. Walked here
 * and not by libgit2, whose walk ends with an error at the boundary of a shallow clone and
 * at the first missing object.
 *
 * Calling sequence
 * ----------------
 *	reach_new(), reach_add_tip() and reach_add_held() in any order, reach_run() once,
 *	reach_foreach() and the like, reach_free()
 */
#ifndef GIT_REACH_H
#define GIT_REACH_H

#include <stdbool.h>
#include <stddef.h>

#include "git/repo.h"

struct reach;

enum {
	REACH_E_MANY = 1, /* more commits than reach_set_limit() allows */
};

int reach_new(struct repo *repo, struct reach **ret, struct fault *f);
void reach_free(struct reach *r); /* accepts NULL */

/* looks at no more commits than about so many, wanted and held together; 0, as without it: at all */
void reach_set_limit(struct reach *r, size_t commits);

/*
 * Tips whose commits are asked for, and commits that are held together with all before them. Tags are
 * followed. What is not there or is no commit counts as nothing: then it holds nothing.
 */
int reach_add_tip(struct reach *r, const git_oid *oid, struct fault *f);
int reach_add_held(struct reach *r, const git_oid *oid, struct fault *f);

/**
 * reach_add_refs - all refs of the store hold, but for those below a prefix
 * @only: NULL, or the one prefix that holds ("refs/remotes/origin/")
 *
 * refs/slotd/ never holds: pins end with their slot, and salvages are dropped in their time. Nor may the
 * salvage of a try that was killed make the next one save less.
 */
int reach_add_refs(struct reach *r, const char *only, struct fault *f);

/**
 * reach_run - count what is reachable from a tip and not held
 * @ret_count: commits
 * @ret_newest: one of them, the newest by date; untouched when there is none
 *
 * REACH_E_MANY: it was given up, and nothing is known. Commits whose parents are missing are as roots. A commit with a wrong date may be counted
 * although something holds it, never the other way round.
 */
int reach_run(struct reach *r, size_t *ret_count, git_oid *ret_newest, struct fault *f);

/**
 * reach_foreach - after reach_run(): each commit that it counted, in no order
 *
 * @fn: a negative return ends it and is returned
 */
int reach_foreach(const struct reach *r, int (*fn)(const git_oid *oid, void *userdata), void *userdata);

/* likewise, but only those that are no parent of another one: whoever holds these holds all */
int reach_foreach_head(const struct reach *r, int (*fn)(const git_oid *oid, void *userdata), void *userdata);

/* did reach_run() count this commit? */
bool reach_has(const struct reach *r, const git_oid *oid);

#endif
