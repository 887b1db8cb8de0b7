/**
 * DOC: tree-trash - take names out of a slot, and delete only what was saved
 *
 * A name is first renamed into a directory beside the slots, under the path that it had in its own: from
 * then on nobody finds it any more who did not have it already. There each file is looked at once
 * more, with a lease on it, so that nobody has it open for writing (fcntl(2), F_SETLEASE); it
 * is unlinked if there is proof that it may go, and else put back where it was. Should somebody have
 * taken its place meanwhile, it is put into a directory of its own in the slot, SLOTD_PUT_BACK.
 *
 * What a killed process leaves in the trash goes the same way, by tree_trash_recover().
 *
 * Calling sequence
 * ----------------
 * 1. tree_trash_open()
 * 2. tree_trash_move() for each name
 * 3. tree_trash_settle()	the files
 * 4. tree_trash_close()
 */
#ifndef GIT_TREE_TRASH_H
#define GIT_TREE_TRASH_H

#include "git/tree-proof.h"

#define TREE_TRASH_PUT_BACK "slotd-put-back-" /* and a number: a directory in the slot */

/* a directory that was opened last, for those who come in path order */
struct tree_trash_dir {
	int top_fd;	  /* borrowed */
	unsigned mode;	  /* of those that are made */
	struct text path; /* of fd */
	int fd;		  /* -1: none */
};

struct tree_trash {
	const struct tree_slot *slot;
	int dir_fd; /* where the trash is; borrowed */
	const char *name;
	int fd, old_fd;	  /* the trash, and in it what comes from the slot */
	int new_fd;	  /* what is written for the slot, until it takes its place there */
	struct tree_proof *proof; /* NULL: only @saved counts */
	struct tree_saved *moved; /* of what was proved before it was renamed: files, as they were */
	const struct tree_saved *saved;
	const struct tree_saved *counts_as_moved; /* see tree_trash_settle() */
	struct tree_trash_dir in_old, in_slot;
	char **free; /* paths of which nothing has to be proved, but for @precious */
	size_t n_free, free_size;
	const struct ignore *precious;
	struct tree_stats *stats;
	unsigned patience; /* with somebody who writes into the trash */
	bool links_changed; /* a hard link went: the ctime of its other names changed with it */
	size_t left;	    /* names that are in the slot still or again, for want of proof */
	int r;		   /* the first fault, of a name that can neither be deleted nor put back */
	struct fault *f;
};

/* one that is not open */
#define TREE_TRASH_NONE                                                                  \
	{                                                                                \
		.fd = -1, .old_fd = -1, .new_fd = -1, .in_old.fd = -1, .in_slot.fd = -1, \
	}

/**
 * tree_trash_open - make the trash of a slot, or open the one that is there
 * @t: TREE_TRASH_NONE; its pointers proof, saved, precious and stats are set by the caller
 *
 * 0 or a fault; in any case tree_trash_close() afterwards.
 */
int tree_trash_open(struct tree_trash *t, const struct tree_slot *slot, int dir_fd,
		    const char *name, struct fault *f);

/**
 * tree_trash_move - take a name out of the slot
 * @path: with a "/" at its end or not
 * @free: what is in it needs no proof, but for what is precious
 *
 * A name that is not there is fine. -EXDEV for a mount; -EPERM and the like name the path.
 */
int tree_trash_move(struct tree_trash *t, const char *path, bool free);

/**
 * tree_trash_settle - delete or put back all that is in the trash
 *
 * 0, whatever was put back (see left), or a fault: then nothing is lost, but it may be in the trash.
 */
int tree_trash_settle(struct tree_trash *t);

/* removes the trash if nothing is in it */
void tree_trash_close(struct tree_trash *t);

/**
 * tree_trash_recover - what a killed process left
 * @saved: what it knew to be saved: that is deleted, all else is put back; NULL: all is put back
 *
 * No trash is fine.
 */
int tree_trash_recover(const struct tree_slot *slot, int dir_fd, const char *name,
		       const struct tree_saved *saved, struct fault *f);

#endif
