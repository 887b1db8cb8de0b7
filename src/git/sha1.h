/**
 * DOC: sha1 - git's object names, by libcrypto
 *
 * Plain SHA-1 with the processor's help, four times as fast as the collision-detecting one in
 * libgit2. It tells rot from health in objects that were accepted before; whether a new object
 * is an attack is decided by whoever accepts it.
 */
#ifndef GIT_SHA1_H
#define GIT_SHA1_H

#include <stdbool.h>
#include <stddef.h>

#include <git2.h>

struct sha1 {
	void *ctx; /* NULL: memory ran out; sha1_final() tells */
};

void sha1_init(struct sha1 *s);
void sha1_update(struct sha1 *s, const void *data, size_t len);

/* the digest, and @s is released; 0 or -ENOMEM */
int sha1_final(struct sha1 *s, git_oid *ret);

/* for a hash that is given up; fine after sha1_final() too */
void sha1_deinit(struct sha1 *s);

/* the name of an object: the hash of "<type> <size>\0" and its content; 0 or -ENOMEM */
int sha1_object(git_object_t type, const void *data, size_t len, git_oid *ret);

#endif
