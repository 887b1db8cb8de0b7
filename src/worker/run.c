/* One that runs, one that keeps, one that listens. */
#include "worker/run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/clock.h"
#include "util/crash.h"
#include "util/process.h"
#include "util/text.h"
#include "worker/confine.h"

#define KILL_USEC	(10 * USEC_PER_SEC) /* for what is left to be gone */
#define KILL_NAP_USEC	(5 * USEC_PER_MSEC)
#define LEAST_NICE	19
#define IOPRIO_PROCESS	1
#define IOPRIO_IDLE	(3 << 13)
#define FAILURE_FD	3 /* in the command's process */
#define READ_BYTES	65536
#define LAST_READS	16 /* when all have ended: somebody may have got the pipe by a socket */

/* what the command's process says when it cannot become the command */
struct failure {
	int code; /* errno */
	char what[120];
};

/* what the keeper says at the end */
struct ending {
	bool late;	/* at its time limit */
	bool stubborn;	/* what it left cannot be killed */
	int how, status; /* as waitid(2) says */
	struct failure failure; /* code 0: none */
};

/* --- the command's process --- */

static _Noreturn void give_up(int fd, const char *what, int code)
{
	struct failure failure = { .code = code };

	snprintf(failure.what, sizeof(failure.what), "%s", what);
	while (write(fd, &failure, sizeof(failure)) < 0 && errno == EINTR)
		;
	_exit(127);
}

/* what cannot be had is done without: it is for others, not for the command */
static void step_back(void)
{
	int fd;

	(void)setpriority(PRIO_PROCESS, 0, LEAST_NICE);
	(void)syscall(SYS_ioprio_set, IOPRIO_PROCESS, 0, IOPRIO_IDLE);
	/* where sessions are groups to the scheduler, a nice value counts within one only */
	fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		(void)!write(fd, "19", 2);
		close(fd);
	}
}

static void confine_command(const struct run_spec *spec, int failure_fd)
{
	struct fault f = FAULT_NONE;
	bool active;
	int r = landlock_restrict_to(spec->writable, spec->n_writable, &active, &f);

	if (r < 0)
		give_up(failure_fd, f.text, -r);
}

static _Noreturn void become_command(const struct run_spec *spec, int output_fd, int failure_fd,
				     pid_t keeper)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper)
		_exit(127);
	process_reset_signals();
	if (setsid() < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		give_up(failure_fd, "its process cannot be prepared", errno);
	if (!process_set_output(output_fd))
		give_up(failure_fd, "its output cannot be prepared", errno);
	if (fchdir(spec->slot_fd) < 0)
		give_up(failure_fd, "the slot cannot be entered", errno);
	if (spec->low)
		step_back();
	umask(022);
	confine_command(spec, failure_fd);
	if (failure_fd != FAILURE_FD && dup3(failure_fd, FAILURE_FD, O_CLOEXEC) < 0)
		give_up(failure_fd, "its descriptors cannot be prepared", errno);
	close_range(FAILURE_FD + 1, ~0U, 0);
	environ = (char **)spec->env;
	execvp(spec->argv[0], (char *const *)spec->argv);
	give_up(FAILURE_FD, "", errno);
}

/* --- the keeper --- */

static void kill_children(void)
{
	pid_t self = getpid();
	DIR *proc = opendir("/proc");
	struct dirent *e;

	while (proc && (e = readdir(proc))) {
		pid_t pid = (pid_t)atoi(e->d_name);

		if (pid > 0 && process_parent(pid) == self)
			kill(pid, SIGKILL);
	}
	if (proc)
		closedir(proc);
}

/* those of killed ones become ours in turn; false: some are left */
static bool end_children(void)
{
	uint64_t until = clock_boot_usec() + KILL_USEC;

	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid < 0 && errno == ECHILD)
			return true;
		if (pid != 0)
			continue;
		if (clock_boot_usec() >= until)
			return false;
		kill_children();
		usleep(KILL_NAP_USEC);
	}
}

