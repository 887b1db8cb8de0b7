/**
 * DOC: salvage-slots - slots of the repository "r", to be left in any state and restored
 *
 * "r" has attributes, links, modes and two branches that conflict ("main", "side"); slots are below
 * "slots", as slotd makes them.
 */
#ifndef TESTS_SALVAGE_SLOTS_H
#define TESTS_SALVAGE_SLOTS_H

#include "git/salvage-restore.h"
#include "salvage-fixture.h"

/* for Criterion's .init and .fini */
void salvage_slots_init(void);
void salvage_slots_deinit(void);

/* a new slot of that name at main; what was there goes */
void slot_make(const char *name);

/* opened; the caller closes it */
struct worktree *slot_open_at(const char *name);

/* back to main: clean, with nothing in progress, ignored files gone */
void slot_clean(const char *name);

/* a salvage of it as it is */
git_oid slot_capture(const char *name);

/* the same by slotd itself; zero: it cannot be saved */
git_oid slot_save(const char *name);

/* the result of salvage_restore_slot(); the notes and HEAD's branch are in slot_restored */
int slot_restore(const char *name, git_oid commit);
extern struct salvage_restored slot_restored;
extern const struct ignore *slot_keep; /* for it; NULL, unless a test says otherwise */

/* of salvage_restore_dir() into "out", which is made anew */
int dir_restore(git_oid commit);

/* "salvage.py look" and "state" of a directory below the fixture's, kept in a file; the same later? */
void remember_slot(const char *dir, bool is_slot);
void assert_is_as_remembered(const char *dir, bool is_slot, const char *what);

#endif
