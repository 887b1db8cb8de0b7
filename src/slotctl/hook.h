/**
 * DOC: hook - what a harness tells its hook, and what slotd is told of it
 *
 * A harness starts the hook and writes one JSON object to its standard input. Of that, a few
 * fields count; all others are passed over.
 *
 * Names
 * -----
 * A session and a worktree may be called anything, a label of slotd may not. What is plain
 * (letters, digits and "._-") and short enough stays as it is; the rest is shortened to what is plain
 * in it, "~" and 16 hex digits made from all of it, so that no two of them become the same. The
 * same input gives the same names at any time, from any process.
 */
#ifndef SLOTCTL_HOOK_H
#define SLOTCTL_HOOK_H

#include <json-c/json.h>

#include "util/fault.h"

#define HOOK_INPUT_BYTES (1 << 20) /* at most */
#define HOOK_KEYS	 64 /* leases of one worktree within the time that slotd knows their keys */

struct hook_input {
	json_object *object;
	/* borrowed from it; NULL: not there */
	const char *session;
	const char *cwd;
	const char *name;
	const char *path;
};

/**
 * hook_read - one JSON object from a descriptor
 * @ret: the caller puts it
 *
 * Reads no further than the object's end, so nobody has to close the other side. -EINVAL with a
 * sentence, -ENOMEM, or what read(2) says.
 */
int hook_read(int fd, json_object **ret, struct fault *f);

/**
 * hook_take_create - the fields of a worktree to be made
 * @object: taken over
 * @ret: the caller calls hook_input_deinit()
 *
 * session_id, cwd (absolute) and name are all there, and the name can be part of a branch's; or
 * -EINVAL with a sentence that names the field.
 */
int hook_take_create(json_object *object, struct hook_input *ret, struct fault *f);

/* the same of a worktree to be removed: session_id, and worktree_path (or path, absolute) or name */
int hook_take_remove(json_object *object, struct hook_input *ret, struct fault *f);

void hook_input_deinit(struct hook_input *in);

/* what the lease is asked for with; each is allocated, NULL: no memory */
char *hook_agent(const struct hook_input *in);
char *hook_task(const struct hook_input *in);
char *hook_branch(const struct hook_input *in);

/**
 * hook_key - what makes asking again harmless
 * @repository: any string that names it: one session may have worktrees of several
 * @n: 1 for the first lease, greater for those after it
 */
char *hook_key(const struct hook_input *in, const char *repository, unsigned n);

#endif
