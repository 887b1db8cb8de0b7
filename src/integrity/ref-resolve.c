/* From name to name, until there is an object. */
#include "integrity/refs-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/text.h"

void ref_lookup_deinit(struct ref_lookup *lookup)
{
	free(lookup->packed);
	lookup->packed = NULL;
}

static struct stat stat_packed(const struct ref_lookup *lookup)
{
	struct stat st;

	if (fstatat(lookup->c->common_fd, "packed-refs", &st, AT_SYMLINK_NOFOLLOW) < 0)
		memset(&st, 0, sizeof(st));
	return st;
}

/* git writes it beside and renames it */
static bool is_packed_new(const struct ref_lookup *lookup)
{
	struct stat now = stat_packed(lookup), was = lookup->packed_st;

	return now.st_ino != was.st_ino || now.st_size != was.st_size || now.st_mtim.tv_sec != was.st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != was.st_mtim.tv_nsec;
}

static int load_packed(struct ref_lookup *lookup)
{
	int r;

	ref_lookup_deinit(lookup);
	lookup->packed_st = stat_packed(lookup);
	r = file_load(lookup->c->common_fd, "packed-refs", PACKED_REFS_BYTES, &lookup->packed,
		      &lookup->packed_len);
	/* what cannot be read is told by who checks that file */
	return r == -ENOMEM ? r : 0;
}

static int find_packed(struct ref_lookup *lookup, const char *name, git_oid *ret)
{
	int r = 0;

	/* the second time with what is there now: a loose ref may have been packed since */
	for (int tries = 0; r == 0 && tries < 2; tries++) {
		if (tries > 0 && !is_packed_new(lookup))
			break;
		if (tries > 0 || !lookup->packed)
			r = load_packed(lookup);
		if (r == 0 && lookup->packed &&
		    packed_refs_find(lookup->packed, lookup->packed_len, name, ret))
			return 0;
	}
	return r < 0 ? r : REF_E_MISSING;
}

/* in whose directory a name's file is; the name is cut to what it is called there */
static int directory_of(const struct ref_lookup *lookup, const char **name)
{
	if (text_has_prefix(*name, "main-worktree/")) {
		*name += strlen("main-worktree/");
		return lookup->c->common_fd;
	}
	return ref_name_is_own(*name) ? lookup->own->fd : lookup->c->common_fd;
}

/* 1: *@name is the next one to look at; else as ref_resolve() */
static int resolve_step(struct ref_lookup *lookup, char **name, git_oid *ret)
{
	_cleanup_(freep) char *data = NULL;
	struct ref_value value;
	const char *path = *name;
	int fd = directory_of(lookup, &path);
	int r = ref_load(fd, path, &data, &value);
	char *next;

	if (r == -ENOMEM || r == -EMFILE || r == -ENFILE)
		return r;
	if (r == -ENOENT || r == -EISDIR)
		return find_packed(lookup, path, ret);
	if (r < 0 || value.kind == REF_KIND_BROKEN || value.kind == REF_KIND_EMPTY ||
	    (value.kind == REF_KIND_SYMBOLIC && !ref_name_is_valid(value.target, true)))
		return REF_E_BROKEN;
	if (value.kind == REF_KIND_OID) {
		git_oid_cpy(ret, &value.oid);
		return 0;
	}
	next = strdup(value.target);
	if (!next)
		return -ENOMEM;
	free(*name);
	*name = next;
	return REF_E_LOOP;
}

int ref_resolve(struct ref_lookup *lookup, const char *name, git_oid *ret, char **ret_name)
{
	_cleanup_(freep) char *at = strdup(name);
	int r = REF_E_LOOP;

	if (!at)
		return -ENOMEM;
	for (int depth = 0; r == REF_E_LOOP && depth < REF_MAX_DEPTH; depth++)
		r = resolve_step(lookup, &at, ret);
	if (r >= 0)
		*ret_name = TAKE(at);
	return r;
}
