/* What was going on. */
#include "git/salvage-admin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/blob-stream.h"
#include "git/salvage-apply.h"
#include "git/salvage-module.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"

#define LOG_BYTES (64 << 20)

static const char *const names[] = {
	"AUTO_MERGE",	   "CHERRY_PICK_HEAD", "COMMIT_EDITMSG",       "FETCH_HEAD",
	"MERGE_AUTOSTASH", "MERGE_HEAD",       "MERGE_MODE",	       "MERGE_MSG",
	"MERGE_RR",	   "NOTES_EDITMSG",    "NOTES_MERGE_PARTIAL",  "NOTES_MERGE_REF",
	"ORIG_HEAD",	   "REBASE_HEAD",      "REVERT_HEAD",	       "SQUASH_MSG",
	"TAG_EDITMSG",	   "config.worktree",  "info/sparse-checkout",
};

static const char *const dirs[] = {
	"NOTES_MERGE_WORKTREE/", "modules/",	   "logs/",
	"rebase-apply/",	 "rebase-merge/",  "refs/bisect/",
	"refs/rewritten/",	 "refs/worktree/", "sequencer/",
};

struct state {
	struct salvage *s;
	int admin_fd;
	const char *slot;
	struct text *notes;
};

static bool is_known(const char *path)
{
	if (text_has_suffix(path, ".lock"))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(path, names[i]) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		if (text_has_prefix(path, dirs[i]))
			return true;
	return !strchr(path, '/') &&
	       (text_has_prefix(path, "BISECT_") || text_has_prefix(path, "sharedindex."));
}

static void note(struct state *st, const char *path, const char *what)
{
	_cleanup_(freep) char *quoted = text_quote_path(path);

	text_addf(st->notes, "%s %s\n", quoted ? quoted : "?", what);
}

/* the directory of a path below the administration; made where there is none. The caller closes it */
static int open_dir(int admin_fd, const char *path, const char **ret_name, struct fault *f)
{
	_cleanup_(closep) int fd = fcntl(admin_fd, F_DUPFD_CLOEXEC, 3);
	const char *slash;

	if (fd < 0)
		return fault_errno(f, -errno, "cannot open the slot's administration");
	for (; (slash = strchr(path, '/')); path = slash + 1) {
		_cleanup_(freep) char *name = strndup(path, (size_t)(slash - path));
		int next = name ? admin_open_dir_at(fd, name, f) : fault_oom(f);

		if (next < 0)
			return next;
		close(fd);
		fd = next;
	}
	*ret_name = path;
	return TAKE_FD(fd);
}

static bool is_same(int dir_fd, const char *name, const git_oid *oid)
{
	_cleanup_(closep) int fd =
		openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       blob_is_fd(oid, fd, (uint64_t)st.st_size) > 0;
}

