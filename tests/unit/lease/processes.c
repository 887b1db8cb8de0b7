#include "lease/processes.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* the caller's child asks, as slotd's does */
static int ask(const char *path)
{
	pid_t pid = fork(), found[10];
	int status;

	if (pid == 0)
		_exit((int)processes_in(path, getppid(), found, 10) & 0x7f);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

Test(processes, who_asks_for_it_does_not_count)
{
	char dir[] = "/tmp/slotd-unit-XXXXXX", before[PATH_MAX];

	cr_assert_not_null(mkdtemp(dir));
	cr_assert_not_null(getcwd(before, sizeof(before)));
	cr_assert_eq(chdir(dir), 0);
	cr_expect_eq(ask(dir), 0, "slotd may have been started in a slot");
	cr_assert_eq(chdir(before), 0);
	cr_assert_eq(rmdir(dir), 0);
}

Test(processes, a_name_that_begins_alike_is_another_place)
{
	char dir[] = "/tmp/slotd-unit-XXXXXX", path[64], other[64], before[PATH_MAX];
	pid_t found[10];

	cr_assert_not_null(mkdtemp(dir));
	cr_assert_not_null(getcwd(before, sizeof(before)));
	snprintf(path, sizeof(path), "%s/p-1", dir);
	snprintf(other, sizeof(other), "%s/p-10", dir);
	cr_assert(mkdir(path, 0700) == 0 && mkdir(other, 0700) == 0);
	cr_assert_eq(chdir(other), 0);
	cr_expect_eq(ask(path), 0);
	cr_expect_eq(processes_in(other, 0, found, 10), 0, "nor does the caller");
	cr_assert_eq(chdir(before), 0);
	cr_assert(rmdir(path) == 0 && rmdir(other) == 0 && rmdir(dir) == 0);
}
