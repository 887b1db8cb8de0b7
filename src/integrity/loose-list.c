/* Which loose objects are there, and what lies between them? */
#include "integrity/loose-check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/text.h"

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
#define REST	  (GIT_OID_HEXSZ - 2) /* digits of a file's name */

struct listing {
	struct check *check;
	const char *dir;
	loose_list_fn fn;
	void *userdata;
	char prefix[3]; /* of the directory that is read */
	int fd;		/* of that */
	git_oid *v;
	size_t n, size;
};

static bool is_hex(const char *s, size_t len)
{
	return strlen(s) == len && strspn(s, "0123456789abcdef") == len;
}

static int tell(struct listing *l, const char *id, const char *name, const char *why)
{
	_cleanup_(freep) char *where = l->prefix[0] ?
					       text_printf("%s/%s/%s", l->dir, l->prefix, name) :
					       text_printf("%s/%s", l->dir, name);
	struct finding_place place = { .where = where };

	return where ? finding_add(l->check->findings, id, &place, "%s", why) : -ENOMEM;
}

/* a name that is none of an object's, nor of a directory of such */
static int tell_other(struct listing *l, const char *name)
{
	if (text_has_prefix(name, "tmp_obj"))
		return tell(l, "leftover", name, "somebody writes an object, or was killed while he did");
	return tell(l, "stray-file", name, "it has not the name of an object");
}

static int add(struct listing *l, const char *name)
{
	char hex[GIT_OID_HEXSZ + 1];

	if (l->n == l->size) {
		size_t size = l->size ? l->size * 2 : 64;
		git_oid *v = reallocarray(l->v, size, sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->size = size;
	}
	memcpy(hex, l->prefix, 2);
	memcpy(hex + 2, name, REST + 1);
	git_oid_fromstr(&l->v[l->n++], hex);
	return 0;
}

static int compare(const void *a, const void *b)
{
	return git_oid_cmp(a, b);
}

/* hands out what was found in one directory */
static int hand_out(struct listing *l)
{
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), compare);
	for (size_t i = 0; i < l->n; i++) {
		char hex[GIT_OID_HEXSZ + 1];
		struct stat st;
		int r;

		git_oid_tostr(hex, sizeof(hex), &l->v[i]);
		if (fstatat(l->fd, hex + 2, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno == ENOENT) /* packed meanwhile */
				continue;
			r = tell(l, "unreadable-file", hex + 2, strerror(errno));
		} else {
			r = l->fn(&l->v[i], &st, l->userdata);
		}
		if (r < 0)
			return r;
		if (check_is_stopped(l->check))
			return l->check->stop;
	}
	return 0;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int each_name(struct listing *l, DIR *d, int (*fn)(struct listing *l, const char *name))
{
	struct dirent *entry;
	int r = 0;

	errno = 0;
	while (r >= 0 && (entry = readdir(d)) != NULL) {
		if (!is_dots(entry->d_name))
			r = fn(l, entry->d_name);
		errno = 0;
	}
	if (r >= 0 && errno != 0)
		r = tell(l, "unreadable-file", ".", strerror(errno));
	return r < 0 ? r : 0;
}

static int on_file(struct listing *l, const char *name)
{
	return is_hex(name, REST) ? add(l, name) : tell_other(l, name);
}

/* git goes through a link, and what is behind it is nobody's who checks or cleans up here */
static int tell_no_directory(struct listing *l, int objects_fd, const char *name)
{
	struct stat st;

	if (fstatat(objects_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
		return tell(l, "unreadable-file", name, "a link is not followed");
	return tell(l, "stray-file", name, "it is no directory");
}

static int list_fan(struct listing *l, int objects_fd, const char *name)
{
	int fd = openat(objects_fd, name, DIR_FLAGS), r;
	DIR *d;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return tell_no_directory(l, objects_fd, name);
	if (fd < 0 && errno != EACCES && errno != EIO)
		return -errno;
	d = fd >= 0 ? fdopendir(fd) : NULL;
	if (!d) {
		r = tell(l, "unreadable-file", name, strerror(errno));
		if (fd >= 0)
			close(fd);
		return r;
	}
	memcpy(l->prefix, name, sizeof(l->prefix));
	l->fd = fd;
	l->n = 0;
	r = each_name(l, d, on_file);
	if (r == 0)
		r = hand_out(l);
	l->prefix[0] = '\0';
	closedir(d);
	return r;
}

/* what lies beside the 256 directories */
static int on_top_name(struct listing *l, const char *name)
{
	if (is_hex(name, 2) || strcmp(name, "pack") == 0 || strcmp(name, "info") == 0)
		return 0;
	if (text_has_prefix(name, "tmp_objdir-") || text_has_prefix(name, "incoming-"))
		return tell(l, "leftover", name, "somebody receives objects, or was killed while he did");
	if (strcmp(name, "maintenance.lock") == 0)
		return tell(l, "lock-file", name, "git maintenance runs, or was killed");
	return tell_other(l, name);
}

static int list_top(struct listing *l, int objects_fd)
{
	int fd = openat(objects_fd, ".", DIR_FLAGS), r;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (!d) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	r = each_name(l, d, on_top_name);
	closedir(d);
	return r;
}

int loose_list(struct check *c, int objects_fd, const char *dir, loose_list_fn fn, void *userdata)
{
	struct listing l = { .check = c, .dir = dir, .fn = fn, .userdata = userdata, .fd = -1 };
	int r = list_top(&l, objects_fd);

	for (unsigned i = 0; i < 256 && r == 0; i++) {
		char name[3] = { "0123456789abcdef"[i >> 4], "0123456789abcdef"[i & 15], '\0' };

		r = list_fan(&l, objects_fd, name);
	}
	free(l.v);
	return r;
}
