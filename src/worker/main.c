/* slotd-worker: the only process that touches repositories. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "git/repo.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/log.h"
#include "util/parse.h"
#include "worker/confine.h"
#include "worker/worker.h"

#define EXIT_USAGE 2

#if defined(__SANITIZE_ADDRESS__)
/* libgit2 1.5 leaks when it looks for extensions in a configuration of format 1 */
#define EXPORTED __attribute__((visibility("default")))
EXPORTED const char *__lsan_default_suppressions(void);
EXPORTED const char *__lsan_default_options(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:libpcre2-8.so";
}

const char *__lsan_default_options(void)
{
	return "print_suppressions=0";
}
#endif

struct arguments {
	struct worker worker;
	int64_t protocol;
	int64_t parent;
	int64_t fd;
};

enum {
	OPT_PROTOCOL = 1,
	OPT_POOL,
	OPT_STORE,
	OPT_SLOTS,
	OPT_FD,
	OPT_PARENT,
	OPT_PATH_STORE,
	OPT_COMMANDS,
	OPT_VERSION,
};

static const struct option options[] = {
	{ "protocol", required_argument, NULL, OPT_PROTOCOL },
	{ "pool", required_argument, NULL, OPT_POOL },
	{ "store", required_argument, NULL, OPT_STORE },
	{ "slots", required_argument, NULL, OPT_SLOTS },
	{ "fd", required_argument, NULL, OPT_FD },
	{ "parent", required_argument, NULL, OPT_PARENT },
	{ "path-store", no_argument, NULL, OPT_PATH_STORE },
	{ "commands", no_argument, NULL, OPT_COMMANDS },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ 0 },
};

/* false: a value is not a number */
static bool take_option(struct arguments *a, int option)
{
	switch (option) {
	case OPT_PROTOCOL:
		return parse_int(optarg, &a->protocol) == 0;
	case OPT_POOL:
		a->worker.pool = optarg;
		return true;
	case OPT_STORE:
		a->worker.store = optarg;
		return true;
	case OPT_SLOTS:
		a->worker.slots = optarg;
		return true;
	case OPT_FD:
		return parse_int(optarg, &a->fd) == 0;
	case OPT_PARENT:
		return parse_int(optarg, &a->parent) == 0;
	case OPT_PATH_STORE:
		a->worker.adopted = true;
		return true;
	case OPT_COMMANDS:
		a->worker.commands = true;
		return true;
	case OPT_VERSION:
		puts("slotd-worker " SLOTD_VERSION);
		exit(EXIT_SUCCESS);
	default:
		return false;
	}
}

static bool parse_arguments(int argc, char **argv, struct arguments *ret)
{
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
		if (!take_option(ret, option))
			return false;
	return optind == argc && ret->worker.pool && ret->worker.store && ret->worker.slots &&
	       ret->worker.store[0] == '/' && ret->worker.slots[0] == '/' && ret->fd >= 0 &&
	       ret->parent >= 0;
}

static int serve(struct arguments *a, struct fault *f)
{
	struct worker *w = &a->worker;
	int r;

	if (fcntl((int)a->fd, F_SETFD, FD_CLOEXEC) < 0)
		return fault_errno(f, -errno, "descriptor %d is not open", (int)a->fd);
	w->fd = (int)a->fd;
	r = w->commands ? limits_set_for_commands((pid_t)a->parent, f) :
			  limits_set((pid_t)a->parent, f);
	if (r < 0)
		return r;
	/* opens the file of a crash test while it still may */
	CRASH_POINT("worker.start");
	r = repo_global_init(f);
	if (r < 0)
		return r;
	r = worker_init(w, f);
	if (r == 0)
		r = worker_serve(w, f);
	worker_deinit(w);
	return r;
}

int main(int argc, char **argv)
{
	struct arguments a = { .fd = -1, .worker = { .slots_fd = -1 } };
	struct fault f = FAULT_NONE;

	log_open("slotd-worker", LOG_INFO);
	if (!parse_arguments(argc, argv, &a)) {
		fputs("slotd-worker is started by slotd, not by hand\n"
		      "usage: slotd-worker --protocol 2 --pool NAME --store PATH --slots PATH --fd N"
		      " [--parent PID] [--path-store] [--commands]\n",
		      stderr);
		return EXIT_USAGE;
	}
	if (a.protocol != WORKER_PROTOCOL) {
		log_error("this worker (%s) speaks protocol %d, not %lld", SLOTD_VERSION,
			  WORKER_PROTOCOL, (long long)a.protocol);
		return EXIT_USAGE;
	}
	if (serve(&a, &f) < 0) {
		log_error("%s pool=%s", f.text, a.worker.pool);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
