/* The packs of one directory of objects, and what else lies there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "integrity/check-private.h"

#include "git/sha1.h"
#include "util/cleanup.h"
#include "util/text.h"

/* how long somebody may be between the two files of a pack that comes or goes */
#define HALVES_TRIES	  10
#define HALVES_PAUSE_NSEC (10 * 1000 * 1000)

static bool is_usual_name(const char *stem)
{
	size_t len = strlen(stem);

	return text_has_prefix(stem, "pack-") && len > 5 && len <= 5 + GIT_OID_HEXSZ &&
	       strspn(stem + 5, "0123456789abcdef") == len - 5;
}

/* git uses packs of any name; those of notes are short, and begin with "pack-" */
static int set_names(struct object_pack *p, const char *stem)
{
	char hex[GIT_OID_HEXSZ + 1];
	struct sha1 sha1;
	git_oid sum;

	snprintf(p->stem, sizeof(p->stem), "%s", stem);
	if (is_usual_name(stem)) {
		snprintf(p->note_name, sizeof(p->note_name), "%s-%.*s", p->dir->tag, 5 + GIT_OID_HEXSZ, stem);
		return 0;
	}
	sha1_init(&sha1);
	sha1_update(&sha1, stem, strlen(stem));
	if (sha1_final(&sha1, &sum) < 0)
		return -ENOMEM;
	snprintf(p->note_name, sizeof(p->note_name), "%s-pack-%s", p->dir->tag,
		 git_oid_tostr(hex, sizeof(hex), &sum));
	return 0;
}

