/**
 * DOC: release - what became of a slot that was given back
 */
#ifndef SLOTCTL_RELEASE_H
#define SLOTCTL_RELEASE_H

#include <json-c/json.h>
#include <stdio.h>

#include "slotctl/cli.h"

/**
 * release_print - tell it in sentences
 * @reply: of Release or Finish
 * @path: of the slot; NULL: asked for if it matters
 * @to: standard output, or standard error when standard output is somebody else's
 */
void release_print(struct cli *cli, json_object *reply, const char *path, FILE *to);

#endif
