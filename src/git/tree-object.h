/**
 * DOC: tree-object - one tree object, taken apart
 *
 * As strict as git fsck about what the order of names stands for: one that is not sorted or has a name
 * twice is damaged. Names are not judged, but for empty ones and a "/" in them.
 */
#ifndef GIT_TREE_OBJECT_H
#define GIT_TREE_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <git2.h>

#include "git/repo.h"

struct tree_item {
	const char *name; /* NUL-terminated, in the object; the id comes after it */
	uint32_t name_len;
	uint32_t mode; /* TREE_MODE_…; old modes mean what git takes them for */
};

struct tree_object {
	git_odb_object *object;
	struct tree_item *items; /* in git's order */
	size_t n;
};

/**
 * tree_object_load - read a tree by its id
 * @oid: NULL or all zero: an empty one
 * @path, @path_len: where it is, for the fault; "" is the top
 * @ret: the caller deinits it, on success only
 *
 * -EUCLEAN, with id and path: missing, unreadable, no tree, malformed.
 */
int tree_object_load(struct repo *repo, const git_oid *oid, const char *path, size_t path_len,
		     struct tree_object *ret, struct fault *f);

/* for a zeroed one as well */
void tree_object_deinit(struct tree_object *tree);

/* the place of a name in the object, or tree->n; a directory is not a file of the same name */
size_t tree_object_find(const struct tree_object *tree, const char *name, size_t len, bool is_dir);

/* the bytes of an item, from its mode to the end of its id */
const char *tree_item_bytes(const struct tree_object *tree, size_t i, size_t *ret_len);

/* borrowed from the object */
const git_oid *tree_item_oid(const struct tree_item *item);

bool tree_item_is_dir(const struct tree_item *item);

/* git's order: a directory compares as if its name ended in "/" */
int tree_name_order(const char *a, size_t a_len, bool a_is_dir, const char *b, size_t b_len,
		    bool b_is_dir);

#endif
