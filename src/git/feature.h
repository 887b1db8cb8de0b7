/**
 * DOC: feature - what a repository needs and slots cannot give yet
 */
#ifndef GIT_FEATURE_H
#define GIT_FEATURE_H

#include "git/repo.h"

struct feature {
	const char *what;   /* "lfs", "submodules", "working-tree-encoding", "filter", "partial-clone" */
	const char *where;  /* a file of the commit, or a setting */
	const char *detail; /* one sentence */
};

/**
 * feature_find - name them, by file or setting
 * @commit: whose files are looked at; NULL: settings only
 * @fn: told each, at most 20; what it gets is borrowed for the call
 *
 * A negative return of @fn ends it and is returned. -EUCLEAN: a tree or attributes file is missing.
 */
int feature_find(struct repo *repo, const git_oid *commit,
		  int (*fn)(const struct feature *feature, void *userdata), void *userdata,
		  struct fault *f);

#endif
