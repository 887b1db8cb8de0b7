/*
 * Everything that moves a ref.
 *
 * inotify knows directories one by one, so each below refs/ has its own source. A new
 * one is looked through only after its source is there: what is made before the look
 * is seen by it, what comes later by the source.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/cleanup.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/text.h"
#include "watch/watch-private.h"

/* read before the callback goes out, and both before any socket */
#define PRIORITY_EVENTS (SD_EVENT_PRIORITY_IMPORTANT - 1)
#define PRIORITY_NOTIFY SD_EVENT_PRIORITY_IMPORTANT

static void dir_free(struct watch_dir *d)
{
	sd_event_source_disable_unref(d->source);
	if (d->watch->by_path)
		map_remove(d->watch->by_path, d->path);
	list_del(&d->link);
	free(d);
}

static void forget_all(struct watch *w)
{
	struct watch_dir *d, *tmp;

	list_for_each_safe (d, tmp, &w->dirs, link)
		dir_free(d);
}

void watch_refs_deinit(struct watch *w)
{
	forget_all(w);
	map_free(w->by_path);
	w->by_path = NULL;
}

static void refs_changed(struct watch *w)
{
	int r = sd_event_source_set_enabled(w->notify, SD_EVENT_ONESHOT);

	if (r < 0)
		log_error("cannot tell that refs of %s moved: %s", w->path, strerror(-r));
}

static int on_notify(sd_event_source *s, void *userdata)
{
	struct watch *w = userdata;

	w->fn(w, w->userdata);
	return 0;
}

/* slotd's own refs move all the time and tell it nothing */
static bool is_ours(const char *path)
{
	return strcmp(path, "refs/slotd") == 0;
}

static int on_ref_event(sd_event_source *s, const struct inotify_event *e, void *userdata);

static char *absolute(const struct watch *w, const char *path)
{
	return path[0] ? text_printf("%s/%s", w->path, path) : strdup(w->path);
}

static int add_source(struct watch_dir *d, sd_event_source **ret)
{
	_cleanup_(freep) char *path = absolute(d->watch, d->path);
	/* the repository itself may be reached through a link */
	uint32_t mask = WATCH_CHANGES | WATCH_GONE | IN_ONLYDIR | (d->path[0] ? IN_DONT_FOLLOW : 0);
	sd_event_source *source = NULL;
	int r;

	if (!path)
		return -ENOMEM;
	r = sd_event_add_inotify(d->watch->event, &source, path, mask, on_ref_event, d);
	if (r < 0)
		return r;
	r = sd_event_source_set_priority(source, PRIORITY_EVENTS);
	if (r < 0) {
		sd_event_source_disable_unref(source);
		return r;
	}
	*ret = source;
	return 0;
}

static struct watch_dir *dir_new(struct watch *w, const char *path)
{
	struct watch_dir *d = calloc(1, sizeof(*d) + strlen(path) + 1);

	if (!d)
		return NULL;
	strcpy(d->path, path);
	d->watch = w;
	if (map_put(w->by_path, d->path, d) < 0) {
		free(d);
		return NULL;
	}
	list_append(&w->dirs, &d->link);
	return d;
}

/*
 * A directory of a name that is watched already may be a new one, whose forerunner's
 * end is not read yet: it gets a new source in any case.
 */
static int dir_watch(struct watch *w, const char *path)
{
	struct watch_dir *d = map_find(w->by_path, path);
	sd_event_source *source = NULL;
	int r;

	if (!d)
		d = dir_new(w, path);
	if (!d)
		return -ENOMEM;
	r = add_source(d, &source);
	if (r < 0) {
		dir_free(d);
		return r == -ENOENT || r == -ENOTDIR || r == -ELOOP ? -ENOENT : r;
	}
	sd_event_source_disable_unref(d->source);
	d->source = source;
	d->is_scanned = false;
	return 0;
}

