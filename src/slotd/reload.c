/* A new configuration: all of it, or none. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "slotd/slotd.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/text.h"

#define SETTLE_USEC (200 * USEC_PER_MSEC)

static int check_fixed(const struct conf *was, const struct conf *now, struct fault *f)
{
	static const char sentence[] = "%s: %s cannot change while slotd runs: needs a restart";

	if (strcmp(was->state_dir, now->state_dir) != 0)
		return fault(f, -EINVAL, sentence, now->file, "state_dir");
	if (strcmp(was->slots_dir, now->slots_dir) != 0)
		return fault(f, -EINVAL, sentence, now->file, "slots_dir");
	if (strcmp(was->socket, now->socket) != 0)
		return fault(f, -EINVAL, sentence, now->file, "socket");
	return 0;
}

static void log_faults(const struct conf_faults *faults)
{
	for (size_t i = 1; i < faults->n; i++) /* the first is in the fault */
		log_error("%s", faults->lines[i]);
}

static int take(struct slotd *d, struct fault *f)
{
	struct conf_faults faults = { 0 };
	struct conf *conf = NULL;
	int r;

	r = conf_load(d->conf_path, d->scope, &conf, &faults, f);
	if (r == -ENOENT && !d->conf->file) { /* there was none at the start either */
		conf_faults_deinit(&faults);
		r = conf_default(d->scope, &conf, f);
	}
	log_faults(&faults);
	conf_faults_deinit(&faults);
	if (r == 0)
		r = check_fixed(d->conf, conf, f);
	if (r == 0)
		r = pools_reload(d->pools, conf, f);
	if (r == 0) {
		jobs_set_workers(d->jobs, count_workers(conf));
		server_set_limits(d, conf);
		conf_unref(d->conf);
		d->conf = conf_ref(conf);
	}
	conf_unref(conf);
	return r;
}

void reload(struct slotd *d)
{
	struct fault f = FAULT_NONE;
	uint64_t now;

	if (d->stopping)
		return;
	reload_watch(d); /* its directory may not have been there */
	sd_event_now(d->event, CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)now);
	if (take(d, &f) < 0)
		log_error("the configuration was not taken, the earlier one holds: %s", f.text);
	else
		log_info("the configuration was read again file=%s", d->conf_path);
	sd_notify(0, "READY=1");
}

static void on_change(struct watch *w, void *userdata)
{
	reload(userdata);
}

void reload_watch(struct slotd *d)
{
	struct fault f = FAULT_NONE;
	int r;

	if (d->watch)
		return;
	r = watch_file(d->event, d->conf_path, SETTLE_USEC, on_change, d, &d->watch, &f);
	if (r == -ENOENT)
		log_debug("reload", "no directory to watch for a configuration file file=%s",
			  d->conf_path);
	else if (r < 0)
		log_warning("the configuration file is not watched, use SIGHUP: %s", f.text);
}
