/**
 * DOC: repo - a store, opened so that nothing in it can hang or crash us
 *
 * libgit2 reads objects through an object database of ours: loose objects through a
 * bounded reader (loose.c; libgit2's own spins or overruns on damaged ones), packs one by
 * one by their .idx (a multi-pack-index is not used), alternates up to five deep, all
 * re-scanned on a miss. No configuration outside the repository is read, no owner is
 * checked (slotd's own rules decide who may do what), harmless extensions are allowed.
 *
 * Threads
 * -------
 * A repo belongs to one thread at a time; open one for each.
 */
#ifndef GIT_REPO_H
#define GIT_REPO_H

#include <git2.h>

#include "util/fault.h"

struct repo;

/* once per process, before anything else: libgit2's global settings. 0 or a fault. */
int repo_global_init(struct fault *f);

/**
 * repo_open - open a store by its common directory
 * @common_dir: absolute path of the git directory ("…/x.git", "…/.git"); not searched for
 *
 * -ENOENT, -EOPNOTSUPP (sha256, reftable, an unknown extension: by name), -EUCLEAN (damaged).
 */
int repo_open(const char *common_dir, struct repo **ret, struct fault *f);
void repo_close(struct repo *repo); /* accepts NULL */

git_repository *repo_git(struct repo *repo);	/* borrowed */
git_odb *repo_odb(struct repo *repo);		/* borrowed */
const char *repo_common_dir(struct repo *repo); /* borrowed; absolute, no "/" at the end */

/**
 * git_fault - libgit2's last error as a fault; the border for foreign codes
 * @code: what a libgit2 function returned, negative
 *
 * GIT_ENOTFOUND -ENOENT, GIT_EEXISTS -EEXIST, GIT_ELOCKED -EAGAIN, GIT_EAUTH and
 * GIT_ECERTIFICATE -EACCES, out of disk -ENOSPC, bad objects -EUCLEAN, net and timeouts
 * -ENETUNREACH, everything else -EIO. git_error_last() may be NULL.
 */
__attribute__((format(printf, 3, 4))) int git_fault(struct fault *f, int code, const char *fmt, ...);

#endif
