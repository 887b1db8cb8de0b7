/* One repository, one slotd. */
#include "git/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "git/admin.h"
#include "util/cleanup.h"
#include "util/text.h"

#define OWNER_FILE "owner"

static int open_slotd_dir(struct repo *repo, struct fault *f)
{
	_cleanup_(closep) int fd = open(repo_common_dir(repo), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fault_errno(f, -errno, "cannot open %s", repo_common_dir(repo));
	return admin_open_dir_at(fd, "slotd", f);
}

/* a state directory in use has a lock file */
static bool is_alive(const char *state_dir)
{
	_cleanup_(freep) char *lock = text_printf("%s/lock", state_dir);

	return !lock || access(lock, F_OK) == 0;
}

int owner_claim(struct repo *repo, const char *state_dir, struct fault *f)
{
	_cleanup_(closep) int dir = open_slotd_dir(repo, f);
	_cleanup_(freep) char *other = NULL;
	int r;

	if (dir < 0)
		return dir;
	r = admin_read_at(dir, OWNER_FILE, &other, f);
	if (r == 0 && strcmp(other, state_dir) == 0)
		return 0;
	if (r == 0 && is_alive(other))
		return fault(f, -EUSERS,
			     "%s is served by the slotd of %s; remove that pool there, or delete "
			     "slotd/" OWNER_FILE " in the repository if that slotd is gone for good",
			     repo_common_dir(repo), other);
	if (r < 0 && r != -ENOENT && r != -EUCLEAN)
		return r;
	return admin_write_at(dir, OWNER_FILE, state_dir, f);
}

int owner_release(struct repo *repo, const char *state_dir, struct fault *f)
{
	_cleanup_(closep) int dir = open_slotd_dir(repo, f);
	_cleanup_(freep) char *owner = NULL;
	int r;

	if (dir < 0)
		return dir;
	r = admin_read_at(dir, OWNER_FILE, &owner, f);
	if (r == -ENOENT)
		return 0;
	if (r < 0 || strcmp(owner, state_dir) != 0)
		return r < 0 ? r : 0;
	return admin_remove_at(dir, OWNER_FILE, f);
}
