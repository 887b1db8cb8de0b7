/* Commands with real programs: what they are given, what they may do to us, and how they end. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jobs/command.h"
#include "scratch.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/text.h"

#define WHAT	 "alert.run"
#define LONG	 (30 * USEC_PER_SEC)
#define MOST_LOG (1024 * 1024)

struct world {
	char *dir;
	sd_event *event;
	struct commands *commands;
};

/* the log goes to a file, and what loses its parent to us */
static void world_open(struct world *w)
{
	_cleanup_(freep) char *log = NULL;
	struct fault f = FAULT_NONE;
	sigset_t set;
	int fd;

	memset(w, 0, sizeof(*w));
	w->dir = scratch_make();
	log = text_printf("%s/log", w->dir);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	cr_assert(fd >= 0);
	cr_assert(dup2(fd, STDERR_FILENO) >= 0);
	close(fd);
	setenv("SLOTD_DEBUG", "command", 1);
	log_open("slotd", LOG_INFO);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	cr_assert(sd_event_new(&w->event) >= 0);
	cr_assert(eq(int, commands_new(w->event, &w->commands, &f), 0));
}

static void world_close(struct world *w)
{
	commands_free(w->commands);
	sd_event_unref(w->event);
	cr_expect(eq(int, waitpid(-1, NULL, WNOHANG), -1), "nobody is left");
}

static char *read_file(struct world *w, const char *name)
{
	_cleanup_(freep) char *path = text_printf("%s/%s", w->dir, name);
	char *text = NULL;

	cr_assert(eq(int, fs_read_file_at(AT_FDCWD, path, MOST_LOG, &text, NULL), 0), "%s", name);
	return text;
}

static void write_file(struct world *w, const char *name, const char *text)
{
	_cleanup_(freep) char *path = text_printf("%s/%s", w->dir, name);

	cr_assert(eq(int, fs_write_file_at(AT_FDCWD, path, text, strlen(text), 0700), 0));
}

static bool is_there(struct world *w, const char *name)
{
	_cleanup_(freep) char *path = text_printf("%s/%s", w->dir, name);

	return access(path, F_OK) == 0;
}

static unsigned count_logged(struct world *w, const char *text)
{
	_cleanup_(freep) char *log = read_file(w, "log");
	unsigned n = 0;

	for (const char *p = log; (p = strstr(p, text)); p++)
		n++;
	return n;
}

static int start_argv(struct world *w, char *const *argv, char *const *env, uint64_t timeout_usec,
		      struct fault *f)
{
	struct command_spec spec = {
		.what = WHAT, .argv = argv, .env = env, .timeout_usec = timeout_usec
	};

	return command_start(w->commands, &spec, f);
}

/* a script that finds the test's directory in $D */
static int start_script(struct world *w, const char *script, uint64_t timeout_usec)
{
	_cleanup_(freep) char *d = text_printf("D=%s", w->dir);
	char *argv[] = { (char *)"/bin/sh", (char *)"-c", (char *)script, NULL };
	char *env[] = { d, NULL };
	struct fault f = FAULT_NONE;

	return start_argv(w, argv, env, timeout_usec, &f);
}

static bool was_killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void run_until_over(struct world *w)
{
	while (commands_count_running(w->commands) + commands_count_waiting(w->commands) > 0)
		cr_assert(sd_event_run(w->event, UINT64_MAX) >= 0);
}

static void run_until_there(struct world *w, const char *name)
{
	while (!is_there(w, name))
		cr_assert(sd_event_run(w->event, 10 * USEC_PER_MSEC) >= 0);
}

static void run_script(struct world *w, const char *script)
{
	cr_assert(eq(int, start_script(w, script, LONG), 0));
	run_until_over(w);
}

TestSuite(command, .timeout = 100);

/* --- what it is given --- */

/* quietly, and into the test's directory: what the shell itself was started with */
#define TELL                                                                               \
	"tr '\\0' '\\n' </proc/$$/cmdline >\"$D/argv\"; tr '\\0' '\\n' </proc/$$/environ " \
	">\"$D/env\""

