/* Whatever lies there, it is looked at from a distance first. */
#include "integrity/check-dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fs.h"
#include "util/text.h"

#define DETAIL_BYTES 512

/* how long somebody may be between the emptying of a file and its writing */
#define WRITTEN_TRIES	   10
#define WRITTEN_PAUSE_NSEC (5 * 1000 * 1000)

char *check_dir_name(const struct check_dir *dir, const char *path, size_t line)
{
	const char *slash = dir->where[0] && path[0] ? "/" : "";

	return line ? text_printf("%s%s%s:%zu", dir->where, slash, path, line) :
		      text_printf("%s%s%s", dir->where, slash, path);
}

static int tell(const struct check_dir *dir, const char *id, int severity, const char *path,
		size_t line, const char *detail)
{
	_cleanup_(freep) char *where = check_dir_name(dir, path, line);
	struct finding_place place = { .where = where, .slot = dir->slot };

	if (!where)
		return -ENOMEM;
	return severity < 0 ? finding_add(dir->c->findings, id, &place, "%s", detail) :
			      finding_add_as(dir->c->findings, id, (enum finding_severity)severity,
					     &place, "%s", detail);
}

int check_dir_tell(const struct check_dir *dir, const char *id, const char *path, size_t line,
		   const char *fmt, ...)
{
	char detail[DETAIL_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	return tell(dir, id, -1, path, line, detail);
}

int check_dir_tell_as(const struct check_dir *dir, const char *id, enum finding_severity severity,
		      const char *path, size_t line, const char *fmt, ...)
{
	char detail[DETAIL_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	return tell(dir, id, (int)severity, path, line, detail);
}

/* not more than it had when it was opened: somebody may append for ever */
static int read_whole(int fd, size_t size, char **ret, size_t *ret_len)
{
	_cleanup_(freep) char *data = malloc(size + 1);
	ssize_t len;

	if (!data)
		return -ENOMEM;
	len = fs_read_up_to(fd, data, size);
	if (len < 0)
		return (int)len;
	data[len] = '\0';
	*ret = TAKE(data);
	*ret_len = (size_t)len;
	return 0;
}

int file_load(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len)
{
	_cleanup_(closep) int fd = -1;
	struct stat st;

	fd = fs_open_beneath(dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	if (fd < 0)
		return fd == -ENOTDIR ? -ENOENT : fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	return read_whole(fd, (size_t)st.st_size, ret, ret_len);
}

int check_dir_tell_unreadable(const struct check_dir *dir, const char *path, int error)
{
	switch (error) {
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
	case -EAGAIN:
		return error;
	case -ELOOP:
		return check_dir_tell(dir, "unreadable-file", path, 0, "it is a link, or behind one");
	case -EINVAL:
	case -ENXIO:
		return check_dir_tell(dir, "unreadable-file", path, 0, "it is not a regular file");
	case -EFBIG:
		return check_dir_tell(dir, "unreadable-file", path, 0,
				      "it is larger than such a file can be");
	default:
		return check_dir_tell(dir, "unreadable-file", path, 0, "it cannot be read: %s",
				      strerror(-error));
	}
}

int check_dir_load(const struct check_dir *dir, const char *path, size_t max, char **ret,
		   size_t *ret_len)
{
	int r = file_load(dir->fd, path, max, ret, ret_len);

	if (r == 0)
		return 0;
	if (r == -ENOENT || r == -EISDIR)
		return CHECK_LOAD_ABSENT;
	r = check_dir_tell_unreadable(dir, path, r);
	return r < 0 ? r : CHECK_LOAD_TOLD;
}

static bool is_young(const struct check_dir *dir, const char *path)
{
	uint64_t now = clock_wall_usec() / USEC_PER_SEC;
	struct stat st;

	return fstatat(dir->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (uint64_t)st.st_mtim.tv_sec + 2 > now;
}

int check_dir_load_written(const struct check_dir *dir, const char *path, size_t max, char **ret,
			   size_t *ret_len)
{
	const struct timespec pause = { .tv_nsec = WRITTEN_PAUSE_NSEC };
	int r = check_dir_load(dir, path, max, ret, ret_len);

	for (int i = 0; r == 0 && *ret_len == 0 && i < WRITTEN_TRIES && is_young(dir, path); i++) {
		nanosleep(&pause, NULL);
		free(TAKE(*ret));
		r = check_dir_load(dir, path, max, ret, ret_len);
	}
	return r;
}

/* directories that are still to be gone into: paths, so that depth costs no descriptors */
struct stack {
	char **v;
	size_t n, size;
};

static void stack_deinit(struct stack *stack)
{
	for (size_t i = 0; i < stack->n; i++)
		free(stack->v[i]);
	free(stack->v);
}

/* takes @path over, also when it fails */
static int stack_push(struct stack *stack, char *path)
{
	if (path && stack->n == stack->size) {
		size_t size = stack->size ? stack->size * 2 : 16;
		char **v = reallocarray(stack->v, size, sizeof(*v));

		if (!v) {
			free(path);
			return -ENOMEM;
		}
		stack->v = v;
		stack->size = size;
	}
	if (!path)
		return -ENOMEM;
	stack->v[stack->n++] = path;
	return 0;
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* 0 when there is none */
static int open_dir(const struct check_dir *dir, const char *path, DIR **ret)
{
	int fd = fs_open_beneath(dir->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	*ret = NULL;
	if (fd == -ENOENT)
		return 0;
	if (fd == -ENOTDIR)
		return check_dir_tell(dir, "unreadable-file", path, 0, "it is not a directory");
	if (fd < 0)
		return check_dir_tell_unreadable(dir, path, fd);
	*ret = fdopendir(fd);
	if (!*ret) {
		close(fd);
		return -ENOMEM;
	}
	return 0;
}

/* 0: it has gone meanwhile */
static mode_t kind_of(DIR *dir, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return DTTOIF(entry->d_type);
	return fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 ?
		       st.st_mode & S_IFMT :
		       0;
}

static int walk_entry(const struct check_dir *dir, const char *path, const char *name, mode_t mode,
		      struct stack *stack, check_walk_fn fn, void *userdata)
{
	_cleanup_(freep) char *below =
		strcmp(path, ".") == 0 ? strdup(name) : text_printf("%s/%s", path, name);

	if (!below)
		return -ENOMEM;
	if (!stack || !S_ISDIR(mode) || name[0] == '.')
		return fn(dir, below, mode, userdata);
	if (strlen(below) >= PATH_MAX)
		return check_dir_tell(dir, "unreadable-file", path, 0,
				      "what is below it lies deeper than git can reach");
	return stack_push(stack, TAKE(below));
}

/* @stack: where directories go; NULL: to @fn like the rest */
static int walk_one(const struct check_dir *dir, const char *path, struct stack *stack,
		    check_walk_fn fn, void *userdata)
{
	_cleanup_(closedirp) DIR *handle = NULL;
	struct dirent *entry;
	int r = open_dir(dir, path, &handle);

	if (r < 0 || !handle)
		return r;
	while (r >= 0 && !check_is_stopped(dir->c) && (errno = 0, entry = readdir(handle))) {
		mode_t mode = kind_of(handle, entry);

		if (mode && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = walk_entry(dir, path, entry->d_name, mode, stack, fn, userdata);
	}
	if (r >= 0 && errno)
		r = check_dir_tell_unreadable(dir, path, -errno);
	return r < 0 ? r : 0;
}

int check_dir_walk(const struct check_dir *dir, const char *path, check_walk_fn fn, void *userdata)
{
	_cleanup_(stack_deinit) struct stack stack = { 0 };
	int r = stack_push(&stack, strdup(path));

	while (r == 0 && stack.n > 0) {
		_cleanup_(freep) char *next = stack.v[--stack.n];

		r = walk_one(dir, next, &stack, fn, userdata);
	}
	return r;
}

int check_dir_list(const struct check_dir *dir, const char *path, check_walk_fn fn, void *userdata)
{
	return walk_one(dir, path, NULL, fn, userdata);
}
