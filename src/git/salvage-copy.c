/*
 * What is in the store, but held by nothing that stays.
 *
 * A gc that began before the ref was made takes objects that only the slot knew; so they are written
 * into the pack of the salvage, like everything else.
 */
#include "git/salvage-private.h"

#include <errno.h>
#include <string.h>

#include "git/tree-object.h"
#include "util/cleanup.h"

#define COPY_BYTES ((size_t)256 << 20) /* larger ones stay where they are: they do not fit into memory twice */
#define LEVELS_MAX 4096

static int missing(struct salvage_writer *x, const git_oid *oid)
{
	char hex[GIT_OID_HEXSZ + 1];

	return fault(x->f, -EUCLEAN, "the object %s is missing from the store or damaged",
		     git_oid_tostr(hex, sizeof(hex), oid));
}

int salvage_object_copy(struct salvage_writer *x, const git_oid *oid)
{
	git_odb_object *o = NULL;
	git_object_t type;
	size_t len;
	git_oid same;
	int r;

	if (pack_writer_has(x->pack, oid))
		return 0;
	if (git_odb_read_header(&len, &type, repo_odb(x->w->repo), oid) < 0)
		return missing(x, oid);
	if (len > COPY_BYTES)
		return 0;
	if (git_odb_read(&o, repo_odb(x->w->repo), oid) < 0)
		return missing(x, oid);
	r = pack_writer_add(x->pack, git_odb_object_type(o), git_odb_object_data(o), git_odb_object_size(o), &same,
			    x->f);
	x->bytes += git_odb_object_size(o);
	git_odb_object_free(o);
	return r;
}

/* --- trees --- */

static int copy_tree(struct salvage_writer *x, const git_oid *tree, const git_oid *before, unsigned level);

static int copy_item(struct salvage_writer *x, const struct tree_item *item, const struct tree_object *before,
		     unsigned level)
{
	size_t i = tree_object_find(before, item->name, item->name_len, tree_item_is_dir(item));
	const git_oid *was = i < before->n ? tree_item_oid(&before->items[i]) : NULL;
	const git_oid *is = tree_item_oid(item);

	if ((was && git_oid_equal(was, is)) || item->mode == TREE_MODE_GITLINK)
		return 0;
	return tree_item_is_dir(item) ? copy_tree(x, is, was, level + 1) : salvage_object_copy(x, is);
}

/* a tree, and what it has that the one before has not at the same place */
static int copy_tree(struct salvage_writer *x, const git_oid *tree, const git_oid *before, unsigned level)
{
	_cleanup_(tree_object_deinit) struct tree_object now = { 0 }, was = { 0 };
	int r;

	if (pack_writer_has(x->pack, tree) || (before && git_oid_equal(tree, before)))
		return 0;
	if (level > LEVELS_MAX)
		return missing(x, tree);
	r = tree_object_load(x->w->repo, tree, "", 0, &now, x->f);
	if (r == 0 && tree_object_load(x->w->repo, before, "", 0, &was, NULL) < 0)
		was = (struct tree_object){ 0 };
	for (size_t i = 0; r == 0 && i < now.n; i++)
		r = copy_item(x, &now.items[i], &was, level);
	return r == 0 ? salvage_object_copy(x, tree) : r;
}

/* --- commits --- */

static void commit_freep(git_commit **c)
{
	git_commit_free(*c);
}

static int copy_commit(const git_oid *oid, void *userdata)
{
	_cleanup_(commit_freep) git_commit *commit = NULL, *parent = NULL;
	struct salvage_writer *x = userdata;
	int r;

	if (git_commit_lookup(&commit, repo_git(x->w->repo), oid) < 0)
		return missing(x, oid);
	if (git_commit_parentcount(commit) > 0)
		(void)git_commit_parent(&parent, commit, 0); /* beyond a shallow boundary there is none */
	r = copy_tree(x, git_commit_tree_id(commit), parent ? git_commit_tree_id(parent) : NULL, 0);
	return r == 0 ? salvage_object_copy(x, oid) : r;
}

int salvage_commits_copy(struct salvage_writer *x)
{
	return reach_foreach(x->state->reach, copy_commit, x);
}
