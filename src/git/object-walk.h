/**
 * DOC: object-walk - all objects that some objects lead to
 *
 * From a commit to its tree and parents, from a tree to what is in it (but to no submodule's
 * commit), from a tag to what it names. An object's own bytes are read, so grafts and replacements
 * change nothing. Iterative: histories are deep.
 *
 * Calling sequence
 * ----------------
 *	object_walk_init(), object_walk_add() and object_walk_run() as often as wanted,
 *	object_walk_deinit()
 *
 * Errors
 * ------
 * What is not there is counted and else passed over; what is there and cannot be read is a fault.
 */
#ifndef GIT_OBJECT_WALK_H
#define GIT_OBJECT_WALK_H

#include "git/oid-set.h"
#include "git/repo.h"
#include "git/store.h"

struct object_walk {
	git_odb *odb; /* borrowed */
	const struct oid_set
		*all; /* that are known to be there; what is in it need not be looked for */
	struct oid_set reached; /* the number: where its name is in names */
	size_t missing;		/* objects that something leads to, and that are not there */
	git_oid first_missing;
	struct walk_step *stack;
	size_t n_stack, size_stack;
	char *names; /* that trees have for what is in them, NUL-terminated; at 0 none */
	size_t n_names, size_names;
	store_progress_fn progress; /* called now and then; or NULL */
	void *userdata;
};

/* @repo, @all: borrowed until the end */
void object_walk_init(struct object_walk *w, struct repo *repo, const struct oid_set *all);
void object_walk_deinit(struct object_walk *w); /* fine for one that is all zero */

/* begin here too; fine when it was reached already */
int object_walk_add(struct object_walk *w, const git_oid *oid, struct fault *f);

/* until nothing new is found; what the progress function returns when it is negative */
int object_walk_run(struct object_walk *w, struct fault *f);

/* what a tree calls the i-th of reached; "": nothing */
const char *object_walk_name(const struct object_walk *w, size_t i);

#endif
