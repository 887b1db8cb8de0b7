/* Whose mess is this? */
#include "git/worktree-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/tree-saved.h"
#include "git/tree-trash.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/log.h"

#define MARK_MAX_BYTES (TREE_SAVED_MAX_BYTES + GIT_OID_HEXSZ + 1)

int worktree_is_switching(struct worktree *w, struct fault *f)
{
	if (faccessat(w->tree.admin_fd, WORKTREE_MARK, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : fault_errno(f, -errno, "cannot look at %s", WORKTREE_MARK);
}

/* a set that is too large is as good as an empty one: after a kill all is saved again */
static int encode_saved(const struct tree_saved *saved, struct text *out)
{
	_cleanup_(tree_saved_freep) struct tree_saved *none = NULL;
	int r = tree_saved_encode(saved, out);

	if (r != -EFBIG)
		return r;
	none = tree_saved_new();
	return none ? tree_saved_encode(none, out) : -ENOMEM;
}

int worktree_mark(struct worktree *w, const git_oid *commit, const struct tree_saved *saved,
		  struct fault *f)
{
	_cleanup_(text_deinit) struct text t = { 0 };
	char hex[GIT_OID_HEXSZ + 1];
	int r;

	text_addf(&t, "%s\n", git_oid_tostr(hex, sizeof(hex), commit));
	if ((saved && encode_saved(saved, &t) < 0) || t.failed)
		return fault_oom(f);
	r = admin_write_bytes_at(w->tree.admin_fd, WORKTREE_MARK, t.data, t.len, f);
	if (r == 0)
		r = admin_sync(w->tree.admin_fd, f);
	CRASH_POINT("worktree.marked");
	return r;
}

static int read_mark(struct worktree *w, struct tree_saved **ret, struct fault *f)
{
	_cleanup_(freep) char *data = NULL;
	size_t len = 0, line;
	int r;

	*ret = NULL;
	r = fs_read_file_at(w->tree.admin_fd, WORKTREE_MARK, MARK_MAX_BYTES, &data, &len);
	if (r == -ENOENT)
		return 0;
	if (r == -ENOMEM)
		return fault_oom(f);
	line = r == 0 ? strcspn(data, "\n") : 0;
	if (r == 0 && line + 1 >= len)
		return 0;
	if (r == 0)
		r = tree_saved_decode(data + line + 1, len - line - 1, ret);
	if (r == -ENOMEM)
		return fault_oom(f);
	if (r == 0)
		return 0;
	log_warning("what had been saved of a slot is not known any more slot=%s", w->name);
	*ret = tree_saved_new();
	return *ret ? 0 : fault_oom(f);
}

int worktree_read_saved(struct worktree *w, struct tree_saved **ret, struct fault *f)
{
	_cleanup_(tree_saved_freep) struct tree_saved *saved = NULL;
	int r = read_mark(w, &saved, f);

	if (r == 0)
		r = tree_trash_recover(&w->tree, w->slots_fd, w->trash, saved, f);
	if (r == 0)
		*ret = TAKE(saved);
	return r;
}

/* on disk before the reply: a mark that came back would belie the next holder's work */
int worktree_unmark(struct worktree *w, struct fault *f)
{
	int r = admin_remove_at(w->tree.admin_fd, WORKTREE_MARK, f);

	return r == 0 ? admin_sync(w->tree.admin_fd, f) : r;
}
