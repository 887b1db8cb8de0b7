/* The store's own directory of objects, and those that its alternates name. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "integrity/check-private.h"

#include "integrity/loose-check.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define ALTERNATES_BYTES (64 << 10)

/* --- directories --- */

static void dir_free(struct object_dir *dir)
{
	if (!dir)
		return;
	closep(&dir->fd);
	closep(&dir->pack_fd);
	free(dir->path);
	free(dir->label);
	free(dir);
}

static void dir_freep(struct object_dir **dir)
{
	dir_free(*dir);
}

static const struct object_dir *find_same(const struct object_dirs *dirs, const struct stat *st)
{
	for (size_t i = 0; i < dirs->n; i++)
		if (dirs->v[i]->dev == st->st_dev && dirs->v[i]->ino == st->st_ino)
			return dirs->v[i];
	return NULL;
}

/* what distinguishes an alternate's notes from the store's own */
static void set_tag(struct object_dir *dir, bool is_own)
{
	uint32_t h = 2166136261U;

	for (const char *p = dir->path; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619U;
	snprintf(dir->tag, sizeof(dir->tag), "%08x", is_own ? 0 : h);
}

/* is @found one that leads to @in, or that itself? */
static bool is_before(const struct object_dir *found, const struct object_dir *in)
{
	while (in && in != found)
		in = in->named_by;
	return in != NULL;
}

/* 0, also when it is there already; 1: it led here itself; or why it cannot be opened. @by: see named_by */
static int dir_add(struct check_run *run, const char *path, const char *label, const struct object_dir *by)
{
	struct object_dirs *dirs = &run->dirs;
	_cleanup_(dir_freep) struct object_dir *dir = calloc(1, sizeof(*dir));
	const struct object_dir *same;
	struct object_dir **v;
	struct stat st;

	if (!dir)
		return -ENOMEM;
	dir->named_by = by;
	dir->pack_fd = -1;
	dir->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir->fd < 0 || fstat(dir->fd, &st) < 0)
		return -errno;
	same = find_same(dirs, &st);
	if (same)
		return is_before(same, by);
	dir->dev = st.st_dev;
	dir->ino = st.st_ino;
	dir->path = strdup(path);
	dir->label = strdup(label);
	v = reallocarray(dirs->v, dirs->n + 1, sizeof(*v));
	if (!dir->path || !dir->label || !v)
		return v ? (dirs->v = v, -ENOMEM) : -ENOMEM;
	set_tag(dir, dirs->n == 0);
	dirs->v = v;
	v[dirs->n++] = TAKE(dir);
	return 0;
}

static int tell_alternate(struct check_run *run, const struct object_dir *in, unsigned line, const char *id,
			  const char *name, const char *why)
{
	_cleanup_(freep) char *where = text_printf("%s/info/alternates:%u", in->label, line);
	_cleanup_(freep) char *quoted = text_quote_path(name);

	if (!where || !quoted)
		return -ENOMEM;
	return finding_add(run->c.findings, id, &(struct finding_place){ .where = where }, "\"%s\" %s", quoted, why);
}

/* "\101" or "\n", behind the backslash; 0: neither */
static char unescape(const char **at)
{
	static const char names[] = "abfnrtv\\\"", values[] = "\a\b\f\n\r\t\v\\\"";
	const char *found = **at ? strchr(names, *(*at)++) : NULL;
	int c = 0;

	if (found)
		return values[found - names];
	(*at)--;
	for (int i = 0; i < 3; i++, (*at)++) {
		if (**at < '0' || **at > '7')
			return 0;
		c = c * 8 + **at - '0';
	}
	return (char)c;
}

/* a line in quotes is one as in C; one whose quotes are wrong is a path that begins with a quote */
static char *alternate_path(const char *line)
{
	_cleanup_(freep) char *path = strdup(line);
	char *to = path;

	if (!path || *line != '"')
		return TAKE(path);
	for (const char *at = line + 1; *at;) {
		char c = *at++;

		if (c == '"') {
			*to = '\0';
			return TAKE(path);
		}
		if (c == '\\' && (c = unescape(&at)) == 0)
			break;
		*to++ = c;
	}
	return strdup(line);
}

