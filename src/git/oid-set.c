/* A table of a pack knows names already; here they are of anything. */
#include "git/oid-set.h"

#include <string.h>

void oid_set_deinit(struct oid_set *set)
{
	pack_table_deinit(&set->table);
}

int oid_set_add(struct oid_set *set, const git_oid *oid, uint64_t number)
{
	struct pack_entry entry = { .oid = *oid, .offset = number };
	int r;

	if (pack_table_find(&set->table, oid))
		return 0;
	r = pack_table_add(&set->table, &entry);
	return r < 0 ? r : 1;
}

bool oid_set_has(const struct oid_set *set, const git_oid *oid)
{
	return pack_table_find(&set->table, oid);
}

bool oid_set_find(const struct oid_set *set, const git_oid *oid, uint64_t *ret_number)
{
	const struct pack_entry *entry = pack_table_find(&set->table, oid);

	if (entry)
		*ret_number = entry->offset;
	return entry;
}

size_t oid_set_count(const struct oid_set *set)
{
	return set->table.n;
}

const git_oid *oid_set_at(const struct oid_set *set, size_t i, uint64_t *ret_number)
{
	const struct pack_entry *entry = &set->table.entries[i];

	if (ret_number)
		*ret_number = entry->offset;
	return &entry->oid;
}

uint64_t oid_set_digest(const struct oid_set *set)
{
	uint64_t digest = 0, part;

	for (size_t i = 0; i < set->table.n; i++) {
		memcpy(&part, set->table.entries[i].oid.id, sizeof(part));
		digest += part * 0x9e3779b97f4a7c15ULL ^ part >> 29;
	}
	return digest;
}
