/* An index, the one that it may be split from, and what both lead to. */
#include "integrity/index-check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/bitmap.h"
#include "integrity/check-dir.h"
#include "integrity/index-parse.h"
#include "integrity/roots.h"
#include "util/cleanup.h"
#include "util/text.h"

#define INDEX_FILE_BYTES ((size_t)1 << 30)

/* an entry of a split index that stands for one of the shared index */
struct substitute {
	git_oid oid;
	uint32_t mode;
	bool is_intent;
};

struct reading {
	const struct check_dir *dir;
	char *file;	     /* "worktrees/x/index" */
	struct text name;    /* of the last root */
	size_t names_left;   /* bytes that names may still take: version 4 unfolds to many times its size */
	struct substitute *substitutes;
	size_t n_substitutes, size_substitutes;
	size_t n_entries;	    /* of the split index that have a path */
	struct bitmap deleted, replaced; /* of the shared index */
	size_t at_deleted, at_replaced;
};

static void reading_deinit(struct reading *r)
{
	free(r->file);
	text_deinit(&r->name);
	free(r->substitutes);
	bitmap_deinit(&r->deleted);
	bitmap_deinit(&r->replaced);
}

static int add_root(struct reading *reading, const char *path, enum root_kind kind,
		    git_object_t type, const git_oid *oid)
{
	size_t len = strlen(path);
	struct root root = { .oid = *oid,
			     .type = type,
			     .kind = kind,
			     .file = reading->file,
			     .slot = reading->dir->slot };

	reading->name.len = 0;
	text_add_string(&reading->name, reading->file);
	if (len < reading->names_left) {
		text_addf(&reading->name, ":%s", path);
		reading->names_left -= len;
	}
	if (reading->name.failed)
		return -ENOMEM;
	root.name = reading->name.data;
	return roots_add(reading->dir->c->roots, &root);
}

static int add_entry(struct reading *reading, const char *path, const struct substitute *s)
{
	git_object_t type = s->mode == INDEX_MODE_DIR ? GIT_OBJECT_TREE : GIT_OBJECT_BLOB;

	if (s->mode == INDEX_MODE_GITLINK || s->is_intent)
		return 0;
	return add_root(reading, path, ROOT_INDEX, type, &s->oid);
}

static int keep_substitute(struct reading *reading, const struct substitute *s)
{
	if (reading->n_substitutes == reading->size_substitutes) {
		size_t size = reading->size_substitutes ? reading->size_substitutes * 2 : 16;
		struct substitute *v = reallocarray(reading->substitutes, size, sizeof(*v));

		if (!v)
			return -ENOMEM;
		reading->substitutes = v;
		reading->size_substitutes = size;
	}
	reading->substitutes[reading->n_substitutes++] = *s;
	return 0;
}

static int on_entry(const struct index_entry *e, void *userdata)
{
	const struct substitute s = { e->oid, e->mode, e->is_intent };
	struct reading *reading = userdata;

	if (e->path_len == 0)
		return keep_substitute(reading, &s);
	reading->n_entries++;
	return add_entry(reading, e->path, &s);
}

/* of an index without entries; git has that tree even where it has not */
static bool is_empty_tree(const git_oid *oid)
{
	static const uint8_t empty[GIT_OID_RAWSZ] = { 0x4b, 0x82, 0x5d, 0xc6, 0x42, 0xcb, 0x6e,
						      0xb9, 0xa0, 0x60, 0xe5, 0x4b, 0xf8, 0xd6,
						      0x92, 0x88, 0xfb, 0xee, 0x49, 0x04 };

	return memcmp(oid->id, empty, sizeof(empty)) == 0;
}

static int on_tree(const char *path, const git_oid *oid, void *userdata)
{
	if (is_empty_tree(oid))
		return 0;
	return add_root(userdata, path, ROOT_CACHE_TREE, GIT_OBJECT_TREE, oid);
}

static int on_undo(const char *path, const git_oid *oid, void *userdata)
{
	return add_root(userdata, path, ROOT_RESOLVE_UNDO, GIT_OBJECT_BLOB, oid);
}

/* is it the next one in a set that is gone through in order? */
static bool is_next(const struct bitmap *bitmap, size_t *at, size_t i)
{
	if (*at == bitmap->n || bitmap->v[*at] != i)
		return false;
	(*at)++;
	return true;
}