/* true: the command has ended, and is not reaped yet: until then its number is nobody else's */
static bool has_ended(pid_t command, siginfo_t *si)
{
	for (;;) {
		memset(si, 0, sizeof(*si));
		if (waitid(P_PID, (id_t)command, si, WEXITED | WNOHANG | WNOWAIT) == 0 && si->si_pid)
			return true;
		memset(si, 0, sizeof(*si));
		if (waitid(P_ALL, 0, si, WEXITED | WNOHANG | WNOWAIT) < 0 || si->si_pid == 0)
			return false;
		if (si->si_pid != command)
			waitpid(si->si_pid, NULL, 0); /* one that it had left behind */
	}
}

static int wait_for_signal(uint64_t until_usec)
{
	uint64_t now = clock_boot_usec(), left = until_usec > now ? until_usec - now : 0;
	struct timespec ts = { .tv_sec = (time_t)(left / USEC_PER_SEC),
			       .tv_nsec = (long)(left % USEC_PER_SEC) * 1000 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGHUP);
	return sigtimedwait(&set, NULL, &ts);
}

/* until it has ended, its time is over, or the worker is gone */
static void attend(const struct run_spec *spec, pid_t command, struct ending *ret)
{
	uint64_t until = clock_boot_usec() + spec->timeout_usec;
	siginfo_t si;

	while (!has_ended(command, &si)) {
		if (wait_for_signal(until) == SIGHUP)
			return;
		if (clock_boot_usec() < until)
			continue;
		if (ret->late)
			return;
		ret->late = true;
		until = clock_boot_usec() + RUN_DEATH_USEC;
		kill(-command, SIGTERM);
		kill(-command, SIGCONT); /* or a stopped one would not hear it */
	}
	ret->how = si.si_code;
	ret->status = si.si_status;
}

static int make_pipe(int *ret_read, int *ret_write)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	*ret_read = fds[0];
	*ret_write = fds[1];
	return 0;
}

