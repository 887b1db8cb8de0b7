/* Every file below refs/, and HEAD. */
#include "integrity/refs-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/text.h"

/* one pass over the refs of a directory */
struct pass {
	struct ref_lookup lookup;
	struct ref_names loose; /* names of all that have a file */
	bool is_own;		/* of a worktree */
};

static int add_root(const struct check_dir *dir, const char *path, enum root_kind kind,
		    const git_oid *oid)
{
	_cleanup_(freep) char *name = check_dir_name(dir, path, 0);
	struct root root = { .oid = *oid, .kind = kind, .name = name, .file = name, .slot = dir->slot };

	if (!name)
		return -ENOMEM;
	root.type = kind == ROOT_HEAD || text_has_prefix(path, "refs/heads/") ? GIT_OBJECT_COMMIT :
										GIT_OBJECT_ANY;
	return roots_add(dir->c->roots, &root);
}

static int tell_symbolic(const struct check_dir *dir, const char *path, int outcome,
			 const char *target)
{
	switch (outcome) {
	case REF_E_MISSING:
		return check_dir_tell(dir, "broken-symref", path, 0, "it leads to %s, which there is not",
				      target);
	case REF_E_LOOP:
		return check_dir_tell(dir, "ref-loop", path, 0,
				      "it leads round in a circle, or through more than %d refs",
				      REF_MAX_DEPTH);
	case REF_E_BROKEN:
		return check_dir_tell(dir, "broken-symref", path, 0,
				      "it leads to %s, which says nothing", target);
	}
	return 0;
}

static int check_symbolic(const struct check_dir *dir, const char *path, const char *target,
			  struct ref_lookup *lookup)
{
	_cleanup_(freep) char *end = NULL;
	git_oid oid;
	int r;

	if (!ref_name_is_valid(target, true))
		return check_dir_tell(dir, "broken-ref", path, 0, "what it leads to is no name of a ref");
	r = ref_resolve(lookup, target, &oid, &end);
	return r <= 0 ? r : tell_symbolic(dir, path, r, end);
}

static int tell_value(const struct check_dir *dir, const char *path, const struct ref_value *value)
{
	if (value->kind == REF_KIND_EMPTY)
		return check_dir_tell(dir, "empty-ref", path, 0, "there is nothing in its file");
	if (value->kind == REF_KIND_BROKEN)
		return check_dir_tell(dir, "broken-ref", path, 0,
				      "in its file stands neither an id nor the name of another ref");
	if (value->kind == REF_KIND_OID && git_oid_is_zero(&value->oid))
		return check_dir_tell(dir, "broken-ref", path, 0, "its id is all zeros");
	if (value->has_junk)
		return check_dir_tell_as(dir, "broken-ref", FINDING_INFO, path, 0,
					 "something stands behind what git reads of it");
	return 0;
}

static int check_value(const struct check_dir *dir, const char *path, struct pass *pass)
{
	_cleanup_(freep) char *data = NULL;
	struct ref_value value;
	int r = ref_load(dir->fd, path, &data, &value);

	if (r == -ENOENT || r == -EISDIR) /* deleted or packed meanwhile */
		return 0;
	if (r == -ELOOP)
		return check_dir_tell(dir, "broken-ref", path, 0, "it is a link, and not to a ref");
	if (r < 0)
		return check_dir_tell_unreadable(dir, path, r);
	r = tell_value(dir, path, &value);
	if (r < 0)
		return r;
	if (value.kind == REF_KIND_SYMBOLIC)
		return check_symbolic(dir, path, value.target, &pass->lookup);
	if (value.kind == REF_KIND_OID && !git_oid_is_zero(&value.oid))
		return add_root(dir, path, ROOT_REF, &value.oid);
	return 0;
}

static bool is_hidden(const char *path)
{
	const char *slash = strrchr(path, '/');

	return (slash ? slash[1] : path[0]) == '.';
}

static int check_file(const struct check_dir *dir, const char *path, mode_t mode, void *userdata)
{
	struct pass *pass = userdata;
	int r;

	if (lock_name_is(path))
		return lock_tell(dir, path);
	if (is_hidden(path))
		return check_dir_tell(dir, "stray-file", path, 0, "git passes it over");
	if (!S_ISREG(mode) && !S_ISLNK(mode))
		return check_dir_tell(dir, "unreadable-file", path, 0,
				      "it is neither a file nor a directory");
	if (pass->is_own && !ref_name_is_own(path))
		return check_dir_tell(dir, "stray-file", path, 0,
				      "such a ref belongs to all worktrees; git does not look for it here");
	if (!ref_name_is_valid(path, false))
		return check_dir_tell(dir, "bad-ref-name", path, 0, "no ref may have such a name");
	r = ref_names_add(&pass->loose, path);
	return r < 0 ? r : check_value(dir, path, pass);
}

