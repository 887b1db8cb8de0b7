/*
 * Many into one.
 *
 * Not all packs each time: the largest stays as long as it is twice as large as everything below it,
 * and so does the next one after it. What is packed is then at most a few times as much as has come
 * since, and there are never more than a handful of packs. Of the packs that are replaced, what is
 * reachable goes into one new pack with the loose objects, what is not into another one, and they
 * are removed when everything in them was found in the indexes of those that are there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/loose.h"
#include "git/maintain-private.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/text.h"

#define NEW_DIR "new"

/* left alone for ever, as git does with gc.bigPackThreshold: it would take its time, and memory */
#define BIG_PACK_BYTES (2ULL << 30)

#define STAYS_FACTOR 2

/* --- which --- */

static int by_size(const void *a, const void *b)
{
	const struct store_pack *x = *(const struct store_pack *const *)a;
	const struct store_pack *y = *(const struct store_pack *const *)b;

	return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static bool may_be_replaced(const struct store_pack *pack)
{
	return !pack->kept && pack->reached > 0 && pack->bytes <= BIG_PACK_BYTES;
}

/* loose objects that a pack should have */
static uint64_t loose_bytes(const struct maintenance *m, size_t *ret_count)
{
	uint64_t bytes = 0;

	*ret_count = 0;
	for (size_t i = 0; i < m->listing.n_loose; i++) {
		if (!oid_set_has(&m->walk.reached, &m->listing.loose[i].oid))
			continue;
		bytes += m->listing.loose[i].bytes;
		++*ret_count;
	}
	return bytes;
}

/* ret: how many bytes are to be packed; 0: nothing is */
static int choose(struct maintenance *m, uint64_t *ret)
{
	struct store_listing *l = &m->listing;
	_cleanup_(freep) struct store_pack **packs = calloc(l->n_packs + 1, sizeof(*packs));
	size_t n = 0, n_loose;
	uint64_t below = loose_bytes(m, &n_loose);

	if (!packs)
		return fault_oom(m->f);
	for (size_t i = 0; i < l->n_packs; i++) {
		if (!may_be_replaced(&l->packs[i]))
			continue;
		packs[n++] = &l->packs[i];
		below += l->packs[i].bytes;
	}
	qsort(packs, n, sizeof(*packs), by_size);
	for (; n > 0; n--) {
		below -= packs[n - 1]->bytes;
		if (packs[n - 1]->bytes < STAYS_FACTOR * below)
			break;
	}
	*ret = 0;
	if (n == 0 && n_loose == 0)
		return 0;
	*ret = below + (n ? packs[n - 1]->bytes : 0) + 1;
	while (n > 0)
		packs[--n]->doomed = true;
	return 0;
}

/* --- the new one --- */

/* in a pack that stays, of those that may be relied on */
static bool is_elsewhere(const struct maintenance *m, const git_oid *oid)
{
	for (size_t i = 0; i < m->listing.n_packs; i++) {
		const struct store_pack *pack = &m->listing.packs[i];

		if (!pack->doomed && !pack->kept && pack->reached > 0 && store_pack_has(pack, oid))
			return true;
	}
	return false;
}

static int on_packing(int stage, uint32_t current, uint32_t total, void *userdata)
{
	struct maintenance *m = userdata;

	return m->options->progress
		       ? m->options->progress("packing", current, total, m->options->userdata)
		       : 0;
}

static int on_writing(const git_indexer_progress *stats, void *userdata)
{
	return on_packing(0, stats->indexed_objects, stats->total_objects, userdata);
}

/* through its descriptor: what the path names may have been replaced */
static int write_pack(struct maintenance *m, git_packbuilder *pb, int new_fd)
{
	char path[32];
	int rc;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", new_fd);
	rc = git_packbuilder_write(pb, path, 0444, on_writing, m);
	return rc < 0 ? git_fault(m->f, rc, "cannot write a pack") : 0;
}

static int finish_pack(struct maintenance *m, git_packbuilder *pb, char ret_name[PACK_NAME_SIZE])
{
	_cleanup_(closep) int new_fd = -1;
	int r;

	ret_name[0] = '\0';
	if (git_packbuilder_object_count(pb) == 0)
		return 0;
	r = fs_remove_tree_at(m->dir_fd, NEW_DIR, m->f);
	if (r < 0)
		return r;
	new_fd = admin_open_dir_at(m->dir_fd, NEW_DIR, m->f);
	if (new_fd < 0)
		return new_fd;
	CRASH_POINT("maintain.repack.begun");
	r = write_pack(m, pb, new_fd);
	if (r == 0)
		r = maintain_place(m, new_fd, ret_name);
	return r < 0 ? r : fs_remove_tree_at(m->dir_fd, NEW_DIR, m->f);
}

struct packing {
	struct maintenance *m;
	git_packbuilder *pb;
	struct oid_set sources; /* what is loose, or in a doomed pack */
};

static int note_source(const git_oid *oid, void *userdata)
{
	struct packing *p = userdata;

	return oid_set_add(&p->sources, oid, 0) < 0 ? -ENOMEM : 0;
}

static int find_sources(struct packing *p)
{
	struct store_listing *l = &p->m->listing;
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->n_loose; i++)
		r = note_source(&l->loose[i].oid, p);
	for (size_t i = 0; r == 0 && i < l->n_packs; i++)
		if (l->packs[i].doomed)
			r = store_pack_each(&l->packs[i], note_source, p);
	return r == 0	      ? 0
	       : r == -ENOMEM ? fault_oom(p->m->f)
			      : git_fault(p->m->f, r, "cannot read a pack");
}

