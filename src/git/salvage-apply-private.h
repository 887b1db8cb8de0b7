/**
 * DOC: salvage-apply-private - what the files of salvage-apply share
 *
 * salvage-check only looks, salvage-put writes one file, salvage-apply goes through all of them.
 */
#ifndef GIT_SALVAGE_APPLY_PRIVATE_H
#define GIT_SALVAGE_APPLY_PRIVATE_H

#include "git/salvage-apply.h"
#include "git/tree-work.h"
#include "util/text.h"

#define SALVAGE_CHUNK	   8
#define SALVAGE_IN_THE_WAY "is there and is something else: move it away"

int salvage_path_fault(struct fault *f, int r, const char *what, const char *path);

/* -EBUSY: "\"<path>\" <why>" */
int salvage_busy(struct fault *f, const char *path, const char *why);

static inline const char *salvage_name_of(const struct tree_entry *e)
{
	size_t dir_len = tree_path_dir(e->path, e->path_len);

	return e->path + dir_len + (dir_len > 0);
}

/* as tree_worker_dir(), for any length */
int salvage_open_dir(struct tree_worker *w, const char *path, size_t len);

/* the same; made if it is not there, from the top, and nothing is removed for it */
int salvage_make_dir(struct tree_worker *w, const char *path, size_t len);

/* as salvage_put_file(), of a content at hand */
int salvage_put_text(int dir_fd, const char *name, uint32_t mode, uint32_t perm, const struct text *content,
		     bool replace, struct stat *ret);

/* --- what is there --- */

enum salvage_found {
	SALVAGE_FOUND_NOTHING,
	SALVAGE_FOUND_GOAL,   /* it is as it shall be, but for its permissions */
	SALVAGE_FOUND_BEFORE, /* it is as it was before: it may go */
	SALVAGE_FOUND_DIR,
	SALVAGE_FOUND_OTHER,
};

/* an enum salvage_found or a negative errno */
int salvage_look(struct tree_worker *w, const struct salvage_apply *a, int dir_fd, struct tree_entry *e,
		 struct stat *st);

/* is it as it was before? 1, 0 or a negative errno */
int salvage_is_before(struct tree_worker *w, const struct salvage_apply *a, int dir_fd, const char *path, size_t len);

/* as it was and as it shall be are the same, and nobody has to look at it */
bool salvage_is_kept(const struct salvage_apply *a, struct tree_entry *e);

/* does the goal have something of the same kind there? It is then written over it */
bool salvage_is_replaced(const struct salvage_apply *a, const struct tree_entry *old);

#endif
