#include "slotd/slotd.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"
#include "util/cleanup.h"
#include "util/text.h"

Test(lock, second_one_is_told_who_holds_it)
{
	char *dir = scratch_make(), pid[32];
	struct fault f = FAULT_NONE;
	int fd = -1, second = -1;

	cr_assert_eq(state_lock(dir, &fd, &f), 0, "%s", f.text);
	cr_expect_eq(state_lock(dir, &second, &f), -EBUSY);
	snprintf(pid, sizeof(pid), "pid %d", (int)getpid());
	cr_expect_not_null(strstr(f.text, pid), "%s", f.text);
	cr_expect_not_null(strstr(f.text, dir));
	cr_expect_eq(second, -1);
	close(fd);
	cr_expect_eq(state_lock(dir, &second, &f), 0, "free when its holder has closed it");
	close(second);
}

Test(lock, lock_of_a_dead_holder_is_free)
{
	char *dir = scratch_make();
	struct fault f = FAULT_NONE;
	int fd = -1, status;
	pid_t child;

	child = fork();
	if (child == 0) {
		cr_assert_eq(state_lock(dir, &fd, &f), 0);
		raise(SIGKILL);
	}
	waitpid(child, &status, 0);
	cr_expect_eq(state_lock(dir, &fd, &f), 0, "%s", f.text);
	close(fd);
}

Test(lock, link_in_its_place_is_not_followed)
{
	char *dir = scratch_make();
	_cleanup_(freep) char *victim = NULL, *path = NULL;
	struct fault f = FAULT_NONE;
	int fd = -1;

	victim = text_printf("%s/victim", dir);
	path = text_printf("%s/lock", dir);
	cr_assert_eq(symlink(victim, path), 0);
	cr_expect_eq(state_lock(dir, &fd, &f), -ELOOP);
	cr_expect_neq(access(victim, F_OK), 0);
}
