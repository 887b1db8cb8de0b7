/**
 * DOC: tree-list - the files of a commit or of an index, as one sorted list
 *
 * Sorted as the index is: by the bytes of the path, then by stage. Paths live in the list.
 */
#ifndef GIT_TREE_LIST_H
#define GIT_TREE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <git2.h>

#include "git/repo.h"

#define TREE_MODE_FILE	  0100644
#define TREE_MODE_EXEC	  0100755
#define TREE_MODE_LINK	  0120000
#define TREE_MODE_GITLINK 0160000
#define TREE_MODE_DIR	  0040000
#define TREE_MAX_ENTRIES  10000000
#define TREE_MAX_PATH	  4095

/* what an index remembers of lstat(2); cut to 32 bits as git does; all zero: nothing */
struct tree_stat {
	uint32_t ctime_sec, ctime_nsec;
	uint32_t mtime_sec, mtime_nsec;
	uint32_t dev, ino;
	uint32_t uid, gid;
	uint32_t size;
};

enum tree_entry_flag {
	TREE_ENTRY_STAGE = 3, /* mask; 0: merged */
	TREE_ENTRY_ASSUME_VALID = 4,
	TREE_ENTRY_SKIP_WORKTREE = 8,
	TREE_ENTRY_INTENT_TO_ADD = 16,
	TREE_ENTRY_GONE = 32, /* must not be there (tree_reset only) */
};

struct tree_entry {
	const char *path; /* relative, NUL-terminated; belongs to the list */
	uint32_t path_len;
	uint32_t mode; /* TREE_MODE_… */
	uint32_t flags;
	git_oid oid;
	struct tree_stat stat;
};

/* a directory of a commit, for the cache-tree; parents come before their children */
struct tree_dir {
	const char *path; /* "" is the root; belongs to the list */
	git_oid oid;
	size_t parent;	/* index into dirs; the root is its own */
	size_t n_files; /* entries anywhere below */
	size_t n_children;
};

struct tree_block;

struct tree_list {
	struct tree_entry *entries;
	size_t n, size;
	struct tree_dir *dirs; /* NULL for an index */
	size_t n_dirs, dirs_size;
	bool odd; /* has empty or unsorted trees: no index's cache-tree can stand for it */
	struct tree_block *blocks;
};

/**
 * tree_list_load - all files of a commit
 * @ret: the caller deinits it, on success only
 *
 * -EUCLEAN, with the object's or the file's name: an object is missing or damaged, a name may not
 * be in a work tree (empty, ".", "..", ".git" in any case, one that is there twice).
 */
int tree_list_load(struct repo *repo, const git_oid *commit, struct tree_list *ret,
		   struct fault *f);

/**
 * tree_list_remember - keep the list that was loaded last, for who wants the same again
 *
 * The steps of one job (save, reset, prove) begin with the same list. From true to false, in one thread:
 * a change of the store's trees meanwhile is not noticed, so not longer than a job takes. Off at first.
 */
void tree_list_remember(bool on);

/* for an empty, zeroed list as well */
void tree_list_deinit(struct tree_list *list);

/* space for a path of len bytes and its NUL, in the list; NULL: no memory */
char *tree_list_path(struct tree_list *list, const char *path, size_t len);

/* a zeroed entry at the end; NULL: no memory */
struct tree_entry *tree_list_add(struct tree_list *list);

/* the first entry (lowest stage) of that path, or NULL */
struct tree_entry *tree_list_find(const struct tree_list *list, const char *path, size_t len);

/* the first entry whose path is not before this one: list->n if there is none */
size_t tree_list_lower(const struct tree_list *list, const char *path, size_t len);

/* are there entries below the path of this one, as if it were a directory? */
bool tree_list_has_below(const struct tree_list *list, const struct tree_entry *e);

/* by path alone; NULL, the end of a list, comes last */
int tree_entry_order(const struct tree_entry *a, const struct tree_entry *b);

int tree_path_compare(const char *a, size_t a_len, const char *b, size_t b_len);

/* may a component have this name? */
bool tree_name_is_safe(const char *name, size_t len);

/* is every component of a path safe? */
bool tree_path_is_safe(const char *path, size_t len);

/* length of the directory part, without its slash; 0 for the top */
size_t tree_path_dir(const char *path, size_t len);

/* old modes (0100664) mean what git takes them for; 0: no mode */
uint32_t tree_mode_canonical(uint32_t mode);

void tree_stat_fill(struct tree_stat *ret, const struct stat *st);

#endif
