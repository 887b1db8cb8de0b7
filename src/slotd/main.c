/* Puts the parts together, in order, and takes them apart. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "slotd/slotd.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/clock.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/process.h"
#include "util/text.h"

#define EXIT_USAGE 2

static const char usage[] =
	"Usage: slotd [--config FILE] [--user] [--log-level LEVEL]\n"
	"\n"
	"Keeps pools of ready git worktrees and leases them to agents. Stays in the\n"
	"foreground; SIGHUP reads the configuration again, SIGTERM ends it in order.\n"
	"\n"
	"  --config FILE      configuration; default /etc/slotd/slotd.yaml, with --user\n"
	"                     $XDG_CONFIG_HOME/slotd/slotd.yaml if there is one\n"
	"  --user             serve the calling user: state, slots and socket of his own\n"
	"  --log-level LEVEL  error, warning, notice, info (default) or debug\n"
	"  -h, --help         this text\n"
	"  --version          the version\n"
	"\n"
	"Environment: SLOTD_WORKER names the worker program, SLOTD_DEBUG=PART,... turns on\n"
	"debug lines of parts (jobs, lease, ...). See slotd(8), slotd.yaml(5), slotctl(1).\n";

struct options {
	const char *config;
	bool user;
	int level;
};

/* 0: go on; 1: done; negative: usage */
static int parse_options(int argc, char **argv, struct options *ret)
{
	static const struct option longopts[] = {
		{ "config", required_argument, NULL, 'c' }, { "user", no_argument, NULL, 'u' },
		{ "log-level", required_argument, NULL, 'l' }, { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },	    { NULL, 0, NULL, 0 },
	};
	int c;

	ret->level = LOG_INFO;
	while ((c = getopt_long(argc, argv, "h", longopts, NULL)) != -1) {
		switch (c) {
		case 'c':
			ret->config = optarg;
			break;
		case 'u':
			ret->user = true;
			break;
		case 'l':
			if (log_level_from_string(optarg, &ret->level) < 0) {
				fprintf(stderr, "slotd: --log-level is error, warning, notice, info "
						"or debug, not \"%s\"\n", optarg);
				return -EINVAL;
			}
			break;
		case 'h':
			fputs(usage, stdout);
			return 1;
		case 'v':
			puts("slotd " SLOTD_VERSION);
			return 1;
		default:
			fputs("slotd: try slotd --help\n", stderr);
			return -EINVAL;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "slotd: takes no argument \"%s\"; try slotd --help\n", argv[optind]);
		return -EINVAL;
	}
	return 0;
}

/* --- the configuration --- */

static int load_conf(struct slotd *d, const struct options *o, struct fault *f)
{
	struct conf_faults faults = { 0 };
	int r;

	d->scope = o->user ? CONF_SCOPE_USER : CONF_SCOPE_SYSTEM;
	d->conf_path = o->config ? strdup(o->config) : conf_default_path(d->scope);
	if (!d->conf_path)
		return fault_oom(f);
	r = conf_load(d->conf_path, d->scope, &d->conf, &faults, f);
	if (r == -ENOENT && !o->config) {
		/* the defaults do, and pools can be added at run time; a file that is written later is taken */
		log_info("there is no configuration, the defaults hold file=%s", d->conf_path);
		conf_faults_deinit(&faults);
		return conf_default(d->scope, &d->conf, f);
	}
	for (size_t i = 1; r < 0 && i < faults.n; i++) /* the first is in the fault */
		log_error("%s", faults.lines[i]);
	conf_faults_deinit(&faults);
	return r;
}

/* --- the ledger --- */

/* usable, or made anew from the copy; *ret_rebuilt: what is on disk has to be looked at */
static int ready_ledger(const char *state_dir, uint64_t events_keep, bool *ret_rebuilt,
			struct fault *f)
{
	enum ledger_verdict verdict;
	unsigned from_copy = 0;
	int r;

