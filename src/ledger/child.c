/* What may crash does so alone. */
#include "ledger/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"

/* shared with the child */
struct report {
	bool is_done;
	int r;
	struct fault fault;
	max_align_t result[];
};

/* --- in the child --- */

void child_begin(pid_t parent)
{
	static const struct rlimit no_core;
	sigset_t none;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	/* a handler of the daemon, or of a sanitizer, has no business here */
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setrlimit(RLIMIT_CORE, &no_core);
}

static uint64_t address_space_bytes(void)
{
	_cleanup_(fclosep) FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages;

	if (!file || fscanf(file, "%lu", &pages) != 1)
		return 0;
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void limit(int resource, uint64_t value)
{
	struct rlimit l;

	if (getrlimit(resource, &l) < 0 || (l.rlim_max != RLIM_INFINITY && l.rlim_max < value))
		return;
	l.rlim_cur = l.rlim_max = value;
	setrlimit(resource, &l);
}

static void set_limits(const struct child_limits *limits)
{
	uint64_t used = address_space_bytes();

	limit(RLIMIT_CPU, (limits->time_msec + 999) / 1000 + 1);
	if (used)
		limit(RLIMIT_AS, used + limits->memory_bytes);
}

/* --- in the parent --- */

static uint64_t now_msec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* 1: the other end of @pipe is closed, so it ended; 0: the time is over */
static int wait_until_ended(int pipe, unsigned time_msec)
{
	uint64_t deadline = now_msec() + time_msec;
	struct pollfd p = { .fd = pipe, .events = POLLIN };
	int n;

	do {
		uint64_t now = now_msec();

		n = poll(&p, 1, now < deadline ? (int)(deadline - now) : 0);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int reap(pid_t pid, int *ret_status)
{
	while (waitpid(pid, ret_status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static bool is_own_fault(int sig)
{
	static const int own[] = { SIGSEGV, SIGBUS,  SIGABRT, SIGFPE, SIGILL,
				   SIGSYS,  SIGTRAP, SIGXCPU, SIGXFSZ };

	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		if (sig == own[i])
			return true;
	}
	return false;
}

static int verdict(const struct report *report, int status, struct fault *f)
{
	if (WIFEXITED(status) && report->is_done)
		return report->r < 0 ? fault(f, report->r, "%s", report->fault.text) : report->r;
	if (WIFSIGNALED(status) && !is_own_fault(WTERMSIG(status)))
		return fault(f, -EINTR, "a process that read the ledger was killed by signal %d",
			     WTERMSIG(status));
	return fault(f, CHILD_DIED, "reading it crashed with %s %d",
		     WIFSIGNALED(status) ? "signal" : "status",
		     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static int await(pid_t pid, int pipe, struct report *report, const struct child_limits *limits,
		 struct fault *f)
{
	int ended = wait_until_ended(pipe, limits->time_msec);
	int status, r;

	/* not reaped yet, so it is still our child's number */
	if (ended != 1)
		kill(pid, SIGKILL);
	r = reap(pid, &status);
	if (r == 0 && ended < 0)
		r = ended;
	if (r < 0)
		return fault_errno(f, r, "cannot wait for a process that reads the ledger");
	if (ended == 0)
		return fault(f, CHILD_DIED, "reading it did not end within %u s",
			     (limits->time_msec + 999) / 1000);
	report->fault.text[sizeof(report->fault.text) - 1] = '\0';
	return verdict(report, status, f);
}

/* the child holds one end of a pipe as long as it lives */
static int run(int (*fn)(void *arg, void *result, struct fault *f), void *arg,
	       struct report *report, const struct child_limits *limits, struct fault *f)
{
	_cleanup_(closep) int held = -1;
	_cleanup_(closep) int seen = -1;
	pid_t parent = getpid();
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return fault_errno(f, -errno, "cannot make a pipe");
	seen = fds[0];
	held = fds[1];
	pid = fork();
	if (pid < 0)
		return fault_errno(f, -errno, "cannot fork");
	if (pid == 0) {
		child_begin(parent);
		set_limits(limits);
		report->r = fn(arg, report->result, &report->fault);
		report->is_done = true;
		_exit(0);
	}
	close(TAKE_FD(held));
	return await(pid, seen, report, limits, f);
}

int child_run(int (*fn)(void *arg, void *result, struct fault *f), void *arg, void *result,
	      size_t size, const struct child_limits *limits, struct fault *f)
{
	size_t bytes = sizeof(struct report) + size;
	struct report *report;
	int r;

	report = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (report == MAP_FAILED)
		return fault_oom(f);
	memcpy(report->result, result, size);
	r = run(fn, arg, report, limits, f);
	memcpy(result, report->result, size);
	munmap(report, bytes);
	return r;
}