static bool is_promisor(int pack_fd, const char *stem)
{
	char name[NAME_MAX + sizeof(".promisor")];
	struct stat st;

	snprintf(name, sizeof(name), "%s.promisor", stem);
	return fstatat(pack_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* for pack_open() or pack_open_whole(); of the latter, -EAGAIN */
typedef int (*pack_open_fn)(struct check *c, int dir_fd, const char *dir, const char *stem, struct pack **ret);

static int pack_add(struct check_run *run, struct object_dir *dir, const char *label, const char *stem,
		    pack_open_fn open_fn)
{
	struct object_dirs *dirs = &run->dirs;
	struct object_pack *p;
	int r;

	if ((dirs->n_packs & (dirs->n_packs - 1)) == 0) {
		size_t size = dirs->n_packs ? dirs->n_packs * 2 : 1;
		struct object_pack **v = reallocarray(dirs->packs, size, sizeof(*v));

		if (!v)
			return -ENOMEM;
		dirs->packs = v;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->dir = dir;
	r = set_names(p, stem);
	if (r == 0)
		r = open_fn(&run->c, dir->pack_fd, label, stem, &p->pack);
	if (r < 0) {
		free(p);
		return r == -EBADMSG || r == -ENOENT ? 0 : r;
	}
	p->is_promisor = is_promisor(dir->pack_fd, stem);
	dirs->packs[dirs->n_packs++] = p;
	return 0;
}

static bool is_leftover(const char *name)
{
	return text_has_prefix(name, "tmp_") || text_has_prefix(name, ".tmp-") || text_has_suffix(name, ".keep");
}

static bool has_part(const struct object_dir *dir, const char *stem, size_t len, const char *suffix)
{
	char name[NAME_MAX + sizeof(".pack")];
	struct stat st;

	snprintf(name, sizeof(name), "%.*s%s", (int)len, stem, suffix);
	return fstatat(dir->pack_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* "pack-" may have lost its pack this moment */
static bool belongs_to_pack(const struct object_dir *dir, const char *name)
{
	static const char *const known[] = { ".rev", ".bitmap", ".promisor", ".mtimes" };

	if (text_has_prefix(name, "multi-pack-index"))
		return true;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (text_has_suffix(name, known[i]))
			return text_has_prefix(name, "pack-") ||
			       has_part(dir, name, strlen(name) - strlen(known[i]), ".pack");
	return false;
}

static int tell_name(struct check_run *run, const struct object_dir *dir, const char *label, const char *name)
{
	_cleanup_(freep) char *full = text_printf("%s/%s", label, name);
	_cleanup_(freep) char *where = full ? text_quote_path(full) : NULL;
	struct finding_place place = { .where = where };

	if (!where)
		return -ENOMEM;
	if (text_has_suffix(name, ".lock"))
		return finding_add(run->c.findings, "lock-file", &place, "somebody writes it, or was killed at it");
	if (is_leftover(name))
		return finding_add(run->c.findings, "leftover", &place,
				   text_has_suffix(name, ".keep") ? "git never repacks this pack" :
								    "a temporary file");
	return belongs_to_pack(dir, name) ? 0 :
					    finding_add(run->c.findings, "stray-file", &place, "no file of a pack");
}

/* what packs are called, of one directory */
struct stems {
	char **v;
	size_t n, size;
};

static void stems_deinit(struct stems *stems)
{
	for (size_t i = 0; i < stems->n; i++)
		free(stems->v[i]);
	free(stems->v);
}

static int stems_add(struct stems *stems, const char *name, size_t len)
{
	char *stem;

	if (stems->n == stems->size) {
		size_t size = stems->size ? stems->size * 2 : 16;
		char **v = reallocarray(stems->v, size, sizeof(*v));

		if (!v)
			return -ENOMEM;
		stems->v = v;
		stems->size = size;
	}
	stem = strndup(name, len);
	if (!stem)
		return -ENOMEM;
	stems->v[stems->n++] = stem;
	return 0;
}

static int compare_stems(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "pack-1.idx" and "pack-1.pack" are one */
static void stems_unite(struct stems *stems)
{
	size_t n = 0;

	if (stems->n)
		qsort(stems->v, stems->n, sizeof(*stems->v), compare_stems);
	for (size_t i = 0; i < stems->n; i++)
		if (n && strcmp(stems->v[n - 1], stems->v[i]) == 0)
			free(stems->v[i]);
		else
			stems->v[n++] = stems->v[i];
	stems->n = n;
}

/* ".tmp-": git repack gives them their names when all is written, and what they replace goes after that */
static int on_pack_name(struct check_run *run, const struct object_dir *dir, const char *label, const char *name,
			struct stems *stems)
{
	bool is_idx = text_has_suffix(name, ".idx"), is_pack = text_has_suffix(name, ".pack");

	if ((!is_idx && !is_pack) || text_has_prefix(name, ".tmp-"))
		return tell_name(run, dir, label, name);
	return stems_add(stems, name, strlen(name) - (is_idx ? strlen(".idx") : strlen(".pack")));
}

static int list_packs(struct check_run *run, const struct object_dir *dir, const char *label, struct stems *stems)
{
	int fd = openat(dir->pack_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (!d) {
		r = -errno;
		closep(&fd);
		return r;
	}
	while (r == 0 && (errno = 0, entry = readdir(d)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = on_pack_name(run, dir, label, entry->d_name, stems);
	if (r == 0 && errno)
		r = finding_add(run->c.findings, "unreadable-file", &(struct finding_place){ .where = label }, "%s",
				strerror(errno));
	closedir(d);
	stems_unite(stems);
	return r;
}

/* those that were opened go, and those of which there is one half stay */
static int packs_open_whole(struct check_run *run, struct object_dir *dir, const char *label, struct stems *stems)
{
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < stems->n; i++) {
		if (r == 0)
			r = pack_add(run, dir, label, stems->v[i], pack_open_whole);
		if (r == -EAGAIN) {
			stems->v[n++] = stems->v[i];
			r = 0;
		} else {
			free(stems->v[i]);
		}
	}
	stems->n = n;
	return r;
}

static bool has_halves(const struct object_dir *dir, const struct stems *stems)
{
	for (size_t i = 0; i < stems->n; i++) {
		size_t len = strlen(stems->v[i]);

		if (has_part(dir, stems->v[i], len, ".pack") != has_part(dir, stems->v[i], len, ".idx"))
			return true;
	}
	return false;
}

/* git makes and removes the files of a pack one after the other: what is half there a moment later was left so */
static int packs_open(struct check_run *run, struct object_dir *dir, const char *label, struct stems *stems)
{
	const struct timespec pause = { .tv_nsec = HALVES_PAUSE_NSEC };
	int r = packs_open_whole(run, dir, label, stems);

	for (int i = 0; r == 0 && i < HALVES_TRIES && has_halves(dir, stems); i++)
		nanosleep(&pause, NULL);
	for (size_t i = 0; r == 0 && i < stems->n; i++)
		r = pack_add(run, dir, label, stems->v[i], pack_open);
	return r;
}

int object_packs_add(struct check_run *run, struct object_dir *dir)
{
	_cleanup_(freep) char *label = text_printf("%s/pack", dir->label);
	_cleanup_(stems_deinit) struct stems stems = { 0 };
	int r;

	if (!label)
		return -ENOMEM;
	dir->pack_fd = openat(dir->fd, "pack", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir->pack_fd < 0)
		return errno == ENOENT ? 0 :
					 finding_add(run->c.findings, "unreadable-file",
						     &(struct finding_place){ .where = label }, "%s", strerror(errno));
	r = list_packs(run, dir, label, &stems);
	return r == 0 ? packs_open(run, dir, label, &stems) : r;
}