static int alternate_add(struct check_run *run, const struct object_dir *in, unsigned line, const char *line_text)
{
	_cleanup_(freep) char *name = alternate_path(line_text);
	_cleanup_(freep) char *path = NULL;
	int r;

	if (!name)
		return -ENOMEM;
	path = name[0] == '/' ? strdup(name) : text_printf("%s/%s", in->path, name);
	if (!path)
		return -ENOMEM;
	r = dir_add(run, path, path, in);
	if (r == -ENOMEM)
		return r;
	if (r == 1)
		return tell_alternate(run, in, line, "alternates-loop", name, "leads back here");
	return r < 0 ? tell_alternate(run, in, line, "bad-alternate", name, strerror(-r)) : 0;
}

/* those that this one names, after it; @depth: 0 for the store's own */
static int alternates_add(struct check_run *run, struct object_dir *in, unsigned depth)
{
	_cleanup_(freep) char *text = NULL;
	char *rest, *name;
	unsigned line = 0;
	int r = fs_read_file_at(in->fd, "info/alternates", ALTERNATES_BYTES, &text, NULL);

	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0)
		return r == -ENOMEM ? r : tell_alternate(run, in, 0, "unreadable-file", "info/alternates", strerror(-r));
	rest = text;
	while (r == 0 && (name = strsep(&rest, "\n"))) {
		line++;
		if (name[0] == '\0' || name[0] == '#')
			continue;
		if (depth > ALTERNATES_DEEP)
			return tell_alternate(run, in, line, "bad-alternate", name, "is too deep: git does not go there");
		r = alternate_add(run, in, line, name);
	}
	return r;
}

/* --- all --- */

static int compare_packs(const void *a, const void *b)
{
	uint32_t n = pack_count((*(struct object_pack *const *)a)->pack),
		 m = pack_count((*(struct object_pack *const *)b)->pack);

	return n < m ? 1 : n > m ? -1 : strcmp((*(struct object_pack *const *)a)->stem, (*(struct object_pack *const *)b)->stem);
}

static int on_loose(const git_oid *oid, const struct stat *st, void *userdata)
{
	struct check_run *run = userdata;

	return objects_add_loose(run->objects, oid);
}

static int number_objects(struct check_run *run)
{
	struct object_dirs *dirs = &run->dirs;
	size_t stride;
	int r = 0;

	run->objects = objects_new();
	if (!run->objects)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < dirs->n_packs; i++) {
		const unsigned char *names = pack_names(dirs->packs[i]->pack, &stride);

		r = objects_add_pack(run->objects, names, pack_count(dirs->packs[i]->pack), stride);
	}
	for (size_t i = 0; r == 0 && i < dirs->n; i++)
		r = loose_list(&run->c, dirs->v[i]->fd, dirs->v[i]->label, on_loose, run);
	return r == 0 ? objects_seal(run->objects) : r;
}

int object_dirs_open(struct check_run *run, struct fault *f)
{
	_cleanup_(freep) char *path = text_printf("%s/objects", run->c.spec->common_dir);
	size_t first = 0, end = 1;
	int r = path ? dir_add(run, path, "objects", NULL) : -ENOMEM;

	if (r == -ENOENT || r == -ENOTDIR || r == -EACCES || r == -ELOOP)
		return finding_add(run->c.findings, "unreadable-file", &(struct finding_place){ .where = "objects" },
				   "the directory of all objects: %s", strerror(-r)) < 0 ? -ENOMEM : -ENOENT;
	if (r < 0)
		return fault_errno(f, r, "cannot open the objects of \"%s\"", run->c.spec->common_dir);
	for (unsigned depth = 0; r == 0 && first < end; depth++, first = end, end = run->dirs.n)
		for (size_t i = first; r == 0 && i < end; i++)
			r = alternates_add(run, run->dirs.v[i], depth);
	for (size_t i = 0; r == 0 && i < run->dirs.n; i++)
		r = object_packs_add(run, run->dirs.v[i]);
	if (r == 0 && run->dirs.n_packs > 1)
		qsort(run->dirs.packs, run->dirs.n_packs, sizeof(*run->dirs.packs), compare_packs);
	if (r == 0)
		r = number_objects(run);
	return r < 0 ? fault_errno(f, r, "cannot list the objects of \"%s\"", run->c.spec->common_dir) : 0;
}

void object_dirs_close(struct check_run *run)
{
	objects_free(run->objects); /* has names from the packs */
	run->objects = NULL;
	for (size_t i = 0; i < run->dirs.n_packs; i++) {
		pack_close(run->dirs.packs[i]->pack);
		free(run->dirs.packs[i]);
	}
	free(run->dirs.packs);
	for (size_t i = 0; i < run->dirs.n; i++)
		dir_free(run->dirs.v[i]);
	free(run->dirs.v);
	run->dirs = (struct object_dirs){ 0 };
}
