/* Where am I, in git's terms. */
#include "slotctl/place.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/cleanup.h"
#include "util/fs.h"
#include "util/parse.h"
#include "util/text.h"

#define POINTER_BYTES (2 * PATH_MAX) /* of a .git or commondir file, at most */
#define NAME_MAX_LEN  63

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool has_directory(const char *dir, const char *name)
{
	_cleanup_(freep) char *path = text_printf("%s/%s", dir, name);

	return path && is_directory(path);
}

static bool has_entry(const char *dir, const char *name)
{
	_cleanup_(freep) char *path = text_printf("%s/%s", dir, name);
	struct stat st;

	return path && lstat(path, &st) == 0;
}

/* the directory itself is a repository's: bare, or a .git */
static bool is_git_dir(const char *dir)
{
	return has_entry(dir, "HEAD") && has_directory(dir, "objects") &&
	       has_directory(dir, "refs");
}

/* what a one-line file points to, relative to the file's directory; NULL: it does not */
static char *read_pointer(const char *dir, const char *name, const char *prefix)
{
	_cleanup_(freep) char *path = text_printf("%s/%s", dir, name);
	_cleanup_(freep) char *line = NULL;
	const char *target;

	if (!path || fs_read_file_at(AT_FDCWD, path, POINTER_BYTES, &line, NULL) < 0)
		return NULL;
	line[strcspn(line, "\r\n")] = '\0';
	if (!text_has_prefix(line, prefix))
		return NULL;
	target = line + strlen(prefix);
	target += strspn(target, " ");
	if (!*target)
		return NULL;
	return target[0] == '/' ? strdup(target) : text_printf("%s/%s", dir, target);
}

/* the git directory that belongs to a worktree's top; NULL: it is none */
static char *git_dir_of(const char *top)
{
	if (has_directory(top, ".git"))
		return text_printf("%s/.git", top);
	return read_pointer(top, ".git", "gitdir:");
}

static char *common_dir_of(const char *git_dir)
{
	_cleanup_(freep) char *common = read_pointer(git_dir, "commondir", "");

	return realpath(common ? common : git_dir, NULL);
}

/* is this the top of something? then fills @p */
static bool look_at(const char *dir, struct place *p)
{
	_cleanup_(freep) char *git_dir = git_dir_of(dir);

	if (!git_dir && is_git_dir(dir))
		git_dir = strdup(dir);
	if (!git_dir)
		return false;
	p->common_dir = common_dir_of(git_dir);
	if (!p->common_dir)
		return false;
	p->top = strdup(dir);
	return true;
}

int place_find(const char *from, struct place *ret, struct fault *f)
{
	_cleanup_(freep) char *dir = NULL;
	struct place p = { 0 };

	p.directory = from ? realpath(from, NULL) : getcwd(NULL, 0);
	if (!p.directory)
		return fault_errno(f, -errno, "cannot tell the working directory");
	dir = strdup(p.directory);
	while (dir && !look_at(dir, &p)) {
		char *slash = strrchr(dir, '/');

		if (!slash || !dir[1])
			break;
		slash[slash == dir] = '\0';
	}
	if (!dir || (p.common_dir && !p.top)) {
		place_deinit(&p);
		return fault_oom(f);
	}
	*ret = p;
	return 0;
}

void place_deinit(struct place *p)
{
	free(p->directory);
	free(p->top);
	free(p->common_dir);
	*p = (struct place){ 0 };
}

char *place_repository(const struct place *p)
{
	_cleanup_(freep) char *parent = NULL;

	if (!p->common_dir)
		return NULL;
	if (!text_has_suffix(p->common_dir, "/.git"))
		return strdup(text_is_equal(p->top, p->common_dir) || !is_git_dir(p->common_dir)
				      ? p->top
				      : p->common_dir);
	parent = strndup(p->common_dir, strlen(p->common_dir) - strlen("/.git"));
	if (!parent)
		return NULL;
	return *parent ? TAKE(parent) : strdup("/");
}

/* FNV-1a: spreads, and is no secret */
static uint32_t hash(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}

/* the last component, without the ".git" of bare repositories */
static char *base_of(const char *path)
{
	size_t len = strlen(path);
	const char *from;

	while (len > 0 && path[len - 1] == '/')
		len--;
	from = path + len;
	while (from > path && from[-1] != '/')
		from--;
	len -= (size_t)(from - path);
	if (len > 4 && memcmp(from + len - 4, ".git", 4) == 0)
		len -= 4;
	return strndup(from, len);
}

/* makes the characters valid; what cannot be at the start is dropped */
static void replace_characters(char *name)
{
	char *to = name;

	for (const char *from = name; *from; from++) {
		char c = (char)tolower((unsigned char)*from);

		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789._-", c))
			c = '-';
		if (to == name && !isalnum((unsigned char)c))
			continue;
		if (to > name && (c == '.' || c == '-') && to[-1] == c)
			continue; /* no "..", and no rows of dashes */
		*to++ = c;
	}
	*to = '\0';
}

/* makes the end valid: no ".", no ".lock", no "-<digits>" */
static void repair_end(char *name)
{
	size_t len = strlen(name), digits = len;

	while (len > 0 && strchr(".-", name[len - 1]))
		name[--len] = '\0';
	if (text_has_suffix(name, ".lock"))
		name[len - strlen(".lock")] = '-';
	for (digits = len; digits > 0 && isdigit((unsigned char)name[digits - 1]);)
		digits--;
	if (digits > 0 && digits < len && name[digits - 1] == '-')
		name[digits - 1] = '_';
}

char *place_pool_name(const char *path, int suffixed)
{
	_cleanup_(freep) char *name = base_of(path);
	char mark[12] = "";
	size_t room;

	if (!name)
		return NULL;
	if (suffixed)
		snprintf(mark, sizeof(mark), "-x%08x", hash(path));
	room = NAME_MAX_LEN - strlen(mark);
	replace_characters(name);
	if (strlen(name) > room)
		name[room] = '\0';
	repair_end(name);
	return text_printf("%s%s", *name ? name : "pool", mark);
}
