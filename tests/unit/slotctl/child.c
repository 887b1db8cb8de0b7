/* A command in a process group of its own, with and without a terminal. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "slotctl/child.h"
#include "util/cleanup.h"

static const struct request_variable variables[REQUEST_VARIABLES] = {
	{ "SLOT_PATH", (char *)"/slot" }, { "SLOT_LEASE", (char *)"lease" },
	{ "SLOT_TOKEN", (char *)"7" },	  { "SLOT_POOL", (char *)"api" },
	{ "SLOT_ID", (char *)"api-1" },	  { "SLOTD_SOCKET", (char *)"/s" },
	{ "SLOT_BRANCH", NULL },	  { "SLOT_TASK", NULL },
	{ "SLOT_HANDOFF", NULL },	  { "SLOT_TMPDIR", (char *)"/tmp" },
	{ "SLOT_PORT_BASE", NULL },	  { "SLOT_PORT_COUNT", NULL },
};

static void await(struct child *c)
{
	struct pollfd p = { .fd = c->signal_fd, .events = POLLIN };

	while (!c->ended) {
		poll(&p, 1, -1);
		child_process(c);
	}
}

static int start(struct child *c, const char *script, const char *directory)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
	struct fault f = FAULT_NONE;

	cr_assert(eq(int, child_init(c, &f), 0));
	return child_start(c, argv, directory, variables, &f);
}

static int run(const char *script)
{
	struct child c;

	cr_assert(eq(int, start(&c, script, "/"), 0));
	await(&c);
	child_deinit(&c);
	return c.status;
}

/* no terminal, and no signal ignored, whoever runs the tests */
static void no_terminal(void)
{
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	close(0);
	cr_assert(eq(int, open("/dev/null", O_RDONLY), 0));
}

TestSuite(child, .init = no_terminal, .timeout = 30);

Test(child, ends_with_the_status_of_its_command)
{
	cr_expect(eq(int, run("exit 0"), 0));
	cr_expect(eq(int, run("exit 42"), 42));
	cr_expect(eq(int, run("kill -KILL $$"), 128 + SIGKILL));
	cr_expect(eq(int, run("kill -INT $$"), 128 + SIGINT));
}

Test(child, has_the_variables_and_lacks_those_without_a_value)
{
	setenv("SLOT_BRANCH", "of-an-outer-slot", 1);
	cr_expect(eq(int, run("test \"$SLOT_ID $SLOT_TOKEN\" = 'api-1 7'"), 0));
	cr_expect(eq(int, run("test -z \"${SLOT_BRANCH+x}\""), 0));
	cr_expect(eq(int, run("test \"$(pwd) $PWD\" = '/ /'"), 0));
}

Test(child, what_cannot_be_executed_is_told_as_shells_do)
{
	static const struct {
		const char *command;
		const char *directory;
		int code, status;
	} cases[] = {
		{ "/nonexistent/x", "/", -ENOENT, 127 },
		{ "no-such-command-anywhere", "/", -ENOENT, 127 },
		{ "/etc/passwd", "/", -EACCES, 126 },
		{ "/etc", "/", -EACCES, 126 },
		{ "true", "/nonexistent", -ENOENT, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *argv[] = { (char *)cases[i].command, NULL };
		struct fault f = FAULT_NONE;
		struct child c;

		cr_assert(eq(int, child_init(&c, &f), 0));
		cr_expect(eq(int, child_start(&c, argv, cases[i].directory, variables, &f),
			     cases[i].code));
		cr_expect(eq(int, c.status, cases[i].status), "%s", cases[i].command);
		cr_expect(eq(int, c.pid, 0));
		child_deinit(&c);
	}
	cr_expect(eq(int, waitpid(-1, NULL, WNOHANG), -1));
}

Test(child, signals_sent_to_us_reach_the_whole_group)
{
	static const int signals[] = { SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2 };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct child c;

		cr_assert(eq(int, start(&c, "sleep 60 | sleep 60", "/"), 0));
		kill(getpid(), signals[i]);
		await(&c);
		child_deinit(&c);
		cr_expect(eq(int, c.status, 128 + signals[i]));
	}
}

static bool is_stopped(pid_t pid)
{
	char path[32], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "r");
	cr_assert(file != NULL);
	cr_assert(eq(int, fscanf(file, "%*d (%*[^)]) %c", &state), 1));
	fclose(file);
	return state == 'T';
}

