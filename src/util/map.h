/**
 * DOC: map - find things by a string
 *
 * A hash table from NUL-terminated keys to borrowed pointers (json-c's linkhash
 * underneath, seeded against chosen keys). Keys are not copied: they must live as
 * long as their entry, usually inside the value.
 */
#ifndef UTIL_MAP_H
#define UTIL_MAP_H

#include <stddef.h>

struct map;

/* NULL when memory ran out */
struct map *map_new(void);

/* accepts NULL; the values are not freed */
void map_free(struct map *map);

/* 0, -EEXIST when the key is there already, -ENOMEM */
int map_put(struct map *map, const char *key, void *value);

/* NULL when absent */
void *map_find(const struct map *map, const char *key);

/* no-op when absent */
void map_remove(struct map *map, const char *key);

size_t map_count(const struct map *map);

#endif