Test(command, has_its_words_and_its_environment_and_no_more)
{
	_cleanup_(freep) char *argv_seen = NULL, *env_seen = NULL, *d = NULL, *wanted = NULL;
	struct fault f = FAULT_NONE;
	struct world w;

	world_open(&w);
	setenv("PATH", "/usr/bin:/bin", 1);
	setenv("HOME", "/home/of slotd", 1);
	setenv("SECRET", "of slotd", 1);
	d = text_printf("D=%s", w.dir);
	{
		char *argv[] = { (char *)"sh",	      (char *)"-c",
				 (char *)TELL,	      (char *)"two  words",
				 (char *)"$HOME *;'", (char *)"",
				 (char *)"grün",      NULL };
		char *env[] = { d, (char *)"SLOT_TASK=a=b\nc d", (char *)"EMPTY=", NULL };

		cr_assert(eq(int, start_argv(&w, argv, env, LONG, &f), 0));
	}
	run_until_over(&w);
	argv_seen = read_file(&w, "argv");
	cr_expect(eq(str, argv_seen, (char *)"sh\n-c\n" TELL "\ntwo  words\n$HOME *;'\n\ngrün\n"));
	env_seen = read_file(&w, "env");
	wanted = text_printf("D=%s\nSLOT_TASK=a=b\nc d\nEMPTY=\nPATH=/usr/bin:/bin\n"
			     "HOME=/home/of slotd\nLANG=C.UTF-8\n",
			     w.dir);
	cr_expect(eq(str, env_seen, wanted));
	world_close(&w);
}

Test(command, may_be_told_another_path_home_and_language)
{
	_cleanup_(freep) char *env_seen = NULL, *wanted = NULL, *d = NULL, *path = NULL;
	struct fault f = FAULT_NONE;
	struct world w;

	if (getenv("SLOTD_UNDER_VALGRIND"))
		cr_skip_test(
			"a program outside of /bin runs inside valgrind, which adds variables");
	world_open(&w);
	d = text_printf("D=%s", w.dir);
	path = text_printf("PATH=%s:/usr/bin:/bin", w.dir);
	{
		char *argv[] = { (char *)"of-that-path", NULL };
		char *env[] = { path, (char *)"HOME=/h", (char *)"LANG=C", d, NULL };

		write_file(&w, "of-that-path",
			   "#!/bin/sh\ntr '\\0' '\\n' </proc/$$/environ >\"$D/env\"\n");
		cr_assert(eq(int, start_argv(&w, argv, env, LONG, &f), 0));
	}
	run_until_over(&w);
	env_seen = read_file(&w, "env");
	wanted = text_printf("%s\nHOME=/h\nLANG=C\n%s\n", path, d);
	cr_expect(eq(str, env_seen, wanted));
	world_close(&w);
}

Test(command, is_found_although_slotd_has_no_path_and_no_home)
{
	char *argv[] = { (char *)"env", NULL };
	struct fault f = FAULT_NONE;
	struct world w;

	world_open(&w);
	unsetenv("PATH");
	unsetenv("HOME");
	cr_assert(eq(int, start_argv(&w, argv, NULL, LONG, &f), 0));
	run_until_over(&w);
	cr_expect(eq(u32, count_logged(&w, WHAT ": "), 5)); /* and "started", "done" */
	cr_expect(eq(u32, count_logged(&w, WHAT ": PATH=/usr/local/bin:/usr/bin:/bin\n"), 1));
	cr_expect(eq(u32, count_logged(&w, WHAT ": HOME=/\n"), 1));
	cr_expect(eq(u32, count_logged(&w, WHAT ": LANG=C.UTF-8\n"), 1));
	world_close(&w);
}

/* what slotd is busy with when it starts a command */
static void be_a_daemon(struct world *w)
{
	sigset_t set;
	int last = -1;

	sigfillset(&set);
	sigdelset(&set, SIGALRM); /* of the test's own deadline */
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGRTMIN + 1, SIG_IGN);
	umask(022);
	cr_assert(eq(int, chdir(w->dir), 0));
	for (int i = 0; i < 50; i++)
		last = open("/dev/null", O_RDONLY); /* not even CLOEXEC */
	cr_assert(last >= 50);
}

