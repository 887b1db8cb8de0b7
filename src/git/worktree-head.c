/* Where a slot's HEAD is, and moving it. */
#include "git/worktree-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/branch.h"
#include "git/reflog.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/text.h"

static int parse_oid(const char *text, git_oid *ret, struct fault *f)
{
	if (strlen(text) != GIT_OID_HEXSZ || git_oid_fromstr(ret, text) < 0)
		return fault(f, -EUCLEAN, "HEAD or the ref it names holds neither a ref nor a commit");
	return 0;
}

/* refs that belong to one worktree are in its administration; *ret zero: there is none */
static int read_own_ref(struct worktree *w, const char *ref, git_oid *ret, struct fault *f)
{
	_cleanup_(closep) int fd = fs_open_beneath(w->tree.admin_fd, ref, O_PATH | O_NOFOLLOW, 0);
	_cleanup_(freep) char *text = NULL;
	int r;

	memset(ret, 0, sizeof(*ret));
	if (fd < 0)
		return 0;
	r = admin_read_at(w->tree.admin_fd, ref, &text, f);
	return r < 0 ? r : parse_oid(text, ret, f);
}

static bool is_own_ref(const char *ref)
{
	return text_has_prefix(ref, "refs/bisect/") || text_has_prefix(ref, "refs/worktree/") ||
	       text_has_prefix(ref, "refs/rewritten/");
}

static int read_ref(struct worktree *w, const char *ref, git_oid *ret, struct fault *f)
{
	int rc;

	if (is_own_ref(ref))
		return read_own_ref(w, ref, ret, f);
	rc = git_reference_name_to_id(ret, repo_git(w->repo), ref);
	if (rc == GIT_ENOTFOUND) {
		memset(ret, 0, sizeof(*ret));
		return 0;
	}
	return rc < 0 ? git_fault(f, rc, "cannot read %s", ref) : 0;
}

int worktree_head(struct worktree *w, char **ret_branch, git_oid *ret_commit, struct fault *f)
{
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) char *branch = NULL;
	const char *ref;
	git_oid commit;
	int r, valid = 0;

	r = admin_read_at(w->tree.admin_fd, "HEAD", &text, f);
	if (r < 0)
		return r == -ENOENT ? fault(f, -EUCLEAN, "HEAD of slot %s is gone", w->name) : r;
	if (!text_has_prefix(text, "ref:")) {
		r = parse_oid(text, &commit, f);
	} else {
		ref = text + strlen("ref:");
		ref += strspn(ref, " \t");
		if (git_reference_name_is_valid(&valid, ref) < 0 || !valid)
			return fault(f, -EUCLEAN, "HEAD of slot %s names no ref", w->name);
		branch = strdup(text_has_prefix(ref, "refs/heads/") ? ref + strlen("refs/heads/") :
								      ref);
		r = branch ? read_ref(w, ref, &commit, f) : fault_oom(f);
	}
	if (r < 0)
		return r;
	git_oid_cpy(ret_commit, &commit);
	*ret_branch = TAKE(branch);
	return 0;
}

/* as git does it, so that git at work in the slot is not surprised */
static int replace_head(int admin_fd, const char *text, struct fault *f)
{
	_cleanup_(closep) int fd = -1;
	int r;

	r = admin_remove_at(admin_fd, "HEAD.lock", f);
	if (r < 0)
		return r;
	fd = openat(admin_fd, "HEAD.lock", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0644);
	if (fd < 0)
		return errno == EEXIST ? fault(f, -EAGAIN, "HEAD is locked by somebody") :
					 fault_errno(f, -errno, "cannot lock HEAD");
	CRASH_POINT("worktree.head.locked");
	r = fs_write_all(fd, text, strlen(text));
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	CRASH_POINT("worktree.head.written");
	if (r == 0 && renameat(admin_fd, "HEAD.lock", admin_fd, "HEAD") < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(admin_fd, "HEAD.lock", 0);
		return fault_errno(f, r, "cannot write HEAD");
	}
	return 0;
}

/* nothing to write, but what is in the way of git goes */
static int keep_head(struct worktree *w, struct fault *f)
{
	int r = admin_remove_at(w->tree.admin_fd, "HEAD.lock", f);

	return r == 0 ? reflog_put_right(w->tree.admin_fd, "logs/HEAD", f) : r;
}

int worktree_set_head(struct worktree *w, const char *branch, const git_oid *commit,
		      const char *why, struct fault *f)
{
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) char *was = NULL;
	char hex[GIT_OID_HEXSZ + 1];
	git_oid from;
	int r;

	/* whatever HEAD was, it is replaced; the log then says that it came from nowhere */
	if (worktree_head(w, &was, &from, NULL) < 0)
		memset(&from, 0, sizeof(from));
	else if (text_is_equal(was, branch) && git_oid_equal(&from, commit))
		return keep_head(w, f);
	text = branch ? text_printf("ref: refs/heads/%s\n", branch) :
			text_printf("%s\n", git_oid_tostr(hex, sizeof(hex), commit));
	if (!text)
		return fault_oom(f);
	r = replace_head(w->tree.admin_fd, text, f);
	if (r < 0)
		return r;
	CRASH_POINT("worktree.head.set");
	r = reflog_append(w->tree.admin_fd, "logs/HEAD", &from, commit, why, f);
	return r < 0 ? r : admin_sync(w->tree.admin_fd, f);
}
