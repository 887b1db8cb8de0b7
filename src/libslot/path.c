/* Where the daemon listens. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "slotd/slot.h"
#include "util/cleanup.h"
#include "util/text.h"

#define SYSTEM_SOCKET "/run/slotd/slotd.sock"

static const char *get_environment(const char *name)
{
	const char *value = secure_getenv(name);

	return value && value[0] ? value : NULL;
}

/* anybody can make a directory in /tmp: use it only when nobody else can have put the socket there */
static int check_private_directory(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 07777) != 0700)
		return -EACCES;
	return 0;
}

static int temporary_path(char **ret)
{
	_cleanup_(freep) char *directory = text_printf("/tmp/slotd-%u", (unsigned)geteuid());
	int r;

	if (!directory)
		return -ENOMEM;
	r = check_private_directory(directory);
	if (r < 0)
		return r;
	*ret = text_printf("%s/slotd.sock", directory);
	return *ret ? 0 : -ENOMEM;
}

static int user_path(char **ret)
{
	_cleanup_(freep) char *fallback = NULL;
	const char *runtime = get_environment("XDG_RUNTIME_DIR");

	if (!runtime) {
		fallback = text_printf("/run/user/%u", (unsigned)geteuid());
		if (!fallback)
			return -ENOMEM;
		if (access(fallback, X_OK) < 0)
			return temporary_path(ret);
		runtime = fallback;
	}
	*ret = text_printf("%s/slotd/slotd.sock", runtime);
	return *ret ? 0 : -ENOMEM;
}

static int copy_path(const char *path, char **ret)
{
	*ret = text_dup(path);
	return *ret ? 0 : -ENOMEM;
}

static int any_path(char **ret)
{
	const char *named = get_environment("SLOTD_SOCKET");

	if (named)
		return copy_path(named, ret);
	if (access(SYSTEM_SOCKET, F_OK) == 0)
		return copy_path(SYSTEM_SOCKET, ret);
	return user_path(ret);
}

SLOT_API int slot_socket_path(enum slot_scope scope, char **ret)
{
	char *path = NULL;
	int r = -EINVAL;

	switch (scope) {
	case SLOT_SCOPE_ANY:
		r = any_path(&path);
		break;
	case SLOT_SCOPE_SYSTEM:
		r = copy_path(SYSTEM_SOCKET, &path);
		break;
	case SLOT_SCOPE_USER:
		r = user_path(&path);
		break;
	}
	if (r < 0)
		return r;
	*ret = path;
	return 0;
}
