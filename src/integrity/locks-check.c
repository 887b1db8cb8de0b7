/* Locks say that somebody is at work, or was. */
#include "integrity/refs-private.h"

#include <string.h>

#include "util/cleanup.h"
#include "util/text.h"

/* directories that nothing else here looks into; objects/ has its own check */
static const char *const directories[] = { ".", "info", "sequencer", "rebase-merge", "rebase-apply" };

bool lock_name_is(const char *path)
{
	return text_has_suffix(path, ".lock") || strcmp(path, "gc.pid") == 0;
}

int lock_tell(const struct check_dir *dir, const char *path)
{
	return check_dir_tell(dir, "lock-file", path, 0,
			      "nobody can change what it guards while it is there");
}

/* of mkstemp(3) or libgit2's: "<prefix>XXXXXX" */
static bool is_temporary(const char *name, const char *prefix)
{
	return text_has_prefix(name, prefix) && strlen(name) == strlen(prefix) + 6;
}

static bool is_leftover(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	const char *by_libgit2 = strstr(name, "_git2_");

	return strcmp(name, "packed-refs.new") == 0 || is_temporary(name, "shallow_") ||
	       is_temporary(name, "sharedindex_") || is_temporary(name, "refs_") ||
	       is_temporary(name, "packs_") || text_has_suffix(name, ".slotd") ||
	       (by_libgit2 && strlen(by_libgit2) == strlen("_git2_XXXXXX"));
}

static int check_file(const struct check_dir *dir, const char *path, mode_t mode, void *userdata)
{
	(void)userdata;
	if (S_ISDIR(mode))
		return 0;
	if (lock_name_is(path))
		return lock_tell(dir, path);
	if (is_leftover(path))
		return check_dir_tell(dir, "leftover", path, 0, "a temporary file of somebody who was killed, or is at work");
	return 0;
}

/* the repositories of submodules, objects and all: of them nothing else is looked at */
static int check_module_file(const struct check_dir *dir, const char *path, mode_t mode, void *userdata)
{
	(void)userdata;
	return S_ISREG(mode) && lock_name_is(path) ? lock_tell(dir, path) : 0;
}

int locks_check(const struct check_dir *dir)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(directories); i++)
		r = check_dir_list(dir, directories[i], check_file, NULL);
	if (r < 0 || dir->c->spec->depth == CHECK_QUICK)
		return r;
	return check_dir_walk(dir, "modules", check_module_file, NULL);
}
