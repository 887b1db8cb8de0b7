/* Back into a directory, or onto a branch. */
#include "git/salvage-restore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "git/branch.h"
#include "git/salvage-apply.h"
#include "util/cleanup.h"
#include "util/crash.h"

/* who writes refs for salvages; no slot has such a name */
#define REF_KEY "salvage"

void salvage_restored_deinit(struct salvage_restored *r)
{
	free(r->branch);
	text_deinit(&r->notes);
}

/* --- a directory --- */

static int check_empty(int dir_fd, struct fault *f)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		closep(&fd);
		return fault_errno(f, -errno, "cannot read the directory");
	}
	while (r == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = fault(f, -EEXIST, "the directory is not empty: restore into a new one");
	closedir(dir);
	return r;
}

int salvage_restore_dir(struct repo *repo, const git_oid *commit, int dir_fd, unsigned threads,
			struct tree_stats *ret, struct fault *f)
{
	_cleanup_(salvage_freep) struct salvage *s = NULL;
	_cleanup_(salvage_goal_deinit) struct salvage_goal goal = { 0 };
	struct tree_slot slot = { repo_common_dir(repo), dir_fd, -1 };
	struct tree_list before = { 0 };
	struct tree_stats stats = { 0 };
	struct salvage_apply a = { .slot = &slot,
				   .repo = repo,
				   .goal = &goal,
				   .before = &before,
				   .checker = { .trust_filemode = true },
				   .threads = threads };
	int r = check_empty(dir_fd, f);

	if (r == 0)
		r = salvage_open(repo, commit, &s, f);
	if (r == 0)
		r = salvage_goal_load(s, &goal, f);
	if (r == 0)
		r = salvage_apply_run(&a, &stats, f);
	if (r == 0)
		r = salvage_apply_dirs(&a, f);
	if (r < 0)
		return r;
	stats.files = goal.files.n;
	*ret = stats;
	return 0;
}

/* --- a branch --- */

static int write_commit(struct salvage *s, git_oid *ret, struct fault *f)
{
	_cleanup_(text_deinit) struct text t = { 0 };
	char tree[GIT_OID_HEXSZ + 1], parent[GIT_OID_HEXSZ + 1];
	long long seconds = (long long)(s->time_usec / 1000000);
	int rc;

	git_oid_tostr(tree, sizeof(tree), &s->tree);
	git_oid_tostr(parent, sizeof(parent), &s->base);
	text_addf(&t, "tree %s\nparent %s\n", tree, parent);
	text_addf(&t, "author slotd <slotd@localhost> %lld +0000\n", seconds);
	text_addf(&t, "committer slotd <slotd@localhost> %lld +0000\n\n%s", seconds, s->message);
	if (t.failed)
		return fault_oom(f);
	rc = git_odb_write(ret, repo_odb(s->repo), t.data, t.len, GIT_OBJECT_COMMIT);
	return rc < 0 ? git_fault(f, rc, "cannot write a commit") : 0;
}

int salvage_branch(struct repo *repo, const git_oid *commit, const char *branch, git_oid *ret,
		   struct fault *f)
{
	_cleanup_(salvage_freep) struct salvage *s = NULL;
	bool created;
	git_oid made;
	int r = branch_check_name(branch, f);

	if (r == 0)
		r = salvage_open(repo, commit, &s, f);
	if (r == 0)
		r = write_commit(s, &made, f);
	CRASH_POINT("salvage.branch.commit");
	if (r == 0)
		r = branch_create(repo, REF_KEY, branch, &made, &created, f);
	if (r == 0)
		*ret = made;
	return r;
}
