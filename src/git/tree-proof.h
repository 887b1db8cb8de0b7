/**
 * DOC: tree-proof - may a file of a slot be deleted without anybody losing anything?
 *
 * It may when it was saved, or when the store has its content under the same path and keeps it: in the
 * index (which is saved with the slot), in the commit that the slot is to become, in one that is held.
 */
#ifndef GIT_TREE_PROOF_H
#define GIT_TREE_PROOF_H

#include "git/convert.h"
#include "git/index-read.h"
#include "git/tree-saved.h"
#include "git/tree-work.h"

/* all borrowed; deinit it for what it loads itself */
struct tree_proof {
	struct tree_worker *worker;
	struct repo *repo;
	const struct tree_saved *saved;
	const struct index *index;
	const struct convert *index_convert; /* NULL: the index proves nothing */
	const struct tree_list *commit;
	const struct convert *convert;
	const git_oid *held; /* may be NULL */
	bool trust_filemode;
	bool distrust_stat; /* stat data of the index is not believed */
	/* of the held commit, when it is first asked for */
	bool held_is_loaded;
	struct tree_list held_list;
	struct convert *held_convert;
};

void tree_proof_deinit(struct tree_proof *p);

/* by what lstat(2) says; a no is no last word */
bool tree_proof_by_stat(const struct tree_proof *p, const char *path, const struct stat *st);

/**
 * tree_proof_by_content - by reading it
 * @dir_fd, @name: where it is now
 * @path: where it belongs
 *
 * 1: it may go, 0: not, or a negative errno with a fault.
 */
int tree_proof_by_content(struct tree_proof *p, int dir_fd, const char *name, const char *path);

#endif
