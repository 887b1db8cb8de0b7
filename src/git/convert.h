/**
 * DOC: convert - what attributes do to a file between the store and the slot
 *
 * text, eol, ident (and crlf, the old name) by the .gitattributes files of one commit, with
 * info/attributes of the store, core.autocrlf and core.eol. The slot's own .gitattributes are never
 * read. No program runs: "filter" is ignored, so that LFS files stay pointers.
 *
 * Threads: read-only after convert_load(); may be shared.
 *
 * Source: gitattributes(5), "Effects".
 */
#ifndef GIT_CONVERT_H
#define GIT_CONVERT_H

#include "git/tree-list.h"
#include "util/text.h"

struct convert;

/**
 * convert_load - the rules of a commit
 * @list: its files
 *
 * A .gitattributes that cannot be read from the store is -EUCLEAN.
 */
int convert_load(struct repo *repo, const struct tree_list *list, struct convert **ret,
		 struct fault *f);
void convert_free(struct convert *c); /* accepts NULL */

/* is a file the same on both sides, whatever is in it? */
bool convert_is_plain(const struct convert *c, const char *path);

/* do two sets of rules treat a file alike? */
bool convert_is_same(const struct convert *a, const struct convert *b, const char *path);

/**
 * convert_to_slot - from the store to the slot
 * @ret: the converted content, the caller deinits it
 *
 * 1: converted; 0: as it is, @ret is untouched; -ENOMEM.
 */
int convert_to_slot(const struct convert *c, const char *path, const git_oid *oid, const void *data,
		    size_t len, struct text *ret);

/**
 * convert_to_store - from the slot to the store
 * @blob, @blob_len: what the index has for this file: with CR LF in it, "auto" does not convert
 *	(NULL: nothing, or unknown)
 *
 * As convert_to_slot().
 */
int convert_to_store(const struct convert *c, const char *path, const void *data, size_t len,
		     const void *blob, size_t blob_len, struct text *ret);

#endif
