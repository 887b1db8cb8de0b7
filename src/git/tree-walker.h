/**
 * DOC: tree-walker - one thread of a walk (private to tree-walk.c and what it calls)
 */
#ifndef GIT_TREE_WALKER_H
#define GIT_TREE_WALKER_H

#include <dirent.h>

#include "git/tree-walk.h"
#include "util/list.h"

struct tree_queue;

/* what rules say about a name or a directory above it, as bits */
enum tree_fate {
	TREE_FATE_IGNORED = 1,
	TREE_FATE_KEPT = 2,
	TREE_FATE_WIPED = 4, /* stronger than both */
};

/* of a name alone; to be joined with that of its directory */
unsigned tree_fate(const struct tree_walk *walk, const char *path, bool is_dir);

/* a directory that the list knows */
struct tree_task {
	struct list link; /* tree_queue.tasks */
	char *path;	  /* of the directory, "" for the slot */
	size_t low, high; /* its entries in the list */
	unsigned fate;	  /* of what is not tracked in it; enum tree_fate */
};

struct tree_walker {
	struct tree_walk *walk;
	struct tree_queue *queue;
	struct tree_worker worker;
	struct fault fault;
	struct tree_found *found;
	size_t n_found, found_size;
	uint64_t disk_bytes;
};

/* @path of the caller is copied; "/" is added for a directory */
int tree_walker_report(struct tree_walker *w, int change, const char *path, bool is_dir,
		       struct tree_entry *entry);

/* forgets the reports from that one on */
void tree_walker_forget(struct tree_walker *w, size_t from);

/**
 * tree_walker_open - open a directory for reading, below another
 * @name: may have several components
 * @ret: a stream that the caller closes
 *
 * As fs_open_beneath(): -EXDEV for a mount, -ELOOP or -ENOTDIR for what is no directory. Makes
 * it accessible first if the walk is allowed to.
 */
int tree_walker_open(struct tree_walker *w, int dir_fd, const char *name, DIR **ret);

/* "dir/name", or "name" at the top; NULL: no memory */
char *tree_walker_path(const char *dir, const char *name);

/* puts a directory into the queue; @path is copied */
int tree_walker_push(struct tree_walker *w, const char *path, size_t low, size_t high,
		     unsigned fate);

/* one directory against its entries in the list; subdirectories are pushed */
int tree_compare(struct tree_walker *w, const struct tree_task *task);

/**
 * tree_untracked - report a name that the list does not have
 * @dir, @dir_fd: where it is
 * @fate: of its directory
 * @in_the_way: the list wants something else under this name, so no rules count
 */
int tree_untracked(struct tree_walker *w, const char *dir, int dir_fd, const char *name,
		   unsigned fate, bool in_the_way);

/* counts what an ignored or kept name uses, if that is asked for, and reports what is wiped in it */
int tree_look_through(struct tree_walker *w, int dir_fd, const char *name, const char *path,
		      unsigned fate);

#endif
