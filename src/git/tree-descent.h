/**
 * DOC: tree-descent - all that is below a directory, however deep it is
 *
 * Paths may be longer than PATH_MAX and levels more than there are descriptors: each directory's names
 * are read at once, only the nearest directories stay open, and the way back up is "..", which is
 * believed only if it is the very directory that we came from. No link is followed and no mount entered.
 * What is below may change all the time.
 */
#ifndef GIT_TREE_DESCENT_H
#define GIT_TREE_DESCENT_H

#include <stdbool.h>
#include <sys/stat.h>

#include "util/fault.h"

enum tree_descent_event {
	TREE_DESCENT_FILE,	 /* anything that is no directory */
	TREE_DESCENT_ENTER,	 /* a directory, before what is in it */
	TREE_DESCENT_LEAVE,	 /* and after it */
	TREE_DESCENT_MOUNT,	 /* something is mounted here; it is not entered */
	TREE_DESCENT_UNREADABLE, /* a directory that cannot be opened */
};

struct tree_descent_item {
	int dir_fd;	  /* where it is; borrowed for the call */
	const char *name; /* there */
	const char *path; /* the path that the descent began with, and below */
	struct stat st;	  /* as it was found, for TREE_DESCENT_LEAVE before it was entered */
};

enum tree_descent_answer {
	TREE_DESCENT_GO_ON = 0,
	TREE_DESCENT_SKIP = 1,	/* to ENTER: not into this one, and no LEAVE */
	TREE_DESCENT_AGAIN = 2, /* to LEAVE: look once more at what is in it */
};

/* an answer, or a negative errno that ends the descent and is returned */
typedef int (*tree_descent_fn)(enum tree_descent_event event, const struct tree_descent_item *item,
			       void *userdata);

/**
 * tree_descent - tell about everything below a directory
 * @fd: the directory; there is no event for itself
 * @path: its path, for the paths of what is in it; "" for none
 * @make_writable: directories get rwx for their owner
 *
 * Names that go away meanwhile are left out. -EAGAIN: a directory was moved away with us in it.
 */
int tree_descent(int fd, const char *path, bool make_writable, tree_descent_fn fn, void *userdata,
		 struct fault *f);

/**
 * tree_open_dir - open a directory below another for reading
 * @name: may have several components
 * @make_writable: it gets rwx for its owner, by descriptor
 *
 * Returns a descriptor or a negative errno, as fs_open_beneath().
 */
int tree_open_dir(int dir_fd, const char *name, bool make_writable);

#endif
