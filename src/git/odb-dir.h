/**
 * DOC: odb-dir - one "objects" directory: its packs and its loose objects
 *
 * Packs are opened one by one through libgit2 (the .idx decides; a multi-pack-index is not looked
 * at), loose objects through loose.h. What is read has the right name, or it is not returned: the
 * next copy is tried. A pack that appears or vanishes is noticed by odb_dir_rescan().
 *
 * Errors: 0, -ENOENT (not here), or a fault (here, but damaged).
 */
#ifndef GIT_ODB_DIR_H
#define GIT_ODB_DIR_H

#include <stdbool.h>
#include <sys/stat.h>

#include <git2.h>

#include "util/fault.h"

struct odb_dir;

/* -ENOENT when there is no such directory; @path is absolute and copied */
int odb_dir_open(const char *path, struct odb_dir **ret, struct fault *f);
void odb_dir_close(struct odb_dir *dir); /* accepts NULL */

const char *odb_dir_path(const struct odb_dir *dir);
int odb_dir_fd(const struct odb_dir *dir);
bool odb_dir_is(const struct odb_dir *dir, const struct stat *st); /* the same directory? */

/* looks at objects/pack again if it changed since the last time; true: something was different */
bool odb_dir_rescan(struct odb_dir *dir);

/* content from libgit2's allocator, for loose_free() */
int odb_dir_read(struct odb_dir *dir, const git_oid *oid, git_object_t *ret_type, void **ret_data,
		 size_t *ret_size, struct fault *f);
int odb_dir_read_header(struct odb_dir *dir, const git_oid *oid, git_object_t *ret_type,
			size_t *ret_size, struct fault *f);
bool odb_dir_exists(struct odb_dir *dir, const git_oid *oid);

/* makes an object look new to a prune by age; it is read to see that it is whole; 0 or a fault */
int odb_dir_freshen(struct odb_dir *dir, const git_oid *oid, struct fault *f);

/* every object, duplicates included; a callback's other value than 0 ends it and is returned */
int odb_dir_foreach(struct odb_dir *dir, git_odb_foreach_cb cb, void *userdata);

/* those whose names begin with the first @hexlen digits of @prefix; as odb_dir_foreach() */
int odb_dir_foreach_prefix(struct odb_dir *dir, const git_oid *prefix, size_t hexlen,
			   git_odb_foreach_cb cb, void *userdata);

#endif
