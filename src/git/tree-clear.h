/**
 * DOC: tree-clear - what has to leave a slot before a commit's files can be written
 */
#ifndef GIT_TREE_CLEAR_H
#define GIT_TREE_CLEAR_H

#include "git/tree-trash.h"
#include "git/tree-walk.h"

struct tree_clear {
	struct tree_worker *worker;
	const struct tree_walk *walk; /* what was found */
	const struct tree_list *commit;
	const struct tree_policy *policy;
	struct tree_proof *proof; /* NULL: all may go */
	struct tree_trash *trash; /* with a proof: open */
};

/**
 * tree_clear_check - is there proof for all that has to go?
 * @ret: is there anything at all?
 *
 * Of directories that go as a whole only tree_clear() tells. 0 or TREE_E_UNSAVED, with a sentence that
 * names it; changes nothing.
 */
int tree_clear_check(const struct tree_clear *c, bool *ret);

/* away with it; what is not proved is put back and counted by the trash */
int tree_clear(const struct tree_clear *c);

#endif
