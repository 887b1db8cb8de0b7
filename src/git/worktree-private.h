/**
 * DOC: worktree-private - what the files of worktree share
 */
#ifndef GIT_WORKTREE_PRIVATE_H
#define GIT_WORKTREE_PRIVATE_H

#include "git/worktree.h"

struct worktree {
	struct repo *repo; /* borrowed */
	char *name;	   /* "api-1" */
	char *path;	   /* absolute */
	struct tree_slot tree;
	int slots_fd; /* borrowed */
	char *trash;  /* ".trash-api-1", in slots_fd: what is being deleted (git/tree-trash.h) */
};

/* where things are; all from the caller's words, nothing from the repository's */
struct worktree_names {
	char *path;    /* of the slot */
	char *admin;   /* "slotd-api-1", in worktrees/ */
	char *gitfile; /* what the slot's .git says, newline included */
	char *gitdir;  /* what the administration's gitdir says */
	char *new_;    /* "slotd-api-1.new", in slotd/: under construction */
	char *old;     /* "slotd-api-1.old", in slotd/: being deleted */
	char *trash;   /* ".trash-api-1", beside the slot: what is being deleted of it */
};

#define WORKTREE_COMMONDIR "../..\n"
#define WORKTREE_LOCKED	   "slotd\n"
#define WORKTREE_GITFILE_TMP ".git.slotd" /* in the slot, while its .git is replaced */

int worktree_names_init(struct worktree_names *n, struct repo *repo, const char *slots_path,
			const char *slot, struct fault *f);
void worktree_names_deinit(struct worktree_names *n);

/*
 * In the administration, from before the first file is moved until HEAD has followed: in
 * between files, index and HEAD disagree, and what looks like somebody's changes is ours. The commit
 * is in it; and when the slot is being cleaned of what was saved, the set of that, for then only
 * what is in the set is ours.
 */
#define WORKTREE_MARK "slotd-switching"

/* @saved: NULL: all that is found may go. On disk when it returns, as is its going */
int worktree_mark(struct worktree *w, const git_oid *commit, const struct tree_saved *saved,
		  struct fault *f);
int worktree_unmark(struct worktree *w, struct fault *f);

/* every lock in the administration is stale by now: nobody works in the slot */
int worktree_remove_locks(struct worktree *w, struct fault *f);

/* handle of the common directory; the caller closes it */
int worktree_open_common(struct repo *repo, struct fault *f);

/* the administration's files that say where it belongs are written, or put right where wrong */
int worktree_write_admin(int admin_fd, const struct worktree_names *n, struct fault *f);

/* handle of the slot's directory; -EUCLEAN: gone, a link, or not the one with these numbers */
int worktree_open_slot(int slots_fd, const char *name, uint64_t dev, uint64_t ino,
		       struct fault *f);

/* handle of the slot's administration; -EUCLEAN: gone, or no directory of the store */
int worktree_open_admin(int common_fd, const struct worktree_names *n, const char *name,
			struct fault *f);

#endif
