/* One file, whatever becomes of it. */
#include "watch/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "util/cleanup.h"
#include "util/log.h"
#include "util/text.h"
#include "watch/watch-private.h"

struct watch *watch_new(sd_event *event, watch_fn fn, void *userdata)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->event = sd_event_ref(event);
	w->fn = fn;
	w->userdata = userdata;
	list_init(&w->dirs);
	return w;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	watch_refs_deinit(w);
	sd_event_source_disable_unref(w->source);
	sd_event_source_disable_unref(w->retry);
	sd_event_source_disable_unref(w->notify);
	sd_event_unref(w->event);
	free(w->path);
	free(w->name);
	free(w);
}

/* the callback comes when nothing more has happened for settle_usec */
static void file_changed(struct watch *w)
{
	int r = sd_event_source_set_time_relative(w->notify, w->settle_usec);

	if (r >= 0)
		r = sd_event_source_set_enabled(w->notify, SD_EVENT_ONESHOT);
	if (r < 0)
		log_error("cannot wait for %s to settle: %s", w->name, strerror(-r));
}

static int on_settled(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct watch *w = userdata;

	w->fn(w, w->userdata);
	return 0;
}

/*
 * A file that was just made is still empty; who makes it will close it, and that is
 * the event to wait for. Links come whole.
 */
static bool is_being_written(const struct watch *w)
{
	_cleanup_(freep) char *path = text_printf("%s/%s", w->path, w->name);
	struct stat st;

	if (!path || lstat(path, &st) < 0)
		return false;
	return S_ISREG(st.st_mode) && st.st_nlink == 1;
}

static int on_file_event(sd_event_source *s, const struct inotify_event *e, void *userdata);

static int arm(struct watch *w)
{
	return sd_event_add_inotify(w->event, &w->source, w->path,
				    WATCH_CHANGES | WATCH_GONE | IN_ONLYDIR, on_file_event, w);
}

static int on_retry(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct watch *w = userdata;
	int r = arm(w);

	if (r >= 0) {
		file_changed(w);
		return 0;
	}
	r = sd_event_source_set_time_relative(s, WATCH_RETRY_USEC);
	return r < 0 ? r : sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static void directory_gone(struct watch *w)
{
	int r;

	w->source = sd_event_source_disable_unref(w->source);
	r = sd_event_source_set_time_relative(w->retry, 0);
	if (r >= 0)
		r = sd_event_source_set_enabled(w->retry, SD_EVENT_ONESHOT);
	if (r < 0)
		log_error("cannot watch %s any longer: %s", w->path, strerror(-r));
	file_changed(w);
}

static int on_file_event(sd_event_source *s, const struct inotify_event *e, void *userdata)
{
	struct watch *w = userdata;
	bool is_ours = e->len > 0 && strcmp(e->name, w->name) == 0;

	if (e->mask & WATCH_GONE)
		directory_gone(w);
	else if (e->mask & IN_Q_OVERFLOW)
		file_changed(w);
	else if (is_ours && !((e->mask & IN_CREATE) && is_being_written(w)))
		file_changed(w);
	return 0;
}

int watch_add_timer(struct watch *w, sd_event_source **ret, sd_event_time_handler_t handler)
{
	int r = sd_event_add_time_relative(w->event, ret, CLOCK_BOOTTIME, 0, 1000, handler, w);

	return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

/* "slotd.yaml" is in ".", "/slotd.yaml" in "/" */
static int split_path(struct watch *w, const char *path)
{
	const char *slash = strrchr(path, '/');

	w->name = strdup(slash ? slash + 1 : path);
	w->path = !slash	  ? strdup(".")
		  : slash == path ? strdup("/")
				  : strndup(path, (size_t)(slash - path));
	return w->name && w->path ? 0 : -ENOMEM;
}

int watch_file(sd_event *event, const char *path, uint64_t settle_usec, watch_fn fn, void *userdata,
	       struct watch **ret, struct fault *f)
{
	_cleanup_(watch_freep) struct watch *w = watch_new(event, fn, userdata);
	int r;

	if (!w || split_path(w, path) < 0)
		return fault_oom(f);
	w->settle_usec = settle_usec;
	r = watch_add_timer(w, &w->notify, on_settled);
	if (r >= 0)
		r = watch_add_timer(w, &w->retry, on_retry);
	if (r < 0)
		return fault_errno(f, r, "cannot make a timer");
	r = arm(w);
	if (r < 0)
		return fault_errno(f, r, "cannot watch the directory %s", w->path);
	*ret = TAKE(w);
	return 0;
}
