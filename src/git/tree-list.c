/* A commit is a list of files; everything else about it is how the list is stored. */
#include "git/tree-list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/sysmacros.h>

#include "util/cleanup.h"
#include "util/text.h"

#define BLOCK_BYTES (64 << 10)

/* paths are many and live equally long: they share blocks */
struct tree_block {
	struct tree_block *next;
	size_t used, size;
	char data[];
};

void tree_list_deinit(struct tree_list *list)
{
	while (list->blocks) {
		struct tree_block *next = list->blocks->next;

		free(list->blocks);
		list->blocks = next;
	}
	free(list->entries);
	free(list->dirs);
	*list = (struct tree_list){ 0 };
}

static struct tree_block *block_add(struct tree_list *list, size_t wanted)
{
	size_t size = wanted > BLOCK_BYTES ? wanted : BLOCK_BYTES;
	struct tree_block *block = malloc(sizeof(*block) + size);

	if (!block)
		return NULL;
	block->used = 0;
	block->size = size;
	block->next = list->blocks;
	list->blocks = block;
	return block;
}

char *tree_list_path(struct tree_list *list, const char *path, size_t len)
{
	struct tree_block *block = list->blocks;
	char *ret;

	if (!block || block->size - block->used < len + 1)
		block = block_add(list, len + 1);
	if (!block)
		return NULL;
	ret = block->data + block->used;
	memcpy(ret, path, len);
	ret[len] = '\0';
	block->used += len + 1;
	return ret;
}

struct tree_entry *tree_list_add(struct tree_list *list)
{
	struct tree_entry *e;

	if (list->n == list->size) {
		size_t size = list->size ? list->size * 2 : 1024;
		struct tree_entry *more = realloc(list->entries, size * sizeof(*more));

		if (!more)
			return NULL;
		list->entries = more;
		list->size = size;
	}
	e = &list->entries[list->n++];
	*e = (struct tree_entry){ 0 };
	return e;
}

static struct tree_dir *dir_add(struct tree_list *list)
{
	struct tree_dir *dir;

	if (list->n_dirs == list->dirs_size) {
		size_t size = list->dirs_size ? list->dirs_size * 2 : 64;
		struct tree_dir *more = realloc(list->dirs, size * sizeof(*more));

		if (!more)
			return NULL;
		list->dirs = more;
		list->dirs_size = size;
	}
	dir = &list->dirs[list->n_dirs++];
	*dir = (struct tree_dir){ 0 };
	return dir;
}

int tree_path_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int c = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return c ? c : (a_len > b_len) - (a_len < b_len);
}

bool tree_list_has_below(const struct tree_list *list, const struct tree_entry *e)
{
	_cleanup_(freep) char *dir = text_printf("%s/", e->path);
	size_t at = dir ? tree_list_lower(list, dir, e->path_len + 1) : list->n;

	return at < list->n && strncmp(list->entries[at].path, dir, e->path_len + 1) == 0;
}

int tree_entry_order(const struct tree_entry *a, const struct tree_entry *b)
{
	if (!a || !b)
		return (a == NULL) - (b == NULL);
	return tree_path_compare(a->path, a->path_len, b->path, b->path_len);
}

