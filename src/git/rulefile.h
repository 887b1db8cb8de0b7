/**
 * DOC: rulefile - the .gitignore and .gitattributes files of a commit
 */
#ifndef GIT_RULEFILE_H
#define GIT_RULEFILE_H

#include "git/tree-list.h"

#define RULEFILE_MAX_BYTES (100 << 20) /* as git: larger ones are not read */

/* the content of one file; @dir without slash at the end, "" for the top; lives as the list does */
typedef int (*rulefile_fn)(const char *dir, size_t dir_len, char *text, size_t len, void *userdata);

/**
 * rulefile_foreach - every regular file of that name, in path order
 * @text: NUL-terminated behind len bytes; may be written to during the call
 */
int rulefile_foreach(struct repo *repo, const struct tree_list *list, const char *name,
		     rulefile_fn fn, void *userdata, struct fault *f);

/* the same for a file of the store ("info/exclude"); absent or no regular file: not called */
int rulefile_of_store(struct repo *repo, const char *path, rulefile_fn fn, void *userdata,
		      struct fault *f);

#endif
