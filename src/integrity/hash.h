/**
 * DOC: hash - the names of many objects, one after the other
 *
 * By libcrypto with the processor's help, or by libgit2's hash that notices an attack on SHA-1, which takes some
 * four times as long. Large objects are hashed piece by piece by either.
 *
 * Calling sequence
 * ----------------
 * 1. hash_init()
 * 2. hash_object(); or hash_begin(), hash_update() until all is there, hash_final(); any number of times
 * 3. hash_deinit()
 *
 * Errors
 * ------
 * 0 or -ENOMEM. Content that is made for an attack gets a name that it has nowhere.
 */
#ifndef INTEGRITY_HASH_H
#define INTEGRITY_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include <git2.h>

struct hash {
	bool detect_collisions;
	void *md, *ctx;		/* of libcrypto */
	git_odb *odb;		/* of libgit2: keeps nothing */
	git_odb_stream *stream; /* of the object that is being hashed */
	bool failed;		/* while it was hashed, memory ran out */
};

int hash_init(struct hash *h, bool detect_collisions);
void hash_deinit(struct hash *h); /* fine after a hash_init() that failed, and on zeros */

int hash_object(struct hash *h, git_object_t type, const void *data, size_t len, git_oid *ret);

/* @len: bytes of content in all; hash_update() takes as many, no more and no less */
int hash_begin(struct hash *h, git_object_t type, uint64_t len);
void hash_update(struct hash *h, const void *data, size_t len);
int hash_final(struct hash *h, git_oid *ret);

/* plain SHA-1 of some bytes, as at the end of git's files; with detect_collisions false only */
int hash_begin_plain(struct hash *h);

#endif
