/**
 * DOC: ref-name - names of refs, and what is in a file of one
 *
 * Source: git-check-ref-format(1), gitrepository-layout(5), git-worktree(1), REFS.
 */
#ifndef INTEGRITY_REF_NAME_H
#define INTEGRITY_REF_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include <git2.h>

#define REF_FILE_BYTES 65536 /* nobody writes a longer one */
#define REF_NAME_BYTES 4096
#define REF_MAX_DEPTH  5 /* symbolic refs that git follows one after the other */

/* as git check-ref-format [--allow-onelevel] */
bool ref_name_is_valid(const char *name, bool allow_one_level);

/* has each worktree its own? HEAD and the like, refs/bisect/, refs/worktree/, refs/rewritten/ */
bool ref_name_is_own(const char *name);

/* white space to git, whatever the locale: no vertical tab, no form feed */
static inline bool is_git_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* exactly an id in hexadecimal; upper case is taken, as git does */
bool oid_parse(const char *text, size_t len, git_oid *ret);

enum ref_kind {
	REF_KIND_BROKEN,
	REF_KIND_EMPTY, /* nothing, white space or NULs alone */
	REF_KIND_OID,
	REF_KIND_SYMBOLIC,
};

struct ref_value {
	enum ref_kind kind;
	git_oid oid;
	const char *target; /* in the data */
	bool has_junk;	    /* behind what git reads */
};

/* any bytes; NUL behind them; the end is cut off from @data */
void ref_value_parse(char *data, size_t len, struct ref_value *ret);

/**
 * ref_load - the value in a file
 * @ret_data: allocated; @ret lives in it
 *
 * A symbolic link whose target is a ref is a symbolic ref. 0 or a negative errno as of file_load().
 */
int ref_load(int dirfd, const char *path, char **ret_data, struct ref_value *ret);

#endif
