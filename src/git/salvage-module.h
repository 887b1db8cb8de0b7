/**
 * DOC: salvage-module - a submodule that comes back in another slot
 *
 * Its ".git" file and its store in the administration name each other by paths that have the slot's
 * name in them.
 */
#ifndef GIT_SALVAGE_MODULE_H
#define GIT_SALVAGE_MODULE_H

#include "git/salvage-goal.h"

/**
 * salvage_module_gitfiles - the .git files of submodules say where their stores will be
 * @slot: the name of the slot that @goal is for
 */
int salvage_module_gitfiles(struct salvage *s, struct salvage_goal *goal, const char *slot,
			    struct fault *f);

/**
 * salvage_module_file - a file of the administration for a slot
 * @path: "modules/…"
 * @oid: its content; becomes that of a new blob when it names the old slot
 */
int salvage_module_file(struct salvage *s, const char *path, const char *slot, git_oid *oid,
			struct fault *f);

#endif