static int insert(struct packing *p, const git_oid *oid, const char *name)
{
	int rc = git_packbuilder_insert(p->pb, oid, name);

	return rc < 0 ? git_fault(p->m->f, rc, "cannot pack %s", git_oid_tostr_s(oid)) : 0;
}

static int insert_reached(struct packing *p)
{
	struct object_walk *walk = &p->m->walk;
	int r = 0;

	for (size_t i = 0; r == 0 && i < oid_set_count(&walk->reached); i++) {
		const git_oid *oid = oid_set_at(&walk->reached, i, NULL);

		if (oid_set_has(&p->sources, oid) && !is_elsewhere(p->m, oid))
			r = insert(p, oid, object_walk_name(walk, i));
	}
	return r;
}

static int insert_unreached(const git_oid *oid, void *userdata)
{
	struct packing *p = userdata;

	return oid_set_has(&p->m->walk.reached, oid) ? 0 : insert(p, oid, "");
}

static int insert_rest(struct packing *p)
{
	struct store_listing *l = &p->m->listing;
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->n_packs; i++)
		if (l->packs[i].doomed)
			r = store_pack_each(&l->packs[i], insert_unreached, p);
	return r;
}

/* fill: which objects it is to have */
static int make_pack(struct packing *p, int (*fill)(struct packing *p),
		     char ret_name[PACK_NAME_SIZE])
{
	struct maintenance *m = p->m;
	int r, rc = git_packbuilder_new(&p->pb, repo_git(m->repo));

	if (rc < 0)
		return git_fault(m->f, rc, "cannot begin a pack");
	/* beside others' work, not before it */
	git_packbuilder_set_threads(p->pb, 1);
	git_packbuilder_set_callbacks(p->pb, on_packing, m);
	r = fill(p);
	if (r == 0)
		r = finish_pack(m, p->pb, ret_name);
	git_packbuilder_free(p->pb);
	p->pb = NULL;
	return r;
}

/* --- the old ones --- */

struct check {
	struct maintenance *m;
	git_odb_backend *made[2];
};