/* sleep, as soon as it is that; a shell would have plans of its own for its descriptors */
static pid_t start_sleep(struct world *w)
{
	char *argv[] = { (char *)"sleep", (char *)"600", NULL };
	_cleanup_(freep) char *log = NULL;
	_cleanup_(freep) char *exe = NULL;
	struct fault f = FAULT_NONE;
	char target[64] = "";
	const char *at;
	pid_t pid;

	cr_assert(eq(int, start_argv(w, argv, NULL, LONG, &f), 0));
	log = read_file(w, "log");
	at = strstr(log, "started sleep pid=");
	cr_assert(at != NULL);
	pid = (pid_t)strtol(at + strlen("started sleep pid="), NULL, 10);
	exe = text_printf("/proc/%d/exe", (int)pid);
	while (!text_has_suffix(target, "/sleep") && commands_count_running(w->commands) > 0) {
		ssize_t n = readlink(exe, target, sizeof(target) - 1);

		target[n > 0 ? n : 0] = '\0';
		cr_assert(sd_event_run(w->event, USEC_PER_MSEC) >= 0);
	}
	return pid;
}

static char *read_proc(pid_t pid, const char *name)
{
	_cleanup_(freep) char *path = text_printf("/proc/%d/%s", (int)pid, name);
	char *text = NULL;

	cr_assert(eq(int, fs_read_file_at(AT_FDCWD, path, 65536, &text, NULL), 0), "%s", path);
	return text;
}

static void expect_link(pid_t pid, const char *name, const char *target)
{
	_cleanup_(freep) char *path = text_printf("/proc/%d/%s", (int)pid, name);
	char seen[64] = "";

	cr_assert(readlink(path, seen, sizeof(seen) - 1) > 0);
	if (text_has_suffix(target, ":"))
		seen[strcspn(seen, ":") + 1] = '\0';
	cr_expect(text_is_equal(seen, target), "%s is %s", name, seen);
}

