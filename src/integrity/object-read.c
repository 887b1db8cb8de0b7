/* Single objects, from whichever copy is whole. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/check-private.h"

#include "git/loose.h"

#define BASES_DEEP 16

/* packs that need each other's bases could go on for ever */
int object_read_base(const git_oid *oid, git_object_t *ret_type, void **ret, size_t *ret_len, void *userdata)
{
	static __thread unsigned depth;
	const struct base_search *search = userdata;
	struct check_run *run = search->run;
	int r;

	if (depth == BASES_DEEP)
		return -EBADMSG;
	if (pack_find(search->pack, oid->id) < 0)
		return -ENOENT;
	depth++;
	r = object_read(run, oid, memory_of(run->c.spec), ret_type, ret, ret_len);
	depth--;
	return r;
}

static int read_loose(const struct object_dir *dir, const git_oid *oid, uint64_t max, git_object_t *ret_type,
		      void **ret, size_t *ret_len)
{
	void *data;
	int r = loose_read_header(dir->fd, oid, ret_type, ret_len, NULL);

	if (r == 0 && *ret_len > max)
		return -EFBIG;
	if (r == 0)
		r = loose_read(dir->fd, oid, ret_type, &data, ret_len, NULL);
	if (r < 0)
		return r == -EUCLEAN ? -EBADMSG : r;
	*ret = *ret_len <= max ? malloc(*ret_len + 1) : NULL; /* another file may have come in between */
	if (*ret)
		memcpy(*ret, data, *ret_len);
	loose_free(data);
	return *ret ? 0 : *ret_len > max ? -EFBIG : -ENOMEM;
}

int object_read(struct check_run *run, const git_oid *oid, uint64_t max, git_object_t *ret_type, void **ret,
		size_t *ret_len)
{
	int r, worst = -ENOENT;

	for (size_t i = 0; i < run->dirs.n_packs; i++) {
		struct pack *pack = run->dirs.packs[i]->pack;
		struct base_search search = { run, pack };
		struct pack_walker bases = { .read_base = object_read_base, .userdata = &search };
		int64_t pos = pack_find(pack, oid->id);

		if (pos < 0)
			continue;
		r = pack_read(pack, (uint32_t)pos, &bases, max, ret_type, ret, ret_len);
		if (r == 0 || r == -ENOMEM)
			return r;
		worst = r;
	}
	for (size_t i = 0; i < run->dirs.n; i++) {
		r = read_loose(run->dirs.v[i], oid, max, ret_type, ret, ret_len);
		if (r == 0 || r == -ENOMEM)
			return r;
		worst = r == -ENOENT ? worst : r;
	}
	return worst;
}

int object_type(struct check_run *run, const git_oid *oid, git_object_t *ret_type)
{
	int r, worst = -ENOENT;
	uint64_t packed_len;
	size_t len;

	for (size_t i = 0; i < run->dirs.n_packs; i++) {
		struct pack *pack = run->dirs.packs[i]->pack;
		int64_t pos = pack_find(pack, oid->id);

		if (pos < 0)
			continue;
		r = pack_read_header(pack, (uint32_t)pos, ret_type, &packed_len);
		if (r == 0)
			return 0;
		worst = r;
	}
	for (size_t i = 0; i < run->dirs.n; i++) {
		r = loose_read_header(run->dirs.v[i]->fd, oid, ret_type, &len, NULL);
		if (r == 0)
			return 0;
		worst = r == -ENOENT ? worst : -EBADMSG;
	}
	return worst;
}
