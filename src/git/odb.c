/* What libgit2 asks for, found by us. */
#include "git/odb.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <git2/sys/odb_backend.h>

#include "git/loose.h"
#include "git/odb-dir.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define MAX_DIRS	     64 /* alternates fan out; a sane store has one or two */
#define MAX_DEPTH	     5
#define MAX_ALTERNATES_BYTES (64 << 10)

struct odb {
	git_odb_backend parent;
	struct odb_dir *dirs[MAX_DIRS];
	size_t n_dirs;
	struct timespec alternates_mtime; /* of the first directory's info/alternates */
};

static struct odb *odb_from(git_odb_backend *backend)
{
	return (struct odb *)backend;
}

/* our fault becomes libgit2's error; git_fault() turns it back */
static int odb_error(int r, const struct fault *f)
{
	if (r == -ENOENT)
		return GIT_ENOTFOUND;
	if (r == -ENOMEM)
		git_error_set_oom();
	else
		git_error_set_str(GIT_ERROR_ODB, f->text[0] ? f->text : "unknown damage");
	return GIT_ERROR;
}

static void alternates_add(struct odb *odb, const char *base, char *list, unsigned depth);

static bool odb_has_dir(const struct odb *odb, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return true; /* not a directory: nothing to add either */
	for (size_t i = 0; i < odb->n_dirs; i++)
		if (odb_dir_is(odb->dirs[i], &st))
			return true;
	return false;
}

static int dir_add(struct odb *odb, const char *path, unsigned depth, struct fault *f)
{
	_cleanup_(freep) char *list = NULL;
	struct odb_dir *dir;
	int r;

	if (odb->n_dirs == MAX_DIRS)
		return 0;
	r = odb_dir_open(path, &dir, f);
	if (r < 0)
		return r;
	odb->dirs[odb->n_dirs++] = dir;
	if (depth < MAX_DEPTH && fs_read_file_at(odb_dir_fd(dir), "info/alternates",
						 MAX_ALTERNATES_BYTES, &list, NULL) == 0)
		alternates_add(odb, path, list, depth + 1);
	return 0;
}

