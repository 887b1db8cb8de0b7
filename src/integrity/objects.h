/**
 * DOC: objects - every object that there is, by number
 *
 * The names in all packs and of all loose objects, of the store and its alternates, each once, sorted. Names in
 * packs stay where they are, in the mapped index files; an object costs six bytes here. What
 * else is known of one is in a few bits: its type, and as what it was led to.
 *
 * Calling sequence
 * ----------------
 * 1. objects_new(), objects_add_pack() and objects_add_loose()
 * 2. objects_seal(); from then on any thread may ask and mark
 * 3. objects_free()
 */
#ifndef INTEGRITY_OBJECTS_H
#define INTEGRITY_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <git2.h>

#define OBJECTS_NONE UINT32_MAX

struct objects;

struct objects *objects_new(void); /* NULL: no memory */
void objects_free(struct objects *o); /* accepts NULL */

/* @names: the sorted table of an index, @stride bytes from one to the next; borrowed until the end */
int objects_add_pack(struct objects *o, const unsigned char *names, uint32_t n, size_t stride);
int objects_add_loose(struct objects *o, const git_oid *oid);
int objects_seal(struct objects *o); /* 0, -ENOMEM, -E2BIG: more than 2^32 - 2 */

uint32_t objects_count(const struct objects *o);

/* the number, or OBJECTS_NONE */
uint32_t objects_find(const struct objects *o, const unsigned char *oid);

/* is there one whose name begins with these eight bytes, big-endian? */
bool objects_has_prefix(const struct objects *o, uint64_t prefix);

const unsigned char *objects_name(const struct objects *o, uint32_t number);

enum objects_mark {
	OBJECTS_TYPE = 7,	   /* mask: a git_object_t, 0: not known yet */
	OBJECTS_WANT_COMMIT = 8,   /* something leads to it as to a commit, ... */
	OBJECTS_WANT_TREE = 16,
	OBJECTS_WANT_BLOB = 32,
	OBJECTS_WANT_ANY = 64,
	OBJECTS_BAD = 128,	   /* no copy of it is whole */
	OBJECTS_WANT_TAG = 256,
	OBJECTS_WANT_TYPES = OBJECTS_WANT_COMMIT | OBJECTS_WANT_TREE | OBJECTS_WANT_BLOB | OBJECTS_WANT_TAG,
};

unsigned objects_marks(const struct objects *o, uint32_t number);
void objects_mark(struct objects *o, uint32_t number, unsigned marks); /* adds them; atomically */
void objects_clear(struct objects *o, uint32_t number, unsigned marks);

/* OBJECTS_WANT_... of a type */
unsigned objects_want(git_object_t type);

#endif
