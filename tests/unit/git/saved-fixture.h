/**
 * DOC: saved-fixture - a slot that is reset by what was saved of it
 *
 * The witness of "nothing is lost": every content that was in the slot is in it still, or in the store.
 */
#ifndef TESTS_SAVED_FIXTURE_H
#define TESTS_SAVED_FIXTURE_H

#include "git/tree-saved.h"
#include "tree-fixture.h"

#define TRASH ".trash-s" /* beside the slot "s" */

extern struct tree_saved *slot_saved; /* made by saved_open() */
extern int beside_fd;

void saved_open(void);
void saved_close(void);

/* adds every file of the slot as it is now, but the top's ".git" */
void save_all(void);

/* the same for one path */
void save(const char *path);

/* tree_reset() with the set; @more: NULL, or a policy, a held commit and the like */
int reset_saved(const char *rev, const struct tree_reset_options *more);

/* the content of every file and link in the slot */
void remember(void);

/* what was remembered and is neither in the slot any more nor in the store; "" if nothing is lost */
char *lost(void);

#endif
