/* json-c's hash table under names of our own. */
#include "util/map.h"

#include <errno.h>
#include <json-c/linkhash.h>
#include <stdlib.h>

struct map {
	struct lh_table *table;
	int removed; /* since it was last built; what is removed still costs a look on the way */
};

struct map *map_new(void)
{
	struct map *map = calloc(1, sizeof(*map));

	if (!map)
		return NULL;
	json_global_set_string_hash(JSON_C_STR_HASH_DFLT);
	map->table = lh_kchar_table_new(64, NULL);
	if (!map->table) {
		free(map);
		return NULL;
	}
	return map;
}

void map_free(struct map *map)
{
	if (!map)
		return;
	lh_table_free(map->table);
	free(map);
}

int map_put(struct map *map, const char *key, void *value)
{
	if (map_find(map, key))
		return -EEXIST;
	return lh_table_insert(map->table, key, value) == 0 ? 0 : -ENOMEM;
}

void *map_find(const struct map *map, const char *key)
{
	void *value;

	return lh_table_lookup_ex(map->table, key, &value) ? value : NULL;
}

void map_remove(struct map *map, const char *key)
{
	if (lh_table_delete(map->table, key) < 0 || ++map->removed < map->table->size / 4)
		return;
	/* without memory it stays as it is: slower, not wrong */
	if (lh_table_resize(map->table, map->table->size) == 0)
		map->removed = 0;
}

size_t map_count(const struct map *map)
{
	return (size_t)lh_table_length(map->table);
}
