/**
 * DOC: ignore - what a commit's .gitignore files, and info/exclude of the store, ignore
 *
 * The rules are those of gitignore(5): the last pattern that matches decides, the deepest file
 * comes last, and below an ignored directory everything is ignored. The .gitignore files in
 * the slot are not believed: an agent may have written them.
 *
 * Threads: read-only after ignore_load(); may be shared.
 */
#ifndef GIT_IGNORE_H
#define GIT_IGNORE_H

#include "git/tree-list.h"

struct ignore;

/**
 * ignore_from_lines - patterns that are in no file, such as those of the configuration
 * @lines, @n: each as a line of a .gitignore file at the top; not needed afterwards
 *
 * 0; NULL as @ret for no lines. -ENOMEM.
 */
int ignore_from_lines(const char *const *lines, size_t n, struct ignore **ret);

/* @list: the files of the commit; NULL: only info/exclude. The list must outlive it */
int ignore_load(struct repo *repo, const struct tree_list *list, struct ignore **ret,
		struct fault *f);
void ignore_free(struct ignore *ignore); /* accepts NULL */

/* for a name whose directory is not ignored; NULL as @ignore: nothing is */
bool ignore_match(const struct ignore *ignore, const char *path, size_t len, bool is_dir);

/* the directories above are judged, too */
bool ignore_is_ignored(const struct ignore *ignore, const char *path, bool is_dir);

#endif
