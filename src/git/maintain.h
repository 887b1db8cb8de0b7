/**
 * DOC: maintain - a store that slotd owns stays small, and loses nothing
 *
 * gc.auto is off there, since git's own gc knows nothing of leases. Instead: what is reachable goes
 * from loose objects and small packs into one pack, and what nothing reaches goes when it is old.
 *
 * What is never taken
 * -------------------
 * - what any file of the common directory names, with all that leads to (mention.h);
 * - a loose object that is younger than 14 days, or than the begin of the oldest living lease, and
 *   what such an object leads to: an agent's git writes objects before it names them;
 * - an object in a pack of which anything is reachable, kept, or young; what becomes unreachable is
 *   set aside in a pack of its own, and that pack goes 14 days after it was found so.
 *
 * 14 days as gc.pruneExpire of git: people and agents name by its id what they lost the branch of.
 *
 * Half-written files, tmp_obj_..., tmp_pack_..., tmp_idx_... and tmp_rev_..., go when they are a day old and
 * their writer cannot live: nobody has the file open; where that is not known, the machine was started since.
 *
 * Who writes at the same time
 * ---------------------------
 * Agents' git, and our own jobs. git freshens an object that is there already by setting its time
 * (utime(2)) and writes it anew when there is none. So what is to go is first moved out of the
 * database by a rename, then its time is looked at again: freshened before the rename it is moved
 * back, and after the rename nobody can freshen it, but writes it. Between the two moves, for some
 * microseconds, a git that has just freshened an object which was 14 days old cannot read it; it looks
 * again before it gives up, and would find it. A fetch of ours takes for there what is there without
 * freshening it: while one runs nothing goes, by a lock.
 *
 * When it is killed
 * -----------------
 * A new pack has its name only when it is whole and synced; old ones go after that. What was moved
 * out lies in slotd/maintain/, and store_maintain_undo() puts it back where it was.
 *
 * Errors: as for store.h.
 */
#ifndef GIT_MAINTAIN_H
#define GIT_MAINTAIN_H

#include "git/repo.h"
#include "git/store.h"

#define MAINTAIN_DIR "maintain" /* in slotd/ */

struct maintain_options {
	uint64_t
		every_usec; /* not more often than that, unless there are very many loose objects or packs */
	uint64_t lease_usec; /* wall clock; when the oldest living lease began; 0: there is none */
	uint64_t reserve_bytes;	    /* of free space that stay free */
	store_progress_fn progress; /* or NULL */
	void *userdata;
};

struct maintain_outcome {
	bool done;
	char reason
		[160]; /* why it was not, or why nothing was thrown away; "": it was, or is not due */
	uint64_t next_usec; /* from now on; when it is due again */
	size_t packs_before, packs_after;
	size_t loose_before, loose_after;
	uint64_t bytes_before, bytes_after;
	size_t dropped; /* objects that nothing reached */
	size_t litter;	/* half-written files of dead writers */
	uint64_t litter_bytes;
};

/**
 * store_maintain - if it is due
 *
 * -EUCLEAN: an object cannot be read; -ENOSPC. Whatever it returns, no object that the caller may want
 * is less there than before.
 */
int store_maintain(struct repo *repo, const struct maintain_options *options,
		   struct maintain_outcome *ret, struct fault *f);

/* what a killed one left is as it was before; done by store_maintain() too */
int store_maintain_undo(struct repo *repo, struct fault *f);

/**
 * store_lock_prune - while a fetch runs
 * @common_fd: the common directory
 *
 * A descriptor that the caller closes; waits until nothing is thrown away any more.
 */
int store_lock_prune(int common_fd, struct fault *f);

#endif
