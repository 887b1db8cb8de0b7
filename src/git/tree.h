/**
 * DOC: tree - put a commit's files into a slot, and prove that they are there
 *
 * The only code that writes to or deletes from a slot. Everything is done relative to
 * a directory handle of the slot, through no symbolic link and no mount: openat2 with
 * RESOLVE_BENEATH | NO_SYMLINKS | NO_XDEV, O_NOFOLLOW, unlinkat. New content is written
 * beside and renamed over (in a fresh slot: created with O_EXCL), so neither links nor hard
 * links are written through. Index entries are filled from what was just written. Text
 * conversion (text, eol, ident) follows the attributes of the commit being written (convert.h); no
 * program runs.
 *
 * The index is read by a bounded reader of ours (index-read.h) and written by us: version 2, with a
 * cache-tree, to "index.lock" first and renamed. It is not synced, nor are the files: after a
 * power loss content decides.
 *
 * Errors
 * ------
 * -EUCLEAN (an object is missing or damaged; the sentence names it), -ENOSPC, -ELOOP and
 * -EXDEV (a link or a mount where none may be), -EIO, ...
 */
#ifndef GIT_TREE_H
#define GIT_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "git/repo.h"

/* a slot on disk; both handles borrowed for the call */
struct tree_slot {
	const char *common_dir;
	int slot_fd;  /* the worktree's directory, O_RDONLY|O_DIRECTORY */
	int admin_fd; /* its administration: <common>/worktrees/slotd-<slot>; its "index" is ours */
};

struct ignore;	   /* git/ignore.h: patterns */
struct tree_saved; /* git/tree-saved.h */

/*
 * What stays though the commit does not have it. What its ignore rules ignore, unless said otherwise
 * here; patterns are as in gitignore(5), from the slot's top. { 0 }: just that.
 */
struct tree_policy {
	bool wipe_ignored;	       /* nothing stays: what is ignored goes, and @keep does not count */
	const struct ignore *keep;     /* stays though it is not ignored; NULL: nothing */
	const struct ignore *wipe;     /* goes though it is ignored, or in @keep; NULL: nothing */
	const struct ignore *precious; /* what is ignored and has to be saved before it goes */
};

struct tree_stats {
	uint64_t files;	 /* in the tree */
	uint64_t written; /* files written */
	uint64_t removed; /* names deleted */
	uint64_t disk_bytes; /* tree_create(), and tree_reset() that left all as it was: blocks that the slot
			      * uses, in bytes, as du counts */
	bool untouched;	     /* tree_reset(): what it looked at was clean but for the index: a sweep would tell
			      * the same */
};

/**
 * tree_create - write a whole commit into an empty slot directory, and its index
 * @commit: in the store
 * @threads: 1..8
 *
 * The directory holds at most a ".git" file. What a killed earlier try left is fine: names that are
 * in the way are replaced. Files that end up with the wrong content after a crash are not: so
 * the caller begins with an empty directory or uses tree_reset().
 */
int tree_create(const struct tree_slot *slot, const git_oid *commit, unsigned threads,
		struct tree_stats *ret, struct fault *f);

/**
 * tree_switch - move a clean slot from what its index says to another commit
 *
 * Touches only what differs between the two. A file that is not what the index says is not
 * overwritten, nor is a file that is there and not in the index, ignored ones included: -EBUSY with
 * its name, nothing changed before it was noticed. -EBUSY, too, for an index that is locked, unmerged
 * or has hidden entries. Attributes that changed count as a difference of the files they are for.
 */
int tree_switch(const struct tree_slot *slot, const git_oid *commit, unsigned threads,
		struct tree_stats *ret, struct fault *f);

/* what a sweep finds */
enum tree_change {
	TREE_CHANGE_MODIFIED = 1, /* content, type or mode differs from the index */
	TREE_CHANGE_DELETED,
	TREE_CHANGE_STAGED,	/* the index differs from the commit (path of the entry) */
	TREE_CHANGE_UNTRACKED,	/* not in the index, not ignored; see tree_sweep() on directories */
	TREE_CHANGE_IGNORED,	/* not in the index, ignored; a directory as one, with '/' */
	TREE_CHANGE_CONFLICT,	/* unmerged in the index */
	TREE_CHANGE_HIDDEN,	/* differs behind assume-unchanged or skip-worktree */
	TREE_CHANGE_NESTED,	/* a repository or submodule checkout: its directory, with '/' */
	TREE_CHANGE_SPECIAL,	/* FIFO, socket, device, tracked or not */
	TREE_CHANGE_MOUNT,	/* something is mounted here */
	TREE_CHANGE_UNREADABLE,
};

