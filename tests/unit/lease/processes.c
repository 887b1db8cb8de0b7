#include "lease/processes.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/slotd-unit-XXXXXX";
static char before[PATH_MAX];
static struct process_found found[PROCESSES_MOST];

static void make(void)
{
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_not_null(getcwd(before, sizeof(before)));
}

static void unmake(void)
{
	cr_assert_eq(chdir(before), 0);
	cr_assert_eq(rmdir(dir), 0);
}

TestSuite(processes, .init = make, .fini = unmake);

/* the caller's child asks, as slotd's does */
static int ask(const char *path)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct processes_place place = { .path = path };

		_exit(processes_look(&place, 1, getppid()) < 0 ? 255 : (int)place.n & 0x7f);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* how many there are, the first in found[] */
static size_t look(const char *path, const struct process_id *but, size_t n_but)
{
	struct processes_place place = { .path = path, .but = but, .n_but = n_but, .found = found };

	memset(found, 0, sizeof(found));
	cr_assert_eq(processes_look(&place, 1, 0), 0);
	return place.n;
}

/* --- somebody --- */

static int ready[2];

static pid_t begin(void)
{
	pid_t pid;

	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* in the child, when it is what it is to be: until it is ended */
static _Noreturn void stay(void)
{
	(void)!write(ready[1], "x", 1);
	for (;;)
		pause();
}

static void await_ready(void)
{
	char c;

	cr_assert_eq(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
}

static void end(pid_t pid)
{
	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

/* stands in dir, or has a file of it open that is gone by then; flags below 0: it has none */
static pid_t somebody(bool stands, int flags)
{
	char path[64];
	pid_t pid = begin();

	if (pid == 0) {
		snprintf(path, sizeof(path), "%s/f", dir);
		if (stands && chdir(dir) < 0)
			_exit(1);
		if (flags >= 0 && (mknod(path, S_IFREG | 0600, 0) < 0 || open(path, flags) < 0 ||
				   unlink(path) < 0))
			_exit(1);
		stay();
	}
	await_ready();
	return pid;
}

Test(processes, who_asks_for_it_does_not_count)
{
	cr_assert_eq(chdir(dir), 0);
	cr_expect_eq(ask(dir), 0, "slotd may have been started in a slot");
}

Test(processes, a_name_that_begins_alike_is_another_place)
{
	char path[64], other[64];
	pid_t pid;

	snprintf(path, sizeof(path), "%s/p-1", dir);
	snprintf(other, sizeof(other), "%s/p-10", dir);
	cr_assert(mkdir(path, 0700) == 0 && mkdir(other, 0700) == 0);
	cr_assert_eq(chdir(other), 0);
	cr_expect_eq(ask(path), 0);
	cr_expect_eq(look(other, NULL, 0), 0, "nor does the caller");
	pid = begin();
	if (pid == 0)
		stay();
	await_ready();
	cr_expect_eq(look(path, NULL, 0), 0);
	cr_expect_eq(look(other, NULL, 0), 1);
	end(pid);
	cr_assert_eq(chdir(before), 0);
	cr_assert(rmdir(path) == 0 && rmdir(other) == 0);
}

Test(processes, what_somebody_has_there_is_told_apart)
{
	static const struct {
		bool stands;
		int flags;
		enum process_use use;
	} cases[] = {
		{ true, -1, PROCESS_STANDS },
		{ false, O_RDONLY, PROCESS_READS },
		{ true, O_RDONLY, PROCESS_READS },
		{ false, O_PATH, PROCESS_READS },
		{ false, O_WRONLY, PROCESS_WRITES },
		{ false, O_RDWR | O_APPEND, PROCESS_WRITES },
		{ true, O_WRONLY, PROCESS_WRITES },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pid_t pid = somebody(cases[i].stands, cases[i].flags);

		cr_expect_eq(look(dir, NULL, 0), 1, "%zu", i);
		cr_expect_eq(found[0].id.pid, pid, "%zu", i);
		cr_expect_eq(found[0].id.start, process_start_time(pid), "%zu", i);
		cr_expect_eq(found[0].use, cases[i].use, "%zu: %d", i, found[0].use);
		end(pid);
		cr_expect_eq(look(dir, NULL, 0), 0, "%zu: it is gone", i);
	}
}

Test(processes, several_places_are_looked_at_at_once)
{
	struct process_found a_found[PROCESSES_MOST], b_found[PROCESSES_MOST];
	char path[64];
	struct processes_place places[] = { { .path = dir, .found = a_found },
					    { .path = "/nowhere", .found = b_found },
					    { .path = path, .found = b_found } };
	pid_t pid, other;

	snprintf(path, sizeof(path), "%s/below", dir);
	cr_assert_eq(mkdir(path, 0700), 0);
	pid = somebody(true, -1);
	cr_assert_eq(chdir(path), 0);
	other = begin();
	if (other == 0)
		stay();
	await_ready();
	cr_assert_eq(processes_look(places, 3, 0), 0);
	cr_expect_eq(places[0].n, 2, "who is below a place is in it");
	cr_expect_eq(places[1].n, 0);
	cr_expect_eq(places[2].n, 1);
	cr_expect_eq(b_found[0].id.pid, other);
	end(pid);
	end(other);
	cr_assert_eq(chdir(before), 0);
	cr_assert_eq(rmdir(path), 0);
}

/* a caller, its parent (which stands there) and that one's parent, by number of their generation */
Test(processes, ancestors_of_the_excused_do_not_count_but_their_other_children_do)
{
	pid_t parent = begin(), child;
	struct process_id line[8] = { 0 }, child_alone;

	if (parent == 0) {
		if (chdir(dir) < 0 || fork() < 0)
			_exit(1);
		stay(); /* both */
	}
	await_ready();
	cr_assert_eq(look(dir, NULL, 0), 2);
	child = found[0].id.pid == parent ? found[1].id.pid : found[0].id.pid;
	cr_assert_geq(process_line(child, line, 8), 3, "the child, its parent, this one, ...");
	cr_expect_eq(line[1].pid, parent);
	cr_expect_eq(line[2].pid, getpid());
	child_alone = line[0];
	cr_expect_eq(look(dir, &child_alone, 1), 0, "its ancestors are found by themselves");
	cr_expect_eq(look(dir, &line[1], 1), 1, "whose child it is does not count, it does");
	cr_expect_eq(found[0].id.pid, child);
	child_alone.start++;
	cr_expect_eq(look(dir, &child_alone, 1), 2, "the pid was used again: it is somebody else");
	cr_assert_eq(kill(child, SIGKILL), 0);
	end(parent);
	while (process_lives(child))
		usleep(1000);
	cr_expect_eq(look(dir, line, 8), 0);
}

Test(processes, the_line_of_a_caller_that_has_ended_still_excuses_its_parent)
{
	struct process_id line[3] = { { 999999999, 1 }, { 0 } };
	pid_t pid = somebody(true, -1);

	line[1] = (struct process_id){ pid, process_start_time(pid) };
	cr_expect_eq(look(dir, line, 2), 0);
	cr_expect_eq(look(dir, line, 1), 1);
	end(pid);
}

Test(processes, more_than_there_is_room_for_are_counted)
{
	pid_t pids[PROCESSES_MOST + 3];

	for (size_t i = 0; i < PROCESSES_MOST + 3; i++)
		pids[i] = somebody(true, -1);
	cr_expect_eq(look(dir, NULL, 0), PROCESSES_MOST + 3);
	for (size_t i = 0; i < PROCESSES_MOST + 3; i++)
		end(pids[i]);
}

Test(processes, a_name_is_fit_to_be_printed)
{
	char text[PROCESS_TEXT_SIZE], want[64];
	pid_t pid = begin();

	if (pid == 0) {
		if (chdir(dir) < 0)
			_exit(1);
		prctl(PR_SET_NAME, "a\x1b[2J\n(b)\xff");
		stay();
	}
	await_ready();
	cr_expect_eq(look(dir, NULL, 0), 1);
	snprintf(want, sizeof(want), "a?[2J?(b)? (%d, only its working directory)", (int)pid);
	cr_expect_str_eq(process_found_to_string(&found[0], text), want);
	end(pid);
}
