/* Local branches by name, and slotd's pins. */
#include "git/branch.h"

#include <errno.h>
#include <string.h>

#include "git/ref-write.h"
#include "util/cleanup.h"
#include "util/text.h"

int branch_check_name(const char *name, struct fault *f)
{
	_cleanup_(freep) char *full = text_printf("refs/heads/%s", name);
	int valid = 0;

	if (!full)
		return fault_oom(f);
	if (git_branch_name_is_valid(&valid, name) < 0 || !valid ||
	    git_reference_name_is_valid(&valid, full) < 0 || !valid || strlen(full) > 1000 ||
	    strcmp(name, "@") == 0)
		return fault(f, -EINVAL, "\"%s\" is not a name that git allows for a branch", name);
	return 0;
}

int branch_find(struct repo *repo, const char *name, git_oid *ret, struct fault *f)
{
	_cleanup_(freep) char *full = text_printf("refs/heads/%s", name);
	git_commit *commit = NULL;
	git_oid oid;
	int rc;

	if (!full)
		return fault_oom(f);
	rc = git_reference_name_to_id(&oid, repo_git(repo), full);
	if (rc == GIT_ENOTFOUND)
		return BRANCH_E_ABSENT;
	if (rc < 0)
		return git_fault(f, rc, "cannot read the branch %s", name);
	rc = git_commit_lookup(&commit, repo_git(repo), &oid);
	if (rc < 0)
		return fault(f, -EUCLEAN, "the branch %s does not stand at a commit of the store",
			     name);
	git_commit_free(commit);
	git_oid_cpy(ret, &oid);
	return 0;
}

static char *pin_name(const char *slot)
{
	return text_printf("refs/slotd/pin/%s", slot);
}

static int check_commit(struct repo *repo, const git_oid *id, struct fault *f)
{
	git_commit *commit = NULL;

	if (git_commit_lookup(&commit, repo_git(repo), id) < 0)
		return fault(f, -EUCLEAN, "the commit %s is missing from the store, or damaged",
			     git_oid_tostr_s(id));
	git_commit_free(commit);
	return 0;
}

int branch_pin(struct repo *repo, const char *slot, const git_oid *commit, struct fault *f)
{
	_cleanup_(freep) char *pin = pin_name(slot);
	git_oid is;
	int r;

	if (!pin)
		return fault_oom(f);
	r = check_commit(repo, commit, f);
	if (r < 0)
		return r;
	if (git_reference_name_to_id(&is, repo_git(repo), pin) == 0 && git_oid_equal(&is, commit))
		return 0;
	return ref_write(repo, slot, pin, commit, false, f);
}

int branch_unpin(struct repo *repo, const char *slot, struct fault *f)
{
	_cleanup_(freep) char *pin = pin_name(slot);

	return pin ? ref_delete(repo, slot, pin, f) : fault_oom(f);
}
