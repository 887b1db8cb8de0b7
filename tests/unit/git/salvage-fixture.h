/**
 * DOC: salvage-fixture - salvages made by git(1) in a repository "r"
 */
#ifndef TESTS_SALVAGE_FIXTURE_H
#define TESTS_SALVAGE_FIXTURE_H

#include "git/repo.h"
#include "git-fixture.h"

#define SALVAGE_FIXTURE_REF "refs/slotd/salvage/r-1/0123456789abcdef0123456789abcdef/1"

extern struct repo *salvage_repo; /* "r", opened by salvage_fixture_open() */
extern struct fault salvage_fault;

/* for Criterion's .init and .fini: "r" with two commits, and its worktree "s" */
void salvage_fixture_init(void);
void salvage_fixture_deinit(void);

/* the store anew, so that it sees what git has made */
void salvage_fixture_open(void);

/* a salvage of the worktree "s" by tests/support/salvage.py, at SALVAGE_FIXTURE_REF; its commit */
git_oid salvage_capture(void);

/**
 * salvage_made_by - a salvage by Python
 * @script: sets any of "files" (of W), "index" (files of I) and "state" (what is in X) as dicts for
 *	support.salvage.tree(); "base" is the commit of r's main, "meta" a good one
 */
git_oid salvage_made_by(const char *script);

/* what tests/support/salvage.py prints for a command; freed by fixture_deinit() */
char *salvage_py(const char *command, const char *argument);

#endif