static bool is_directory(DIR *dir, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

static char *join(const char *parent, const char *name)
{
	return parent[0] ? text_printf("%s/%s", parent, name) : strdup(name);
}

static int watch_below(struct watch *w, const char *parent, const char *name)
{
	_cleanup_(freep) char *path = join(parent, name);
	int r;

	if (!path)
		return -ENOMEM;
	if (is_ours(path))
		return 0;
	r = dir_watch(w, path);
	return r == -ENOENT ? 0 : r; /* gone again */
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static int dir_scan(struct watch_dir *d)
{
	_cleanup_(freep) char *path = absolute(d->watch, d->path);
	_cleanup_(closedirp) DIR *dir = NULL;
	struct dirent *entry;
	int r;

	if (!path)
		return -ENOMEM;
	d->is_scanned = true;
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	while ((errno = 0, entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || !is_directory(dir, entry))
			continue;
		r = watch_below(d->watch, d->path, entry->d_name);
		if (r < 0)
			return r;
	}
	return -errno;
}

static struct watch_dir *next_unscanned(struct watch *w)
{
	/* new ones are at the end */
	for (struct list *l = w->dirs.prev; l != &w->dirs; l = l->prev) {
		struct watch_dir *d = list_entry(l, struct watch_dir, link);

		if (!d->is_scanned)
			return d;
	}
	return NULL;
}

/* one directory open at a time, however deep they are */
static int scan_all(struct watch *w)
{
	struct watch_dir *d;
	int r = 0;

	while (r == 0 && (d = next_unscanned(w)))
		r = dir_scan(d);
	return r;
}

static void dir_appeared(struct watch_dir *d, const char *name)
{
	struct watch *w = d->watch;
	int r = watch_below(w, d->path, name);

	if (r == 0)
		r = scan_all(w);
	if (r < 0)
		log_warning("changes below %s/%s/%s may be noticed late: %s", w->path, d->path,
			    name, strerror(-r));
}

static void forget_below(struct watch *w, const char *path)
{
	struct watch_dir *d, *tmp;
	size_t len = strlen(path);

	list_for_each_safe (d, tmp, &w->dirs, link)
		if (strncmp(d->path, path, len) == 0 &&
		    (d->path[len] == '/' || d->path[len] == '\0'))
			dir_free(d);
}

/* a directory that was moved away takes those below it along, unheard */
static void dir_left(struct watch_dir *d, const char *name)
{
	_cleanup_(freep) char *path = join(d->path, name);

	if (path)
		forget_below(d->watch, path);
}

/* is this name in the repository's own directory one that says where refs are? */
static bool matters_at_top(const struct inotify_event *e)
{
	return strcmp(e->name, "HEAD") == 0 || strcmp(e->name, "packed-refs") == 0 ||
	       strcmp(e->name, "refs") == 0;
}

static bool matters(const struct watch_dir *d, const struct inotify_event *e)
{
	if (e->len == 0 || text_has_suffix(e->name, ".lock"))
		return false;
	if (d->path[0] == '\0')
		return matters_at_top(e);
	return strcmp(d->path, "refs") != 0 || strcmp(e->name, "slotd") != 0;
}

static int watch_all(struct watch *w)
{
	int r;

	forget_below(w, "refs");
	r = dir_watch(w, "refs");
	return r < 0 && r != -ENOENT ? r : scan_all(w);
}

static int watch_top(struct watch *w)
{
	struct watch_dir *top;
	int r = dir_watch(w, "");

	if (r < 0)
		return r;
	/* of the repository itself only HEAD, packed-refs and refs are of interest */
	top = map_find(w->by_path, "");
	top->is_scanned = true;
	return watch_all(w);
}

/* the repository is gone; it may come back under the same name */
static int on_retry(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct watch *w = userdata;
	int r = watch_top(w);

	if (r >= 0) {
		refs_changed(w);
		return 0;
	}
	r = sd_event_source_set_time_relative(s, WATCH_RETRY_USEC);
	return r < 0 ? r : sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static void dir_gone(struct watch_dir *d)
{
	struct watch *w = d->watch;
	bool is_top = d->path[0] == '\0';
	int r;

	dir_free(d);
	if (!is_top)
		return;
	forget_all(w);
	r = sd_event_source_set_time_relative(w->retry, 0);
	if (r >= 0)
		r = sd_event_source_set_enabled(w->retry, SD_EVENT_ONESHOT);
	if (r < 0)
		log_error("cannot watch %s any longer: %s", w->path, strerror(-r));
}

static void events_lost(struct watch *w)
{
	int r = watch_all(w);

	if (r < 0)
		log_warning("changes of refs below %s may be noticed late: %s", w->path,
			    strerror(-r));
}

/* what this leads to may free the directory that the event is of */
static int on_ref_event(sd_event_source *s, const struct inotify_event *e, void *userdata)
{
	struct watch_dir *d = userdata;

	if (e->mask & IN_Q_OVERFLOW) {
		refs_changed(d->watch);
		events_lost(d->watch);
	} else if (e->mask & WATCH_GONE) {
		refs_changed(d->watch);
		dir_gone(d);
	} else if (matters(d, e)) {
		refs_changed(d->watch);
		if ((e->mask & IN_ISDIR) && (e->mask & (IN_CREATE | IN_MOVED_TO)))
			dir_appeared(d, e->name);
		else if ((e->mask & IN_ISDIR) && (e->mask & IN_MOVED_FROM))
			dir_left(d, e->name);
	}
	return 0;
}

static int prepare(struct watch *w)
{
	int r;

	r = watch_add_timer(w, &w->retry, on_retry);
	if (r >= 0)
		r = sd_event_add_defer(w->event, &w->notify, on_notify, w);
	if (r >= 0)
		r = sd_event_source_set_priority(w->notify, PRIORITY_NOTIFY);
	if (r >= 0)
		r = sd_event_source_set_enabled(w->notify, SD_EVENT_OFF);
	return r < 0 ? r : 0;
}

int watch_refs(sd_event *event, const char *git_dir, watch_fn fn, void *userdata,
	       struct watch **ret, struct fault *f)
{
	_cleanup_(watch_freep) struct watch *w = watch_new(event, fn, userdata);
	int r;

	if (!w)
		return fault_oom(f);
	w->path = strdup(git_dir);
	w->by_path = map_new();
	if (!w->path || !w->by_path)
		return fault_oom(f);
	r = prepare(w);
	if (r == 0)
		r = watch_top(w);
	if (r < 0)
		return fault_errno(f, r, "cannot watch the refs of %s", git_dir);
	*ret = TAKE(w);
	return 0;
}
