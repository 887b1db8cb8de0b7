/**
 * DOC: release - what became of a slot that was given back
 */
#ifndef SLOTCTL_RELEASE_H
#define SLOTCTL_RELEASE_H

#include <json-c/json.h>
#include <stdio.h>

#include "slotctl/cli.h"

/**
 * release_call - end a lease, and say on standard error for whom the slot has to wait meanwhile
 * @method: Release or Finish
 * @params: taken over
 * @ret: the reply, which the caller puts; when the connection ends after that was said, as it was then:
 *	the lease is over
 *
 * Returns 0 or the negative errno of slot_call_more().
 */
int release_call(struct cli *cli, const char *method, json_object *params, json_object **ret);

/**
 * release_print - tell it in sentences
 * @reply: of Release or Finish
 * @path: of the slot; NULL: asked for if it matters
 * @to: standard output, or standard error when standard output is somebody else's
 */
void release_print(struct cli *cli, json_object *reply, const char *path, FILE *to);

#endif
