/* A branch is made where none is. */
#include "git/branch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "git/ref-write.h"
#include "git/reflog.h"
#include "git/store.h"
#include "util/cleanup.h"
#include "util/text.h"

/* "a" and "a/b" cannot both be branches */
static bool is_in_the_way(const char *other, const char *full)
{
	size_t len = strlen(other), own = strlen(full);

	return (own > len && full[len] == '/' && text_has_prefix(full, other)) ||
	       (len > own && other[own] == '/' && text_has_prefix(other, full));
}

static int check_neighbours(struct repo *repo, const char *name, const char *full,
			    struct fault *f)
{
	git_reference_iterator *it = NULL;
	const char *other;
	int rc, r = 0;

	rc = git_reference_iterator_glob_new(&it, repo_git(repo), "refs/heads/*");
	while (r == 0 && rc == 0 && (rc = git_reference_next_name(&other, it)) == 0)
		if (is_in_the_way(other, full))
			r = fault(f, -EEXIST,
				  "the branch %s cannot be made: there is a branch %s", name,
				  other + strlen("refs/heads/"));
	git_reference_iterator_free(it);
	if (r == 0 && rc != 0 && rc != GIT_ITEROVER)
		return git_fault(f, rc, "cannot list the branches");
	return r;
}

/* 0: it stands there; BRANCH_E_ABSENT; -EEXIST: it stands elsewhere */
static int compare(struct repo *repo, const char *name, const git_oid *commit, struct fault *f)
{
	git_oid is;
	int r = branch_find(repo, name, &is, f);

	if (r != 0 || git_oid_equal(&is, commit))
		return r;
	return fault(f, -EEXIST, "the branch %s has just been made elsewhere", name);
}

/* git logs branches unless the repository is bare */
static int log_creation(struct repo *repo, const char *full, const git_oid *commit,
			struct fault *f)
{
	_cleanup_(freep) char *path = text_printf("logs/%s", full);
	_cleanup_(closep) int fd = -1;
	git_oid zero = { { 0 } };

	if (!path)
		return fault_oom(f);
	if (store_is_bare(repo))
		return 0;
	fd = open(repo_common_dir(repo), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fault_errno(f, -errno, "cannot open %s", repo_common_dir(repo));
	return reflog_append(fd, path, &zero, commit, "branch: created by slotd", f);
}

int branch_create(struct repo *repo, const char *slot, const char *name, const git_oid *commit,
		  bool *ret_created, struct fault *f)
{
	_cleanup_(freep) char *full = text_printf("refs/heads/%s", name);
	int r;

	if (!full)
		return fault_oom(f);
	r = ref_recover(repo, slot, f);
	if (r == 0)
		r = compare(repo, name, commit, f);
	*ret_created = r == BRANCH_E_ABSENT;
	if (r != BRANCH_E_ABSENT)
		return r;
	r = check_neighbours(repo, name, full, f);
	if (r == 0)
		r = ref_write(repo, slot, full, commit, true, f);
	if (r == REF_E_EXISTS) {
		*ret_created = false;
		return compare(repo, name, commit, f);
	}
	return r == 0 ? log_creation(repo, full, commit, f) : r;
}