static bool is_kept_safe(const struct check *c, const git_oid *oid)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->made); i++)
		if (c->made[i] && c->made[i]->exists(c->made[i], oid))
			return true;
	return is_elsewhere(c->m, oid);
}

static int check_object(const git_oid *oid, void *userdata)
{
	struct check *c = userdata;

	return is_kept_safe(c, oid)
		       ? 0
		       : fault(c->m->f, -EIO, "%s is in no other pack: nothing is removed",
			       git_oid_tostr_s(oid));
}

static int remove_packs(struct check *c, char made[2][PACK_NAME_SIZE])
{
	struct store_listing *l = &c->m->listing;
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->n_packs; i++)
		if (l->packs[i].doomed)
			r = store_pack_each(&l->packs[i], check_object, c);
	CRASH_POINT("maintain.repack.checked");
	for (size_t i = 0; r == 0 && i < l->n_packs; i++) {
		const char *name = l->packs[i].name;

		if (l->packs[i].doomed && !text_is_equal(name, made[0]) &&
		    !text_is_equal(name, made[1]))
			r = maintain_drop_pack(c->m, name, 0);
	}
	return r;
}

static int remove_loose(struct check *c)
{
	struct maintenance *m = c->m;
	char path[GIT_OID_HEXSZ + 2];

	for (size_t i = 0; i < m->listing.n_loose; i++) {
		const git_oid *oid = &m->listing.loose[i].oid;

		if (!oid_set_has(&m->walk.reached, oid) || !is_kept_safe(c, oid))
			continue;
		loose_path(oid, path);
		if (unlinkat(m->objects_fd, path, 0) < 0 && errno != ENOENT)
			return fault_errno(m->f, -errno, "cannot remove %s", path);
		CRASH_POINT("maintain.repack.loose-removed");
	}
	return 0;
}

static int open_made(struct maintenance *m, const char *name, git_odb_backend **ret)
{
	_cleanup_(freep) char *path = NULL;
	int rc;

	if (name[0] == '\0')
		return 0;
	path = text_printf("%s/objects/pack/%s.idx", repo_common_dir(m->repo), name);
	if (!path)
		return fault_oom(m->f);
	rc = git_odb_backend_one_pack(ret, path);
	return rc < 0 ? git_fault(m->f, rc, "cannot open %s", path) : 0;
}

static int replace(struct maintenance *m, char made[2][PACK_NAME_SIZE])
{
	struct check c = { .m = m };
	int r = open_made(m, made[0], &c.made[0]);

	if (r == 0)
		r = open_made(m, made[1], &c.made[1]);
	if (r == 0)
		r = remove_packs(&c, made);
	if (r == 0)
		r = remove_loose(&c);
	for (size_t i = 0; i < ARRAY_SIZE(c.made); i++)
		if (c.made[i])
			c.made[i]->free(c.made[i]);
	return r;
}

static int repack(struct maintenance *m)
{
	struct packing p = { .m = m };
	char made[2][PACK_NAME_SIZE] = { "", "" };
	int r = find_sources(&p);

	if (r == 0)
		r = make_pack(&p, insert_reached, made[0]);
	CRASH_POINT("maintain.repack.made");
	if (r == 0)
		r = make_pack(&p, insert_rest, made[1]);
	CRASH_POINT("maintain.repack.rest-made");
	oid_set_deinit(&p.sources);
	return r < 0 ? r : replace(m, made);
}

int maintain_repack(struct maintenance *m)
{
	uint64_t bytes = 0, free_bytes = 0;
	int r;

	r = choose(m, &bytes);
	if (r < 0 || bytes == 0)
		return r;
	r = fs_free_bytes(repo_common_dir(m->repo), &free_bytes);
	if (r == 0 && free_bytes < m->options->reserve_bytes + bytes)
		return fault(m->f, -ENOSPC, "there is no room to pack %llu KiB anew",
			     (unsigned long long)(bytes >> 10));
	return repack(m);
}
