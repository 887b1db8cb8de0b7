/* Less than what it was born with. */
#include "worker/confine.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/log.h"

#define NICE 19

/* linux/ioprio.h, which older kernels' headers lack */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_IDLE	   (3 << 13)

#define GIB (1024ULL * 1024 * 1024)

/* a sanitizer maps terabytes for its own use */
#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SPACE RLIM_INFINITY
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SPACE RLIM_INFINITY
#endif
#endif
#ifndef ADDRESS_SPACE
#define ADDRESS_SPACE (8 * GIB)
#endif

static const struct {
	int resource;
	rlim_t limit;
} limits[] = {
	{ RLIMIT_CORE, 0 },
	{ RLIMIT_AS, ADDRESS_SPACE },
	{ RLIMIT_NOFILE, 8192 }, /* a check has every pack open */
	{ RLIMIT_FSIZE, 64 * GIB },
};

/* never raises one: a lower hard limit is somebody's wish */
static int limit(int resource, rlim_t want, struct fault *f)
{
	struct rlimit rl;

	if (getrlimit(resource, &rl) < 0)
		return fault_errno(f, -errno, "cannot read a resource limit");
	if (rl.rlim_max > want)
		rl.rlim_max = want;
	if (rl.rlim_cur > rl.rlim_max || resource == RLIMIT_NOFILE)
		rl.rlim_cur = rl.rlim_max;
	if (setrlimit(resource, &rl) < 0)
		return fault_errno(f, -errno, "cannot set a resource limit");
	return 0;
}

/* what has nothing to do with limits */
static int set_up(pid_t parent, struct fault *f)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return fault_errno(f, -errno, "cannot ask to die with the parent");
	/* it may have died before that */
	if (parent && getppid() != parent)
		return fault(f, -ESRCH, "the parent %d is gone", (int)parent);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fault_errno(f, -errno, "cannot give up new privileges");
	umask(022);
	signal(SIGPIPE, SIG_IGN);
	/* past RLIMIT_FSIZE a write shall fail, as on a full disk */
	signal(SIGXFSZ, SIG_IGN);
	return 0;
}

int limits_set(pid_t parent, struct fault *f)
{
	int r = set_up(parent, f);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(limits); i++)
		r = limit(limits[i].resource, limits[i].limit, f);
	return r;
}

int limits_set_for_commands(pid_t parent, struct fault *f)
{
	int r = set_up(parent, f);

	return r < 0 ? r : limit(RLIMIT_CORE, 0, f);
}

void limits_step_back(const char *what, const char *pool)
{
	if (setpriority(PRIO_PROCESS, 0, NICE) < 0)
		log_info("%s runs with ordinary priority: %s pool=%s", what, strerror(errno), pool);
	if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE) < 0)
		log_info("%s reads and writes with ordinary priority: %s pool=%s", what, strerror(errno), pool);
}
