/* The store's own directory of objects, and those that its alternates name. */
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

#include "git/loose.h"
#include "git/sha1.h"
#include "integrity/loose-check.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define ALTERNATES_BYTES (64 << 10)
#define BASES_DEEP	 16

/* how long somebody may be between the two files of a pack that comes or goes */
#define HALVES_TRIES	  10
#define HALVES_PAUSE_NSEC (10 * 1000 * 1000)

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

/* --- packs --- */

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

static int packs_add(struct check_run *run, struct object_dir *dir)
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

static int compare_packs(const void *a, const void *b)
{
	uint32_t n = pack_count((*(struct object_pack *const *)a)->pack),
		 m = pack_count((*(struct object_pack *const *)b)->pack);

	return n < m ? 1 : n > m ? -1 : strcmp((*(struct object_pack *const *)a)->stem, (*(struct object_pack *const *)b)->stem);
}

/* --- all --- */

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
		r = packs_add(run, run->dirs.v[i]);
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

/* --- single objects --- */

/* packs that need each other's bases could go on for ever */
int object_read_base(const git_oid *oid, git_object_t *ret_type, void **ret, size_t *ret_len, void *userdata)
{
	static __thread unsigned depth;
	const struct base_search *search = userdata;
	struct check_run *run = search->run;
	int r;

	if (depth == BASES_DEEP)
		return -EBADMSG;
	if (pack_find(search->pack, oid->id) < 0)
		return -ENOENT;
	depth++;
	r = object_read(run, oid, memory_of(run->c.spec), ret_type, ret, ret_len);
	depth--;
	return r;
}

static int read_loose(const struct object_dir *dir, const git_oid *oid, uint64_t max, git_object_t *ret_type,
		      void **ret, size_t *ret_len)
{
	void *data;
	int r = loose_read_header(dir->fd, oid, ret_type, ret_len, NULL);

	if (r == 0 && *ret_len > max)
		return -EFBIG;
	if (r == 0)
		r = loose_read(dir->fd, oid, ret_type, &data, ret_len, NULL);
	if (r < 0)
		return r == -EUCLEAN ? -EBADMSG : r;
	*ret = *ret_len <= max ? malloc(*ret_len + 1) : NULL; /* another file may have come in between */
	if (*ret)
		memcpy(*ret, data, *ret_len);
	loose_free(data);
	return *ret ? 0 : *ret_len > max ? -EFBIG : -ENOMEM;
}

int object_read(struct check_run *run, const git_oid *oid, uint64_t max, git_object_t *ret_type, void **ret,
		size_t *ret_len)
{
	int r, worst = -ENOENT;

	for (size_t i = 0; i < run->dirs.n_packs; i++) {
		struct pack *pack = run->dirs.packs[i]->pack;
		struct base_search search = { run, pack };
		struct pack_walker bases = { .read_base = object_read_base, .userdata = &search };
		int64_t pos = pack_find(pack, oid->id);

		if (pos < 0)
			continue;
		r = pack_read(pack, (uint32_t)pos, &bases, max, ret_type, ret, ret_len);
		if (r == 0 || r == -ENOMEM)
			return r;
		worst = r;
	}
	for (size_t i = 0; i < run->dirs.n; i++) {
		r = read_loose(run->dirs.v[i], oid, max, ret_type, ret, ret_len);
		if (r == 0 || r == -ENOMEM)
			return r;
		worst = r == -ENOENT ? worst : r;
	}
	return worst;
}

int object_type(struct check_run *run, const git_oid *oid, git_object_t *ret_type)
{
	int r, worst = -ENOENT;
	uint64_t packed_len;
	size_t len;

	for (size_t i = 0; i < run->dirs.n_packs; i++) {
		struct pack *pack = run->dirs.packs[i]->pack;
		int64_t pos = pack_find(pack, oid->id);

		if (pos < 0)
			continue;
		r = pack_read_header(pack, (uint32_t)pos, ret_type, &packed_len);
		if (r == 0)
			return 0;
		worst = r;
	}
	for (size_t i = 0; i < run->dirs.n; i++) {
		r = loose_read_header(run->dirs.v[i]->fd, oid, ret_type, &len, NULL);
		if (r == 0)
			return 0;
		worst = r == -ENOENT ? worst : -EBADMSG;
	}
	return worst;
}
