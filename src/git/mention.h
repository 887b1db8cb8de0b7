/**
 * DOC: mention - which objects do the files of a repository name?
 *
 * Everything that may hold an object is a file in the common directory: refs, packed refs, HEADs,
 * logs, indexes with their cached trees and resolved conflicts, split and sparse ones, the state of
 * merges and rebases, of any worktree. Instead of understanding each of them, every byte of every
 * file is looked at: 40 hexadecimal digits, or 20 bytes, that are the name of an object of the store
 * are taken for a mention. No format that git has, or will have, hides one; and none is by chance.
 *
 * Not looked into: objects/ but for objects/info/, and the object databases of others in modules/ and
 * lfs/, and the packs that slotd is about to make. What is no plain file, a socket for instance, holds
 * nothing.
 */
#ifndef GIT_MENTION_H
#define GIT_MENTION_H

#include "git/oid-set.h"
#include "util/fault.h"

enum {
	MENTION_E_ODD =
		1, /* a link is there, or a mount: what it leads to is not looked at, and the fault names it */
	MENTION_E_BUSY, /* files came and went whenever it was looked */
};

/**
 * mention_find - all names of objects that are mentioned
 * @common_fd: the common directory
 * @among: what counts as one
 * @ret: they are added to it
 */
int mention_find(int common_fd, const struct oid_set *among, struct oid_set *ret, struct fault *f);

#endif
