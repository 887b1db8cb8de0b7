/* Each thing once, the gravest first. */
#include "integrity/finding.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/map.h"
#include "util/text.h"

#define DETAIL_BYTES 512
#define KNOWN_MAX    100000 /* beyond so many, one may be counted twice: nobody reads them */

/* sorted by id */
static const struct {
	const char *id;
	enum finding_severity severity;
	const char *meaning;
} ids[] = {
	{ "alternates-loop", FINDING_ERROR, "an alternate leads back to a store before it" },
	{ "bad-alternate", FINDING_ERROR, "a line of objects/info/alternates leads to no readable object directory" },
	{ "bad-commondir", FINDING_ERROR,
	  "the commondir file of a worktree is empty or wrong; an empty one makes git fail in the whole repository" },
	{ "bad-config", FINDING_ERROR, "a configuration file of the repository cannot be read" },
	{ "bad-gitdir", FINDING_ERROR, "the worktree and its administration do not lead to each other" },
	{ "bad-head", FINDING_ERROR, "HEAD is no ref of a branch and no name of a commit" },
	{ "bad-index", FINDING_ERROR, "the index of a worktree is damaged" },
	{ "bad-operation", FINDING_WARNING, "a file of an operation (a merge, a rebase, ...) is not what git writes there" },
	{ "bad-packed-refs", FINDING_ERROR, "packed-refs has a line, an order or a peeled value that git does not write" },
	{ "bad-ref-name", FINDING_ERROR, "a file below refs/ has a name that no ref may have" },
	{ "bad-reflog", FINDING_ERROR, "a log has a line that git cannot read" },
	{ "bad-shallow", FINDING_ERROR, "the file shallow has a line that is no name of a commit" },
	{ "broken-ref", FINDING_ERROR, "a ref says neither an object's name nor another ref's" },
	{ "broken-symref", FINDING_ERROR, "a symbolic ref leads to none that there is" },
	{ "corrupt-bitmap", FINDING_WARNING, "a bitmap file is damaged; git works without it, or gives wrong answers with it" },
	{ "corrupt-commit-graph", FINDING_ERROR, "a commit-graph is damaged or disagrees with the commits; it can be deleted" },
	{ "corrupt-multi-pack-index", FINDING_ERROR, "the multi-pack-index is damaged or disagrees with the packs; it can be deleted" },
	{ "corrupt-object", FINDING_ERROR, "an object cannot be read, or its content has another name" },
	{ "corrupt-pack", FINDING_ERROR, "a pack is damaged; every slot may need what is in it" },
	{ "corrupt-pack-entry", FINDING_ERROR, "the bytes of an object in a pack are not those that its index knows" },
	{ "corrupt-pack-index", FINDING_ERROR, "the index of a pack is damaged; it can be made again from the pack" },
	{ "corrupt-rev-index", FINDING_ERROR, "the .rev file of a pack is damaged; it can be deleted" },
	{ "dangling-object", FINDING_INFO, "nothing leads to an object; no harm" },
	{ "duplicate-worktree", FINDING_ERROR, "two administrations claim the same worktree" },
	{ "empty-object", FINDING_ERROR, "the file of an object is empty, as after a crash of the machine" },
	{ "empty-ref", FINDING_ERROR, "the file of a ref is empty, as after a crash of the machine" },
	{ "leftover", FINDING_INFO, "a temporary file that was left behind, or a pack that is marked to be kept" },
	{ "lock-file", FINDING_INFO, "a lock: somebody is at work, or was killed; \"slotctl locks\" tells which" },
	{ "missing-object", FINDING_ERROR, "something leads to an object that is not there" },
	{ "missing-pack", FINDING_ERROR, "there is the index of a pack, and no pack" },
	{ "missing-pack-index", FINDING_WARNING, "there is a pack without an index: what is in it counts as not there" },
	{ "missing-worktree", FINDING_WARNING, "there is the administration of a worktree, and no worktree" },
	{ "moved-slot", FINDING_ERROR, "the directory of a slot is another one than slotd made, or a link" },
	{ "ref-loop", FINDING_ERROR, "symbolic refs lead round in a circle, or too deep" },
	{ "stray-file", FINDING_INFO, "a file that has no business where it lies" },
	{ "unknown-worktree", FINDING_WARNING, "a directory among the slots has no administration that leads to it" },
	{ "unreadable-file", FINDING_ERROR, "a file cannot be read: its rights, its kind (a pipe, a link) or the disk" },
	{ "unsupported-format", FINDING_ERROR, "the repository has a format or an extension that cannot be read" },
	{ "unsupported-index", FINDING_WARNING, "the index of a worktree has an extension that cannot be read" },
	{ "unsupported-pack", FINDING_ERROR, "a pack or its index is of a version that cannot be read" },
	{ "wrong-owner", FINDING_WARNING, "something belongs to somebody else, so that git refuses it" },
	{ "wrong-type", FINDING_ERROR, "an object is of another type than what leads to it says" },
};

