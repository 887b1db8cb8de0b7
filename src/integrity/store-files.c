/* The files of the store, but for its objects. */
#include "integrity/refs-private.h"

#include <errno.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/text.h"

#define SHALLOW_BYTES (64 << 20)
#define MAX_TOLD      10

static int check_shallow(const struct check_dir *dir)
{
	_cleanup_(freep) char *data = NULL;
	size_t len = 0, line = 0, n_told = 0;
	int r = check_dir_load(dir, "shallow", SHALLOW_BYTES, &data, &len);

	if (r != 0)
		return r < 0 ? r : 0;
	for (const char *at = data, *end = data + len; r == 0 && at < end;) {
		const char *eol = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((eol ? eol : end) - at);
		git_oid oid;

		line++;
		if (n > 0 && at[n - 1] == '\r')
			n--;
		if (oid_parse(at, n, &oid))
			r = roots_add_shallow(dir->c->roots, &oid);
		else if (n_told++ < MAX_TOLD)
			r = check_dir_tell(dir, "bad-shallow", "shallow", line, "it is no id of a commit");
		at = eol ? eol + 1 : end;
	}
	return r;
}

/* what names objects */
static int check_names(const struct check_dir *dir)
{
	int r = check_shallow(dir);

	if (r == 0)
		r = head_check(dir);
	if (r == 0)
		r = refs_check(dir);
	if (r == 0)
		r = reflogs_check(dir, false);
	return r < 0 ? r : operations_check(dir);
}

int store_files_check(struct check *c)
{
	const struct check_dir dir = { c, c->common_fd, "", NULL };
	struct store_format format = { .is_sha1 = true, .has_ref_files = true };
	int r = config_check(&dir, "config", &format);

	if (r == 0 && format.has_worktree_config)
		r = config_check(&dir, "config.worktree", &format);
	c->is_sha1 = format.is_sha1;
	if (r == 0)
		r = locks_check(&dir);
	if (r == 0 && format.is_sha1 && format.has_ref_files)
		r = check_names(&dir);
	return r;
}
