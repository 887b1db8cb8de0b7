/**
 * DOC: store - the repository behind a pool: found or cloned, fetched, asked
 *
 * A url pool has a bare store of its own. Origin's branches are in refs/remotes/origin/,
 * where fetches move and prune them; agents' branches are in refs/heads/, where no fetch
 * comes. A path pool adopts a repository as it is: its configuration is never written.
 *
 * The remote that is fetched from is the caller's url, never what the store's configuration
 * says: agents can write that, and credentials go along. So the proxy is the environment's, and
 * no url is rewritten.
 *
 * Errors
 * ------
 * -ENOENT (no such repository or ref), -EACCES (who may read it? the sentence names the
 * credentials' keys), -ENETUNREACH and -EAGAIN (worth trying again), -ENOSPC, -EUCLEAN
 * (damaged), -EOPNOTSUPP.
 */
#ifndef GIT_STORE_H
#define GIT_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "git/credentials.h"
#include "git/repo.h"

/**
 * store_progress_fn - how far a clone or fetch is; also its sign of life
 * @phase: "receiving", "resolving" or "connecting"
 * @total: 0: not known
 *
 * Called often, also from another thread, but never twice at a time. A negative return ends the operation and is returned by it.
 */
typedef int (*store_progress_fn)(const char *phase, uint64_t done, uint64_t total, void *userdata);

struct store_remote {
	const char *url;
	bool adopted; /* a path pool's: only refs/remotes/origin/ moves, and nothing is pruned */
	struct credentials credentials;
	store_progress_fn progress; /* or NULL */
	void *userdata;
};

/**
 * store_find - the common git directory behind a path that a person named
 * @path: absolute: a worktree's root, a git directory, a bare repository
 * @ret: allocated, absolute, without links
 *
 * -ENOENT with a sentence when it is none of these.
 */
int store_find(const char *path, char **ret, struct fault *f);

/**
 * store_clone - make a url pool's store
 * @path: an existing directory; everything in it is deleted first
 *
 * Interrupted at any point it leaves a directory for the next store_clone().
 */
int store_clone(const char *path, const struct store_remote *remote, struct fault *f);

/* the directories that slots need are there, and nothing that a killed fetch left is in the way */
int store_ready(struct repo *repo, struct fault *f);

/* origin's branches and tags as they are now; branches gone there go here */
int store_fetch(struct repo *repo, const struct store_remote *remote, struct fault *f);

/* what an adopted store calls origin; allocated. -ENOENT: nothing */
int store_origin_url(struct repo *repo, char **ret, struct fault *f);

/* has it no main worktree? (libgit2 is told that none has) */
bool store_is_bare(struct repo *repo);

/**
 * store_resolve - what a ref that a person named means
 * @adopted: a path pool: "main" is the local branch first; else it is origin's
 * @ref: branch, tag, full name, commit id of 7 or more digits; NULL: the default, which is
 *	origin's HEAD or, of an adopted store, the branch that its HEAD names
 * @ret_ref: its full name, or the commit's; allocated
 * @ret: its commit; zero when the branch is unborn
 *
 * -ENOENT: the sentence names a near one.
 */
int store_resolve(struct repo *repo, bool adopted, const char *ref, char **ret_ref, git_oid *ret,
		  struct fault *f);

/**
 * store_behind - how many commits has @base that @commit lacks?
 * @ret: the number; negative: they are too many to be counted while somebody waits
 */
int store_behind(struct repo *repo, const git_oid *commit, const git_oid *base, int64_t *ret,
		 struct fault *f);

/**
 * store_unpushed - what would be lost with the store
 * @fn: told each branch, tag or other tip that holds commits which no branch of origin does
 */
int store_unpushed(struct repo *repo, int (*fn)(const char *what, void *userdata), void *userdata,
		   struct fault *f);

#endif
