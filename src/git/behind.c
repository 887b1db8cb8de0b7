/* How old is what a slot stands on, in commits. */
#include "git/reach.h"
#include "git/store.h"
#include "util/cleanup.h"

/* an acquire waits for the answer: so many are looked at in a fifth of a second */
#define BEHIND_COMMITS 10000

static void reach_freep(struct reach **reach)
{
	reach_free(*reach);
}

int store_behind(struct repo *repo, const git_oid *commit, const git_oid *base, int64_t *ret,
		 struct fault *f)
{
	_cleanup_(reach_freep) struct reach *reach = NULL;
	git_oid newest;
	size_t count = 0;
	int r;

	if (git_oid_equal(commit, base)) {
		*ret = 0;
		return 0;
	}
	r = reach_new(repo, &reach, f);
	if (r < 0)
		return r;
	reach_set_limit(reach, BEHIND_COMMITS);
	r = reach_add_tip(reach, base, f);
	if (r == 0)
		r = reach_add_held(reach, commit, f);
	if (r == 0)
		r = reach_run(reach, &count, &newest, f);
	if (r < 0)
		return r;
	*ret = r == REACH_E_MANY ? -1 : (int64_t)count;
	return 0;
}
