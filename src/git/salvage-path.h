/**
 * DOC: salvage-path - any path as one that git takes into a tree
 *
 * A salvage keeps files that git itself would not have (those of a nested repository's ".git", names with
 * a backslash) and the slot's administration in a tree. Component by component: '%' and '\' become "%25"
 * and "%5c"; what git would still refuse (git/tree-name.h) gets its first byte as "%xx", in lower case.
 * Each path has exactly one escaped form, and what is no such form is refused.
 */
#ifndef GIT_SALVAGE_PATH_H
#define GIT_SALVAGE_PATH_H

/**
 * salvage_path_escape - a path for a tree
 * @path: any bytes, NUL-terminated, components separated by '/'
 *
 * Whether a name is refused is asked as for a link, for which git's rules are strictest, so that the
 * form does not depend on what the path is. Returns an allocated string; NULL with errno: ENOMEM, or
 * EINVAL for an empty component, which no escape mends.
 */
char *salvage_path_escape(const char *path);

/**
 * salvage_path_unescape - what was escaped
 *
 * Returns an allocated string; NULL with errno: ENOMEM, or EINVAL for what salvage_path_escape() never
 * makes. The result is not judged: it may well be "../x" or ".git/config".
 */
char *salvage_path_unescape(const char *path);

#endif