static int put_file(struct state *st, const char *path, uint32_t mode, const git_oid *oid,
		    bool replace, struct fault *f)
{
	struct fault why = FAULT_NONE;
	_cleanup_(closep) int fd = -1;
	const char *name = NULL;
	struct stat now;
	int r;

	fd = open_dir(st->admin_fd, path, &name, f);
	if (fd < 0)
		return fd;
	/* what is in its place is no file of git's */
	if (fstatat(fd, name, &now, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(now.st_mode))
		return fault(f, -EBUSY, "a directory is in the place of %s", path);
	r = salvage_put_file(st->s->repo, fd, name, mode, 0, oid, replace, &now, &why);
	if (r == -EEXIST)
		return is_same(fd, name, oid)
			       ? 0
			       : fault(f, -EBUSY,
				       "%s is there in the slot's administration, and is "
				       "not the salvage's",
				       path);
	CRASH_POINT("salvage.state.file");
	if (r < 0)
		return why.text[0] ? fault(f, r, "%s", why.text)
				   : fault_errno(f, r, "cannot write %s", path);
	return 0;
}

/* --- the log of HEAD --- */

static void odb_object_freep(git_odb_object **o)
{
	git_odb_object_free(*o);
}

/* what is there, which no one has to believe in; no file: nothing */
static int read_log(int logs_fd, char **ret, size_t *ret_len, struct fault *f)
{
	int r = fs_read_file_at(logs_fd, "HEAD", LOG_BYTES, ret, ret_len);

	if (r == 0)
		return 0;
	*ret = NULL;
	*ret_len = 0;
	return r == -ENOENT ? 0 : fault_errno(f, r, "cannot read logs/HEAD");
}

static int write_log(int logs_fd, const struct text *t)
{
	_cleanup_(closep) int fd = -1;
	int r;

	if (unlinkat(logs_fd, "HEAD.slotd", 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(logs_fd, "HEAD.slotd", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0644);
	if (fd < 0)
		return -errno;
	r = fs_write_all(fd, t->data, t->len);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(logs_fd, "HEAD.slotd", logs_fd, "HEAD") < 0)
		r = -errno;
	return r;
}

/* after the lines that are there; those of the same slot may still be among them */
static int put_log(struct state *st, const git_oid *oid, struct fault *f)
{
	_cleanup_(odb_object_freep) git_odb_object *o = NULL;
	_cleanup_(text_deinit) struct text t = { 0 };
	_cleanup_(closep) int logs = -1;
	_cleanup_(freep) char *is = NULL;
	uint64_t size;
	size_t len;
	int r = blob_size(st->s->repo, oid, &size, f);

	if (r == 0 && size > LOG_BYTES)
		return fault(f, -EUCLEAN, "the log of HEAD in the salvage is too large");
	if (r == 0 && git_odb_read(&o, repo_odb(st->s->repo), oid) < 0)
		r = git_fault(f, GIT_ERROR, "the log of HEAD in the salvage cannot be read");
	if (r < 0 || size == 0)
		return r;
	logs = admin_open_dir_at(st->admin_fd, "logs", f);
	r = logs < 0 ? logs : read_log(logs, &is, &len, f);
	if (r < 0 || (is && memmem(is, len, git_odb_object_data(o), git_odb_object_size(o))))
		return r;
	text_add(&t, is ? is : "", len);
	if (t.len > 0 && t.data[t.len - 1] != '\n')
		text_add(&t, "\n", 1);
	text_add(&t, git_odb_object_data(o), git_odb_object_size(o));
	if (t.data && t.data[t.len - 1] != '\n')
		text_add(&t, "\n", 1);
	if (t.failed)
		return fault_oom(f);
	r = write_log(logs, &t);
	return r < 0 ? fault_errno(f, r, "cannot write logs/HEAD") : 0;
}

static int put_module(struct state *st, const char *path, uint32_t mode, const git_oid *oid,
		      struct fault *f)
{
	git_oid moved = *oid;
	int r = salvage_module_file(st->s, path, st->slot, &moved, f);

	return r == 0 ? put_file(st, path, mode, &moved, false, f) : r;
}

static int put_state(const char *path, uint32_t mode, const git_oid *oid, void *userdata,
		     struct fault *f)
{
	struct state *st = userdata;

	if (!is_known(path)) {
		note(st, path,
		     "of the slot's administration was left out: git keeps nothing there");
		return 0;
	}
	if (mode == TREE_MODE_LINK || mode == TREE_MODE_GITLINK) {
		note(st, path, "of the slot's administration was left out: it is no file");
		return 0;
	}
	if (strcmp(path, "logs/HEAD") == 0)
		return put_log(st, oid, f);
	if (strcmp(path, "config.worktree") == 0)
		note(st, path, "was put back: it can name programs that git runs");
	if (text_has_prefix(path, "modules/"))
		return put_module(st, path, mode, oid, f);
	return put_file(st, path, mode, oid, true, f);
}

int salvage_admin_restore(struct salvage *s, int admin_fd, const char *slot, struct text *notes,
			  struct fault *f)
{
	struct state st = { s, admin_fd, slot, notes };

	return salvage_foreach(s, "state", put_state, &st, f);
}