static pid_t start_command(const struct run_spec *spec, int output_fd, int *ret_failure_fd)
{
	int failure_fd = -1;
	pid_t keeper = getpid(), pid;

	if (make_pipe(ret_failure_fd, &failure_fd) < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		become_command(spec, output_fd, failure_fd, keeper);
	close(failure_fd);
	return pid;
}

/* in a process of its own; the lock of the slot came with it */
static _Noreturn void keep(const struct run_spec *spec, int output_fd, int ending_fd, pid_t worker)
{
	struct ending ending = { 0 };
	int failure_fd = -1;
	sigset_t all;
	pid_t command;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	close(spec->close_fd);
	if (prctl(PR_SET_PDEATHSIG, SIGHUP) < 0 || getppid() != worker || setsid() < 0 ||
	    prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		_exit(1);
	command = start_command(spec, output_fd, &failure_fd);
	close(output_fd);
	if (command < 0)
		_exit(1);
	CRASH_POINT("run.keeper.started");
	attend(spec, command, &ending);
	kill(-command, SIGKILL);
	ending.stubborn = !end_children();
	if (read(failure_fd, &ending.failure, sizeof(ending.failure)) != (ssize_t)sizeof(ending.failure))
		ending.failure.code = 0;
	_exit(write(ending_fd, &ending, sizeof(ending)) != (ssize_t)sizeof(ending));
}

/* --- the worker --- */

/* the last RUN_OUTPUT_BYTES stay */
static void add_output(struct text *t, const char *data, size_t len)
{
	text_add(t, data, len);
	if (t->len > 4 * RUN_OUTPUT_BYTES) {
		memmove(t->data, t->data + t->len - RUN_OUTPUT_BYTES, RUN_OUTPUT_BYTES + 1);
		t->len = RUN_OUTPUT_BYTES;
	}
}

/* false: nothing now */
static bool read_output(int fd, struct text *t)
{
	char buf[READ_BYTES];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n > 0)
		add_output(t, buf, (size_t)n);
	return n > 0;
}

static bool is_text(unsigned char c)
{
	return c >= ' ' || c == '\n' || c == '\t';
}

/* for people, and for JSON: from the beginning of a line where something was cut off */
static char *take_output(struct text *t)
{
	size_t skip = t->len > RUN_OUTPUT_BYTES ? t->len - RUN_OUTPUT_BYTES : 0;
	char *newline = skip ? memchr(t->data + skip, '\n', t->len - skip) : NULL;

	for (size_t i = 0; i < t->len; i++)
		if (!is_text((unsigned char)t->data[i]))
			t->data[i] = '?';
	if (newline)
		skip = (size_t)(newline + 1 - t->data);
	if (skip) {
		memmove(t->data, t->data + skip, t->len - skip + 1);
		t->len -= skip;
	}
	if (!t->data)
		return strdup("");
	text_mend_utf8(t->data);
	return text_take(t);
}

static void describe(const struct run_spec *spec, const struct ending *e, struct run_result *ret)
{
	const char *name = spec->argv[0];
	size_t size = sizeof(ret->ended);

	ret->ok = e->failure.code == 0 && !e->late && !e->stubborn && e->how == CLD_EXITED &&
		  e->status == 0;
	if (e->failure.code && e->failure.what[0])
		snprintf(ret->ended, size, "%.60s could not be run: %s", name, e->failure.what);
	else if (e->failure.code)
		snprintf(ret->ended, size, "%.60s could not be run: %s", name,
			 strerror(e->failure.code));
	else if (e->stubborn)
		snprintf(ret->ended, size, "%.60s left processes that cannot be killed", name);
	else if (e->late)
		snprintf(ret->ended, size, "%.60s did not end within %gs", name,
			 (double)spec->timeout_usec / USEC_PER_SEC);
	else if (e->how == CLD_EXITED)
		snprintf(ret->ended, size, "%.60s exited with %d", name, e->status);
	else
		snprintf(ret->ended, size, "%.60s was killed by signal %d (%s)", name, e->status,
			 strsignal(e->status));
}

/* reads what is said until the keeper has said its word, or is gone without one */
static bool listen(int output_fd, int ending_fd, struct text *output, struct ending *ret)
{
	struct pollfd fds[] = { { .fd = ending_fd, .events = POLLIN },
				{ .fd = output_fd, .events = POLLIN } };
	bool told;

	do {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return false;
		if (fds[1].revents && !read_output(output_fd, output) && fds[1].revents & POLLHUP)
			fds[1].fd = -1; /* nobody can say anything any more */
	} while (!fds[0].revents);
	told = read(ending_fd, ret, sizeof(*ret)) == (ssize_t)sizeof(*ret);
	for (int i = 0; i < LAST_READS && read_output(output_fd, output); i++)
		;
	return told;
}

static int start_keeper(const struct run_spec *spec, int *ret_output_fd, int *ret_ending_fd,
			struct fault *f)
{
	_cleanup_(closep) int output_fd = -1, ending_fd = -1;
	pid_t worker = getpid(), pid;
	int r = make_pipe(ret_output_fd, &output_fd);

	if (r == 0)
		r = make_pipe(ret_ending_fd, &ending_fd);
	if (r == 0 && fcntl(*ret_output_fd, F_SETFL, O_NONBLOCK) < 0)
		r = -errno;
	/* should the keeper die before its time, its children come to us */
	if (r == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		r = -errno;
	if (r < 0)
		return fault_errno(f, r, "cannot prepare to run %s", spec->argv[0]);
	pid = fork();
	if (pid == 0)
		keep(spec, output_fd, ending_fd, worker);
	return pid < 0 ? fault_errno(f, -errno, "cannot start a process") : 0;
}

int run_command(const struct run_spec *spec, struct run_result *ret, struct fault *f)
{
	_cleanup_(closep) int output_fd = -1, ending_fd = -1;
	_cleanup_(text_deinit) struct text output = { 0 };
	struct ending ending = { 0 };
	bool told, gone;
	int r = start_keeper(spec, &output_fd, &ending_fd, f);

	if (r < 0)
		return r;
	CRASH_POINT("run.worker.started");
	told = listen(output_fd, ending_fd, &output, &ending);
	gone = end_children();
	if (!told)
		return fault(f, -EIO, "the process that %s ran in is gone", spec->argv[0]);
	ending.stubborn |= !gone;
	ret->output = take_output(&output);
	if (!ret->output)
		return fault_oom(f);
	describe(spec, &ending, ret);
	return 0;
}
