/* What origin does not have. */
#include "git/store.h"

#include <errno.h>
#include <string.h>

#include "git/reach.h"
#include "git/store-private.h"
#include "util/cleanup.h"
#include "util/text.h"

static void reach_freep(struct reach **reach)
{
	reach_free(*reach);
}

/* commits below a tip that no branch of origin has */
static int count(struct repo *repo, const git_oid *tip, size_t *ret, struct fault *f)
{
	_cleanup_(reach_freep) struct reach *reach = NULL;
	git_oid newest;
	int r = reach_new(repo, &reach, f);

	if (r == 0)
		r = reach_add_tip(reach, tip, f);
	if (r == 0)
		r = reach_add_refs(reach, STORE_REMOTES, f);
	return r == 0 ? reach_run(reach, ret, &newest, f) : r;
}

static const char *short_name(const char *name)
{
	return text_has_prefix(name, "refs/heads/") ? name + strlen("refs/heads/") : name;
}

static int look_at(struct repo *repo, git_reference *ref,
		   int (*fn)(const char *what, void *userdata), void *userdata, struct fault *f)
{
	const char *name = git_reference_name(ref);
	const git_oid *tip = git_reference_target(ref);
	size_t commits = 0;
	int r;

	if (!tip || text_has_prefix(name, "refs/remotes/") ||
	    text_has_prefix(name, "refs/slotd/pin/"))
		return 0;
	r = count(repo, tip, &commits, f);
	return r < 0 || commits == 0 ? r : fn(short_name(name), userdata);
}

int store_unpushed(struct repo *repo, int (*fn)(const char *what, void *userdata), void *userdata,
		   struct fault *f)
{
	git_reference_iterator *it = NULL;
	git_reference *ref = NULL;
	int rc, r = 0;

	rc = git_reference_iterator_new(&it, repo_git(repo));
	while (r == 0 && rc == 0 && (rc = git_reference_next(&ref, it)) == 0) {
		r = look_at(repo, ref, fn, userdata, f);
		git_reference_free(ref);
	}
	git_reference_iterator_free(it);
	if (r == 0 && rc != 0 && rc != GIT_ITEROVER)
		return git_fault(f, rc, "cannot list the refs");
	return r;
}
