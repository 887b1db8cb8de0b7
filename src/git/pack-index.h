/**
 * DOC: pack-index - what is in a pack, and the file that says so
 *
 * A table of the objects of one pack, found by name, and the index of the pack made from it.
 *
 * Errors: 0 or -ENOMEM; there is nothing else to go wrong.
 */
#ifndef GIT_PACK_INDEX_H
#define GIT_PACK_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include <git2.h>

struct pack_entry {
	git_oid oid;
	uint32_t crc;	 /* CRC-32 of its bytes in the pack, header included */
	uint64_t offset; /* where they begin */
};

/* { 0 } is empty and valid */
struct pack_table {
	struct pack_entry *entries; /* in the order in which they were added */
	size_t n, size;
	uint32_t *places; /* by hash: the number of an entry and 1; 0: free */
	unsigned bits;	  /* 1 << bits of them */
	uint64_t seed;	  /* so that nobody can choose names that meet */
};

void pack_table_deinit(struct pack_table *t);

/* the entry, until the next one is added; NULL when it is not there */
const struct pack_entry *pack_table_find(const struct pack_table *t, const git_oid *oid);

/* @entry is copied; it must not be there yet */
int pack_table_add(struct pack_table *t, const struct pack_entry *entry);

/**
 * pack_index_encode - the whole .idx file, version 2
 * @pack_sum: the checksum at the end of the pack
 * @ret, @ret_len: the caller frees it
 *
 * Source: gitformat-pack(5), "Version 2 pack-*.idx files".
 */
int pack_index_encode(const struct pack_table *t, const git_oid *pack_sum, uint8_t **ret,
		      size_t *ret_len);

#endif
