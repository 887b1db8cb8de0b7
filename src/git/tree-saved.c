/* Delete only what you know to be elsewhere. */
#include "git/tree-saved.h"

#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "git/sha1.h"
#include "util/cleanup.h"
#include "util/map.h"

/*
 * Encoded: the magic, for each file its numbers (little-endian, 64 bits each) and its path with the
 * NUL, and the SHA-1 of all that.
 */
static const char magic[] = "slotd-saved 1\n";
#define MAGIC_LEN (sizeof(magic) - 1)

enum number {
	NUMBER_INO,
	NUMBER_SIZE,
	NUMBER_MTIME_SEC,
	NUMBER_MTIME_NSEC,
	NUMBER_MODE,
	NUMBER_CTIME_SEC, /* the last two: a rename changes them */
	NUMBER_CTIME_NSEC,
	NUMBERS,
};
#define NUMBERS_STEADY NUMBER_CTIME_SEC

struct item {
	uint64_t numbers[NUMBERS];
	char path[];
};

struct tree_saved {
	struct map *map; /* of items, by path */
	struct item **items;
	size_t n, size;
	size_t bytes; /* encoded, without magic and hash */
};

struct tree_saved *tree_saved_new(void)
{
	struct tree_saved *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	set->map = map_new();
	if (set->map)
		return set;
	free(set);
	return NULL;
}

void tree_saved_free(struct tree_saved *set)
{
	if (!set)
		return;
	map_free(set->map);
	for (size_t i = 0; i < set->n; i++)
		free(set->items[i]);
	free(set->items);
	free(set);
}

void tree_saved_freep(struct tree_saved **set)
{
	tree_saved_free(*set);
}

static void numbers_of(const struct stat *st, uint64_t ret[NUMBERS])
{
	ret[NUMBER_INO] = st->st_ino;
	ret[NUMBER_SIZE] = (uint64_t)st->st_size;
	ret[NUMBER_MTIME_SEC] = (uint64_t)st->st_mtim.tv_sec;
	ret[NUMBER_MTIME_NSEC] = (uint64_t)st->st_mtim.tv_nsec;
	ret[NUMBER_MODE] = st->st_mode;
	ret[NUMBER_CTIME_SEC] = (uint64_t)st->st_ctim.tv_sec;
	ret[NUMBER_CTIME_NSEC] = (uint64_t)st->st_ctim.tv_nsec;
}

static size_t item_bytes(size_t path_len)
{
	return NUMBERS * sizeof(uint64_t) + path_len + 1;
}

static int append(struct tree_saved *set, struct item *item)
{
	if (set->n == set->size) {
		size_t size = set->size ? set->size * 2 : 64;
		struct item **more = realloc(set->items, size * sizeof(*more));

		if (!more)
			return -ENOMEM;
		set->items = more;
		set->size = size;
	}
	if (map_put(set->map, item->path, item) < 0)
		return -ENOMEM;
	set->items[set->n++] = item;
	return 0;
}

static int add(struct tree_saved *set, const char *path, const uint64_t numbers[NUMBERS])
{
	struct item *item = map_find(set->map, path);
	size_t len = strlen(path);

	if (item) {
		memcpy(item->numbers, numbers, sizeof(item->numbers));
		return 0;
	}
	item = malloc(sizeof(*item) + len + 1);
	if (!item)
		return -ENOMEM;
	memcpy(item->numbers, numbers, sizeof(item->numbers));
	memcpy(item->path, path, len + 1);
	if (append(set, item) < 0) {
		free(item);
		return -ENOMEM;
	}
	set->bytes += item_bytes(len);
	return 0;
}

int tree_saved_add(struct tree_saved *set, const char *path, const struct stat *st)
{
	uint64_t numbers[NUMBERS];

	numbers_of(st, numbers);
	return add(set, path, numbers);
}

