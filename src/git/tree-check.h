/**
 * DOC: tree-check - is a file in the slot what an entry says?
 */
#ifndef GIT_TREE_CHECK_H
#define GIT_TREE_CHECK_H

#include "git/convert.h"
#include "git/index-read.h"
#include "git/tree-work.h"

enum tree_check {
	TREE_CHECK_SAME,      /* stat data or content say so; stat data that drifted is put right */
	TREE_CHECK_MODIFIED,  /* content, type or mode differ */
	TREE_CHECK_ABSENT,    /* nothing there */
	TREE_CHECK_DIRECTORY, /* a directory in its place */
	TREE_CHECK_SPECIAL,   /* a FIFO, socket or device in its place */
	TREE_CHECK_MOUNT,     /* something is mounted on it */
	TREE_CHECK_UNREADABLE,
};

struct tree_checker {
	const struct index *index; /* its stat data; NULL: content decides always */
	const struct convert *convert;
	bool trust_filemode; /* core.fileMode */
	bool want_access;    /* a file that its owner may not read and write is modified */
	/*
	 * A file is modified that a checkout would have written with other bytes. For git one with other line
	 * ends is the same, but for who built with it, it is not.
	 */
	bool want_bytes;
	uint64_t mount_id;   /* of the slot; 0: unknown */
};

/* what statx(2) says about a name, and whether it is on another mount */
int tree_stat_at(int dir_fd, const char *name, struct stat *ret, uint64_t *ret_mount_id);

/* does stat data alone prove that a file is what an entry says? */
bool tree_check_by_stat(const struct tree_checker *checker, const struct tree_entry *e,
			const struct stat *st);

/**
 * tree_check - compare one file or link
 * @dir_fd, @name: where it is
 * @e: no submodule; its stat data is refreshed when only that had drifted
 * @ret_st: what was found; may be NULL
 *
 * Returns an outcome, or a negative errno with a fault in w->f. Does not block, follows no link.
 */
int tree_check(struct tree_worker *w, const struct tree_checker *checker, int dir_fd,
	       const char *name, struct tree_entry *e, struct stat *ret_st);

#endif
