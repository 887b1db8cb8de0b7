/* Rules come from the commit, not from what lies about in the slot. */
#include "git/rulefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

static int blob_text(struct repo *repo, const struct tree_entry *e, char **ret, size_t *ret_len,
		     struct fault *f)
{
	git_odb_object *o = NULL;
	int rc = git_odb_read(&o, repo_odb(repo), &e->oid);
	size_t len;
	char *text;

	if (rc == GIT_ENOTFOUND)
		return fault(f, -EUCLEAN, "%s of the commit is missing from the store", e->path);
	if (rc < 0)
		return git_fault(f, rc, "cannot read %s of the commit", e->path);
	len = git_odb_object_size(o);
	if (len > RULEFILE_MAX_BYTES)
		len = 0;
	text = malloc(len + 1);
	if (text) {
		memcpy(text, git_odb_object_data(o), len);
		text[len] = '\0';
	}
	git_odb_object_free(o);
	if (!text)
		return fault_oom(f);
	*ret = text;
	*ret_len = len;
	return 0;
}

static bool is_rulefile(const struct tree_entry *e, const char *name, size_t name_len)
{
	size_t at = e->path_len - name_len;

	return e->path_len >= name_len && (e->flags & TREE_ENTRY_STAGE) == 0 &&
	       (e->mode == TREE_MODE_FILE || e->mode == TREE_MODE_EXEC) &&
	       (at == 0 || e->path[at - 1] == '/') && memcmp(e->path + at, name, name_len) == 0;
}

int rulefile_foreach(struct repo *repo, const struct tree_list *list, const char *name,
		     rulefile_fn fn, void *userdata, struct fault *f)
{
	size_t name_len = strlen(name);

	for (size_t i = 0; i < list->n; i++) {
		const struct tree_entry *e = &list->entries[i];
		_cleanup_(freep) char *text = NULL;
		size_t len = 0;
		int r;

		if (!is_rulefile(e, name, name_len))
			continue;
		r = blob_text(repo, e, &text, &len, f);
		if (r < 0)
			return r;
		r = fn(e->path, tree_path_dir(e->path, e->path_len), text, len, userdata);
		if (r < 0)
			return fault_oom(f);
	}
	return 0;
}

int rulefile_of_store(struct repo *repo, const char *path, rulefile_fn fn, void *userdata,
		      struct fault *f)
{
	_cleanup_(freep) char *whole = text_printf("%s/%s", repo_common_dir(repo), path);
	_cleanup_(freep) char *text = NULL;
	size_t len;
	int r;

	if (!whole)
		return fault_oom(f);
	r = fs_read_file_at(AT_FDCWD, whole, RULEFILE_MAX_BYTES, &text, &len);
	if (r == -ENOMEM)
		return fault_oom(f);
	if (r < 0)
		return 0;
	return fn("", 0, text, len, userdata) < 0 ? fault_oom(f) : 0;
}
