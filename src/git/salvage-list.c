/* Growing lists of what a salvage is made of. */
#include "git/salvage-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* room for one more of @item bytes */
static int make_room(void **v, size_t n, size_t *size, size_t item)
{
	size_t want = *size ? *size * 2 : 16;
	void *more;

	if (n < *size)
		return 0;
	more = realloc(*v, want * item);
	if (!more)
		return -ENOMEM;
	*v = more;
	*size = want;
	return 0;
}

int salvage_paths_add(struct salvage_paths *p, const char *path)
{
	char *copy = strdup(path);

	if (!copy || make_room((void **)&p->v, p->n, &p->size, sizeof(*p->v)) < 0) {
		free(copy);
		return -ENOMEM;
	}
	p->v[p->n++] = copy;
	return 0;
}

void salvage_paths_deinit(struct salvage_paths *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->v[i]);
	free(p->v);
	*p = (struct salvage_paths){ 0 };
}

int salvage_edits_add(struct salvage_edits *e, const char *path, uint32_t mode, const git_oid *oid)
{
	char *copy = strdup(path);

	if (!copy || make_room((void **)&e->v, e->n, &e->size, sizeof(*e->v)) < 0) {
		free(copy);
		return -ENOMEM;
	}
	e->v[e->n] = (struct tree_edit){ .path = copy, .mode = mode };
	if (mode)
		git_oid_cpy(&e->v[e->n].oid, oid);
	e->n++;
	return 0;
}

void salvage_edits_deinit(struct salvage_edits *e)
{
	for (size_t i = 0; i < e->n; i++)
		free((char *)e->v[i].path);
	free(e->v);
	*e = (struct salvage_edits){ 0 };
}

bool salvage_oids_have(const struct salvage_oids *o, const git_oid *oid)
{
	for (size_t i = 0; i < o->n; i++)
		if (git_oid_equal(&o->v[i], oid))
			return true;
	return false;
}

int salvage_oids_add(struct salvage_oids *o, const git_oid *oid)
{
	return salvage_oids_have(o, oid) ? 0 : salvage_oids_append(o, oid);
}

int salvage_oids_append(struct salvage_oids *o, const git_oid *oid)
{
	if (make_room((void **)&o->v, o->n, &o->size, sizeof(*o->v)) < 0)
		return -ENOMEM;
	git_oid_cpy(&o->v[o->n++], oid);
	return 0;
}
