/* Notes by name. */
#include "integrity/memo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/map.h"

struct note {
	char name[MEMO_NAME_BYTES];
	size_t len;
	uint8_t *data;
};

struct memo {
	struct map *by_name;
	struct note **v;
	size_t n, size;
};

struct memo *memo_new(void)
{
	struct memo *memo = calloc(1, sizeof(*memo));

	if (!memo)
		return NULL;
	memo->by_name = map_new();
	if (!memo->by_name) {
		free(memo);
		return NULL;
	}
	return memo;
}

static void note_free(struct note *note)
{
	if (!note)
		return;
	free(note->data);
	free(note);
}

void memo_free(struct memo *memo)
{
	if (!memo)
		return;
	map_free(memo->by_name);
	for (size_t i = 0; i < memo->n; i++)
		note_free(memo->v[i]);
	free(memo->v);
	free(memo);
}

static struct note *note_add(struct memo *memo, const char *name)
{
	struct note *note;

	if (memo->n == memo->size) {
		size_t size = memo->size ? memo->size * 2 : 64;
		struct note **v = reallocarray(memo->v, size, sizeof(*v));

		if (!v)
			return NULL;
		memo->v = v;
		memo->size = size;
	}
	note = calloc(1, sizeof(*note));
	if (!note)
		return NULL;
	strcpy(note->name, name);
	if (map_put(memo->by_name, note->name, note) < 0) {
		free(note);
		return NULL;
	}
	memo->v[memo->n++] = note;
	return note;
}

int memo_put(struct memo *memo, const char *name, const void *data, size_t len)
{
	struct note *note = map_find(memo->by_name, name);
	uint8_t *copy;

	if (strlen(name) >= MEMO_NAME_BYTES || len > MEMO_NOTE_BYTES)
		return -EINVAL;
	copy = malloc(len + 1);
	if (!copy)
		return -ENOMEM;
	if (!note)
		note = note_add(memo, name);
	if (!note) {
		free(copy);
		return -ENOMEM;
	}
	memcpy(copy, data, len);
	free(note->data);
	note->data = copy;
	note->len = len;
	return 0;
}

void memo_remove(struct memo *memo, const char *name)
{
	struct note *note = map_find(memo->by_name, name);

	if (!note)
		return;
	map_remove(memo->by_name, name);
	for (size_t i = 0; i < memo->n; i++)
		if (memo->v[i] == note)
			memo->v[i] = memo->v[--memo->n];
	note_free(note);
}

void memo_clear(struct memo *memo)
{
	while (memo->n > 0)
		memo_remove(memo, memo->v[memo->n - 1]->name);
}

const void *memo_find(const struct memo *memo, const char *name, size_t *ret_len)
{
	const struct note *note = map_find(memo->by_name, name);

	if (!note)
		return NULL;
	*ret_len = note->len;
	return note->data;
}

int memo_foreach(const struct memo *memo,
		 int (*fn)(const char *name, const void *data, size_t len, void *userdata), void *userdata)
{
	for (size_t i = 0; i < memo->n; i++) {
		int r = fn(memo->v[i]->name, memo->v[i]->data, memo->v[i]->len, userdata);

		if (r < 0)
			return r;
	}
	return 0;
}
