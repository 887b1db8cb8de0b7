/**
 * DOC: job - work on a repository that slotctl's caller may do himself
 *
 * slotctl knows nothing of repositories, and slotd cannot write where only its caller may. So slotctl
 * starts a slotd-worker of its own, as the caller, for one job.
 */
#ifndef SLOTCTL_JOB_H
#define SLOTCTL_JOB_H

#include "slotctl/cli.h"

/**
 * job_run - start a worker, have it do one job, end it
 * @store: common directory of the repository, absolute
 * @dir: what the worker calls its slots directory, absolute; it may write there and nowhere else, but
 *	for the repository if the method says so
 * @method: of io.slotd.worker
 * @params: taken over
 * @ret: the reply, which the caller puts
 *
 * A failure has been told to the person. The worker does not outlive slotctl.
 */
enum exit_status job_run(struct cli *cli, const char *store, const char *dir, const char *method,
			 json_object *params, json_object **ret);

#endif