static void pass_deinit(struct pass *pass)
{
	ref_lookup_deinit(&pass->lookup);
	ref_names_deinit(&pass->loose);
}

int refs_check(const struct check_dir *dir)
{
	_cleanup_(pass_deinit) struct pass pass = { .lookup = { .c = dir->c, .own = dir } };
	struct stat st;
	int r;

	if (fstatat(dir->fd, "refs", &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return check_dir_tell(dir, "unreadable-file", "refs", 0,
				      "there is none, so that git takes this for no repository");
	/* first those in files: one that is packed meanwhile is then found here or there */
	r = check_dir_walk(dir, "refs", check_file, &pass);
	if (r < 0)
		return r;
	ref_names_sort(&pass.loose);
	return packed_refs_check(dir, &pass.loose);
}

int refs_check_own(const struct check_dir *dir)
{
	_cleanup_(pass_deinit) struct pass pass = {
		.lookup = { .c = dir->c, .own = dir },
		.is_own = true,
	};

	return check_dir_walk(dir, "refs", check_file, &pass);
}

/* with tables for refs, git leaves this in HEAD for programs that know files alone */
static bool is_placeholder(const char *target)
{
	return strcmp(target, "refs/heads/.invalid") == 0;
}

/* in the quick check nobody else looks at the ref's own file */
static int tell_branch(const struct check_dir *dir, const char *name)
{
	const struct check_dir common = { dir->c, dir->c->common_fd, "", dir->slot };

	if (dir->c->spec->depth != CHECK_QUICK)
		return 0;
	return check_dir_tell(&common, "broken-ref", name, 0, "HEAD leads to it, and it says nothing");
}

static int check_head_symbolic(const struct check_dir *dir, const char *target)
{
	_cleanup_(ref_lookup_deinit) struct ref_lookup lookup = { .c = dir->c, .own = dir };
	_cleanup_(freep) char *end = NULL;
	git_oid oid;
	int r;

	if (is_placeholder(target))
		return 0;
	if (!ref_name_is_valid(target, false))
		return check_dir_tell(dir, "bad-head", "HEAD", 0, "what it leads to is no name of a ref");
	r = ref_resolve(&lookup, target, &oid, &end);
	if (r < 0)
		return r;
	if (r == REF_E_LOOP)
		return tell_symbolic(dir, "HEAD", r, end);
	if (!text_has_prefix(end, "refs/heads/"))
		return check_dir_tell(dir, "bad-head", "HEAD", 0, "it leads to %s, which is no branch",
				      end);
	if (r == REF_E_BROKEN)
		return tell_branch(dir, end);
	/* a branch without a commit yet is fine */
	return r == 0 && !git_oid_is_zero(&oid) ? add_root(dir, "HEAD", ROOT_HEAD, &oid) : 0;
}

static int check_head_value(const struct check_dir *dir, const struct ref_value *value)
{
	if (value->kind == REF_KIND_SYMBOLIC)
		return check_head_symbolic(dir, value->target);
	if (value->kind == REF_KIND_EMPTY)
		return check_dir_tell(dir, "bad-head", "HEAD", 0, "it is empty, as after a crash of the machine");
	if (value->kind == REF_KIND_BROKEN)
		return check_dir_tell(dir, "bad-head", "HEAD", 0,
				      "it says neither the id of a commit nor the name of a branch");
	if (git_oid_is_zero(&value->oid))
		return check_dir_tell(dir, "bad-head", "HEAD", 0, "its id is all zeros");
	return add_root(dir, "HEAD", ROOT_HEAD, &value->oid);
}

int head_check(const struct check_dir *dir)
{
	_cleanup_(freep) char *data = NULL;
	struct ref_value value;
	int r = ref_load(dir->fd, "HEAD", &data, &value);

	if (r == -ENOENT || r == -EISDIR)
		return check_dir_tell(dir, "bad-head", "HEAD", 0, "there is none");
	if (r == -ELOOP || r == -EINVAL || r == -EFBIG)
		return check_dir_tell(dir, "bad-head", "HEAD", 0, "it is not a small regular file");
	if (r < 0)
		return check_dir_tell_unreadable(dir, "HEAD", r);
	return check_head_value(dir, &value);
}

int refs_check_worktree(struct check *c, int admin_fd, const char *where, const char *slot)
{
	const struct check_dir dir = { c, admin_fd, where, slot };
	int r = locks_check(&dir);

	if (r == 0 && c->is_sha1)
		r = head_check(&dir);
	if (r == 0 && c->is_sha1)
		r = operations_check(&dir);
	if (r < 0 || !c->is_sha1 || c->spec->depth == CHECK_QUICK)
		return r;
	r = refs_check_own(&dir);
	return r < 0 ? r : reflogs_check(&dir, true);
}
