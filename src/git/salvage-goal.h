/**
 * DOC: salvage-goal - what is to be there when a salvage has been restored
 *
 * B's files as a checkout of B writes them; what differs between B and W, and what is below files/,
 * byte for byte. What B has and W has not is not there.
 */
#ifndef GIT_SALVAGE_GOAL_H
#define GIT_SALVAGE_GOAL_H

#include "git/convert.h"
#include "git/salvage-read.h"
#include "git/tree-list.h"

/* besides enum tree_entry_flag */
#define SALVAGE_ENTRY_VERBATIM (1 << 8) /* no conversion: it is as the salvage has it */

struct salvage_goal {
	struct tree_list base;	 /* B's files */
	struct tree_list files;	 /* the goal, sorted; stat data is filled in by who writes it */
	struct tree_list modes;	 /* paths with permissions of their own, in "mode"; sorted */
	struct tree_list dirs;	 /* directories that are empty */
	struct convert *convert; /* B's attributes */
};

/**
 * salvage_goal_load - the goal of an opened salvage
 * @ret: zeroed; the caller deinits it in either case
 *
 * -EUCLEAN: objects are missing or damaged, a path may not be restored (it is, or is below, ".git" at the
 * top), or two exclude each other. Nothing was written anywhere.
 */
int salvage_goal_load(struct salvage *s, struct salvage_goal *ret, struct fault *f);
void salvage_goal_deinit(struct salvage_goal *goal);

/**
 * salvage_goal_mode - the permissions that a path is to have
 * @is_dir: of a directory
 *
 * 0: none of its own. Never the set-uid and set-gid bits of a file: whoever wrote the salvage may not be
 * who restores it.
 */
uint32_t salvage_goal_mode(const struct salvage_goal *goal, const char *path, bool is_dir);

#endif
