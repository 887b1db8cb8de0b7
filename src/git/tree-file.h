/**
 * DOC: tree-file - one file of a commit, put where it belongs
 */
#ifndef GIT_TREE_FILE_H
#define GIT_TREE_FILE_H

#include "git/convert.h"
#include "git/tree-work.h"

/* what a kill may leave in a slot begins with this; the next reset removes it */
#define TREE_TMP_PREFIX ".slotd-tmp-"

/*
 * At the top of a slot, and a number: a directory for what had the place of the slot's .git file
 * (worktree_open()). Nothing that says what stays in a slot holds for it.
 */
#define TREE_ASIDE_PREFIX "replaced.git-"

enum tree_file_how {
	TREE_FILE_NEW,	   /* nothing is expected under that name: create it there */
	TREE_FILE_REPLACE, /* write beside and rename over */
};

/**
 * tree_file_write - write a file, link or submodule directory
 * @e: which; its stat data is filled in
 * @convert: the commit's attributes
 *
 * Missing directories are made. Whatever stands in the way is removed: a name that is no directory,
 * and a directory with all that is in it. But if w->beside_fd is a directory (on the same file
 * system), nothing is: new files are written there and take their places if these are free; else
 * -EEXIST, -ENOTDIR or -ELOOP, and what is there stays.
 */
int tree_file_write(struct tree_worker *w, struct tree_entry *e, const struct convert *convert,
		    enum tree_file_how how);

/**
 * tree_file_dirs - make the directory of a path, and open it
 * @path, @len: of a directory, relative to the slot
 *
 * A link or a file in the way is removed. Returns a borrowed descriptor as tree_worker_dir(), or a
 * negative errno with a fault.
 */
int tree_file_dirs(struct tree_worker *w, const char *path, size_t len);

/* blocks of one name in bytes, without what is in it; 0: it is not there, or cannot be looked at */
uint64_t tree_file_disk(int dir_fd, const char *name);

#endif
