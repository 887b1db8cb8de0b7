/* One slotd for one state directory. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "slotd/slotd.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fs.h"
#include "util/text.h"

#define DYING_USEC (5 * USEC_PER_SEC)
#define STEP_USEC  (10 * USEC_PER_MSEC)

static void holder_of(int fd, char *ret, size_t size)
{
	ssize_t n = pread(fd, ret, size - 1, 0);

	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
}

static bool is_gone(const char *holder)
{
	int pid;

	return sscanf(holder, "pid %d", &pid) == 1 && pid > 0 && kill(pid, 0) < 0 && errno == ESRCH;
}

/* a slotd that was killed is survived for a moment by children, which have its lock as well */
static int take_lock(int fd, char *ret_holder, size_t size)
{
	for (uint64_t waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += STEP_USEC) {
		holder_of(fd, ret_holder, size);
		if (waited >= DYING_USEC || !is_gone(ret_holder))
			return -EBUSY;
		usleep(STEP_USEC);
	}
	return 0;
}

int state_lock(const char *state_dir, int *ret, struct fault *f)
{
	_cleanup_(freep) char *path = text_printf("%s/lock", state_dir);
	_cleanup_(closep) int fd = -1;
	char holder[64], me[32];
	int r;

	if (!path)
		return fault_oom(f);
	r = fs_mkdir_all(state_dir, 0700, f);
	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fault_errno(f, -errno, "cannot open %s", path);
	if (take_lock(fd, holder, sizeof(holder)) < 0)
		return fault(f, -EBUSY, "another slotd runs on %s: %s", state_dir,
			     holder[0] ? holder : "its pid is not known");
	snprintf(me, sizeof(me), "pid %d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, me, strlen(me), 0) < 0)
		/* a full disk must not keep slotd from starting: the lock holds all the same */
		(void)!ftruncate(fd, 0);
	*ret = TAKE_FD(fd);
	return 0;
}
