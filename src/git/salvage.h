/**
 * DOC: salvage - what is in a slot and nowhere else, saved below refs/slotd/salvage/
 *
 * Before anything discards the content of a slot: changes, untracked files, what is staged, commits
 * that no ref holds, an operation in progress, stashes of the lease. All of it becomes one commit
 *
 *	W	the worktree as it is, on top of B; parents B, I, X
 *	B	the commit of HEAD, or the last that slotd knows of
 *	I	the index as it was staged; parent B
 *	X	state: HEAD, the index byte for byte, the files of an operation, contents that a commit cannot
 *		have; its parents are the commits that only this slot knew
 *
 * below refs/slotd/salvage/<slot>/<lease>/<n>, so that every maintenance keeps it. src/README.md
 * has the layout of X. Objects that no ref holds yet are copied into the same pack, so that a gc which
 * runs beside takes nothing. Nothing is run, no attribute filter, no hook; no link is followed.
 *
 * Order on disk: pack with its .keep, the ref, then the .keep goes. A salvage that was killed is
 * taken up by making the same again: identity and time are the lease's, so it has the same name.
 */
#ifndef GIT_SALVAGE_H
#define GIT_SALVAGE_H

#include "git/salvage-read.h"
#include "git/tree-saved.h"
#include "git/worktree.h"


struct salvage_spec {
	const char *lease;	   /* 32 hex digits; NULL: none had it */
	const char *pool, *agent, *task, *branch; /* may be NULL */
	git_oid held;		   /* where the lease began: nobody made it here; zero: not known */
	git_oid fallback;	   /* B when HEAD has no commit; zero: none */
	git_oid target;		   /* whose ignore rules say what cleaning removes */
	uint64_t since_usec;	   /* begin of the lease, wall clock; 0: not known */
	uint64_t at_usec;	   /* its end: the time of the commits */
	const struct tree_policy *policy; /* what cleaning leaves, and what is precious; NULL: as { 0 } */
	bool all_goes;		   /* the slot is removed: nothing stays, whatever the policy says */
	unsigned threads;	   /* 1..8, for the walk */
};

struct salvage_taken {
	char *ref;     /* owned */
	char *summary; /* owned; "2 changed files, 1 untracked file" */
	git_oid commit;
	unsigned n;
	uint64_t taken_usec;
	uint64_t bytes; /* of content, before compression */
};

void salvage_taken_deinit(struct salvage_taken *s); /* accepts a zeroed one */

enum salvage_outcome {
	SALVAGE_E_NOTHING = 1, /* all is safe elsewhere */
	SALVAGE_E_CANNOT,      /* some of it cannot be saved: told as SALVAGE_NOTE_CANNOT; nothing was written */
};

enum salvage_note {
	SALVAGE_NOTE_CANNOT,  /* a sentence: "1 mounted directory: data" */
	SALVAGE_NOTE_SPECIAL, /* a path: a FIFO, socket or device, that has no content */
};

typedef int (*salvage_note_fn)(enum salvage_note note, const char *text, void *userdata);

/**
 * salvage_take - save what is not safe elsewhere
 * @saved: gets each file that was saved, as it was then
 * @fn: told what cannot be saved and what has no content; a negative return ends it
 * @ret: the salvage, which the caller deinits; written when 0 is returned
 *
 * 0, or an outcome. When 0 is returned everything is on disk. -ENOSPC, -EIO …: nothing was lost and
 * nothing is to be discarded.
 */
int salvage_take(struct worktree *w, const struct salvage_spec *spec, struct tree_saved *saved,
		 salvage_note_fn fn, void *userdata, struct salvage_taken *ret, struct fault *f);

/**
 * salvage_foreach_taken - the salvages of a lease in a slot, in no order
 * @fn: @s is borrowed; a negative return ends it and is returned
 */
int salvage_foreach_taken(struct repo *repo, const char *slot, const char *lease,
		    int (*fn)(const struct salvage_taken *s, void *userdata), void *userdata, struct fault *f);

#endif