const char *tree_change_to_string(enum tree_change c);

/**
 * tree_change_fn - told about each difference, in path order per directory
 * @path: relative to the slot, any bytes but NUL
 *
 * A negative return ends the sweep and is returned.
 */
typedef int (*tree_change_fn)(enum tree_change change, const char *path, void *userdata);

struct tree_sweep_options {
	struct tree_policy policy; /* what goes by it is untracked, what stays by it is ignored */
	bool want_ignored;	   /* report TREE_CHANGE_IGNORED too */
	unsigned threads;	   /* 1..8; 0: 1 */
};

/**
 * tree_sweep - compare a slot with its index, and its index with a commit
 * @commit: what the index is compared with, whose .gitignore files decide (with info/exclude of
 *	the store); NULL: the index is not compared, and nothing is ignored
 * @options: NULL: as { 0 }
 * @ret_disk_bytes: blocks that the slot uses, in bytes, as du counts; may be NULL
 *
 * An entry is unchanged when size, mtime, ctime, inode, type and mode are those of the index and
 * the entry is not racy; else its content decides (filters applied the other way), and stat data
 * that merely drifted is no change. The flags assume-unchanged and skip-worktree are not believed.
 *
 * An untracked directory is one report, with '/', if all in it is plain untracked files; else its
 * parts are reported one by one, so that what is ignored in it can be told from what is not. What
 * stands where a tracked name belongs is untracked even if rules would ignore it. An untracked
 * directory without files is not reported (git does not see it either); a nested repository and an
 * ignored directory are not looked into. Leftovers of a killed reset (".slotd-tmp-…") are untracked under any rules.
 * -EUCLEAN when the index cannot be read (damaged, split, sparse): the sentence says which.
 */
int tree_sweep(const struct tree_slot *slot, const git_oid *commit,
	       const struct tree_sweep_options *options, tree_change_fn fn, void *userdata,
	       uint64_t *ret_disk_bytes, struct fault *f);

enum tree_outcome {
	TREE_E_UNSAVED = 1, /* something may not go; nothing was changed */
	TREE_E_LEFT = 2,    /* something that came meanwhile may not go; all else is done */
};

struct tree_reset_options {
	struct tree_policy policy;
	unsigned threads;   /* 1..8; 0: 1 */
	bool prove_content; /* stat data of the index is not believed */
	/*
	 * NULL: all that has to go may go. Else only what is in this set, as it is there; what is, by
	 * its content, what the index or one of the commits has under its path; and what is ignored
	 * and not precious.
	 */
	const struct tree_saved *saved;
	const git_oid *held; /* another commit that no one will lose, such as HEAD's; may be NULL */
	int index_lock; /* from index_lock(), of a caller who has made sure of the index; 0: none */
	int trash_dir_fd;    /* with @saved: where the trash is made, on the slot's file system ... */
	const char *trash;   /* ... and under which name; nobody but this slot's jobs touches it */
};

/**
 * tree_reset - make a slot equal to a commit, whatever is in it
 * @options: NULL: as { 0 }
 *
 * Afterwards: index equal to the commit's tree with true stat data, every tracked file as the
 * commit says, nothing untracked but what stays by the policy (a repository nested in an ignored directory
 * included). Unreadable, split or sparse indexes are replaced. Deletes only what it was given below
 * slot_fd; a mount inside is -EXDEV and nothing below it is touched. Reading an object fails before
 * anything was changed where that can be known (all trees, existence of all changed blobs).
 *
 * What the old index has and the commit does not is removed, even where rules ignore it. Files
 * whose content is right are left as they are, so that builds in kept directories stay valid; one
 * that its owner may not read and write is made anew. Directories get rwx for their owner; -EACCES if
 * that fails for one with tracked files. An index.lock that is there is replaced: the slot is ours.
 *
 * TREE_E_UNSAVED, TREE_E_LEFT: something is there that may not go, and the fault names it. It is in
 * the slot, where it was or (if that place was taken) below TREE_TRASH_PUT_BACK, and @ret is not set; the
 * caller saves again, into the same set, and calls again.
 */
int tree_reset(const struct tree_slot *slot, const git_oid *commit,
	       const struct tree_reset_options *options, struct tree_stats *ret, struct fault *f);

#endif
