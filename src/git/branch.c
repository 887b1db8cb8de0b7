/* Local branches by name, and slotd's pins. */
#include "git/branch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "util/cleanup.h"
#include "util/clock.h"
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

/* nobody else writes pins, and the slot is ours for now: a lock is what a killed worker left */
static int pin_unlock(struct repo *repo, const char *pin, struct fault *f)
{
	_cleanup_(freep) char *lock = text_printf("%s/%s.lock", repo_common_dir(repo), pin);

	if (!lock)
		return fault_oom(f);
	if (unlink(lock) < 0 && errno != ENOENT)
		return fault_errno(f, -errno, "cannot remove %s", lock);
	return 0;
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
	git_reference *ref = NULL;
	int rc;

	if (!pin)
		return fault_oom(f);
	rc = check_commit(repo, commit, f);
	if (rc == 0)
		rc = pin_unlock(repo, pin, f);
	if (rc < 0)
		return rc;
	rc = git_reference_create(&ref, repo_git(repo), pin, commit, 1, "slotd");
	if (rc < 0)
		return git_fault(f, rc, "cannot set %s", pin);
	git_reference_free(ref);
	return 0;
}

/*
 * A packed ref goes by rewriting packed-refs, which somebody's git may have locked for a moment:
 * wait for it as long as git does (core.packedRefsTimeout).
 */
static int remove_ref(struct repo *repo, const char *name)
{
	uint64_t deadline = clock_boot_usec() + USEC_PER_SEC;
	struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
	int rc;

	while ((rc = git_reference_remove(repo_git(repo), name)) == GIT_ELOCKED &&
	       clock_boot_usec() < deadline)
		nanosleep(&pause, NULL);
	return rc;
}

int branch_unpin(struct repo *repo, const char *slot, struct fault *f)
{
	_cleanup_(freep) char *pin = pin_name(slot);
	int rc;

	if (!pin)
		return fault_oom(f);
	rc = pin_unlock(repo, pin, f);
	if (rc < 0)
		return rc;
	rc = remove_ref(repo, pin);
	if (rc < 0 && rc != GIT_ENOTFOUND)
		return git_fault(f, rc, "cannot remove %s", pin);
	return 0;
}
