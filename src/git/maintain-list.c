/* What is there, with its age. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "git/admin.h"
#include "git/maintain-private.h"
#include "util/cleanup.h"
#include "util/text.h"

struct lister {
	struct maintenance *m;
	struct store_listing *l;
	char fan[3]; /* the two digits of the directory */
};

void store_listing_deinit(struct store_listing *l)
{
	for (size_t i = 0; i < l->n_packs; i++)
		l->packs[i].backend->free(l->packs[i].backend);
	free(l->packs);
	free(l->loose);
	oid_set_deinit(&l->all);
	*l = (struct store_listing){ 0 };
}

bool store_pack_has(const struct store_pack *pack, const git_oid *oid)
{
	return pack->backend->exists(pack->backend, oid);
}

int store_pack_each(const struct store_pack *pack, git_odb_foreach_cb fn, void *userdata)
{
	return pack->backend->foreach(pack->backend, fn, userdata);
}

/* --- packs --- */

static int note_packed(const git_oid *oid, void *userdata)
{
	struct lister *lister = userdata;
	struct store_listing *l = lister->l;

	l->packs[l->n_packs].count++;
	return oid_set_add(&l->all, oid, 0) < 0 ? -ENOMEM : 0;
}

static bool has_file(int dirfd, const char *name, const char *suffix)
{
	char file[PACK_NAME_SIZE + 16];

	snprintf(file, sizeof(file), "%s%s", name, suffix);
	return faccessat(dirfd, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int make_room(struct store_listing *l, struct fault *f)
{
	size_t size = l->size_packs ? l->size_packs * 2 : 16;
	struct store_pack *more;

	if (l->n_packs < l->size_packs)
		return 0;
	more = reallocarray(l->packs, size, sizeof(*more));
	if (!more)
		return fault_oom(f);
	l->packs = more;
	l->size_packs = size;
	return 0;
}

/* one that goes just now is none */
static int add_pack(struct lister *lister, const struct stat *st, const char *name)
{
	struct maintenance *m = lister->m;
	struct store_listing *l = lister->l;
	struct store_pack pack = { .bytes = (uint64_t)st->st_size, .mtime = st->st_mtime };
	_cleanup_(freep) char *path =
		text_printf("%s/objects/pack/%s.idx", repo_common_dir(m->repo), name);
	int r = path ? make_room(l, m->f) : fault_oom(m->f);

	if (r < 0)
		return r;
	snprintf(pack.name, sizeof(pack.name), "%s", name);
	pack.kept = has_file(m->pack_fd, name, ".keep") || has_file(m->pack_fd, name, ".mtimes");
	r = git_odb_backend_one_pack(&pack.backend, path);
	if (r < 0)
		return git_fault(m->f, r, "cannot open %s", path);
	l->packs[l->n_packs] = pack;
	r = store_pack_each(&pack, note_packed, lister);
	if (r < 0) {
		pack.backend->free(pack.backend);
		return r == -ENOMEM ? fault_oom(m->f) : git_fault(m->f, r, "cannot read %s", path);
	}
	l->n_packs++;
	return 0;
}

static int look_at_pack(int dirfd, const char *name, void *userdata)
{
	char pack[PACK_NAME_SIZE], file[PACK_NAME_SIZE + 8];
	struct stat st;

	/* under another name it is not of git's making, and stays as it is */
	if (!text_has_suffix(name, ".idx") || strlen(name) != PACK_NAME_SIZE - 1 + strlen(".idx"))
		return 0;
	snprintf(pack, sizeof(pack), "%.*s", (int)PACK_NAME_SIZE - 1, name);
	snprintf(file, sizeof(file), "%s.pack", pack);
	if (fstatat(dirfd, file, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return 0;
	return add_pack(userdata, &st, pack);
}

/* --- loose objects --- */

static int add_loose(struct lister *lister, const git_oid *oid, const struct stat *st)
{
	struct store_listing *l = lister->l;
	size_t size = l->size_loose ? l->size_loose * 2 : 256;
	struct store_loose *more;

	if (l->n_loose == l->size_loose) {
		more = reallocarray(l->loose, size, sizeof(*more));
		if (!more)
			return fault_oom(lister->m->f);
		l->loose = more;
		l->size_loose = size;
	}
	l->loose[l->n_loose++] = (struct store_loose){ .oid = *oid,
						       .mtime = st->st_mtime,
						       .bytes = (uint64_t)st->st_blocks * 512 };
	return oid_set_add(&l->all, oid, 0) < 0 ? fault_oom(lister->m->f) : 0;
}

static int look_at_loose(int dirfd, const char *name, void *userdata)
{
	struct lister *lister = userdata;
	char hex[GIT_OID_HEXSZ + 1];
	struct stat st;
	git_oid oid;

	if (strlen(name) != GIT_OID_HEXSZ - 2)
		return 0;
	snprintf(hex, sizeof(hex), "%s%s", lister->fan, name);
	if (git_oid_fromstr(&oid, hex) < 0 || fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode))
		return 0;
	return add_loose(lister, &oid, &st);
}

int store_list(struct maintenance *m, struct store_listing *ret)
{
	struct lister lister = { .m = m, .l = ret };
	int r = 0;

	*ret = (struct store_listing){ 0 };
	/* loose ones first: what is packed meanwhile is in a pack that is seen then */
	for (unsigned fan = 0; r == 0 && fan < 256; fan++) {
		snprintf(lister.fan, sizeof(lister.fan), "%02x", fan);
		r = admin_foreach_at(m->objects_fd, lister.fan, look_at_loose, &lister, m->f);
	}
	if (r == 0)
		r = admin_foreach_at(m->objects_fd, "pack", look_at_pack, &lister, m->f);
	return r;
}
