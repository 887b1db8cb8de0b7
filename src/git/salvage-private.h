/**
 * DOC: salvage-private - what the files of salvage share
 *
 * salvage_tree is what the files say, salvage_state what the administration says; both only look.
 * salvage_writer writes.
 */
#ifndef GIT_SALVAGE_PRIVATE_H
#define GIT_SALVAGE_PRIVATE_H

#include "git/ignore.h"
#include "git/pack-write.h"
#include "git/reach.h"
#include "git/salvage.h"
#include "git/seed.h"
#include "git/tree-build.h"
#include "git/tree-walk.h"
#include "git/worktree-private.h"
#include "util/json.h"
#include "util/map.h"

/* --- lists --- */

struct salvage_paths {
	char **v; /* owned */
	size_t n, size;
};

int salvage_paths_add(struct salvage_paths *p, const char *path);
void salvage_paths_deinit(struct salvage_paths *p);

struct salvage_edits {
	struct tree_edit *v; /* paths are owned */
	size_t n, size;
};

/* @mode 0: remove */
int salvage_edits_add(struct salvage_edits *e, const char *path, uint32_t mode, const git_oid *oid);
void salvage_edits_deinit(struct salvage_edits *e);

struct salvage_oids {
	git_oid *v;
	size_t n, size;
};

int salvage_oids_add(struct salvage_oids *o, const git_oid *oid); /* once */
int salvage_oids_append(struct salvage_oids *o, const git_oid *oid);
bool salvage_oids_have(const struct salvage_oids *o, const git_oid *oid);

/* --- the files --- */

enum salvage_kind {
	SALVAGE_KIND_CHANGED,
	SALVAGE_KIND_CONFLICT,
	SALVAGE_KIND_STAGED,
	SALVAGE_KIND_UNTRACKED,
	SALVAGE_KIND_PRECIOUS,
	SALVAGE_KIND_NESTED,
	SALVAGE_KIND_SPECIAL,
	/* from here on: cannot be saved */
	SALVAGE_KIND_MOUNT,
	SALVAGE_KIND_UNREADABLE,
	SALVAGE_KINDS,
};

struct salvage_tree {
	const struct salvage_spec *spec;
	struct worktree *w;
	struct tree_saved *saved; /* gets what the operator has put in, and nobody has touched */
	struct seed_notes *seeds;
	git_oid base;
	struct index index;
	bool has_index;	     /* it could be read */
	bool has_flags;	     /* it says more than files and contents */
	struct tree_list base_list, target_list;
	struct tree_list *list; /* the index's, or the base's */
	struct convert *convert;
	struct ignore *ignore;
	struct tree_walk walk;
	struct salvage_paths paths;   /* to be read; one that is not there is gone */
	struct salvage_paths verbatim; /* of nested repositories */
	struct salvage_paths dirs;     /* empty ones of these; "a/b/" */
	struct salvage_paths absent;   /* what a sparse checkout leaves out */
	struct salvage_paths modules;  /* stores of submodules that are saved: "modules/<name>" */
	struct salvage_paths safe_modules;
	struct tree_saved *known;      /* while files are gathered that are safe elsewhere */
	struct salvage_paths special;
	struct salvage_paths hidden;
	size_t counts[SALVAGE_KINDS];
	struct salvage_paths names[SALVAGE_KINDS]; /* the first few */
};

/* finds what is to be saved of the files; -EUCLEAN: @base cannot be read */
int salvage_tree_look(struct salvage_tree *t, struct worktree *w, const struct salvage_spec *spec,
		      const git_oid *base, struct fault *f);
void salvage_tree_deinit(struct salvage_tree *t);

/* what was found is counted, and noted for the writer */
int salvage_tree_count(struct salvage_tree *t, enum salvage_kind kind, const char *path);
int salvage_tree_special(struct salvage_tree *t, const char *path);
int salvage_tree_file(struct salvage_tree *t, enum salvage_kind kind, const char *path);

