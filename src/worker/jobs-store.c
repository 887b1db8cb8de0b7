/* What is done to and asked of the store. */
#include "worker/jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "git/owner.h"
#include "git/feature.h"
#include "git/maintain.h"
#include "git/store.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"

#define HELPER_ARGS 64

/* borrows from the parameters and from @helper */
static void read_credentials(json_object *params, const char **helper, struct credentials *ret)
{
	json_object *o = json_get_object(params, "credentials");
	json_object *argv = json_get_array(o, "helper");
	size_t n = argv ? json_object_array_length(argv) : 0;

	*ret = (struct credentials){ .ssh_key = json_get_string(o, "sshKey"),
				     .known_hosts = json_get_string(o, "knownHosts"),
				     .token_file = json_get_string(o, "tokenFile") };
	if (n == 0 || n >= HELPER_ARGS)
		return;
	for (size_t i = 0; i < n; i++)
		helper[i] = json_object_get_string(json_object_array_get_idx(argv, i));
	helper[n] = NULL;
	ret->helper = helper;
}

static void read_remote(struct work *work, const char *url, const char **helper,
			struct store_remote *ret)
{
	*ret = (struct store_remote){ .url = url,
				      .adopted = work->worker->adopted,
				      .progress = work_progress,
				      .userdata = work };
	read_credentials(work->params, helper, &ret->credentials);
}

static void set_oid(json_object *reply, const char *key, const git_oid *oid)
{
	json_set_string(reply, key, git_oid_is_zero(oid) ? NULL : git_oid_tostr_s(oid));
}

static int add_feature(const struct feature *feature, void *userdata)
{
	json_object *o = json_object_new_object();

	json_set_string(o, "what", feature->what);
	json_set_path(o, "where", feature->where);
	json_object_object_del(o, "whereBase64");
	json_set_string(o, "detail", feature->detail);
	json_object_array_add(userdata, o);
	return 0;
}

/* what slots cannot give is told, and so is that it cannot be told */
static void set_unsupported(struct work *work, struct repo *repo, const git_oid *head)
{
	json_object *list = json_object_new_array();
	struct fault f = FAULT_NONE;

	json_set(work->reply, "unsupported", list);
	if (feature_find(repo, git_oid_is_zero(head) ? NULL : head, add_feature, list, &f) < 0)
		log_warning("cannot tell what the repository needs: %s pool=%s", f.text,
			    work->worker->pool);
}

static int set_ref_and_head(struct work *work, struct repo *repo)
{
	_cleanup_(freep) char *ref = NULL;
	git_oid head;
	int r;

	r = store_resolve(repo, work->worker->adopted, json_get_string(work->params, "ref"), &ref,
			  &head, &work->fault);
	if (r < 0)
		return r;
	json_set_string(work->reply, "ref", ref);
	set_oid(work->reply, "head", &head);
	set_unsupported(work, repo, &head);
	return 0;
}

static int clone_store(struct work *work, const char *url)
{
	const char *helper[HELPER_ARGS];
	struct store_remote remote;
	int r = job_find_store(work);

	if (r < 0)
		return r;
	read_remote(work, url, helper, &remote);
	return store_clone(work->worker->common_dir, &remote, &work->fault);
}

int job_store_open(struct work *work)
{
	const char *url = json_get_string(work->params, "url");
	const char *owner = json_get_string(work->params, "owner");
	bool fresh = json_get_bool(work->params, "fresh", false);
	_cleanup_repo_ struct repo *repo = NULL;
	int r = 0;

	if (work->worker->adopted && url)
		return work_invalid(work, "url");
	if (!work->worker->adopted && fresh && !url)
		return work_invalid(work, "url");
	if (!work->worker->adopted && fresh)
		r = clone_store(work, url);
	if (r == 0)
		r = job_open_repo(work, &repo);
	if (r == 0)
		r = store_ready(repo, &work->fault);
	if (r == 0 && !work->worker->adopted)
		r = store_maintain_undo(repo, &work->fault);
	if (r == 0 && work->worker->adopted && owner)
		r = owner_claim(repo, owner, &work->fault);
	if (r == 0)
		r = set_ref_and_head(work, repo);
	if (r == 0)
		json_set_string(work->reply, "commonDir", repo_common_dir(repo));
	return r;
}

int job_store_release(struct work *work)
{
	_cleanup_repo_ struct repo *repo = NULL;
	int r = job_open_repo(work, &repo);

	return r < 0 ? r : owner_release(repo, json_get_string(work->params, "owner"), &work->fault);
}

/* an adopted repository knows its origin itself, when the caller names none */
static int find_url(struct work *work, struct repo *repo, char **ret)
{
	const char *url = json_get_string(work->params, "url");

	if (*url || !work->worker->adopted) {
		*ret = strdup(url);
		return *ret ? 0 : fault_oom(&work->fault);
	}
	return store_origin_url(repo, ret, &work->fault);
}

static int fetch(struct work *work, struct repo *repo)
{
	_cleanup_(freep) char *url = NULL;
	const char *helper[HELPER_ARGS];
	struct store_remote remote;
	int r = find_url(work, repo, &url);

	if (r < 0)
		return r;
	read_remote(work, url, helper, &remote);
	return store_fetch(repo, &remote, &work->fault);
}

int job_store_fetch(struct work *work)
{
	_cleanup_repo_ struct repo *repo = NULL;
	_cleanup_(freep) char *ref = NULL;
	git_oid head;
	int r = job_open_repo(work, &repo);

	if (r == 0)
		r = fetch(work, repo);
	if (r == 0)
		r = store_resolve(repo, work->worker->adopted,
				  json_get_string(work->params, "ref"), &ref, &head, &work->fault);
	if (r == 0)
		set_oid(work->reply, "head", &head);
	return r;
}

int job_store_resolve(struct work *work)
{
	_cleanup_repo_ struct repo *repo = NULL;
	int r = job_open_repo(work, &repo);

	return r < 0 ? r : set_ref_and_head(work, repo);
}

static int add_string(const char *what, void *userdata)
{
	json_object_array_add(userdata, json_object_new_string(what));
	return 0;
}

int job_store_unpushed(struct work *work)
{
	_cleanup_repo_ struct repo *repo = NULL;
	json_object *list = json_object_new_array();
	int r;

	json_set(work->reply, "branches", list);
	r = job_open_repo(work, &repo);
	return r < 0 ? r : store_unpushed(repo, add_string, list, &work->fault);
}
