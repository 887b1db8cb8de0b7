/* A small shell's worth of job control. */
#include "slotctl/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "slotctl/exit.h"
#include "util/cleanup.h"

/* what is sent to slotctl and meant for the command */
static const int forwarded[] = { SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2 };

static void fill_mask(const struct child *c, sigset_t *ret)
{
	sigemptyset(ret);
	for (size_t i = 0; i < ARRAY_SIZE(forwarded); i++)
		sigaddset(ret, forwarded[i]);
	sigaddset(ret, SIGCHLD);
	sigaddset(ret, SIGCONT);
	sigaddset(ret, SIGTTOU); /* so that we may take the terminal from behind */
	if (c->tty < 0)
		sigaddset(ret, SIGTSTP); /* nobody else would tell the command */
}

int child_init(struct child *c, struct fault *f)
{
	sigset_t mask;

	*c = (struct child){ .signal_fd = -1,
			     .tty = isatty(STDIN_FILENO) ? STDIN_FILENO : -1,
			     .parent = getpid() };
	signal(SIGCHLD, SIG_DFL); /* ignored, there would be no exit status */
	fill_mask(c, &mask);
	sigprocmask(SIG_BLOCK, &mask, &c->before);
	sigdelset(&mask, SIGTTOU);
	c->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (c->signal_fd < 0) {
		int code = -errno;

		sigprocmask(SIG_SETMASK, &c->before, NULL);
		return fault_errno(f, code, "signalfd");
	}
	return 0;
}

static void take_terminal(const struct child *c)
{
	if (c->tty >= 0 && c->pid > 0 && tcgetpgrp(c->tty) == c->pid)
		tcsetpgrp(c->tty, getpgrp());
}

static void give_terminal(const struct child *c)
{
	if (c->tty >= 0 && tcgetpgrp(c->tty) == getpgrp())
		tcsetpgrp(c->tty, c->pid);
}

void child_deinit(struct child *c)
{
	struct signalfd_siginfo info;

	if (c->signal_fd < 0)
		return;
	while (read(c->signal_fd, &info, sizeof(info)) > 0)
		; /* what came for a command that is no more */
	take_terminal(c);
	close(c->signal_fd);
	c->signal_fd = -1;
	sigprocmask(SIG_SETMASK, &c->before, NULL);
}

/* what goes wrong between fork and exec, told through a pipe */
struct start_failure {
	int code;
	int status;
};

static void __attribute__((noreturn)) give_up(int fd, int status)
{
	struct start_failure failure = { .code = -errno, .status = status };

	while (write(fd, &failure, sizeof(failure)) < 0 && errno == EINTR)
		;
	_exit(status);
}

/*
 * A command whose slotctl was killed would go on in a slot that becomes somebody else's. Whoever
 * ignores SIGTERM is left alone, but for one that has not even begun.
 */
static void end_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() == parent)
		return;
	raise(SIGTERM); /* the parent was killed before that */
	_exit(EXIT_STATUS_SIGNAL + SIGTERM);
}

static void __attribute__((noreturn))
become_command(const struct child *c, char *const *argv, const char *directory,
	       const struct request_variable v[REQUEST_VARIABLES], int failure_fd)
{
	bool foreground = c->tty >= 0 && tcgetpgrp(c->tty) == getpgrp();

	setpgid(0, 0);
	if (foreground)
		tcsetpgrp(c->tty, getpid()); /* SIGTTOU is still blocked */
	sigprocmask(SIG_SETMASK, &c->before, NULL);
	end_with(c->parent);
	if (chdir(directory) < 0)
		give_up(failure_fd, EXIT_STATUS_FAILED);
	for (size_t i = 0; i < REQUEST_VARIABLES; i++) {
		if (!v[i].value)
			unsetenv(v[i].name);
		else if (setenv(v[i].name, v[i].value, 1) < 0)
			give_up(failure_fd, EXIT_STATUS_FAILED);
	}
	setenv("PWD", directory, 1);
	execvp(argv[0], argv);
	give_up(failure_fd, errno == ENOENT || errno == ENOTDIR ? EXIT_STATUS_NOT_FOUND
								: EXIT_STATUS_NOT_EXECUTABLE);
}