/* one name, or all below a directory "a/b/", by its kind: untracked, precious or nested */
int salvage_tree_leaf(struct salvage_tree *t, enum salvage_kind kind, const char *path);
int salvage_tree_dir(struct salvage_tree *t, enum salvage_kind kind, const char *path, struct fault *f);

/* cleaning leaves a directory "a/b/", although git does not ignore it */
bool salvage_tree_dir_stays(const struct salvage_tree *t, const char *path);

/* a repository in "a/b/"; @entry: of the submodule that it is, or NULL */
int salvage_tree_nested(struct salvage_tree *t, const char *path, const struct tree_entry *entry, struct fault *f);

/* stores of submodules that no checkout was found of, and that know what nobody else does */
int salvage_tree_modules(struct salvage_tree *t, struct fault *f);

/* what was staged, as edits of the base; an unmerged path is ours, else theirs, else nothing */
int salvage_tree_staged(const struct salvage_tree *t, struct salvage_edits *ret);

/* "1 changed file: a" */
char *salvage_kind_sentence(const struct salvage_tree *t, enum salvage_kind kind, bool with_names);

/* --- the administration --- */

struct salvage_stash {
	git_oid commit;
	char *message;
};

struct salvage_state {
	char *head_text; /* NULL: it cannot be read */
	char *branch;	 /* NULL: detached */
	git_oid head;	 /* zero: unborn or broken */
	int operations;	 /* bits of enum op_state */
	bool has_refs;	 /* refs/worktree/… */
	struct salvage_paths files; /* that are kept, relative to the administration */
	struct salvage_oids named;  /* commits that they name */
	struct reach *reach;	    /* commits that no ref holds */
	size_t n_commits;
	git_oid newest;
	struct salvage_oids heads; /* whoever holds these holds all of them */
	struct salvage_stash *stashes;
	size_t n_stashes;
};

/* all files below a directory of the administration */
int salvage_state_keep(struct salvage_state *s, struct worktree *w, const char *path, struct fault *f);

int salvage_state_look(struct salvage_state *s, struct worktree *w, const struct salvage_spec *spec,
		       struct fault *f);
void salvage_state_deinit(struct salvage_state *s);

/* --- writing --- */

struct salvage_writer {
	struct worktree *w;
	const struct salvage_spec *spec;
	const struct salvage_tree *tree;
	const struct salvage_state *state;
	struct tree_saved *saved;
	struct pack_writer *pack;
	struct tree_worker dir; /* the directory that was opened last */
	struct salvage_edits files;  /* W against I */
	struct salvage_edits extras; /* the tree of X */
	struct salvage_paths unstable;
	bool verbatim; /* the file at hand */
	struct salvage_paths noted; /* directories whose modes were noted ... */
	struct map *noted_by_path;  /* ... found by their path */
	struct text modes;
	uint64_t bytes;
	struct fault *f;
};

/* a file or link of the slot, by its path: into W, and into X what W cannot have of it */
int salvage_file_save(struct salvage_writer *x, const char *path);

/* the same, but into X alone, and as it is */
int salvage_file_save_verbatim(struct salvage_writer *x, const char *path);

/* a regular file below a directory, as it is; 1: there is none, or it is none */
int salvage_file_copy(struct salvage_writer *x, int dirfd, const char *path, git_oid *ret);

/* an object of the store into the pack; a large blob stays where it is; -EUCLEAN: missing or damaged */
int salvage_object_copy(struct salvage_writer *x, const git_oid *oid);

/* the commits that no ref holds, with all that their parents do not have */
int salvage_commits_copy(struct salvage_writer *x);

/* the meta of X */
int salvage_meta_write(struct salvage_writer *x, const char *summary, struct text *ret);

/* "2 changed files, 1 commit on no branch" */
char *salvage_summary(const struct salvage_tree *t, const struct salvage_state *s);

/* W with all that it needs, in x->pack */
int salvage_commit_write(struct salvage_writer *x, const char *summary, git_oid *ret);

#endif
