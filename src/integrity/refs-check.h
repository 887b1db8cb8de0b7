/**
 * DOC: refs-check - refs, their logs and the files of the store
 *
 * Every file below refs/ and logs/, packed-refs, HEAD and the other names at the top (ORIG_HEAD, FETCH_HEAD,
 * MERGE_HEAD, ...), "shallow", "config" and the format of the repository, lock files; of the store and, with what
 * is theirs alone, of all worktrees. Read bounded, no FIFO blocks, no link is followed. What they name goes
 * into c->roots.
 */
#ifndef INTEGRITY_REFS_CHECK_H
#define INTEGRITY_REFS_CHECK_H

#include "integrity/check.h"

/* of the store: config and format (c->is_sha1 is set here), shallow, HEAD, refs/, packed-refs, logs/, locks */
int store_files_check(struct check *c);

/**
 * refs_check_below - the refs that a worktree has for itself, its HEAD, logs and operations
 * @admin_fd: worktrees/<id>; @where: "worktrees/<id>"; @slot: or NULL
 */
int refs_check_worktree(struct check *c, int admin_fd, const char *where, const char *slot);

#endif
