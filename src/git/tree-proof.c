/* Somebody else has it, word for word. */
#include "git/tree-proof.h"

#include <errno.h>
#include <string.h>

#include "git/tree-check.h"

void tree_proof_deinit(struct tree_proof *p)
{
	convert_free(p->held_convert);
	tree_list_deinit(&p->held_list);
}

/* an entry that stands for content in the store; of a conflict none does */
static const struct tree_entry *find(const struct tree_list *list, const char *path)
{
	const struct tree_entry *e = list ? tree_list_find(list, path, strlen(path)) : NULL;

	if (!e || (e->flags & (TREE_ENTRY_STAGE | TREE_ENTRY_INTENT_TO_ADD)) ||
	    e->mode == TREE_MODE_GITLINK)
		return NULL;
	return e;
}

static bool is_in_store(const struct tree_proof *p, const struct tree_entry *e)
{
	return git_odb_exists(repo_odb(p->repo), &e->oid) != 0;
}

bool tree_proof_by_stat(const struct tree_proof *p, const char *path, const struct stat *st)
{
	struct tree_checker checker = { .index = p->index, .trust_filemode = p->trust_filemode };
	const struct tree_entry *e;

	if (tree_saved_has(p->saved, path, st))
		return true;
	if (!p->index_convert || p->distrust_stat)
		return false;
	e = find(&p->index->list, path);
	return e && tree_check_by_stat(&checker, e, st) && is_in_store(p, e);
}

static int is_in_list(struct tree_proof *p, const struct tree_list *list,
		      const struct convert *convert, int dir_fd, const char *name, const char *path)
{
	struct tree_checker checker = { .convert = convert, .trust_filemode = p->trust_filemode };
	const struct tree_entry *found = find(list, path);
	struct tree_entry e;
	int r;

	if (!found || !convert)
		return 0;
	e = *found;
	r = tree_check(p->worker, &checker, dir_fd, name, &e, NULL);
	if (r < 0)
		return r;
	return r == TREE_CHECK_SAME && is_in_store(p, found);
}

static int load_held(struct tree_proof *p)
{
	int r;

	if (p->held_is_loaded || !p->held)
		return 0;
	r = tree_list_load(p->repo, p->held, &p->held_list, p->worker->f);
	if (r == 0)
		r = convert_load(p->repo, &p->held_list, &p->held_convert, p->worker->f);
	p->held_is_loaded = r == 0;
	return r;
}

int tree_proof_by_content(struct tree_proof *p, int dir_fd, const char *name, const char *path)
{
	int r;

	r = is_in_list(p, p->commit, p->convert, dir_fd, name, path);
	if (r == 0)
		r = is_in_list(p, &p->index->list, p->index_convert, dir_fd, name, path);
	if (r != 0)
		return r;
	r = load_held(p);
	if (r < 0)
		return r;
	return is_in_list(p, &p->held_list, p->held_convert, dir_fd, name, path);
}