#define N_IDS (sizeof(ids) / sizeof(*ids))

struct findings {
	pthread_mutex_t lock;
	struct map *known; /* by all that tells one from another */
	char **keys;	   /* of the map */
	size_t n_keys, keys_size;
	struct finding *v;
	size_t n, size;
	size_t counts[FINDING_SEVERITIES];
};

const char *finding_severity_to_string(enum finding_severity severity)
{
	static const char *const names[] = { "info", "warning", "error" };

	return names[severity];
}

static int compare_id(const void *key, const void *member)
{
	return strcmp(key, *(const char *const *)member);
}

static size_t id_find(const char *id)
{
	const void *found = bsearch(id, ids, N_IDS, sizeof(*ids), compare_id);

	return found ? (size_t)((const char *)found - (const char *)ids) / sizeof(*ids) : N_IDS;
}

const char *finding_meaning(const char *id)
{
	size_t i = id_find(id);

	return i < N_IDS ? ids[i].meaning : NULL;
}

const char *finding_id_at(size_t i, enum finding_severity *ret_severity, const char **ret_meaning)
{
	if (i >= N_IDS)
		return NULL;
	*ret_severity = ids[i].severity;
	*ret_meaning = ids[i].meaning;
	return ids[i].id;
}

struct findings *findings_new(void)
{
	struct findings *all = calloc(1, sizeof(*all));

	if (!all)
		return NULL;
	all->known = map_new();
	if (!all->known || pthread_mutex_init(&all->lock, NULL) != 0) {
		map_free(all->known);
		free(all);
		return NULL;
	}
	return all;
}

static void finding_deinit(struct finding *f)
{
	free(f->where);
	free(f->slot);
	free(f->object);
	free(f->path);
	free(f->detail);
}

void findings_free(struct findings *all)
{
	if (!all)
		return;
	for (size_t i = 0; i < all->n; i++)
		finding_deinit(&all->v[i]);
	map_free(all->known);
	for (size_t i = 0; i < all->n_keys; i++)
		free(all->keys[i]);
	free(all->keys);
	free(all->v);
	pthread_mutex_destroy(&all->lock);
	free(all);
}

/* 1: it is there already */
static int remember(struct findings *all, const char *id, const struct finding_place *p)
{
	_cleanup_(freep) char *key = text_printf("%s\x01%s\x01%s\x01%s\x01%s", id, p->where ? p->where : "",
						 p->slot ? p->slot : "", p->object ? p->object : "",
						 p->path ? p->path : "");

	if (!key)
		return -ENOMEM;
	if (map_find(all->known, key))
		return 1;
	if (all->n_keys == KNOWN_MAX)
		return 0;
	if (all->n_keys == all->keys_size) {
		size_t size = all->keys_size ? all->keys_size * 2 : 64;
		char **keys = reallocarray(all->keys, size, sizeof(*keys));

		if (!keys)
			return -ENOMEM;
		all->keys = keys;
		all->keys_size = size;
	}
	if (map_put(all->known, key, all) < 0)
		return -ENOMEM;
	all->keys[all->n_keys++] = TAKE(key);
	return 0;
}