Test(child, a_stopped_one_is_woken_to_be_ended)
{
	struct child c;

	cr_assert(eq(int, start(&c, "kill -STOP $$; exit 3", "/"), 0));
	while (!is_stopped(c.pid))
		poll(NULL, 0, 5);
	child_signal(&c, SIGTERM);
	await(&c);
	child_deinit(&c);
	cr_expect(eq(int, c.status, 128 + SIGTERM));
}

Test(child, the_mask_and_the_handlers_are_not_inherited)
{
	sigset_t mask;

	cr_expect(eq(int, run("kill -TERM $$; exit 9"), 128 + SIGTERM));
	sigprocmask(SIG_SETMASK, NULL, &mask);
	cr_expect(not(sigismember(&mask, SIGTERM)));
	cr_expect(not(sigismember(&mask, SIGCHLD)));
}

/* --- with a terminal: the part of slotctl is played by a process of its own --- */

/* in a session of its own: a little shell that runs one job and reports how it stopped or ended */
static void __attribute__((noreturn)) play_shell(const char *script)
{
	int status;
	pid_t job;

	signal(SIGTTOU, SIG_IGN);
	job = fork();
	if (job == 0) {
		struct child c;

		setpgid(0, 0);
		tcsetpgrp(0, getpid());
		signal(SIGTTOU, SIG_DFL);
		if (start(&c, script, "/") < 0)
			_exit(99);
		await(&c);
		child_deinit(&c);
		_exit(tcgetpgrp(0) == getpgrp() ? c.status : 98);
	}
	setpgid(job, job);
	while (waitpid(job, &status, WUNTRACED) == job && WIFSTOPPED(status)) {
		dprintf(1, "job stopped, terminal is %s\n",
			tcgetpgrp(0) == job ? "its" : "somebody else's");
		tcsetpgrp(0, job);
		kill(-job, SIGCONT);
	}
	tcsetpgrp(0, getpgrp());
	dprintf(1, "job ended with %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	_exit(0);
}

/* reads until the text appears behind what was expected before */
static void expect_output(int fd, const char *wanted)
{
	static char text[8192];
	static size_t n, seen;
	const char *found;

	while (!(found = strstr(text + seen, wanted))) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t r = poll(&p, 1, 10000) == 1 ? read(fd, text + n, sizeof(text) - 1 - n) : 0;

		cr_assert(gt(long, r, 0), "'%s' does not come; so far: %s", wanted, text);
		n += (size_t)r;
		text[n] = '\0';
	}
	seen = (size_t)(found - text) + strlen(wanted);
}

static int open_terminal(const char *script, pid_t *ret_pid)
{
	int fd;

	*ret_pid = forkpty(&fd, NULL, NULL, NULL);
	cr_assert(ge(int, *ret_pid, 0));
	if (*ret_pid == 0)
		play_shell(script);
	return fd;
}

static void close_terminal(int fd, pid_t pid, const char *end)
{
	expect_output(fd, end);
	waitpid(pid, NULL, 0);
	close(fd);
}

Test(child, has_the_terminal_and_gets_its_interrupts)
{
	pid_t pid;
	int fd =
		open_terminal("trap 'echo interrupted; exit 5' INT; echo up; read x; read x", &pid);

	expect_output(fd, "up");
	cr_assert(eq(long, write(fd, "\003", 1), 1));
	expect_output(fd, "interrupted");
	close_terminal(fd, pid, "job ended with 5");
}

Test(child, stops_as_one_job_and_goes_on_with_the_terminal)
{
	pid_t pid;
	int fd = open_terminal("echo up; read x; echo got $x; exit 4", &pid);

	expect_output(fd, "up");
	cr_assert(eq(long, write(fd, "\032", 1), 1));
	expect_output(fd, "job stopped, terminal is its");
	cr_assert(eq(long, write(fd, "line\n", 5), 5));
	expect_output(fd, "got line");
	close_terminal(fd, pid, "job ended with 4");
}

Test(child, stops_more_than_once)
{
	pid_t pid;
	int fd = open_terminal("trap 'echo back' CONT; echo up; until read x; do :; done; "
			       "echo got $x; exit 6",
			       &pid);

	expect_output(fd, "up");
	for (int i = 0; i < 3; i++) {
		cr_assert(eq(long, write(fd, "\032", 1), 1));
		expect_output(fd, "job stopped");
		expect_output(fd, "back");
	}
	cr_assert(eq(long, write(fd, "a\n", 2), 2));
	expect_output(fd, "got a");
	close_terminal(fd, pid, "job ended with 6");
}
