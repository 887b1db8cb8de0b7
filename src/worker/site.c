/* The store and the slot of a job. */
#include "worker/site.h"

#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/json.h"
#include "util/parse.h"

void site_deinit(struct site *s)
{
	worktree_close(s->worktree);
	repo_close(s->repo);
}

bool site_read_slot(struct work *work, struct site *ret)
{
	size_t len;
	uint64_t n;

	ret->slot = json_get_string(work->params, "slot");
	ret->dev = (uint64_t)json_get_int(work->params, "dev", 0);
	ret->ino = (uint64_t)json_get_int(work->params, "ino", 0);
	if (parse_slot_name(ret->slot, &len, &n) == 0)
		return true;
	work_invalid(work, "slot");
	return false;
}

bool site_read_commit(struct work *work, git_oid *ret)
{
	const char *hex = json_get_string(work->params, "commit");

	memset(ret, 0, sizeof(*ret));
	if (!hex || (strlen(hex) == GIT_OID_HEXSZ && git_oid_fromstr(ret, hex) == 0))
		return true;
	work_invalid(work, "commit");
	return false;
}

int site_open_store(struct work *work, struct site *s)
{
	int r = s->repo ? 0 : job_open_repo(work, &s->repo);

	if (r < 0)
		work->error = "io.slotd.worker.StoreGone";
	return r;
}

int site_open_slot(struct work *work, struct site *s)
{
	struct worker *w = work->worker;
	int r = site_open_store(work, s);

	return r < 0 ? r : worktree_open(s->repo, w->slots_fd, w->slots, s->slot, s->dev, s->ino,
					 &s->worktree, &work->fault);
}

int site_read_words(struct work *work, const char *key, const char ***ret, size_t *ret_n)
{
	json_object *list = json_get_array(work->params, key);
	size_t n = list ? json_object_array_length(list) : 0;
	const char **words = calloc(n + 1, sizeof(*words));

	if (!words)
		return fault_oom(&work->fault);
	for (size_t i = 0; i < n; i++)
		words[i] = json_object_get_string(json_object_array_get_idx(list, i));
	*ret = words;
	*ret_n = n;
	return 0;
}

int site_read_patterns(struct work *work, const char *key, struct ignore **ret)
{
	_cleanup_(freep) const char **lines = NULL;
	size_t n = 0;
	int r = site_read_words(work, key, &lines, &n);

	if (r < 0)
		return r;
	return ignore_from_lines(lines, n, ret) < 0 ? fault_oom(&work->fault) : 0;
}

void site_set_head(struct work *work, const git_oid *commit, const char *branch)
{
	json_set_string(work->reply, "head",
			git_oid_is_zero(commit) ? NULL : git_oid_tostr_s(commit));
	json_set_string(work->reply, "branch", branch);
}
