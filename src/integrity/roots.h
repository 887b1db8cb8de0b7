/**
 * DOC: roots - everything that keeps objects alive
 *
 * Refs, HEADs, logs, indexes with their cache-trees and resolve-undo, MERGE_HEAD and its like. Whoever reads
 * such a file notes here what it names; links.h asks later whether it is there, of the right
 * type, and what hangs on it.
 */
#ifndef INTEGRITY_ROOTS_H
#define INTEGRITY_ROOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <git2.h>

enum root_kind {
	ROOT_REF,	/* refs/..., ORIG_HEAD, MERGE_HEAD, ... */
	ROOT_HEAD,	/* HEAD of the store or of a worktree */
	ROOT_REFLOG,
	ROOT_INDEX,	/* an entry of an index */
	ROOT_CACHE_TREE,
	ROOT_RESOLVE_UNDO,
	ROOT_FETCH_HEAD, /* keeps nothing alive; what is missing is told as information */
};

struct root {
	git_oid oid;
	git_object_t type; /* that it must be; GIT_OBJECT_ANY: whatever it is */
	enum root_kind kind;
	const char *name; /* "refs/heads/main", "worktrees/x/HEAD", "worktrees/x/index:src/a.c" */
	const char *file; /* that says so, for finding_place.where */
	const char *slot; /* the slot that alone needs it; NULL: the store */
};

struct roots;

struct roots *roots_new(void); /* NULL: no memory */
void roots_free(struct roots *roots); /* accepts NULL */

/* everything is copied (names share their storage with the last ones); 0 or -ENOMEM */
int roots_add(struct roots *roots, const struct root *root);

size_t roots_count(const struct roots *roots);
const struct root *roots_at(const struct roots *roots, size_t i);

/* commits whose parents are not here, from "shallow" */
int roots_add_shallow(struct roots *roots, const git_oid *oid);
uint64_t roots_shallow_digest(const struct roots *roots);
bool roots_is_shallow(const struct roots *roots, const git_oid *oid);

#endif
