/**
 * DOC: watch-private - what both kinds of watch are made of
 *
 * All directories are watched through sd-event's own inotify sources, which share one
 * descriptor, for the kernel gives a user 128 only. Events are gathered: they enable
 * the notify source, and that calls back once.
 */
#ifndef WATCH_WATCH_PRIVATE_H
#define WATCH_WATCH_PRIVATE_H

#include <stdbool.h>
#include <sys/inotify.h>

#include "util/clock.h"
#include "util/list.h"
#include "util/map.h"
#include "watch/watch.h"

#define WATCH_CHANGES (IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define WATCH_GONE    (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)

/* how often a directory that is gone is looked for */
#define WATCH_RETRY_USEC (2 * USEC_PER_SEC)

struct watch_dir {	  /* a directory below watch.path */
	struct list link; /* watch.dirs */
	struct watch *watch;
	sd_event_source *source;
	bool is_scanned;
	char path[]; /* relative to watch.path; "" for itself; the key in watch.by_path */
};

struct watch {
	sd_event *event;
	sd_event_source *notify; /* off until something changed */
	watch_fn fn;
	void *userdata;
	char *path; /* the directory; of a file its parent */

	sd_event_source *retry; /* looks for it while it is gone */

	/* of a file */
	char *name;
	uint64_t settle_usec;
	sd_event_source *source; /* of the directory; NULL while it is gone */

	/* of refs */
	struct list dirs;
	struct map *by_path;
};

/* NULL: no memory */
struct watch *watch_new(sd_event *event, watch_fn fn, void *userdata);

/* off until it is set */
int watch_add_timer(struct watch *w, sd_event_source **ret, sd_event_time_handler_t handler);

/* frees the directories of watch_refs() */
void watch_refs_deinit(struct watch *w);

static inline void watch_freep(struct watch **w)
{
	watch_free(*w);
}

#endif
