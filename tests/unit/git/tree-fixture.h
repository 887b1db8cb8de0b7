/**
 * DOC: tree-fixture - a slot to write a commit into, and git(1) to judge it
 */
#ifndef TESTS_TREE_FIXTURE_H
#define TESTS_TREE_FIXTURE_H

#include "git/tree.h"
#include "git-fixture.h"

/* the repository is "r", the slot "s" (a worktree without files); there is one of them */
extern struct tree_slot slot;
extern struct fault slot_fault;
extern struct tree_stats slot_stats; /* of the last create_at() */

/* "git worktree add --no-checkout" of r as s, and its handles; closed by slot_close() */
void slot_open(void);
void slot_close(void);

/* the commit of a revision of r */
git_oid commit_of(const char *rev);

/* the slot is what "git worktree add" of HEAD's commit makes of it, by git's own word */
void assert_slot_is_clean_at(const char *rev);

/* commits what the shell makes in r */
void commit_made_by(const char *make);

/* the slot at a revision, by tree_create / tree_switch / tree_reset; a failure is the result */
int create_at(const char *rev);
int switch_to(const char *rev);
int reset_to(const char *rev, bool keep_ignored);

/* what a sweep finds, one "kind path" a line; "fault …" when it fails; @rev may be NULL */
char *sweep_text(const char *rev, bool want_ignored);

/* the same without what is kept, as a policy says */
char *sweep_by(const char *rev, const struct tree_policy *policy);

#endif
