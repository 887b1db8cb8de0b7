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
};

/* where things are; all from the caller's words, nothing from the repository's */
struct worktree_names {
	char *path;    /* of the slot */
	char *admin;   /* "slotd-api-1", in worktrees/ */
	char *gitfile; /* what the slot's .git says, newline included */
	char *gitdir;  /* what the administration's gitdir says */
	char *new_;    /* "slotd-api-1.new", in slotd/: under construction */
	char *old;     /* "slotd-api-1.old", in slotd/: being deleted */
};

#define WORKTREE_COMMONDIR "../..\n"
#define WORKTREE_LOCKED	   "slotd\n"
#define WORKTREE_GITFILE_TMP ".git.slotd" /* in the slot, while its .git is replaced */

int worktree_names_init(struct worktree_names *n, struct repo *repo, const char *slots_path,
			const char *slot, struct fault *f);
void worktree_names_deinit(struct worktree_names *n);

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
