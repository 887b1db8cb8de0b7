/* SLOT_TMPDIR: beside the slot, and emptied with it. */
#include <errno.h>
#include <sys/stat.h>

#include "util/cleanup.h"
#include "util/fs.h"
#include "util/parse.h"
#include "util/text.h"
#include "worker/jobs.h"

static int remove_named(struct work *work, const char *name)
{
	return name ? fs_remove_tree_at(work->worker->slots_fd, name, &work->fault) :
		      fault_oom(&work->fault);
}

int job_remove_tmp(struct work *work, const char *slot)
{
	_cleanup_(freep) char *name = text_printf(SLOT_TMP_PREFIX "%s", slot);

	return remove_named(work, name);
}

int job_reset_tmp(struct work *work, const char *slot)
{
	_cleanup_(freep) char *name = text_printf(SLOT_TMP_PREFIX "%s", slot);
	int r = remove_named(work, name);

	if (r == 0 && mkdirat(work->worker->slots_fd, name, 0700) < 0)
		return fault_errno(&work->fault, -errno, "cannot make %s/%s", work->worker->slots, name);
	return r;
}
