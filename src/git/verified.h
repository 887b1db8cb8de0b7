/**
 * DOC: verified - packed objects that this process has held against their names already
 *
 * Hashing is a quarter of what it costs to make a slot, and the slots of a pool are made of the same
 * objects. What was right once is right again while pack and index are the very same files, unchanged
 * since (device, inode, size, change time); the checksum that zlib keeps is looked at each time. A cache
 * of fixed size: what falls out of it is hashed again. For any number of threads.
 */
#ifndef GIT_VERIFIED_H
#define GIT_VERIFIED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include <git2.h>

/* what tells this state of a pack from every other */
uint64_t verified_pack_id(const struct stat *pack, const struct stat *idx);

bool verified_has(uint64_t pack_id, const git_oid *oid);
void verified_add(uint64_t pack_id, const git_oid *oid);

#endif
