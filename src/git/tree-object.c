/* "<octal mode> <name>\0<20 bytes>", again and again. */
#include "git/tree-object.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "git/tree-list.h"
#include "util/cleanup.h"
#include "util/text.h"

/* what is being read, for the words of a fault */
struct where {
	const git_oid *oid;
	const char *path;
	size_t path_len;
	struct fault *f;
};

static int damaged(const struct where *where, const char *what)
{
	_cleanup_(freep) char *path = strndup(where->path, where->path_len);
	_cleanup_(freep) char *quoted = path ? text_quote_path(path) : NULL;
	char hex[GIT_OID_HEXSZ + 1];

	git_oid_tostr(hex, sizeof(hex), where->oid);
	if (!quoted)
		return fault_oom(where->f);
	return fault(where->f, -EUCLEAN, "the tree %s %s%s%s", hex, what, quoted[0] ? ": " : "",
		     quoted);
}

bool tree_item_is_dir(const struct tree_item *item)
{
	return item->mode == TREE_MODE_DIR;
}

const git_oid *tree_item_oid(const struct tree_item *item)
{
	return (const git_oid *)(item->name + item->name_len + 1);
}

static const char *item_end(const struct tree_item *item)
{
	return item->name + item->name_len + 1 + GIT_OID_RAWSZ;
}

const char *tree_item_bytes(const struct tree_object *tree, size_t i, size_t *ret_len)
{
	const char *start =
		i > 0 ? item_end(&tree->items[i - 1]) : git_odb_object_data(tree->object);

	*ret_len = (size_t)(item_end(&tree->items[i]) - start);
	return start;
}

int tree_name_order(const char *a, size_t a_len, bool a_is_dir, const char *b, size_t b_len,
		    bool b_is_dir)
{
	size_t len = a_len < b_len ? a_len : b_len;
	int c = memcmp(a, b, len);
	unsigned char x, y;

	if (c != 0)
		return c;
	x = a_len > len ? (unsigned char)a[len] : a_is_dir ? '/' : '\0';
	y = b_len > len ? (unsigned char)b[len] : b_is_dir ? '/' : '\0';
	return (x > y) - (x < y);
}

size_t tree_object_find(const struct tree_object *tree, const char *name, size_t len, bool is_dir)
{
	size_t low = 0, high = tree->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct tree_item *item = &tree->items[mid];
		int c = tree_name_order(item->name, item->name_len, tree_item_is_dir(item), name,
					len, is_dir);

		if (c == 0)
			return mid;
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return tree->n;
}

/* one item at @data; NULL, or where the next one begins */
static const char *item_parse(const char *data, const char *end, struct tree_item *ret)
{
	const char *nul = memchr(data, '\0', (size_t)(end - data));
	const char *space = nul ? memchr(data, ' ', (size_t)(nul - data)) : NULL;
	uint32_t mode = 0;

	if (!space || space == data || space - data > 7 || end - nul < 1 + GIT_OID_RAWSZ)
		return NULL;
	for (; data < space; data++) {
		if (*data < '0' || *data > '7')
			return NULL;
		mode = mode * 8 + (uint32_t)(*data - '0');
	}
	ret->name = space + 1;
	ret->name_len = (uint32_t)(nul - ret->name);
	ret->mode = tree_mode_canonical(mode);
	if (ret->mode == 0 || ret->name_len == 0 || memchr(ret->name, '/', ret->name_len))
		return NULL;
	return nul + 1 + GIT_OID_RAWSZ;
}

static int items_parse(const struct where *where, struct tree_object *tree)
{
	const char *data = git_odb_object_data(tree->object);
	const char *end = data + git_odb_object_size(tree->object);
	size_t size = 0;

	while (data < end) {
		if (tree->n == size) {
			size_t more = size ? size * 2 : 16;
			struct tree_item *items = realloc(tree->items, more * sizeof(*items));

			if (!items)
				return fault_oom(where->f);
			tree->items = items;
			size = more;
		}
		data = item_parse(data, end, &tree->items[tree->n]);
		if (!data)
			return damaged(where, "is damaged");
		tree->n++;
	}
	return 0;
}

/* sorted, and nothing is a file and a directory at once */
static int items_check(const struct where *where, const struct tree_object *tree)
{
	for (size_t i = 1; i < tree->n; i++) {
		const struct tree_item *a = &tree->items[i - 1], *b = &tree->items[i];

		if (tree_name_order(a->name, a->name_len, tree_item_is_dir(a), b->name, b->name_len,
				    tree_item_is_dir(b)) >= 0)
			return damaged(where, "is not sorted");
	}
	for (size_t i = 0; i < tree->n; i++) {
		const struct tree_item *item = &tree->items[i];

		if (tree_item_is_dir(item) &&
		    tree_object_find(tree, item->name, item->name_len, false) < tree->n)
			return damaged(where, "has a name twice");
	}
	return 0;
}

static int object_read(const struct where *where, git_odb *odb, git_odb_object **ret)
{
	int rc = git_odb_read(ret, odb, where->oid);
	struct fault why = FAULT_NONE;
	int r;

	if (rc == GIT_ENOTFOUND)
		return damaged(where, "is missing from the store");
	if (rc == 0)
		return git_odb_object_type(*ret) == GIT_OBJECT_TREE ? 0
								    : damaged(where, "is no tree");
	r = git_fault(&why, rc, "cannot be read");
	return r == -EUCLEAN ? damaged(where, why.text) : fault(where->f, r, "a tree %s", why.text);
}

int tree_object_load(struct repo *repo, const git_oid *oid, const char *path, size_t path_len,
		     struct tree_object *ret, struct fault *f)
{
	_cleanup_(tree_object_deinit) struct tree_object tree = { 0 };
	struct where where = { oid, path, path_len, f };
	int r = 0;

	if (oid && !git_oid_is_zero(oid)) {
		r = object_read(&where, repo_odb(repo), &tree.object);
		if (r == 0)
			r = items_parse(&where, &tree);
		if (r == 0)
			r = items_check(&where, &tree);
	}
	if (r < 0)
		return r;
	*ret = tree;
	tree = (struct tree_object){ 0 };
	return 0;
}

void tree_object_deinit(struct tree_object *tree)
{
	git_odb_object_free(tree->object);
	free(tree->items);
	*tree = (struct tree_object){ 0 };
}
