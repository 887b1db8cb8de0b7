/* What keeps objects alive, as it comes. */
#include "integrity/roots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "git/oid-set.h"

#define BLOCK_BYTES (256 << 10)

struct block {
	struct block *next;
	size_t used, size;
	char data[];
};

struct roots {
	struct root *v;
	size_t n, size;
	struct oid_set shallow;
	struct block *blocks; /* of names */
};

struct roots *roots_new(void)
{
	return calloc(1, sizeof(struct roots));
}

void roots_free(struct roots *roots)
{
	if (!roots)
		return;
	while (roots->blocks) {
		struct block *next = roots->blocks->next;

		free(roots->blocks);
		roots->blocks = next;
	}
	oid_set_deinit(&roots->shallow);
	free(roots->v);
	free(roots);
}

static struct block *block_with(struct roots *roots, size_t len)
{
	size_t size = len > BLOCK_BYTES ? len : BLOCK_BYTES;
	struct block *b = roots->blocks;

	if (b && b->size - b->used >= len)
		return b;
	b = malloc(sizeof(*b) + size);
	if (!b)
		return NULL;
	*b = (struct block){ .next = roots->blocks, .size = size };
	roots->blocks = b;
	return b;
}

/* @before: what the last root has there, often the same */
static int copy(struct roots *roots, const char *s, const char *before, const char **ret)
{
	size_t len = s ? strlen(s) + 1 : 0;
	struct block *b;

	*ret = before;
	if (s == before || (s && before && strcmp(s, before) == 0))
		return 0;
	*ret = NULL;
	if (!s)
		return 0;
	b = block_with(roots, len);
	if (!b)
		return -ENOMEM;
	*ret = memcpy(b->data + b->used, s, len);
	b->used += len;
	return 0;
}

int roots_add(struct roots *roots, const struct root *root)
{
	static const struct root none;
	const struct root *last;
	struct root added = *root;

	if (roots->n == roots->size) {
		size_t size = roots->size ? roots->size * 2 : 256;
		struct root *v = reallocarray(roots->v, size, sizeof(*v));

		if (!v)
			return -ENOMEM;
		roots->v = v;
		roots->size = size;
	}
	last = roots->n ? &roots->v[roots->n - 1] : &none;
	if (copy(roots, root->name, last->name, &added.name) < 0 ||
	    copy(roots, root->file, last->file, &added.file) < 0 ||
	    copy(roots, root->slot, last->slot, &added.slot) < 0)
		return -ENOMEM;
	roots->v[roots->n++] = added;
	return 0;
}

size_t roots_count(const struct roots *roots)
{
	return roots->n;
}

const struct root *roots_at(const struct roots *roots, size_t i)
{
	return &roots->v[i];
}

int roots_add_shallow(struct roots *roots, const git_oid *oid)
{
	int r = oid_set_add(&roots->shallow, oid, 0);

	return r < 0 ? r : 0;
}

uint64_t roots_shallow_digest(const struct roots *roots)
{
	return oid_set_digest(&roots->shallow);
}

bool roots_is_shallow(const struct roots *roots, const git_oid *oid)
{
	return oid_set_has(&roots->shallow, oid);
}
