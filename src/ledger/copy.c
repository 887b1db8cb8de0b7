/* A copy that is not whole never takes the place of one that was. */
#include "ledger/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger/scan.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/text.h"

#define COPY_SECONDS 600 /* then something hangs */

/* with an environment of its own: the parent's must not be touched after fork */
static int copy_compactly(const char *from, const char *to, struct fault *f)
{
	_cleanup_(mdb_env_closep) MDB_env *env = NULL;
	int rc;

	rc = env_open(from, 0, MDB_RDONLY, &env);
	if (rc)
		return ledger_fault(f, rc, from, "open");
	rc = mdb_env_copy2(env, to, MDB_CP_COMPACT);
	return rc ? ledger_fault(f, rc, to, "copy to") : 0;
}

static int sync_file_at(int dirfd, const char *path, struct fault *f)
{
	_cleanup_(closep) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return fault_errno(f, -errno, "cannot sync %s", path);
	return 0;
}

/*
 * The file alone changes places, so that there is a whole copy at every instant; its
 * directory stays.
 */
static int replace(int dirfd, const char *name, const char *new_name, struct fault *f)
{
	_cleanup_(freep) char *file = text_printf("%s/" LEDGER_DATA_FILE, name);
	_cleanup_(freep) char *new_file = text_printf("%s/" LEDGER_DATA_FILE, new_name);
	int r;

	if (!file || !new_file)
		return fault_oom(f);
	r = sync_file_at(dirfd, new_file, f);
	if (r < 0)
		return r;
	if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
		return fault_errno(f, -errno, "cannot make %s", name);
	CRASH_POINT("ledger.copy.synced");
	if (renameat(dirfd, new_file, dirfd, file) < 0)
		return fault_errno(f, -errno, "cannot rename %s", new_file);
	CRASH_POINT("ledger.copy.renamed");
	r = fs_sync_dir_at(dirfd, name);
	if (r == 0)
		r = fs_sync_dir_at(dirfd, ".");
	if (r < 0)
		return fault_errno(f, r, "cannot sync %s", name);
	return fs_remove_tree_at(dirfd, new_name, f);
}

static int make_copy(const struct ledger *l, const char *name, struct fault *f)
{
	_cleanup_(closep) int dirfd = open(l->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(freep) char *new_name = text_printf("%s" LEDGER_NEW, name);
	_cleanup_(freep) char *to = text_printf("%s/%s" LEDGER_NEW, l->state_dir, name);
	struct seen seen = { 0 };
	int r;

	if (!new_name || !to)
		return fault_oom(f);
	if (dirfd < 0)
		return fault_errno(f, -errno, "cannot open %s", l->state_dir);
	r = fs_remove_tree_at(dirfd, new_name, f);
	if (r < 0)
		return r;
	if (mkdirat(dirfd, new_name, 0700) < 0)
		return fault_errno(f, -errno, "cannot make %s", to);
	CRASH_POINT("ledger.copy.begin");
	r = copy_compactly(l->dir, to, f);
	CRASH_POINT("ledger.copy.copied");
	if (r == 0)
		r = scan_all(to, &seen, f);
	if (r == SCAN_EMPTY)
		r = fault(f, -EUCLEAN, "the copy in %s is empty", to);
	return r < 0 ? r : replace(dirfd, name, new_name, f);
}

/* --- once, and waited for --- */

struct keep {
	const struct ledger *l;
	const char *name;
};

static int keep_in_child(void *arg, void *result, struct fault *f)
{
	const struct keep *keep = arg;

	return make_copy(keep->l, keep->name, f);
}

int ledger_keep_copy(const struct ledger *l, const char *name, struct fault *f)
{
	struct keep keep = { .l = l, .name = name };
	struct child_limits limits = scan_limits(l->dir);
	struct fault why = FAULT_NONE;
	char none = 0;
	int r;

	limits.time_msec = COPY_SECONDS * 1000;
	r = child_run(keep_in_child, &keep, &none, sizeof(none), &limits, &why);
	if (r != 0)
		return fault(f, r < 0 ? r : -EIO, "cannot keep the ledger as it is in %s/%s: %s", l->state_dir,
			     name, why.text);
	return 0;
}

/* --- now and then, beside the work --- */

static _Noreturn void copy_in_child(const struct ledger *l, pid_t parent)
{
	struct fault f = FAULT_NONE;
	int r;

	child_begin(parent);
	/* clients must see the end of their connections, whatever becomes of this child */
	close_range(STDERR_FILENO + 1, ~0U, 0);
	alarm(COPY_SECONDS);
	r = make_copy(l, LEDGER_COPY_DIR, &f);
	if (r < 0)
		dprintf(STDERR_FILENO, "the ledger was not copied: %s\n", f.text);
	_exit(r < 0 ? 1 : 0);
}

pid_t ledger_copy_start(struct ledger *l, struct fault *f)
{
	pid_t parent = getpid();
	pid_t pid;
	int dead;
	int rc;

	/* a copy that was killed still holds its place among the readers, and pages with it */
	rc = mdb_reader_check(l->env, &dead);
	if (rc)
		return ledger_fault(f, rc, l->dir, "copy");
	pid = fork();
	if (pid == 0)
		copy_in_child(l, parent);
	return pid < 0 ? fault_errno(f, -errno, "cannot fork to copy the ledger") : pid;
}
