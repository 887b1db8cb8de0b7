/**
 * DOC: watch - told when something changed in a directory or a file
 *
 * inotify on the sd-event loop. A watch on a file survives its replacement by
 * rename, as editors do it: its directory is watched and its name compared.
 * A watch is a hint: what must be true is proved elsewhere.
 */
#ifndef WATCH_WATCH_H
#define WATCH_WATCH_H

#include <systemd/sd-event.h>

#include "util/fault.h"

struct watch;

/* something changed; also called when events were lost, so look and compare */
typedef void (*watch_fn)(struct watch *w, void *userdata);

/**
 * watch_file - a file by path, existing or not
 * @settle_usec: call only when nothing more happened for so long (editors write twice)
 *
 * When @path is a link, the link is watched, not what it points to. A file that is new is told
 * when its writer has closed it. Should the directory go, it is looked for until it is back.
 *
 * -ENOENT when its directory does not exist; -ENOSPC when the kernel's limit of watches
 * is reached.
 */
int watch_file(sd_event *event, const char *path, uint64_t settle_usec, watch_fn fn, void *userdata,
	       struct watch **ret, struct fault *f);

/**
 * watch_refs - what moves a repository's refs
 * @git_dir: common directory; its HEAD, packed-refs and refs/ with all directories below
 *
 * The callback runs before any socket of the loop is read, so that who has just committed and
 * asks for a slot gets that commit.
 */
int watch_refs(sd_event *event, const char *git_dir, watch_fn fn, void *userdata,
	       struct watch **ret, struct fault *f);

void watch_free(struct watch *w); /* accepts NULL */

#endif
