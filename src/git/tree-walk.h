/**
 * DOC: tree-walk - hold a slot against a list of entries
 *
 * Directory by directory, on several threads; each name is either one of the list's or untracked.
 * Nothing is changed, but for the permissions of directories if that is asked for.
 */
#ifndef GIT_TREE_WALK_H
#define GIT_TREE_WALK_H

#include "git/ignore.h"
#include "git/tree-check.h"

/* besides enum tree_change: a directory without any file in it, which git does not see */
#define TREE_FOUND_EMPTY_DIR 0
/* ignored, but the policy lets it go: it is not saved unless it is precious; a directory as one */
#define TREE_FOUND_WIPED 64

struct tree_found {
	int change;		  /* enum tree_change or TREE_FOUND_…; what is kept is "ignored" */
	char *path;		  /* owned; a directory ends with "/" */
	struct tree_entry *entry; /* of the list; NULL for what is not in it */
};

struct tree_walk {
	/* in */
	const struct tree_slot *slot;
	struct repo *repo;	     /* for the caller's thread */
	struct tree_list *list;	     /* what is to be there; stat data is refreshed */
	struct tree_checker checker; /* tree_walk_run() fills in the mount */
	const struct ignore *ignore; /* NULL: nothing is ignored */
	struct tree_policy policy;
	bool make_writable;	     /* directories get rwx for their owner */
	bool want_disk;		     /* count blocks, of ignored directories as well */
	unsigned threads;
	/* out */
	struct tree_found *found; /* sorted by path */
	size_t n_found;
	uint64_t disk_bytes;
};

/* 0 or a fault; either way tree_walk_deinit() afterwards */
int tree_walk_run(struct tree_walk *walk, struct fault *f);
void tree_walk_deinit(struct tree_walk *walk);

/* core.fileMode of the store */
bool tree_trust_filemode(struct repo *repo);

#endif
