/* What a slot gets between a clean tree and its being ready. */
#include "git/seed.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "worker/site.h"

int job_slot_seed(struct work *work)
{
	const char *from = json_get_string(work->params, "from");
	_cleanup_(freep) const char **files = NULL;
	_cleanup_site_ struct site s = { 0 };
	unsigned copied = 0;
	git_oid commit;
	size_t n;
	int r;

	if (!site_read_slot(work, &s) || !site_read_commit(work, &commit))
		return 0;
	r = site_read_words(work, "files", &files, &n);
	if (r == 0)
		r = site_open_slot(work, &s);
	if (r == 0)
		r = seed_copy(s.repo, worktree_tree(s.worktree), &commit, from, files, n, &copied,
			      &work->fault);
	if (r == 0)
		json_set_int(work->reply, "copied", copied);
	return r;
}