	*ret_rebuilt = false;
	r = ledger_judge(state_dir, &verdict, f);
	if (r < 0)
		return r;
	switch (verdict) {
	case LEDGER_VERDICT_GOOD:
		r = ledger_is_unproved(state_dir, f);
		*ret_rebuilt = r > 0;
		return r < 0 ? r : 0;
	case LEDGER_VERDICT_FRESH:
		return 0;
	case LEDGER_VERDICT_NEWER:
		return -EPROTONOSUPPORT;
	case LEDGER_VERDICT_MISSING:
	case LEDGER_VERDICT_DAMAGED:
		break;
	}
	log_error("the ledger cannot be used and is rebuilt: %s", f->text);
	r = ledger_rebuild(state_dir, events_keep, &from_copy, f);
	if (r < 0)
		return r;
	log_notice("the ledger was rebuilt from its copy and from what is on disk records=%u",
		   from_copy);
	*ret_rebuilt = true;
	return 0;
}

/* --- all of it --- */

static int block_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0;
}

/* connections, workers and watches need descriptors */
static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

unsigned count_workers(const struct conf *conf)
{
	long n = conf->workers ? (long)conf->workers : sysconf(_SC_NPROCESSORS_ONLN);

	return n < 2 ? 2 : (unsigned)n;
}

static int start_pools(struct slotd *d, struct fault *f)
{
	_cleanup_(freep) char *worker = process_find_worker(SLOTD_WORKER_PATH);
	bool rebuilt;
	int r;

	if (!worker)
		return fault_oom(f);
	r = state_lock(d->conf->state_dir, &d->lock_fd, f);
	if (r == 0)
		r = fs_mkdir_all(d->conf->slots_dir, 0755, f);
	if (r == 0)
		r = ready_ledger(d->conf->state_dir, d->conf->events.keep, &rebuilt, f);
	if (r == 0)
		r = ledger_open(d->conf->state_dir, 0, d->conf->events.keep, &d->ledger, f);
	if (r == 0)
		r = jobs_new(d->event, d->conf->state_dir, worker, count_workers(d->conf), &d->jobs,
			     f);
	if (r == 0)
		r = pools_new(d->event, d->jobs, d->ledger, d->conf, &d->pools, f);
	if (r == 0)
		r = pools_start(d->pools, rebuilt, f);
	CRASH_POINT("slotd.started");
	if (r == 0 && rebuilt)
		r = ledger_set_proved(d->conf->state_dir, f);
	if (r == 0)
		pools_on_events(d->pools, events_announce, d);
	return r;
}

static int start(struct slotd *d, struct fault *f)
{
	int r;

	r = sd_event_default(&d->event);
	if (r < 0)
		return fault_errno(f, r, "cannot make an event loop");
	r = shutdown_init(d, f);
	if (r == 0)
		r = start_pools(d, f);
	if (r == 0)
		r = server_open(d, f);
	if (r < 0)
		return r;
	reload_watch(d);
	sd_event_set_watchdog(d->event, true);
	return 0;
}

static void deinit(struct slotd *d)
{
	events_close(d);
	server_close(d);
	watch_free(d->watch);
	pools_free(d->pools);
	jobs_free(d->jobs);
	ledger_close(d->ledger);
	shutdown_deinit(d);
	sd_event_unref(d->event);
	conf_unref(d->conf);
	free(d->conf_path);
	closep(&d->lock_fd);
}

static int run(struct slotd *d, struct fault *f)
{
	int r = start(d, f);

	if (r < 0)
		return r;
	log_info("slotd %s serves on %s state=%s pid=%d", SLOTD_VERSION, d->conf->socket,
		 d->conf->state_dir, (int)getpid());
	sd_notify(0, "READY=1\nSTATUS=serving");
	r = sd_event_loop(d->event);
	if (r < 0)
		return fault_errno(f, r, "the event loop failed");
	log_info("stopped");
	return r == 0 ? 0 : fault(f, -EIO, "leaving, to be started again");
}

int main(int argc, char **argv)
{
	struct slotd d = { .lock_fd = -1, .spare_fd = -1 };
	struct fault f = FAULT_NONE;
	struct options options = { 0 };
	int r = parse_options(argc, argv, &options);

	if (r != 0)
		return r < 0 ? EXIT_USAGE : EXIT_SUCCESS;
	log_open("slotd", options.level);
	umask(022);
	list_init(&d.followers);
	d.started_usec = clock_boot_usec();
	r = block_signals();
	if (r == 0) {
		raise_limits();
		r = load_conf(&d, &options, &f);
	}
	if (r == 0)
		r = run(&d, &f);
	if (r < 0)
		log_error("%s", f.text[0] ? f.text : strerror(-r));
	deinit(&d);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