/* of the shared index: what counts of it, or what stands for it */
static int on_shared(const struct index_entry *e, void *userdata)
{
	struct substitute s = { e->oid, e->mode, e->is_intent };
	struct reading *reading = userdata;
	size_t k = reading->at_replaced;
	bool is_deleted = is_next(&reading->deleted, &reading->at_deleted, e->i);

	if (is_next(&reading->replaced, &reading->at_replaced, e->i) && k < reading->n_substitutes)
		s = reading->substitutes[k];
	return is_deleted ? 0 : add_entry(reading, e->path, &s);
}

static int parse_sets(struct reading *reading, const struct index_summary *index, uint32_t max)
{
	size_t used = 0;
	int r;

	if (index->link_len == 0)
		return 0;
	r = bitmap_parse(index->link, index->link_len, max, &reading->deleted, &used);
	if (r == 0)
		r = bitmap_parse(index->link + used, index->link_len - used, max,
				 &reading->replaced, &used);
	return r;
}

static int tell_index(const struct check_dir *dir, const char *path, const char *why)
{
	return check_dir_tell(dir, "bad-index", path, 0, "%s", why);
}

static int tell_parsed(const struct check_dir *dir, const char *path, int r, const struct fault *f)
{
	return r == -EUCLEAN ? tell_index(dir, path, f->text) : r;
}

static uint32_t count_said(const uint8_t *data, size_t len)
{
	return len >= 12 ? index_u32(data + 8) : 0;
}

static int check_shared_data(struct reading *reading, const struct index_summary *index,
			     const char *path, const uint8_t *data, size_t len)
{
	const struct index_handler handler = { .entry = on_shared, .userdata = reading };
	uint32_t n = count_said(data, len);
	struct fault f = FAULT_NONE;
	struct index_summary shared;
	int r;

	/* so many can be in it at most; more bits would be for nothing */
	r = parse_sets(reading, index, n < len ? n : (uint32_t)len);
	if (r == -EUCLEAN)
		return tell_index(reading->dir, "index", "its extension link is damaged");
	if (r == 0)
		r = index_parse(data, len, &handler, &shared, &f);
	if (r < 0)
		return tell_parsed(reading->dir, path, r, &f);
	if (!git_oid_equal(&shared.checksum, &index->shared))
		return tell_index(reading->dir, path, "its checksum is not its name");
	if (reading->n_substitutes != reading->replaced.n)
		return tell_index(reading->dir, "index",
				  "it does not fit the shared index that it was split from");
	return 0;
}

static int check_shared(struct reading *reading, const struct index_summary *index)
{
	char hex[GIT_OID_HEXSZ + 1], path[sizeof("sharedindex.") + GIT_OID_HEXSZ];
	_cleanup_(freep) char *data = NULL;
	size_t len = 0;
	int r;

	snprintf(path, sizeof(path), "sharedindex.%s",
		 git_oid_tostr(hex, sizeof(hex), &index->shared));
	r = check_dir_load(reading->dir, path, INDEX_FILE_BYTES, &data, &len);
	if (r == CHECK_LOAD_ABSENT)
		return check_dir_tell(reading->dir, "bad-index", "index", 0,
				      "the %s that it is split from is not there", path);
	if (r != 0)
		return r < 0 ? r : 0;
	reading->names_left += 4 * len;
	return check_shared_data(reading, index, path, (const uint8_t *)data, len);
}

static int check_summary(struct reading *reading, const struct index_summary *index)
{
	if (index->unknown[0])
		return check_dir_tell(reading->dir, "unsupported-index", "index", 0,
				      "it has the extension %s, which is not known", index->unknown);
	if (index->is_split && !git_oid_is_zero(&index->shared))
		return check_shared(reading, index);
	if (reading->n_substitutes > 0)
		return tell_index(reading->dir, "index", "an entry has no path");
	return 0;
}

int index_check(struct check *c, int admin_fd, const char *where, const char *slot)
{
	const struct check_dir dir = { c, admin_fd, where, slot };
	_cleanup_(reading_deinit) struct reading reading = { .dir = &dir };
	const struct index_handler handler = { on_entry, on_tree, on_undo, &reading };
	_cleanup_(freep) char *data = NULL;
	struct index_summary index;
	struct fault f = FAULT_NONE;
	size_t len = 0;
	int r;

	if (!c->is_sha1)
		return 0;
	r = check_dir_load(&dir, "index", INDEX_FILE_BYTES, &data, &len);
	if (r != 0)
		return r < 0 ? r : 0;
	reading.file = check_dir_name(&dir, "index", 0);
	if (!reading.file)
		return -ENOMEM;
	reading.names_left = 4 * len + 4096;
	r = index_parse((const uint8_t *)data, len, &handler, &index, &f);
	return r < 0 ? tell_parsed(&dir, "index", r, &f) : check_summary(&reading, &index);
}