int tree_saved_join(struct tree_saved *set, const struct tree_saved *more)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < more->n; i++)
		r = add(set, more->items[i]->path, more->items[i]->numbers);
	return r;
}

static bool has(const struct tree_saved *set, const char *path, const struct stat *st, size_t n)
{
	const struct item *item = set ? map_find(set->map, path) : NULL;
	uint64_t numbers[NUMBERS];

	numbers_of(st, numbers);
	return item && memcmp(item->numbers, numbers, n * sizeof(*numbers)) == 0;
}

bool tree_saved_has(const struct tree_saved *set, const char *path, const struct stat *st)
{
	return has(set, path, st, NUMBERS);
}

bool tree_saved_has_moved(const struct tree_saved *set, const char *path, const struct stat *st)
{
	return has(set, path, st, NUMBERS_STEADY);
}

bool tree_saved_knows(const struct tree_saved *set, const char *path)
{
	return set && map_find(set->map, path);
}

size_t tree_saved_count(const struct tree_saved *set)
{
	return set ? set->n : 0;
}

static int hash(const void *data, size_t len, git_oid *ret)
{
	struct sha1 s;

	sha1_init(&s);
	sha1_update(&s, data, len);
	return sha1_final(&s, ret);
}

static void item_encode(const struct item *item, struct text *out)
{
	uint64_t numbers[NUMBERS];

	for (size_t i = 0; i < NUMBERS; i++)
		numbers[i] = htole64(item->numbers[i]);
	text_add(out, numbers, sizeof(numbers));
	text_add(out, item->path, strlen(item->path) + 1);
}

int tree_saved_encode(const struct tree_saved *set, struct text *out)
{
	_cleanup_(text_deinit) struct text t = { 0 };
	git_oid oid;

	if (set->bytes + MAGIC_LEN + sizeof(oid.id) > TREE_SAVED_MAX_BYTES)
		return -EFBIG;
	text_add(&t, magic, MAGIC_LEN);
	for (size_t i = 0; i < set->n; i++)
		item_encode(set->items[i], &t);
	if (t.failed || hash(t.data, t.len, &oid) < 0)
		return -ENOMEM;
	text_add(&t, oid.id, sizeof(oid.id));
	text_add(out, t.data, t.len);
	return t.failed || out->failed ? -ENOMEM : 0;
}

/* the items between the magic and the hash */
static int items_decode(const char *data, size_t len, struct tree_saved *set)
{
	while (len > 0) {
		uint64_t numbers[NUMBERS];
		const char *path = data + sizeof(numbers), *nul;

		if (len <= sizeof(numbers))
			return -EUCLEAN;
		memcpy(numbers, data, sizeof(numbers));
		for (size_t i = 0; i < NUMBERS; i++)
			numbers[i] = le64toh(numbers[i]);
		nul = memchr(path, '\0', len - sizeof(numbers));
		if (!nul)
			return -EUCLEAN;
		if (add(set, path, numbers) < 0)
			return -ENOMEM;
		len -= (size_t)(nul + 1 - data);
		data = nul + 1;
	}
	return 0;
}

int tree_saved_decode(const void *data, size_t len, struct tree_saved **ret)
{
	_cleanup_(tree_saved_freep) struct tree_saved *set = NULL;
	size_t body;
	git_oid oid;
	int r;

	if (len < MAGIC_LEN + sizeof(oid.id) || len > TREE_SAVED_MAX_BYTES ||
	    memcmp(data, magic, MAGIC_LEN) != 0)
		return -EUCLEAN;
	body = len - sizeof(oid.id);
	set = tree_saved_new();
	if (!set || hash(data, body, &oid) < 0)
		return -ENOMEM;
	if (memcmp((const char *)data + body, oid.id, sizeof(oid.id)) != 0)
		return -EUCLEAN;
	r = items_decode((const char *)data + MAGIC_LEN, body - MAGIC_LEN, set);
	if (r == 0)
		*ret = TAKE(set);
	return r;
}