size_t tree_list_lower(const struct tree_list *list, const char *path, size_t len)
{
	size_t low = 0, high = list->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct tree_entry *e = &list->entries[mid];

		if (tree_path_compare(e->path, e->path_len, path, len) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct tree_entry *tree_list_find(const struct tree_list *list, const char *path, size_t len)
{
	size_t at = tree_list_lower(list, path, len);
	struct tree_entry *e = at < list->n ? &list->entries[at] : NULL;

	return e && e->path_len == len && memcmp(e->path, path, len) == 0 ? e : NULL;
}

bool tree_name_is_safe(const char *name, size_t len)
{
	if (len == 0 || len > 255 || memchr(name, '/', len) || memchr(name, '\0', len))
		return false;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return false;
	return len != 4 || strncasecmp(name, ".git", 4) != 0;
}

bool tree_path_is_safe(const char *path, size_t len)
{
	const char *end = path + len;

	if (len > TREE_MAX_PATH)
		return false;
	for (;;) {
		const char *slash = memchr(path, '/', (size_t)(end - path));
		const char *stop = slash ? slash : end;

		if (!tree_name_is_safe(path, (size_t)(stop - path)))
			return false;
		if (!slash)
			return true;
		path = slash + 1;
	}
}

size_t tree_path_dir(const char *path, size_t len)
{
	const char *slash = memrchr(path, '/', len);

	return slash ? (size_t)(slash - path) : 0;
}

void tree_stat_fill(struct tree_stat *ret, const struct stat *st)
{
	ret->ctime_sec = (uint32_t)st->st_ctim.tv_sec;
	ret->ctime_nsec = (uint32_t)st->st_ctim.tv_nsec;
	ret->mtime_sec = (uint32_t)st->st_mtim.tv_sec;
	ret->mtime_nsec = (uint32_t)st->st_mtim.tv_nsec;
	ret->dev = (uint32_t)st->st_dev;
	ret->ino = (uint32_t)st->st_ino;
	ret->uid = st->st_uid;
	ret->gid = st->st_gid;
	ret->size = (uint32_t)st->st_size;
}

/* one walk through a commit's trees */
struct load {
	git_odb *odb;
	struct tree_list *list;
	char path[TREE_MAX_PATH + 1];
	size_t len; /* of the directory that is being read, with its slash */
	struct fault *f;
};

static int load_tree(struct load *load, const git_oid *oid, size_t parent);

static int bad_name(struct load *load, const char *name, const char *why)
{
	_cleanup_(freep) char *path = text_printf("%.*s%s", (int)load->len, load->path, name);
	_cleanup_(freep) char *quoted = path ? text_quote_path(path) : NULL;

	return fault(load->f, -EUCLEAN, "the commit has %s: \"%s\"", why, quoted ? quoted : name);
}

uint32_t tree_mode_canonical(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return mode & 0100 ? TREE_MODE_EXEC : TREE_MODE_FILE;
	case S_IFLNK:
		return TREE_MODE_LINK;
	case S_IFDIR:
		return TREE_MODE_DIR;
	case TREE_MODE_GITLINK:
		return TREE_MODE_GITLINK;
	default:
		return 0;
	}
}

static int load_file(struct load *load, uint32_t mode, const git_oid *oid)
{
	struct tree_entry *e;

	if (load->list->n == TREE_MAX_ENTRIES)
		return fault(load->f, -EUCLEAN, "the commit has more than %d files",
			     TREE_MAX_ENTRIES);
	e = tree_list_add(load->list);
	if (!e)
		return fault_oom(load->f);
	e->path = tree_list_path(load->list, load->path, load->len);
	if (!e->path)
		return fault_oom(load->f);
	e->path_len = (uint32_t)load->len;
	e->mode = mode;
	e->oid = *oid;
	return 0;
}

/* one name of a tree: the path grows by it for the time of the call */
static int load_item(struct load *load, uint32_t mode, const char *name, const git_oid *oid,
		     size_t parent)
{
	size_t len = strlen(name), before = load->len;
	int r;

	if (!tree_name_is_safe(name, len))
		return bad_name(load, name, "a name that may not be in a work tree");
	if (before + len + 1 > TREE_MAX_PATH)
		return bad_name(load, name, "a path that is too long");
	mode = tree_mode_canonical(mode);
	if (mode == 0)
		return bad_name(load, name, "a file of an unknown kind");
	memcpy(load->path + before, name, len);
	load->len = before + len;
	if (mode == TREE_MODE_DIR) {
		load->path[load->len++] = '/';
		r = load_tree(load, oid, parent);
	} else {
		r = load_file(load, mode, oid);
	}
	load->len = before;
	return r;
}

/* in a tree a directory sorts as if its name ended in a slash */
static bool names_are_sorted(const char *a, bool a_is_dir, const char *b, bool b_is_dir)
{
	size_t a_len = strlen(a), b_len = strlen(b);
	size_t len = a_len < b_len ? a_len : b_len;
	int c = memcmp(a, b, len);
	unsigned char x, y;

	if (c != 0)
		return c < 0;
	x = a_len > len ? (unsigned char)a[len] : a_is_dir ? '/' : '\0';
	y = b_len > len ? (unsigned char)b[len] : b_is_dir ? '/' : '\0';
	return x < y;
}

/* "<octal mode> <name>\0<20 bytes>", again and again */
static int load_items(struct load *load, const char *data, size_t size, size_t dir)
{
	const char *end = data + size, *before = NULL;
	bool before_is_dir = false, is_dir;

	while (data < end) {
		const char *nul = memchr(data, '\0', (size_t)(end - data));
		const char *space = nul ? memchr(data, ' ', (size_t)(nul - data)) : NULL;
		uint32_t mode = 0;
		git_oid oid;
		int r;

		if (!space || space == data || space - data > 7 || end - nul < 1 + GIT_OID_RAWSZ)
			return bad_name(load, "", "a directory that is damaged");
		for (; data < space; data++) {
			if (*data < '0' || *data > '7')
				return bad_name(load, "", "a directory that is damaged");
			mode = mode * 8 + (uint32_t)(*data - '0');
		}
		memcpy(oid.id, nul + 1, GIT_OID_RAWSZ);
		is_dir = tree_mode_canonical(mode) == TREE_MODE_DIR;
		if (before && !names_are_sorted(before, before_is_dir, space + 1, is_dir))
			load->list->odd = true;
		before = space + 1;
		before_is_dir = is_dir;
		r = load_item(load, mode, space + 1, &oid, dir);
		if (r < 0)
			return r;
		data = nul + 1 + GIT_OID_RAWSZ;
	}
	return 0;
}

static int read_tree(struct load *load, const git_oid *oid, git_odb_object **ret)
{
	int rc = git_odb_read(ret, load->odb, oid);
	char hex[GIT_OID_HEXSZ + 1];

	git_oid_tostr(hex, sizeof(hex), oid);
	if (rc == GIT_ENOTFOUND)
		return fault(load->f, -EUCLEAN, "the tree %s is missing from the store", hex);
	if (rc < 0)
		return git_fault(load->f, rc, "the tree %s cannot be read", hex);
	if (git_odb_object_type(*ret) != GIT_OBJECT_TREE) {
		git_odb_object_free(*ret);
		*ret = NULL;
		return fault(load->f, -EUCLEAN, "%s is not a tree", hex);
	}
	return 0;
}

static void odb_object_freep(git_odb_object **o)
{
	git_odb_object_free(*o);
}

static int load_tree(struct load *load, const git_oid *oid, size_t parent)
{
	_cleanup_(odb_object_freep) git_odb_object *o = NULL;
	struct tree_list *list = load->list;
	size_t at = list->n_dirs, before = list->n;
	struct tree_dir *dir;
	int r;

	r = read_tree(load, oid, &o);
	if (r < 0)
		return r;
	dir = dir_add(list);
	if (!dir)
		return fault_oom(load->f);
	dir->oid = *oid;
	dir->parent = parent;
	dir->path = tree_list_path(list, load->path, load->len ? load->len - 1 : 0);
	if (!dir->path)
		return fault_oom(load->f);
	if (at > 0)
		list->dirs[parent].n_children++;
	r = load_items(load, git_odb_object_data(o), git_odb_object_size(o), at);
	if (r < 0)
		return r;
	list->dirs[at].n_files = list->n - before;
	if (list->n == before && at > 0)
		list->odd = true;
	return 0;
}

static int entry_compare(const void *a, const void *b)
{
	return tree_entry_order(a, b);
}

/* a well-made commit comes sorted; one that does not is sorted, and looked at for doubles */
static int list_check(struct tree_list *list, struct fault *f)
{
	bool sorted = true;

	for (size_t i = 1; i < list->n && sorted; i++)
		sorted = entry_compare(&list->entries[i - 1], &list->entries[i]) < 0;
	if (!sorted) /* so there are some */
		qsort(list->entries, list->n, sizeof(*list->entries), entry_compare);
	for (size_t i = 1; i < list->n && !sorted; i++)
		if (entry_compare(&list->entries[i - 1], &list->entries[i]) == 0)
			return fault(f, -EUCLEAN, "the commit has a file twice: %s",
				     list->entries[i].path);
	for (size_t i = 1; i < list->n_dirs; i++)
		if (tree_list_find(list, list->dirs[i].path, strlen(list->dirs[i].path)))
			return fault(f, -EUCLEAN, "the commit has %s as file and as directory",
				     list->dirs[i].path);
	return 0;
}

static int commit_tree(struct repo *repo, const git_oid *commit, git_oid *ret, struct fault *f)
{
	char hex[GIT_OID_HEXSZ + 1];
	git_commit *c = NULL;
	int rc = git_commit_lookup(&c, repo_git(repo), commit);

	git_oid_tostr(hex, sizeof(hex), commit);
	if (rc == GIT_ENOTFOUND)
		return fault(f, -EUCLEAN, "the commit %s is missing from the store", hex);
	if (rc < 0)
		return git_fault(f, rc, "the commit %s cannot be read", hex);
	*ret = *git_commit_tree_id(c);
	git_commit_free(c);
	return 0;
}

static int list_load(struct repo *repo, const git_oid *commit, struct tree_list *ret, struct fault *f)
{
	_cleanup_(tree_list_deinit) struct tree_list list = { 0 };
	_cleanup_(freep) struct load *load = calloc(1, sizeof(*load));
	git_oid tree;
	int r;

	if (!load)
		return fault_oom(f);
	r = commit_tree(repo, commit, &tree, f);
	if (r < 0)
		return r;
	load->odb = repo_odb(repo);
	load->list = &list;
	load->f = f;
	r = load_tree(load, &tree, 0);
	if (r == 0)
		r = list_check(&list, f);
	if (r < 0)
		return r;
	*ret = list;
	list = (struct tree_list){ 0 };
	return 0;
}

/* --- once a job --- */

static struct {
	bool is_on, is_known;
	git_oid commit;
	struct tree_list list;
} last;

void tree_list_remember(bool on)
{
	tree_list_deinit(&last.list);
	last.is_known = false;
	last.is_on = on;
}

static int copy_entries(struct tree_list *ret, const struct tree_list *from)
{
	for (size_t i = 0; i < from->n; i++) {
		struct tree_entry *e = tree_list_add(ret);

		if (!e)
			return -ENOMEM;
		*e = from->entries[i];
		e->path = tree_list_path(ret, e->path, e->path_len);
		if (!e->path)
			return -ENOMEM;
	}
	return 0;
}

static int copy_dirs(struct tree_list *ret, const struct tree_list *from)
{
	for (size_t i = 0; i < from->n_dirs; i++) {
		struct tree_dir *dir = dir_add(ret);

		if (!dir)
			return -ENOMEM;
		*dir = from->dirs[i];
		dir->path = tree_list_path(ret, dir->path, strlen(dir->path));
		if (!dir->path)
			return -ENOMEM;
	}
	return 0;
}

static int list_copy(struct tree_list *ret, const struct tree_list *from, struct fault *f)
{
	_cleanup_(tree_list_deinit) struct tree_list list = { .odd = from->odd };

	if (copy_entries(&list, from) < 0 || copy_dirs(&list, from) < 0)
		return fault_oom(f);
	*ret = list;
	list = (struct tree_list){ 0 };
	return 0;
}

int tree_list_load(struct repo *repo, const git_oid *commit, struct tree_list *ret, struct fault *f)
{
	int r;

	if (last.is_known && git_oid_equal(&last.commit, commit))
		return list_copy(ret, &last.list, f);
	r = list_load(repo, commit, ret, f);
	if (r < 0 || !last.is_on)
		return r;
	tree_list_remember(true);
	/* without memory for it, it is read the next time as well */
	last.is_known = list_copy(&last.list, ret, NULL) == 0;
	last.commit = *commit;
	return 0;
}