static int fill(struct finding *ret, const char *id, enum finding_severity severity,
		const struct finding_place *p, const char *detail)
{
	*ret = (struct finding){ .id = id, .severity = severity };
	ret->where = text_dup(p->where);
	ret->slot = text_dup(p->slot);
	ret->object = text_dup(p->object);
	ret->path = text_dup(p->path);
	ret->detail = strdup(detail);
	if ((p->where && !ret->where) || (p->slot && !ret->slot) || (p->object && !ret->object) ||
	    (p->path && !ret->path) || !ret->detail) {
		finding_deinit(ret);
		return -ENOMEM;
	}
	text_mend_utf8(ret->detail);
	return 0;
}

/* the last one that is lesser, or NULL */
static struct finding *displaceable(struct findings *all, enum finding_severity severity)
{
	for (size_t i = all->n; i-- > 0;)
		if (all->v[i].severity < severity)
			return &all->v[i];
	return NULL;
}

static int keep(struct findings *all, const struct finding *f)
{
	struct finding *place;

	if (all->n == FINDINGS_MAX) {
		place = displaceable(all, f->severity);
		if (!place)
			return 0;
		finding_deinit(place);
		*place = *f;
		return 1;
	}
	if (all->n == all->size) {
		size_t size = all->size ? all->size * 2 : 16;
		struct finding *v = reallocarray(all->v, size, sizeof(*v));

		if (!v)
			return -ENOMEM;
		all->v = v;
		all->size = size;
	}
	all->v[all->n++] = *f;
	return 1;
}

static int add(struct findings *all, const char *id, enum finding_severity severity,
	       const struct finding_place *place, const char *detail)
{
	struct finding f;
	int r;

	pthread_mutex_lock(&all->lock);
	r = remember(all, id, place);
	if (r == 0)
		r = fill(&f, id, severity, place, detail);
	else if (r > 0)
		goto out;
	if (r == 0) {
		r = keep(all, &f);
		if (r <= 0)
			finding_deinit(&f);
	}
	if (r >= 0)
		all->counts[severity]++;
out:
	pthread_mutex_unlock(&all->lock);
	return r < 0 ? r : 0;
}

int finding_add_as(struct findings *all, const char *id, enum finding_severity severity,
		   const struct finding_place *place, const char *fmt, ...)
{
	char detail[DETAIL_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	return add(all, id, severity, place, detail);
}

int finding_add(struct findings *all, const char *id, const struct finding_place *place,
		const char *fmt, ...)
{
	size_t i = id_find(id);
	char detail[DETAIL_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	return i < N_IDS ? add(all, ids[i].id, ids[i].severity, place, detail) :
			   add(all, id, FINDING_ERROR, place, detail);
}

size_t findings_count(const struct findings *all, enum finding_severity severity)
{
	struct findings *locked = (struct findings *)all;
	size_t n;

	pthread_mutex_lock(&locked->lock);
	n = locked->counts[severity];
	pthread_mutex_unlock(&locked->lock);
	return n;
}

static int compare_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int compare_findings(const void *a_, const void *b_)
{
	const struct finding *a = a_, *b = b_;
	int r = (int)b->severity - (int)a->severity;

	r = r ? r : compare_text(a->where, b->where);
	r = r ? r : strcmp(a->id, b->id);
	r = r ? r : compare_text(a->slot, b->slot);
	r = r ? r : compare_text(a->object, b->object);
	return r ? r : compare_text(a->path, b->path);
}

void findings_sort(struct findings *all)
{
	if (all->n)
		qsort(all->v, all->n, sizeof(*all->v), compare_findings);
}

size_t findings_kept(const struct findings *all)
{
	return all->n;
}

const struct finding *findings_at(const struct findings *all, size_t i)
{
	return &all->v[i];
}
