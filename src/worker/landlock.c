/* Writes beneath a few directories, and nowhere else. */
#include "worker/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/cleanup.h"

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

#define WRITES                                                                                  \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                        \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |                        \
	 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |                            \
	 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |                          \
	 LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER)

#define FILE_WRITES (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)

/* what can be handled here; 0: nothing */
static uint64_t handled_writes(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	/* ABI 1 cannot allow a rename between two directories */
	if (abi < 2)
		return 0;
	return WRITES | (abi >= 3 ? LANDLOCK_ACCESS_FS_TRUNCATE : 0);
}

bool landlock_is_there(void)
{
	return handled_writes() != 0;
}

static int allow(int ruleset, const char *path, uint64_t access, struct fault *f)
{
	_cleanup_(closep) int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr attr = { .allowed_access = access, .parent_fd = fd };

	if (fd < 0)
		return fault_errno(f, -errno, "cannot open %s", path);
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0) < 0)
		return fault_errno(f, -errno, "Landlock does not take %s", path);
	return 0;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* a sanitizer's report goes where the test wants it */
static int allow_reports(int ruleset, uint64_t access, struct fault *f)
{
	const char *options = getenv("ASAN_OPTIONS");
	const char *path = options ? strstr(options, "log_path=") : NULL;
	_cleanup_(freep) char *dir = NULL;
	char *slash;

	if (!path)
		return 0;
	path += strlen("log_path=");
	path += strspn(path, "\"'");
	dir = strndup(path, strcspn(path, ":\"'"));
	slash = dir ? strrchr(dir, '/') : NULL;
	if (!slash)
		return 0;
	*slash = '\0';
	return allow(ruleset, dir, access, f);
}
#else
static int allow_reports(int ruleset, uint64_t access, struct fault *f)
{
	return 0;
}
#endif

static int add_rules(int ruleset, uint64_t handled, const char *const *places, size_t n,
		     struct fault *f)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = allow(ruleset, places[i], handled, f);
	if (r == 0)
		r = allow(ruleset, "/dev/null", handled & FILE_WRITES, f);
	return r == 0 ? allow_reports(ruleset, handled, f) : r;
}

int landlock_restrict_to(const char *const *places, size_t n, bool *ret_active, struct fault *f)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = handled_writes() };
	_cleanup_(closep) int ruleset = -1;
	int r;

	*ret_active = false;
	if (!attr.handled_access_fs)
		return 0;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return fault_errno(f, -errno, "cannot make a Landlock ruleset");
	r = add_rules(ruleset, attr.handled_access_fs, places, n, f);
	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return fault_errno(f, -errno, "cannot enter Landlock");
	*ret_active = true;
	return 0;
}

int landlock_restrict(const char *store, const char *slots, bool *ret_active, struct fault *f)
{
	const char *const places[] = { store, slots };

	return landlock_restrict_to(places, ARRAY_SIZE(places), ret_active, f);
}
