/**
 * DOC: tree-apply - carry out what a reset or a switch has decided
 */
#ifndef GIT_TREE_APPLY_H
#define GIT_TREE_APPLY_H

#include "git/tree-file.h"

/* pointers into a list, in path order; { 0 } is empty */
struct tree_picks {
	struct tree_entry **entries;
	size_t n, size;
};

int tree_picks_add(struct tree_picks *picks, struct tree_entry *e); /* 0, -ENOMEM */
void tree_picks_deinit(struct tree_picks *picks);

/**
 * tree_apply_verify - are all blobs in the store that would be written?
 *
 * -EUCLEAN names the first that is not. Submodules have none.
 */
int tree_apply_verify(struct repo *repo, const struct tree_picks *picks, struct fault *f);

/* removes a name, whatever it is and whatever is in it; a name that is not there is fine */
int tree_apply_remove(struct tree_worker *w, const char *path);

/* removes the directories above a path as far as they are empty; the slot itself stays */
void tree_apply_prune(struct tree_worker *w, const char *path);

struct tree_apply_how {
	const struct convert *convert; /* the commit's attributes */
	unsigned threads;
	int beside_fd;	/* as of struct tree_worker: what is there stays; -1: it is replaced */
	size_t blocked; /* counted: entries that were not written because something is there */
};

/* writes every picked entry */
int tree_apply_write(const struct tree_slot *slot, struct repo *repo,
		     const struct tree_picks *picks, struct tree_apply_how *how,
		     struct tree_stats *stats, struct fault *f);

/* a submodule is an empty directory here: makes those that are not there; @blocked is counted up */
int tree_apply_gitlinks(struct tree_worker *w, struct tree_list *list, size_t *blocked);

#endif