static unsigned count_descriptors(pid_t pid)
{
	_cleanup_(freep) char *path = text_printf("/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);
	unsigned n = 0;

	cr_assert(dir != NULL);
	for (struct dirent *e; (e = readdir(dir));)
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

Test(command, inherits_nothing)
{
	static const char *const wanted[] = { "\nSigBlk:\t0000000000000000\n",
					      "\nSigIgn:\t0000000000000000\n",
					      "\nSigCgt:\t0000000000000000\n", "\nNoNewPrivs:\t1\n",
					      "\nUmask:\t0077\n" };
	_cleanup_(freep) char *status = NULL, *stat = NULL;
	int group = 0, session = 0, tty = -1;
	struct world w;
	pid_t pid;

	world_open(&w);
	be_a_daemon(&w);
	pid = start_sleep(&w);
	/* the loader has its libraries open for a moment */
	for (int i = 0; i < 1000 && count_descriptors(pid) != 3; i++)
		usleep(10000);
	cr_expect(eq(u32, count_descriptors(pid), 3));
	expect_link(pid, "fd/0", "/dev/null");
	expect_link(pid, "fd/1", "pipe:");
	expect_link(pid, "fd/2", "pipe:");
	expect_link(pid, "cwd", "/");
	status = read_proc(pid, "status");
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		cr_expect(strstr(status, wanted[i]) != NULL, "%s in %s", wanted[i], status);
	stat = read_proc(pid, "stat");
	cr_assert(eq(int, sscanf(stat, "%*d (sleep) %*c %*d %d %d %d", &group, &session, &tty), 3));
	cr_expect(eq(int, group, pid));
	cr_expect(eq(int, session, pid));
	cr_expect(eq(int, tty, 0));
	world_close(&w);
}

/* --- what it says --- */

Test(command, is_quoted_in_the_log_line_by_line)
{
	struct world w;

	world_open(&w);
	run_script(&w,
		   "echo one; echo; echo two >&2; printf 'a\\033[1mb\\tc\\n'; printf 'the end'");
	cr_expect(eq(u32, count_logged(&w, "slotd: " WHAT ": one\n"), 1));
	cr_expect(eq(u32, count_logged(&w, "slotd: " WHAT ": two\n"), 1));
	cr_expect(eq(u32, count_logged(&w, "slotd: " WHAT ": a?[1mb?c\n"), 1));
	cr_expect(eq(u32, count_logged(&w, "slotd: " WHAT ": the end\n"), 1));
	cr_expect(eq(u32, count_logged(&w, WHAT ": "), 6)); /* and "started", "done" */
	world_close(&w);
}

Test(command, says_only_so_much)
{
	struct world w;

	world_open(&w);
	run_script(&w, "i=0; while [ $i -lt 1000 ]; do echo 123456789; i=$((i + 1)); done; exit 4");
	cr_expect(eq(u32, count_logged(&w, WHAT ": 123456789\n"), COMMAND_OUTPUT_BYTES / 10));
	cr_expect(eq(u32, count_logged(&w, WHAT ": 123456\n"), 1)); /* as far as it fits */
	cr_expect(eq(u32, count_logged(&w, "is not shown\n"), 1));
	cr_expect(eq(u32, count_logged(&w, WHAT ": exited with 4 pid="), 1));
	world_close(&w);
}

Test(command, may_say_a_line_of_any_length_and_no_letter_is_cut)
{
	_cleanup_(freep) char *log = NULL;
	struct world w;
	size_t n = 0;

	world_open(&w);
	run_script(&w, "i=0; while [ $i -lt 1000 ]; do printf '\342\202\254x'; i=$((i + 1)); done");
	log = read_file(&w, "log");
	for (char *p = log; (p = strstr(p, "\342\202\254")); p++)
		n++;
	cr_expect(eq(sz, n, 1000));
	for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n"))
		cr_expect(text_is_utf8(line, strlen(line)), "%s", line);
	world_close(&w);
}

/* how long a turn of the loop kept others waiting */
struct ticks {
	uint64_t last_usec, worst_usec;
	unsigned n;
};

#define TICK_USEC (5 * USEC_PER_MSEC)

static int on_tick(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct ticks *t = userdata;
	uint64_t now = clock_boot_usec(), late = now - t->last_usec;

	if (t->n++ > 0 && late > t->worst_usec)
		t->worst_usec = late;
	t->last_usec = now;
	sd_event_source_set_time_relative(s, TICK_USEC);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

#define FLOOD_BYTES 100000000

Test(command, that_floods_us_holds_nobody_up_and_is_not_stopped)
{
	sd_event_source *timer = NULL;
	struct ticks ticks = { 0 };
	unsigned turns = 0;
	struct world w;

	world_open(&w);
	cr_assert(sd_event_add_time_relative(w.event, &timer, CLOCK_MONOTONIC, TICK_USEC, 1,
					     on_tick, &ticks) >= 0);
	for (int i = 0; i < COMMANDS_AT_ONCE; i++)
		cr_assert(eq(int, start_script(&w, "head -c 100000000 /dev/zero", LONG), 0));
	for (; commands_count_running(w.commands) > 0; turns++)
		cr_assert(sd_event_run(w.event, UINT64_MAX) >= 0);
	sd_event_source_disable_unref(timer);
	cr_expect(turns >= COMMANDS_AT_ONCE * (FLOOD_BYTES / 65536), "a turn reads a pipe's worth");
	cr_expect(ticks.n > 0);
	cr_expect(ticks.worst_usec < USEC_PER_SEC, "%llu usec",
		  (unsigned long long)ticks.worst_usec);
	cr_expect(eq(u32, count_logged(&w, "is not shown\n"), COMMANDS_AT_ONCE));
	cr_expect(eq(u32, count_logged(&w, WHAT ": done pid="), COMMANDS_AT_ONCE));
	world_close(&w);
}

Test(command, may_close_its_output_and_live_on)
{
	unsigned n = 0;
	struct world w;

	world_open(&w);
	cr_assert(eq(int,
		     start_script(&w,
				  "echo last words; exec >&- 2>&-; : >$D/closed; "
				  "while [ ! -e $D/go ]; do sleep 0.05; done; exit 3",
				  LONG),
		     0));
	run_until_there(&w, "closed");
	for (int i = 0; i < 50; i++)
		n += sd_event_run(w.event, 10 * USEC_PER_MSEC) > 0;
	cr_expect(n < 5, "a closed pipe wakes nobody again: %u", n);
	cr_expect(eq(u32, commands_count_running(w.commands), 1));
	write_file(&w, "go", "");
	run_until_over(&w);
	cr_expect(eq(u32, count_logged(&w, WHAT ": last words\n"), 1));
	cr_expect(eq(u32, count_logged(&w, WHAT ": exited with 3 pid="), 1));
	world_close(&w);
}

/* --- how it ends --- */

Test(command, that_fails_is_a_warning_that_says_how)
{
	struct world w;

	world_open(&w);
	unsetenv("SLOTD_DEBUG");
	log_open("slotd", LOG_WARNING);
	run_script(&w, "exit 0");
	cr_expect(eq(u32, count_logged(&w, WHAT), 0), "success is nothing to talk about");
	run_script(&w, "exit 3");
	run_script(&w, "kill -9 $$");
	run_script(&w, "kill -USR1 $$");
	cr_expect(eq(u32, count_logged(&w, WHAT ": exited with 3 pid="), 1));
	cr_expect(eq(u32, count_logged(&w, WHAT ": killed by signal 9 (Killed) pid="), 1));
	cr_expect(eq(u32, count_logged(&w, WHAT ": killed by signal 10 ("), 1));
	cr_expect(eq(u32, count_logged(&w, WHAT), 3));
	world_close(&w);
}

Test(command, that_cannot_be_executed_is_a_warning_with_the_reason)
{
	static const char *const cases[][2] = {
		{ "/nonexistent/x", "No such file or directory" },
		{ "no-such-command-anywhere", "No such file or directory" },
		{ "/etc/passwd", "Permission denied" },
		{ "/etc", "Permission denied" },
	};
	struct world w;

	world_open(&w);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(freep) char *said = NULL;
		char *argv[] = { (char *)cases[i][0], NULL };
		struct fault f = FAULT_NONE;

		cr_assert(eq(int, start_argv(&w, argv, NULL, LONG, &f), 0));
		run_until_over(&w);
		said = text_printf(WHAT ": cannot run %s: %s\n", cases[i][0], cases[i][1]);
		cr_expect(eq(u32, count_logged(&w, said), 1), "%s", said);
	}
	cr_expect(eq(u32, count_logged(&w, "exited with"), 0));
	world_close(&w);
}

Test(command, that_takes_too_long_is_ended_with_all_that_it_started)
{
	uint64_t began = clock_boot_usec();
	struct world w;

	world_open(&w);
	cr_assert(eq(int, start_script(&w, "sleep 600 & sleep 600", 300 * USEC_PER_MSEC), 0));
	run_until_over(&w);
	cr_expect(clock_boot_usec() - began >= 300 * USEC_PER_MSEC);
	cr_expect(clock_boot_usec() - began < COMMAND_DEATH_USEC);
	cr_expect(eq(u32, count_logged(&w, WHAT ": timed out after 0.3s pid="), 1));
	while (waitpid(-1, NULL, 0) > 0)
		; /* the others of its group, for ever if they live on */
	world_close(&w);
}

Test(command, that_is_stopped_is_ended_too)
{
	uint64_t began = clock_boot_usec();
	struct world w;

	world_open(&w);
	cr_assert(eq(int, start_script(&w, "kill -STOP $$", 300 * USEC_PER_MSEC), 0));
	run_until_over(&w);
	cr_expect(clock_boot_usec() - began < COMMAND_DEATH_USEC);
	cr_expect(eq(u32, count_logged(&w, WHAT ": timed out after 0.3s pid="), 1));
	world_close(&w);
}

Test(command, that_ignores_the_end_is_killed)
{
	uint64_t began;
	struct world w;

	world_open(&w);
	cr_assert(eq(int,
		     start_script(&w, "trap '' TERM; : >$D/deaf; while :; do sleep 600; done",
				  USEC_PER_SEC),
		     0));
	began = clock_boot_usec();
	run_until_over(&w);
	cr_expect(clock_boot_usec() - began >= COMMAND_DEATH_USEC);
	cr_expect(is_there(&w, "deaf"));
	cr_expect(eq(u32, count_logged(&w, WHAT ": timed out after 1s and had to be killed pid="),
		     1));
	while (waitpid(-1, NULL, 0) > 0)
		;
	world_close(&w);
}

Test(command, leaves_nobody_of_its_group_behind)
{
	int status = 0;
	struct world w;

	world_open(&w);
	run_script(&w, "sleep 600 & echo $! >$D/left; exit 0");
	cr_expect(waitpid(-1, &status, 0) > 0);
	cr_expect(was_killed(status));
	cr_expect(eq(u32, count_logged(&w, WHAT ": done pid="), 1));
	world_close(&w);
}

/* slotd is a child of the test here, and what it leaves is the test's */
Test(command, dies_with_slotd)
{
	_cleanup_(freep) char *text = NULL;
	int status = 0;
	pid_t slotd, command;
	struct world w;

	world_open(&w);
	slotd = fork();
	cr_assert(slotd >= 0);
	if (slotd == 0) {
		struct fault f = FAULT_NONE;
		sd_event *event = NULL; /* that of the test is not good in a child */

		if (sd_event_new(&event) < 0 || commands_new(event, &w.commands, &f) < 0 ||
		    start_script(&w, "echo $$ >$D/pid; : >$D/there; exec sleep 600", LONG) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	run_until_there(&w, "there"); /* no other program ran: one that is killed later would be left */
	text = read_file(&w, "pid");
	kill(slotd, SIGKILL);
	cr_assert(eq(int, waitpid(slotd, NULL, 0), slotd));
	command = (pid_t)strtol(text, NULL, 10);
	cr_expect(eq(int, waitpid(command, &status, 0), command));
	cr_expect(was_killed(status));
	world_close(&w);
}

/* --- many of them --- */

#define WAIT_FOR_GO "while [ ! -e $D/go ]; do sleep 0.05; done"

static void start_numbered(struct world *w, unsigned number)
{
	_cleanup_(freep) char *what = text_printf("number %u", number);
	_cleanup_(freep) char *d = text_printf("D=%s", w->dir);
	char *argv[] = { (char *)"/bin/sh", (char *)"-c",
			 (char *)"echo + >>$D/diary; " WAIT_FOR_GO "; echo - >>$D/diary", NULL };
	char *env[] = { d, NULL };
	struct command_spec spec = { .what = what, .argv = argv, .env = env, .timeout_usec = LONG };
	struct fault f = FAULT_NONE;

	cr_assert(eq(int, command_start(w->commands, &spec, &f), 0));
}

static size_t diary_length(struct world *w)
{
	_cleanup_(freep) char *diary = read_file(w, "diary");

	return strlen(diary);
}

/* of the lines "+" and "-": how many there were without their end at the same time */
static int most_at_once(const char *diary)
{
	int now = 0, most = 0;

	for (const char *p = diary; *p; p += 2) {
		now += *p == '+' ? 1 : -1;
		most = now > most ? now : most;
	}
	return most;
}

Test(command, four_run_at_the_same_time_and_the_others_wait_in_order)
{
	_cleanup_(freep) char *diary = NULL, *log = NULL;
	char *at;
	struct world w;

	world_open(&w);
	write_file(&w, "diary", "");
	for (unsigned i = 0; i < 40; i++)
		start_numbered(&w, i);
	cr_expect(eq(u32, commands_count_running(w.commands), COMMANDS_AT_ONCE));
	cr_expect(eq(u32, commands_count_waiting(w.commands), 40 - COMMANDS_AT_ONCE));
	while (diary_length(&w) < COMMANDS_AT_ONCE * strlen("+\n"))
		cr_assert(sd_event_run(w.event, 10 * USEC_PER_MSEC) >= 0);
	write_file(&w, "go", "");
	while (commands_count_running(w.commands) > 0) {
		cr_expect(commands_count_running(w.commands) <= COMMANDS_AT_ONCE);
		cr_assert(sd_event_run(w.event, UINT64_MAX) >= 0);
	}
	diary = read_file(&w, "diary");
	cr_expect(eq(sz, strlen(diary), 40 * strlen("+\n-\n")));
	cr_expect(eq(int, most_at_once(diary), COMMANDS_AT_ONCE));
	at = log = read_file(&w, "log");
	for (unsigned i = 0; i < 40 && at; i++) {
		_cleanup_(freep) char *said = text_printf("number %u: started ", i);

		at = strstr(at, said);
		cr_expect(at != NULL, "%s", said);
	}
	world_close(&w);
}

Test(command, line_has_an_end_and_says_how_many_it_turned_away)
{
	char *argv[] = { (char *)"true", NULL };
	struct fault f = FAULT_NONE;
	struct world w;

	world_open(&w);
	for (int i = 0; i < COMMANDS_AT_ONCE; i++)
		cr_assert(eq(int, start_script(&w, WAIT_FOR_GO, LONG), 0));
	for (int i = 0; i < COMMANDS_WAITING; i++)
		cr_assert(eq(int, start_argv(&w, argv, NULL, LONG, &f), 0));
	for (int i = 0; i < 10; i++) {
		cr_expect(eq(int, start_argv(&w, argv, NULL, LONG, &f), -ENOBUFS));
		cr_expect(eq(str, f.text,
			     (char *)"alert.run: not run, as 256 commands wait already"));
	}
	cr_expect(eq(u32, count_logged(&w, "not run, as 256 commands wait already\n"), 1));
	cr_expect(eq(u32, commands_count_waiting(w.commands), COMMANDS_WAITING));
	write_file(&w, "go", "");
	run_until_over(&w);
	cr_expect(
		eq(u32, count_logged(&w, "10 commands were dropped, as 256 waited already\n"), 1));
	cr_expect(
		eq(u32, count_logged(&w, WHAT ": done pid="), COMMANDS_AT_ONCE + COMMANDS_WAITING));
	cr_assert(eq(int, start_argv(&w, argv, NULL, LONG, &f), 0), "it moves again");
	run_until_over(&w);
	cr_expect(eq(u32, count_logged(&w, "dropped"), 1));
	world_close(&w);
}

Test(command, without_descriptors_is_refused_and_later_works)
{
	char *argv[] = { (char *)"true", NULL };
	struct rlimit limit, before;
	struct fault f = FAULT_NONE;
	struct world w;

	world_open(&w);
	cr_assert(eq(int, getrlimit(RLIMIT_NOFILE, &before), 0));
	limit = before;
	limit.rlim_cur = 0;
	cr_assert(eq(int, setrlimit(RLIMIT_NOFILE, &limit), 0));
	cr_expect(eq(int, start_argv(&w, argv, NULL, LONG, &f), -EMFILE));
	cr_assert(eq(int, setrlimit(RLIMIT_NOFILE, &before), 0));
	cr_expect(eq(str, f.text, (char *)"alert.run: cannot start true: Too many open files"));
	cr_expect(eq(u32, commands_count_running(w.commands), 0));
	cr_expect(eq(int, start_argv(&w, argv, NULL, LONG, &f), 0));
	run_until_over(&w);
	cr_expect(eq(u32, count_logged(&w, WHAT ": done pid="), 1));
	world_close(&w);
}

Test(command, none_outlives_commands_free)
{
	unsigned killed = 0;
	int status = 0;
	struct world w;

	world_open(&w);
	for (int i = 0; i < COMMANDS_AT_ONCE + 2; i++) {
		_cleanup_(freep) char *script = text_printf(
			"trap '' TERM HUP; sleep 600 & : >$D/up%d; echo $$; wait; sleep 600", i);

		cr_assert(eq(int, start_script(&w, script, LONG), 0));
	}
	for (int i = 0; i < COMMANDS_AT_ONCE; i++) {
		_cleanup_(freep) char *up = text_printf("up%d", i);

		run_until_there(&w, up);
	}
	commands_free(TAKE(w.commands));
	while (waitpid(-1, &status, 0) > 0)
		killed += was_killed(status);
	cr_expect(eq(u32, killed, COMMANDS_AT_ONCE)); /* the sleeps: shells were reaped there */
	cr_expect(eq(u32, count_logged(&w, WHAT ": killed, as slotd ends pid="), COMMANDS_AT_ONCE));
	cr_expect(eq(u32, count_logged(&w, "2 commands are not run any more\n"), 1));
	world_close(&w);
}

Test(command, none_outlives_commands_free_in_its_first_moment)
{
	struct world w;

	world_open(&w);
	for (int i = 0; i < 50; i++) {
		struct fault f = FAULT_NONE;

		cr_assert(eq(int, start_script(&w, "sleep 600 & sleep 600", LONG), 0));
		commands_free(w.commands);
		cr_assert(eq(int, commands_new(w.event, &w.commands, &f), 0));
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
	world_close(&w);
}
