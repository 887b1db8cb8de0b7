/* The operator's command: where it runs, and what it may write to. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "util/cleanup.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/log.h"
#include "util/parse.h"
#include "util/text.h"
#include "worker/confine.h"
#include "worker/run.h"
#include "worker/site.h"

#define OWN_PLACES 3 /* the slot, its directory for temporary files, the home */

struct running {
	struct site site;
	int slot_fd;
	char slot_place[40];
	char *tmp;
	const char **argv, **env, **places;
	size_t n_places;
};

static void running_deinit(struct running *run)
{
	closep(&run->slot_fd);
	free(run->tmp);
	free(run->argv);
	free(run->env);
	free(run->places);
}

/* the slot that the ledger means, without a look at its administration */
static int open_slot(struct work *work, struct running *run)
{
	const struct site *s = &run->site;
	struct stat st;

	run->slot_fd = fs_open_beneath(work->worker->slots_fd, s->slot, O_RDONLY | O_DIRECTORY, 0);
	if (run->slot_fd < 0)
		return fault_errno(&work->fault, run->slot_fd == -ENOENT ? -EUCLEAN : run->slot_fd,
				   "cannot open the directory of slot %s", s->slot);
	if (fstat(run->slot_fd, &st) < 0)
		return fault_errno(&work->fault, -errno, "cannot look at the directory of slot %s",
				   s->slot);
	if ((s->dev && st.st_dev != s->dev) || (s->ino && st.st_ino != s->ino))
		return fault(&work->fault, -EUCLEAN, "the directory of slot %s is not the one that was made",
			     s->slot);
	snprintf(run->slot_place, sizeof(run->slot_place), "/proc/self/fd/%d", run->slot_fd);
	return 0;
}

static int make_tmp(struct work *work, struct running *run)
{
	run->tmp = text_printf("%s/" SLOT_TMP_PREFIX "%s", work->worker->slots, run->site.slot);
	if (!run->tmp)
		return fault_oom(&work->fault);
	if (mkdir(run->tmp, 0700) < 0 && errno != EEXIST)
		return fault_errno(&work->fault, -errno, "cannot make %s", run->tmp);
	return 0;
}

/* what is missing would only be noticed as a refusal by Landlock */
static int check_places(struct work *work, const char *const *places, size_t n)
{
	struct stat st;

	for (size_t i = 0; i < n; i++)
		if (stat(places[i], &st) < 0 || !S_ISDIR(st.st_mode))
			return fault(&work->fault, -ENOENT, "warmup.writable: %s is no directory",
				     places[i]);
	return 0;
}

static int find_places(struct work *work, struct running *run)
{
	const char *home = json_get_string(work->params, "home");
	_cleanup_(freep) const char **writable = NULL;
	size_t n;
	int r = site_read_words(work, "writable", &writable, &n);

	if (r == 0)
		r = check_places(work, writable, n);
	if (r == 0)
		r = fs_mkdir_all(home, 0700, &work->fault);
	if (r < 0)
		return r;
	run->places = calloc(n + OWN_PLACES, sizeof(*run->places));
	if (!run->places)
		return fault_oom(&work->fault);
	run->places[run->n_places++] = run->slot_place;
	run->places[run->n_places++] = run->tmp;
	run->places[run->n_places++] = home;
	for (size_t i = 0; i < n; i++)
		run->places[run->n_places++] = writable[i];
	return 0;
}

static void warn_once(const struct worker *w)
{
	static bool warned;

	if (!warned && !landlock_is_there())
		log_warning("this kernel has no Landlock with the right to rename: the commands of slotd.yaml "
			    "may write wherever slotd's user may pool=%s", w->pool);
	warned = true;
}

static int run(struct work *work, struct running *run)
{
	struct run_spec spec = {
		.argv = run->argv,
		.env = run->env,
		.slot_fd = run->slot_fd,
		.writable = run->places,
		.n_writable = run->n_places,
		.timeout_usec = (uint64_t)json_get_int(work->params, "timeoutUsec", 0),
		.low = json_get_bool(work->params, "low", false),
		.close_fd = work->worker->fd,
	};
	struct run_result result = { 0 };
	int r;

	warn_once(work->worker);
	r = run_command(&spec, &result, &work->fault);
	if (r < 0)
		return r;
	json_set_bool(work->reply, "ok", result.ok);
	json_set_string(work->reply, "ended", result.ended);
	json_set_string(work->reply, "output", result.output);
	free(result.output);
	return 0;
}

int job_slot_run(struct work *work)
{
	_cleanup_(running_deinit) struct running running = { .slot_fd = -1 };
	size_t n_words, n_variables;
	int r;

	if (!site_read_slot(work, &running.site))
		return 0;
	r = site_read_words(work, "run", &running.argv, &n_words);
	if (r == 0)
		r = site_read_words(work, "environment", &running.env, &n_variables);
	if (r < 0)
		return r;
	if (n_words == 0)
		return work_invalid(work, "run");
	if (json_get_int(work->params, "timeoutUsec", 0) <= 0)
		return work_invalid(work, "timeoutUsec");
	r = open_slot(work, &running);
	if (r == 0)
		r = make_tmp(work, &running);
	if (r == 0)
		r = find_places(work, &running);
	return r < 0 ? r : run(work, &running);
}
