/* A commit becomes files. */
#include "git/tree.h"

#include <stdlib.h>
#include <string.h>

#include "git/index-write.h"
#include "git/tree-file.h"
#include "util/cleanup.h"
#include "util/crash.h"

#define CHUNK 32 /* files that one thread takes at once: mostly of one directory */

struct create {
	struct tree_list list;
	struct convert *convert;
};

static void create_deinit(struct create *c)
{
	tree_list_deinit(&c->list);
	convert_free(c->convert);
}

static int create_one(struct tree_worker *w, size_t i, void *userdata)
{
	struct create *c = userdata;
	int r = tree_file_write(w, &c->list.entries[i], c->convert, TREE_FILE_NEW);

	CRASH_POINT("tree.create.file");
	return r;
}

/* what the two begin with alike */
static size_t common_length(const char *a, const char *b)
{
	size_t n = 0;

	while (a[n] != '\0' && a[n] == b[n])
		n++;
	return n;
}

/* a directory grows with what is put into it, so they are counted when all is there */
static uint64_t disk_of_dirs(int slot_fd, const struct tree_list *list)
{
	uint64_t bytes = tree_file_disk(slot_fd, ".") + tree_file_disk(slot_fd, ".git");
	const char *before = "";

	for (size_t i = 0; i < list->n; i++) {
		const char *path = list->entries[i].path;
		const char *slash = strchr(path + common_length(path, before), '/');

		/* entries of one directory stand together: what the one before is not in is new */
		for (; slash; slash = strchr(slash + 1, '/')) {
			_cleanup_(freep) char *dir = strndup(path, (size_t)(slash - path));

			bytes += dir ? tree_file_disk(slot_fd, dir) : 0;
		}
		before = path;
	}
	return bytes;
}

static void repo_closep(struct repo **repo)
{
	repo_close(*repo);
}

int tree_create(const struct tree_slot *slot, const git_oid *commit, unsigned threads,
		struct tree_stats *ret, struct fault *f)
{
	_cleanup_(repo_closep) struct repo *repo = NULL;
	_cleanup_(create_deinit) struct create c = { 0 };
	struct tree_stats stats = { 0 };
	int r;

	r = repo_open(slot->common_dir, &repo, f);
	if (r == 0)
		r = tree_list_load(repo, commit, &c.list, f);
	if (r == 0)
		r = convert_load(repo, &c.list, &c.convert, f);
	if (r == 0)
		r = tree_work(slot, repo, c.list.n, CHUNK, threads, create_one, &c, &stats, f);
	CRASH_POINT("tree.create.index");
	if (r == 0)
		r = index_write(slot->admin_fd, &c.list, &c.list, f);
	CRASH_POINT("tree.create.index-rename");
	if (r < 0)
		return r;
	stats.files = c.list.n;
	stats.disk_bytes += disk_of_dirs(slot->slot_fd, &c.list);
	*ret = stats;
	return 0;
}
