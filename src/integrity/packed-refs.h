/**
 * DOC: packed-refs - the file packed-refs, line by line
 *
 * Source: git-pack-refs(1); the header's "peeled", "fully-peeled" and "sorted".
 */
#ifndef INTEGRITY_PACKED_REFS_H
#define INTEGRITY_PACKED_REFS_H

#include "integrity/check-dir.h"
#include "integrity/ref-name.h"

#define PACKED_REFS_BYTES ((size_t)1 << 30)

struct packed_ref {
	const char *name; /* valid during the call */
	git_oid oid;
	bool is_peeled; /* a line "^<id>": what the tag @name leads to */
	size_t line;	/* from 1 */
};

struct packed_refs_reader {
	int (*ref)(const struct packed_ref *ref, void *userdata);
	/* a line that git does not write; the scan goes on behind it */
	int (*bad)(size_t line, const char *why, void *userdata);
	void *userdata;
};

/* any bytes; a negative return of a function ends it and is returned */
int packed_refs_scan(const char *data, size_t len, const struct packed_refs_reader *reader);

/* where a name stands, sorted or not */
bool packed_refs_find(const char *data, size_t len, const char *name, git_oid *ret);

/* names in ascending order */
struct ref_names {
	char **v;
	size_t n, size;
};

void ref_names_deinit(struct ref_names *names);
int ref_names_add(struct ref_names *names, const char *name);
void ref_names_sort(struct ref_names *names);
bool ref_names_has(const struct ref_names *names, const char *name);

/**
 * packed_refs_check - all of it, into findings and roots
 * @loose: refs that have a file, sorted: what is packed of them counts no more
 */
int packed_refs_check(const struct check_dir *dir, const struct ref_names *loose);

#endif