/* one path a line; what is missing or cannot be opened holds no objects of ours */
static void alternates_add(struct odb *odb, const char *base, char *list, unsigned depth)
{
	char *save = NULL;

	for (char *line = strtok_r(list, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		_cleanup_(freep) char *path = NULL;

		if (line[0] == '#')
			continue;
		path = line[0] == '/' ? strdup(line) : text_printf("%s/%s", base, line);
		if (path && !odb_has_dir(odb, path))
			(void)dir_add(odb, path, depth, NULL);
	}
}

static bool rescan(struct odb *odb)
{
	bool changed = false;

	for (size_t i = 0; i < odb->n_dirs; i++)
		changed |= odb_dir_rescan(odb->dirs[i]);
	return changed;
}

static int odb_on_read(void **ret_data, size_t *ret_size, git_object_t *ret_type,
		       git_odb_backend *backend, const git_oid *oid)
{
	struct odb *odb = odb_from(backend);
	struct fault f = FAULT_NONE;
	int r = -ENOENT;

	/* twice: a pack may have been replaced by another while we looked into it */
	for (int tries = 0; tries < 2; tries++) {
		for (size_t i = 0; i < odb->n_dirs; i++) {
			int one = odb_dir_read(odb->dirs[i], oid, ret_type, ret_data, ret_size, &f);

			if (one == 0)
				return 0;
			if (one != -ENOENT)
				r = one;
		}
		if (r == -ENOENT)
			break; /* libgit2 calls odb_on_refresh() and comes again */
		if (!rescan(odb))
			break;
	}
	return odb_error(r, &f);
}

static int read_header(struct odb *odb, size_t *ret_size, git_object_t *ret_type, const git_oid *oid,
		       struct fault *f)
{
	int r = -ENOENT;

	for (size_t i = 0; i < odb->n_dirs; i++) {
		int one = odb_dir_read_header(odb->dirs[i], oid, ret_type, ret_size, f);

		if (one == 0)
			return 0;
		if (one != -ENOENT)
			r = one;
	}
	return r;
}

static int odb_on_read_header(size_t *ret_size, git_object_t *ret_type, git_odb_backend *backend,
			      const git_oid *oid)
{
	struct odb *odb = odb_from(backend);
	struct fault f = FAULT_NONE;
	int r = read_header(odb, ret_size, ret_type, oid, &f);

	/* as in odb_on_read(): its pack may have been replaced by another */
	if (r < 0 && r != -ENOENT && rescan(odb))
		r = read_header(odb, ret_size, ret_type, oid, &f);
	return r < 0 ? odb_error(r, &f) : 0;
}

static int odb_on_exists(git_odb_backend *backend, const git_oid *oid)
{
	struct odb *odb = odb_from(backend);

	for (size_t i = 0; i < odb->n_dirs; i++)
		if (odb_dir_exists(odb->dirs[i], oid))
			return 1;
	return 0;
}

struct prefix_search {
	git_oid found;
	bool any;
};

static int prefix_found(const git_oid *oid, void *userdata)
{
	struct prefix_search *search = userdata;

	if (search->any && !git_oid_equal(&search->found, oid))
		return GIT_EAMBIGUOUS;
	search->found = *oid;
	search->any = true;
	return 0;
}

static int odb_on_exists_prefix(git_oid *ret, git_odb_backend *backend, const git_oid *prefix,
				size_t hexlen)
{
	struct odb *odb = odb_from(backend);
	struct prefix_search search = { .any = false };

	for (size_t i = 0; i < odb->n_dirs; i++) {
		int rc =
			odb_dir_foreach_prefix(odb->dirs[i], prefix, hexlen, prefix_found, &search);

		if (rc != 0)
			return rc;
	}
	if (!search.any)
		return GIT_ENOTFOUND;
	*ret = search.found;
	return 0;
}

static int odb_on_read_prefix(git_oid *ret_oid, void **ret_data, size_t *ret_size,
			      git_object_t *ret_type, git_odb_backend *backend,
			      const git_oid *prefix, size_t hexlen)
{
	git_oid oid;
	int rc = odb_on_exists_prefix(&oid, backend, prefix, hexlen);

	if (rc == 0)
		rc = odb_on_read(ret_data, ret_size, ret_type, backend, &oid);
	if (rc == 0)
		*ret_oid = oid;
	return rc;
}

static int odb_on_foreach(git_odb_backend *backend, git_odb_foreach_cb cb, void *userdata)
{
	struct odb *odb = odb_from(backend);
	int rc = 0;

	for (size_t i = 0; i < odb->n_dirs && rc == 0; i++)
		rc = odb_dir_foreach(odb->dirs[i], cb, userdata);
	return rc;
}

/* alternates that were added since */
static void alternates_refresh(struct odb *odb)
{
	_cleanup_(freep) char *list = NULL;
	int fd = odb_dir_fd(odb->dirs[0]);
	struct stat st;

	if (fstatat(fd, "info/alternates", &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (st.st_mtim.tv_sec == odb->alternates_mtime.tv_sec &&
	     st.st_mtim.tv_nsec == odb->alternates_mtime.tv_nsec))
		return;
	odb->alternates_mtime = st.st_mtim;
	if (fs_read_file_at(fd, "info/alternates", MAX_ALTERNATES_BYTES, &list, NULL) == 0)
		alternates_add(odb, odb_dir_path(odb->dirs[0]), list, 1);
}

static int odb_on_refresh(git_odb_backend *backend)
{
	struct odb *odb = odb_from(backend);

	alternates_refresh(odb);
	for (size_t i = 0; i < odb->n_dirs; i++)
		odb_dir_rescan(odb->dirs[i]);
	return 0;
}

static int odb_on_write(git_odb_backend *backend, const git_oid *oid, const void *data, size_t size,
			git_object_t type)
{
	struct odb *odb = odb_from(backend);
	struct fault f = FAULT_NONE;
	int r = loose_write(odb_dir_fd(odb->dirs[0]), oid, type, data, size, &f);

	if (r == 0)
		return 0;
	git_error_set_str(r == -ENOMEM ? GIT_ERROR_NOMEMORY : GIT_ERROR_OS, f.text);
	return GIT_ERROR;
}

/* an object is only "there already" when it can be read; else it is written anew */
static int odb_on_freshen(git_odb_backend *backend, const git_oid *oid)
{
	struct odb *odb = odb_from(backend);

	for (size_t i = 0; i < odb->n_dirs; i++)
		if (odb_dir_freshen(odb->dirs[i], oid, NULL) == 0)
			return 0;
	return GIT_ENOTFOUND;
}

struct odb_writepack {
	git_odb_writepack parent;
	git_indexer *indexer;
};

static int writepack_on_append(git_odb_writepack *w, const void *data, size_t size,
			       git_indexer_progress *stats)
{
	return git_indexer_append(((struct odb_writepack *)w)->indexer, data, size, stats);
}

static int writepack_on_commit(git_odb_writepack *w, git_indexer_progress *stats)
{
	int rc = git_indexer_commit(((struct odb_writepack *)w)->indexer, stats);

	if (rc == 0)
		odb_on_refresh(w->backend);
	return rc;
}

static void writepack_on_free(git_odb_writepack *w)
{
	if (!w)
		return;
	git_indexer_free(((struct odb_writepack *)w)->indexer);
	free(w);
}

static int odb_on_writepack(git_odb_writepack **ret, git_odb_backend *backend, git_odb *db,
			    git_indexer_progress_cb progress, void *userdata)
{
	struct odb *odb = odb_from(backend);
	_cleanup_(freep) struct odb_writepack *w = calloc(1, sizeof(*w));
	_cleanup_(freep) char *dir = text_printf("%s/pack", odb_dir_path(odb->dirs[0]));
	git_indexer_options opts = GIT_INDEXER_OPTIONS_INIT;
	int rc;

	if (!w || !dir) {
		git_error_set_oom();
		return GIT_ERROR;
	}
	opts.progress_cb = progress;
	opts.progress_cb_payload = userdata;
	rc = git_indexer_new(&w->indexer, dir, 0, db, &opts);
	if (rc < 0)
		return rc;
	w->parent.backend = backend;
	w->parent.append = writepack_on_append;
	w->parent.commit = writepack_on_commit;
	w->parent.free = writepack_on_free;
	*ret = &TAKE(w)->parent;
	return 0;
}

static void odb_on_free(git_odb_backend *backend)
{
	struct odb *odb = odb_from(backend);

	for (size_t i = 0; i < odb->n_dirs; i++)
		odb_dir_close(odb->dirs[i]);
	free(odb);
}

static const git_odb_backend odb_backend = {
	.version = GIT_ODB_BACKEND_VERSION,
	.read = odb_on_read,
	.read_prefix = odb_on_read_prefix,
	.read_header = odb_on_read_header,
	.write = odb_on_write,
	.exists = odb_on_exists,
	.exists_prefix = odb_on_exists_prefix,
	.refresh = odb_on_refresh,
	.foreach = odb_on_foreach,
	.writepack = odb_on_writepack,
	.freshen = odb_on_freshen,
	.free = odb_on_free,
};

int odb_open(const char *objects_dir, git_odb **ret, struct fault *f)
{
	struct odb *odb = calloc(1, sizeof(*odb));
	git_odb *db = NULL;
	int r;

	if (!odb)
		return fault_oom(f);
	odb->parent = odb_backend;
	r = dir_add(odb, objects_dir, 0, f);
	if (r == 0 && git_odb_new(&db) < 0)
		r = fault_oom(f);
	if (r == 0 && git_odb_add_backend(db, &odb->parent, 1) < 0)
		r = fault_oom(f);
	if (r < 0) {
		git_odb_free(db);
		odb_on_free(&odb->parent);
		return r;
	}
	*ret = db;
	return 0;
}
