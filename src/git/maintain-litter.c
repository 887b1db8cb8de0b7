/*
 * Half-written files of writers that are gone.
 *
 * git and we write objects and packs as tmp_..., and rename them when they are whole; who is killed before
 * that leaves one behind, as large as it may be, and gc.auto, which would remove it, is off here. Age alone
 * proves nothing: a writer may be stopped, or wait for a slow line. But whoever has the file not open any more
 * is gone. The kernel says so: it gives out a write lease of a file (fcntl(2), F_SETLEASE) only when nobody
 * else has it open, in whatever container he may be. Where it does not say, for a file of somebody else's or on
 * a file system without leases, the file goes when it is from before the machine was started.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/maintain-private.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/text.h"

#define LITTER_SEC (24 * 3600)

static bool is_litter(const char *name)
{
	static const char *const prefixes[] = { "tmp_obj_", "tmp_pack_", "tmp_idx_", "tmp_rev_" };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (text_has_prefix(name, prefixes[i]))
			return true;
	return false;
}

static bool is_of_an_earlier_boot(time_t mtime)
{
	uint64_t booted_usec = clock_wall_usec() - clock_boot_usec();

	return mtime + MAINTAIN_MARGIN_SEC < (time_t)(booted_usec / USEC_PER_SEC);
}

/* 0: nobody else has it open, and nobody comes to it before @fd is closed; -EAGAIN: somebody has; else not known */
static int hold_alone(int fd)
{
	/* whoever opens it meanwhile waits, and we are told so by a signal, which is not to be our end */
	if (fcntl(fd, F_SETSIG, SIGURG) < 0 || fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
		return -errno;
	return 0;
}

/* since it was found it may have become another one, or been written to */
static bool is_the_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_size == b->st_size;
}

static bool is_abandoned(int dirfd, const char *name, const struct stat *found, int *ret_fd)
{
	_cleanup_(closep) int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int r = fd < 0 ? -errno : hold_alone(fd);
	struct stat st;

	if (r == -EAGAIN)
		return false; /* by clocks that were set it may seem to be from before the start */
	if (fd >= 0 && (fstat(fd, &st) < 0 || !is_the_same(found, &st)))
		return false;
	*ret_fd = TAKE_FD(fd); /* with the lease, until it is gone */
	return r == 0 || is_of_an_earlier_boot(found->st_mtime);
}

static int look_at(int dirfd, const char *name, void *userdata)
{
	struct maintenance *m = userdata;
	time_t now = (time_t)(clock_wall_usec() / USEC_PER_SEC);
	_cleanup_(closep) int fd = -1;
	struct stat st;

	if (!is_litter(name) || fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_mtime + LITTER_SEC > now || !is_abandoned(dirfd, name, &st, &fd))
		return 0;
	if (unlinkat(dirfd, name, 0) < 0)
		return errno == ENOENT ? 0 : fault_errno(m->f, -errno, "cannot remove %s", name);
	log_info("what a dead writer left in the store is removed file=%s bytes=%lld", name,
		 (long long)st.st_size);
	m->out->litter++;
	m->out->litter_bytes += (uint64_t)st.st_size;
	return 0;
}

int maintain_litter(struct maintenance *m)
{
	int r = admin_foreach_at(m->objects_fd, ".", look_at, m, m->f);
	char fan[3];

	if (r == 0)
		r = admin_foreach_at(m->objects_fd, "pack", look_at, m, m->f);
	for (unsigned i = 0; r == 0 && i < 256; i++) {
		snprintf(fan, sizeof(fan), "%02x", i);
		r = admin_foreach_at(m->objects_fd, fan, look_at, m, m->f);
	}
	return r;
}
