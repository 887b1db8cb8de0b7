/* Methods and their jobs. */
#include "worker/jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "git/store.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "worker/confine.h"

static int job_hello(struct work *work)
{
	int64_t protocol = json_get_int(work->params, "protocol", 0);

	if (protocol != WORKER_PROTOCOL)
		return fault(&work->fault, -EPROTO,
			     "this worker (%s) speaks protocol %d, slotd speaks %lld: restart slotd "
			     "after an upgrade",
			     SLOTD_VERSION, WORKER_PROTOCOL, (long long)protocol);
	json_set_int(work->reply, "protocol", WORKER_PROTOCOL);
	json_set_string(work->reply, "version", SLOTD_VERSION);
	return 0;
}

static const struct {
	const char *method;
	work_fn fn;
} jobs[] = {
	{ "Hello", job_hello },
	{ "StoreOpen", job_store_open },
	{ "StoreFetch", job_store_fetch },
	{ "StoreResolve", job_store_resolve },
	{ "StoreUnpushed", job_store_unpushed },
	{ "StoreRelease", job_store_release },
	{ "StoreMaintain", job_store_maintain },
	{ "StoreCheck", job_store_check },
	{ "SlotCreate", job_slot_create },
	{ "SlotPrepare", job_slot_prepare },
	{ "SlotClean", job_slot_clean },
	{ "SlotRemove", job_slot_remove },
	{ "SlotObserve", job_slot_observe },
	{ "SlotProve", job_slot_prove },
	{ "SlotRun", job_slot_run },
	{ "SlotSeed", job_slot_seed },
	{ "SlotStamp", job_slot_stamp },
	{ "SalvageList", job_salvage_list },
	{ "SalvageShow", job_salvage_show },
	{ "SalvageDrop", job_salvage_drop },
	{ "SalvageBranch", job_salvage_branch },
	{ "SalvageRestoreDir", job_salvage_restore_dir },
	{ "SalvageRestoreSlot", job_salvage_restore_slot },
};

work_fn work_find(const char *method)
{
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		if (strcmp(jobs[i].method, method) == 0)
			return jobs[i].fn;
	return NULL;
}

static int confine(struct worker *w, const char *common_dir, struct fault *f)
{
	bool active;
	int r = landlock_restrict(common_dir, w->slots, &active, f);

	if (r == 0 && !active)
		log_warning("this kernel has no Landlock with the right to rename: the worker may "
			    "write wherever its user may pool=%s",
			    w->pool);
	return r;
}

/* from now on this is the store, and nothing else is written to */
static int use_store(struct work *work, const char *common_dir)
{
	struct worker *w = work->worker;
	_cleanup_(freep) char *copy = strdup(common_dir);
	int r;

	if (!copy)
		return fault_oom(&work->fault);
	r = confine(w, copy, &work->fault);
	if (r == 0)
		w->common_dir = TAKE(copy);
	return r;
}

int job_find_store(struct work *work)
{
	struct worker *w = work->worker;
	_cleanup_(freep) char *common_dir = NULL;
	int r = 0;

	if (w->common_dir)
		return 0;
	if (w->adopted)
		r = store_find(w->store, &common_dir, &work->fault);
	return r < 0 ? r : use_store(work, w->adopted ? common_dir : w->store);
}

int job_know_store(struct work *work, const char *common_dir)
{
	struct worker *w = work->worker;

	if (w->common_dir)
		return 0;
	return use_store(work, w->adopted ? common_dir : w->store);
}

int job_open_repo(struct work *work, struct repo **ret)
{
	int r = job_find_store(work);

	return r < 0 ? r : repo_open(work->worker->common_dir, ret, &work->fault);
}
