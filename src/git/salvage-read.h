/**
 * DOC: salvage-read - what a slot's last holder left, opened
 *
 * A salvage is a commit W with three parents and a ref of its own:
 *
 *	refs/slotd/salvage/<slot>/<lease>/<n> -> W (tree: the files as they were left)
 *		B  the commit of HEAD
 *		I  the index as staged
 *		X  the rest: meta, head, index, modes, dirs, stages/, state/, files/
 *
 * Agents can write refs and objects as they like, so nothing here is believed: every object is
 * bounded before it is read, names are judged, and what is not as it must be is -EUCLEAN with a
 * sentence.
 *
 * Threads: as the repo's.
 */
#ifndef GIT_SALVAGE_READ_H
#define GIT_SALVAGE_READ_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "git/repo.h"

#define SALVAGE_REFS	     "refs/slotd/salvage/"
#define SALVAGE_VERSION	     1
#define SALVAGE_META_BYTES   (4 << 20)
#define SALVAGE_MAX_NAMES    2000000   /* files and directories in one part */
#define SALVAGE_MAX_PATH     (1 << 20) /* bytes; deeper than the kernel takes at once */
#define SALVAGE_LEASE_DIGITS 32

/* "refs/slotd/salvage/api-1/<32 hex digits>/2", taken apart */
struct salvage_name {
	char slot[80];
	char lease[SALVAGE_LEASE_DIGITS + 1];
	uint64_t n;
};

/* -EINVAL: it is not the name of a salvage's ref */
int salvage_name_parse(const char *ref, struct salvage_name *ret);

struct salvage {
	struct repo *repo;	    /* borrowed */
	git_oid commit;		    /* W */
	git_oid base, index, state; /* B, I, X */
	git_oid tree, base_tree, index_tree, state_tree;
	uint64_t time_usec; /* of W */
	char *message;	    /* of W; UTF-8 */
	json_object *meta;  /* an object of the version that is known here; fields may be missing */
	char *head;	    /* what HEAD said; NULL: not known */
};

/**
 * salvage_open - a salvage by its commit
 * @ret: the caller frees it with salvage_free()
 *
 * -EUCLEAN: not a salvage, or one that is damaged; -EOPNOTSUPP: made by a newer slotd.
 */
int salvage_open(struct repo *repo, const git_oid *commit, struct salvage **ret, struct fault *f);
void salvage_free(struct salvage *s); /* accepts NULL */

static inline void salvage_freep(struct salvage **s)
{
	salvage_free(*s);
}

/**
 * salvage_part - a file at the top of X ("index", "modes")
 * @max: bytes at most, else -EUCLEAN
 * @ret: the caller frees it with git_odb_object_free()
 *
 * -ENOENT, without a sentence: there is none.
 */
int salvage_part(struct salvage *s, const char *name, size_t max, git_odb_object **ret,
		 struct fault *f);

/**
 * salvage_file_fn - told about a file below a part
 * @path: as it was, any bytes; relative, no component is "." or ".." or longer than 255 bytes
 * @mode: TREE_MODE_FILE, _EXEC, _LINK or _GITLINK
 *
 * A negative return ends the walk and is returned.
 */
typedef int (*salvage_file_fn)(const char *path, uint32_t mode, const git_oid *oid, void *userdata,
			       struct fault *f);

/* the files below a directory of X ("files", "state", "stages"), in no order; none: no call */
int salvage_foreach(struct salvage *s, const char *part, salvage_file_fn fn, void *userdata,
		    struct fault *f);

/**
 * salvage_foreach_record - the records of "modes" and "dirs"
 * @fn: @value is the octal number before the path, 0 where there is none ("dirs"); @path as in
 *	salvage_file_fn
 */
int salvage_foreach_record(struct salvage *s, const char *part,
			   int (*fn)(uint32_t value, const char *path, void *userdata,
				     struct fault *f),
			   void *userdata, struct fault *f);

/**
 * salvage_foreach_ref - every salvage of the store
 * @fn: @name is taken apart from @ref; a ref below refs/slotd/salvage/ with another name is passed over
 */
int salvage_foreach_ref(struct repo *repo,
			int (*fn)(const char *ref, const struct salvage_name *name,
				  const git_oid *commit, void *userdata, struct fault *f),
			void *userdata, struct fault *f);

/* may a saved path be made anew below a directory? As salvage_file_fn's @path */
bool salvage_path_is_safe(const char *path);

#endif