/* until it is executed (0) or has given up (1); it may be stopped or ended in between */
static int await_exec(struct child *c, int fd, struct start_failure *ret)
{
	struct pollfd fds[] = { { .fd = fd, .events = POLLIN },
				{ .fd = c->signal_fd, .events = POLLIN } };
	ssize_t n = -1;

	while (n < 0) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[1].revents)
			child_process(c);
		if (fds[0].revents)
			n = read(fd, ret, sizeof(*ret));
	}
	return n == (ssize_t)sizeof(*ret);
}

int child_start(struct child *c, char *const *argv, const char *directory,
		const struct request_variable v[REQUEST_VARIABLES], struct fault *f)
{
	struct start_failure failure;
	int fds[2], gave_up;

	c->status = EXIT_STATUS_FAILED;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return fault_errno(f, -errno, "cannot run %s", argv[0]);
	c->pid = fork();
	if (c->pid == 0)
		become_command(c, argv, directory, v, fds[1]);
	close(fds[1]);
	if (c->pid < 0) {
		c->pid = 0;
		close(fds[0]);
		return fault_errno(f, -errno, "cannot run %s", argv[0]);
	}
	setpgid(c->pid, c->pid); /* whichever of the two comes first */
	give_terminal(c);
	gave_up = await_exec(c, fds[0], &failure);
	close(fds[0]);
	if (!gave_up)
		return 0;
	while (!c->ended && waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
	take_terminal(c);
	c->pid = 0;
	c->status = failure.status;
	if (failure.status == EXIT_STATUS_FAILED)
		return fault_errno(f, failure.code, "cannot enter %s", directory);
	return fault_errno(f, failure.code, "cannot run %s", argv[0]);
}

void child_signal(struct child *c, int sig)
{
	if (c->pid <= 0 || c->ended)
		return;
	kill(-c->pid, sig);
	if (sig == SIGTERM || sig == SIGHUP)
		kill(-c->pid, SIGCONT);
}

/* we were continued, perhaps in the foreground: so is the command */
static void go_on(struct child *c)
{
	give_terminal(c);
	kill(-c->pid, SIGCONT);
	c->was_stopped = true;
}

/* the command has stopped: hand the terminal to the shell, and stop as one job with it */
static void stop_too(struct child *c)
{
	static const struct timespec at_once = { 0 };
	sigset_t continued;

	if (c->tty < 0)
		return;
	take_terminal(c);
	kill(0, SIGTSTP); /* returns at once in an orphaned group: then nobody could continue us */
	sigemptyset(&continued);
	sigaddset(&continued, SIGCONT);
	sigtimedwait(&continued, NULL, &at_once);
	go_on(c);
}

static void reap(struct child *c)
{
	int status;
	pid_t pid;

	while (!c->ended && (pid = waitpid(c->pid, &status, WNOHANG | WUNTRACED)) == c->pid) {
		if (WIFSTOPPED(status)) {
			stop_too(c);
			continue;
		}
		c->ended = true;
		c->status = WIFSIGNALED(status) ? EXIT_STATUS_SIGNAL + WTERMSIG(status)
						: WEXITSTATUS(status);
		take_terminal(c);
	}
}

void child_process(struct child *c)
{
	struct signalfd_siginfo info;

	while (!c->ended && read(c->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		int sig = (int)info.ssi_signo;

		if (sig == SIGCHLD) {
			reap(c);
		} else if (sig == SIGCONT) {
			go_on(c);
		} else if (sig == SIGTSTP) {
			kill(-c->pid, SIGTSTP);
			raise(SIGSTOP);
			go_on(c);
		} else {
			child_signal(c, sig);
		}
	}
}
