#include "git/verified.h"

#include <stdatomic.h>
#include <string.h>

#define ENTRIES (1u << 20) /* 8 MiB, of which only what is used is there */

/* each in the one place that its value leads to; 0: none */
static _Atomic uint64_t entries[ENTRIES];

/* the finalizer of splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014 */
static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static uint64_t add_file(uint64_t id, const struct stat *st)
{
	id = mix(id ^ st->st_dev);
	id = mix(id ^ st->st_ino);
	id = mix(id ^ (uint64_t)st->st_size);
	id = mix(id ^ (uint64_t)st->st_ctim.tv_sec);
	return mix(id ^ (uint64_t)st->st_ctim.tv_nsec);
}

uint64_t verified_pack_id(const struct stat *pack, const struct stat *idx)
{
	return add_file(add_file(1, pack), idx);
}

static uint64_t value_of(uint64_t pack_id, const git_oid *oid)
{
	uint64_t head, value;

	memcpy(&head, oid->id, sizeof(head));
	value = mix(pack_id ^ head);
	return value ? value : 1;
}

bool verified_has(uint64_t pack_id, const git_oid *oid)
{
	uint64_t value = value_of(pack_id, oid);

	return atomic_load_explicit(&entries[value % ENTRIES], memory_order_relaxed) == value;
}

void verified_add(uint64_t pack_id, const git_oid *oid)
{
	uint64_t value = value_of(pack_id, oid);

	atomic_store_explicit(&entries[value % ENTRIES], value, memory_order_relaxed);
}
