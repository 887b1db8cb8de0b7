/* Every copy is tried before an object is called lost. */
#include "git/odb-dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <git2/sys/odb_backend.h>

#include "git/loose.h"
#include "git/sha1.h"
#include "git/verified.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

struct pack {
	char *name; /* of the .idx, in objects/pack */
	uint64_t id; /* verified_pack_id(); another one is another pack */
	git_odb_backend *backend;
	bool seen; /* by the scan that is running */
};

struct odb_dir {
	char *path;
	int fd;
	dev_t dev;
	ino_t ino;
	struct pack *packs;
	size_t n_packs;
	size_t recent;		    /* where the last object was; tried first */
	struct timespec pack_mtime; /* of objects/pack when it was scanned */
	bool pack_racy;		    /* it may have changed again without a newer mtime */
};

static void pack_deinit(struct pack *pack)
{
	if (pack->backend)
		pack->backend->free(pack->backend);
	free(pack->name);
}

void odb_dir_close(struct odb_dir *dir)
{
	if (!dir)
		return;
	for (size_t i = 0; i < dir->n_packs; i++)
		pack_deinit(&dir->packs[i]);
	free(dir->packs);
	if (dir->fd >= 0)
		close(dir->fd);
	free(dir->path);
	free(dir);
}

static void odb_dir_closep(struct odb_dir **dir)
{
	odb_dir_close(*dir);
}

int odb_dir_open(const char *path, struct odb_dir **ret, struct fault *f)
{
	_cleanup_(odb_dir_closep) struct odb_dir *dir = calloc(1, sizeof(*dir));
	struct stat st;

	if (!dir)
		return fault_oom(f);
	dir->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir->fd < 0)
		return fault_errno(f, -errno, "cannot open %s", path);
	if (fstat(dir->fd, &st) < 0)
		return fault_errno(f, -errno, "cannot look at %s", path);
	dir->dev = st.st_dev;
	dir->ino = st.st_ino;
	dir->path = strdup(path);
	if (!dir->path)
		return fault_oom(f);
	odb_dir_rescan(dir);
	*ret = TAKE(dir);
	return 0;
}

const char *odb_dir_path(const struct odb_dir *dir)
{
	return dir->path;
}

int odb_dir_fd(const struct odb_dir *dir)
{
	return dir->fd;
}

bool odb_dir_is(const struct odb_dir *dir, const struct stat *st)
{
	return dir->dev == st->st_dev && dir->ino == st->st_ino;
}

static struct pack *pack_find(struct odb_dir *dir, const char *name, uint64_t id)
{
	for (size_t i = 0; i < dir->n_packs; i++)
		if (dir->packs[i].id == id && strcmp(dir->packs[i].name, name) == 0)
			return &dir->packs[i];
	return NULL;
}

/* what libgit2 will open by name must be regular files */
static bool pack_is_sound(int pack_fd, const char *idx, uint64_t *ret_id)
{
	_cleanup_(freep) char *pack = text_printf("%.*s.pack", (int)(strlen(idx) - 4), idx);
	struct stat of_pack, of_idx;

	if (!pack || fstatat(pack_fd, pack, &of_pack, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(of_pack.st_mode))
		return false;
	if (fstatat(pack_fd, idx, &of_idx, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(of_idx.st_mode))
		return false;
	*ret_id = verified_pack_id(&of_pack, &of_idx);
	return true;
}

static bool pack_add(struct odb_dir *dir, const char *name, uint64_t id)
{
	_cleanup_(freep) char *path = text_printf("%s/pack/%s", dir->path, name);
	struct pack *more = realloc(dir->packs, (dir->n_packs + 1) * sizeof(*more));
	struct pack pack = { .id = id, .seen = true };

	if (more)
		dir->packs = more;
	pack.name = strdup(name);
	if (!more || !path || !pack.name || git_odb_backend_one_pack(&pack.backend, path) < 0) {
		free(pack.name);
		return false;
	}
	dir->packs[dir->n_packs++] = pack;
	return true;
}

static bool packs_forget_unseen(struct odb_dir *dir)
{
	size_t kept = 0;
	bool changed = false;

	for (size_t i = 0; i < dir->n_packs; i++) {
		if (dir->packs[i].seen) {
			dir->packs[kept++] = dir->packs[i];
		} else {
			pack_deinit(&dir->packs[i]);
			changed = true;
		}
	}
	dir->n_packs = kept;
	dir->recent = 0;
	return changed;
}

static bool packs_scan(struct odb_dir *dir, DIR *listing)
{
	struct dirent *entry;
	bool changed = false;

	for (size_t i = 0; i < dir->n_packs; i++)
		dir->packs[i].seen = false;
	while ((entry = readdir(listing))) {
		struct pack *pack;
		uint64_t id;

		if (!text_has_prefix(entry->d_name, "pack-") ||
		    !text_has_suffix(entry->d_name, ".idx") ||
		    !pack_is_sound(dirfd(listing), entry->d_name, &id))
			continue;
		pack = pack_find(dir, entry->d_name, id);
		if (pack)
			pack->seen = true;
		else
			changed |= pack_add(dir, entry->d_name, id);
	}
	return packs_forget_unseen(dir) || changed;
}

/* a change within the clock's step of the last one does not move the mtime */
static bool mtime_is_racy(const struct timespec *mtime)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec - mtime->tv_sec < 2;
}

bool odb_dir_rescan(struct odb_dir *dir)
{
	int fd = openat(dir->fd, "pack", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st = { 0 };
	DIR *listing;
	bool changed;

	if (fd >= 0 && fstat(fd, &st) == 0 && !dir->pack_racy &&
	    st.st_mtim.tv_sec == dir->pack_mtime.tv_sec &&
	    st.st_mtim.tv_nsec == dir->pack_mtime.tv_nsec) {
		close(fd);
		return false;
	}
	listing = fd < 0 ? NULL : fdopendir(fd);
	if (!listing) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	dir->pack_mtime = st.st_mtim;
	dir->pack_racy = mtime_is_racy(&st.st_mtim);
	changed = packs_scan(dir, listing);
	closedir(listing);
	return changed;
}

/* after a failed look into a pack: 0 stays out of the way, a real damage is kept */
static void note_pack_fault(struct fault *f, const struct pack *pack, int rc, int *r)
{
	const git_error *e = git_error_last();

	if (rc == GIT_ENOTFOUND || rc == GIT_PASSTHROUGH)
		return;
	*r = fault(f, -EUCLEAN, "%s: %s", pack->name, e ? e->message : "cannot be read");
}

static int check_name(const struct pack *pack, const git_oid *oid, git_object_t type, const void *data,
		      size_t size, struct fault *f)
{
	git_oid found;
	int r;

	if (verified_has(pack->id, oid))
		return 0;
	r = sha1_object(type, data, size, &found);
	if (r == 0 && !git_oid_equal(&found, oid))
		r = fault(f, -EUCLEAN, "%s: an object in it is damaged", pack->name);
	if (r == 0)
		verified_add(pack->id, oid);
	return r;
}

static int pack_read(struct pack *pack, const git_oid *oid, git_object_t *ret_type, void **ret_data,
		     size_t *ret_size, struct fault *f, int *r)
{
	void *data = NULL;
	int rc;

	rc = pack->backend->read(&data, ret_size, ret_type, pack->backend, oid);
	if (rc < 0) {
		note_pack_fault(f, pack, rc, r);
		return rc;
	}
	*r = check_name(pack, oid, *ret_type, data, *ret_size, f);
	if (*r < 0) {
		loose_free(data);
		return GIT_ERROR;
	}
	*ret_data = data;
	return 0;
}

/* the i-th pack to try: the one that had the last object comes first */
static struct pack *pack_at(struct odb_dir *dir, size_t i)
{
	return &dir->packs[(dir->recent + i) % dir->n_packs];
}

int odb_dir_read(struct odb_dir *dir, const git_oid *oid, git_object_t *ret_type, void **ret_data,
		 size_t *ret_size, struct fault *f)
{
	int loose, r = -ENOENT;

	for (size_t i = 0; i < dir->n_packs; i++) {
		if (pack_read(pack_at(dir, i), oid, ret_type, ret_data, ret_size, f, &r) < 0)
			continue;
		dir->recent = (dir->recent + i) % dir->n_packs;
		return 0;
	}
	loose = loose_read(dir->fd, oid, ret_type, ret_data, ret_size, r == -ENOENT ? f : NULL);
	return loose == -ENOENT ? r : loose;
}

int odb_dir_read_header(struct odb_dir *dir, const git_oid *oid, git_object_t *ret_type,
			size_t *ret_size, struct fault *f)
{
	int loose, r = -ENOENT;

	for (size_t i = 0; i < dir->n_packs; i++) {
		struct pack *pack = pack_at(dir, i);
		int rc = pack->backend->read_header(ret_size, ret_type, pack->backend, oid);

		if (rc == 0)
			return 0;
		note_pack_fault(f, pack, rc, &r);
	}
	loose = loose_read_header(dir->fd, oid, ret_type, ret_size, r == -ENOENT ? f : NULL);
	return loose == -ENOENT ? r : loose;
}

bool odb_dir_exists(struct odb_dir *dir, const git_oid *oid)
{
	char path[GIT_OID_HEXSZ + 2];
	struct stat st;

	for (size_t i = 0; i < dir->n_packs; i++) {
		struct pack *pack = pack_at(dir, i);

		if (pack->backend->exists(pack->backend, oid))
			return true;
	}
	loose_path(oid, path);
	return fstatat(dir->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static int touch(int dirfd, const char *path)
{
	return utimensat(dirfd, path, NULL, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int odb_dir_freshen(struct odb_dir *dir, const git_oid *oid, struct fault *f)
{
	char path[GIT_OID_HEXSZ + 2];
	void *data = NULL;
	git_object_t type;
	size_t size;
	int r;

	for (size_t i = 0; i < dir->n_packs; i++) {
		struct pack *pack = pack_at(dir, i);
		_cleanup_(freep) char *name = NULL;

		if (pack_read(pack, oid, &type, &data, &size, f, &r) < 0)
			continue;
		loose_free(data);
		name = text_printf("pack/%.*s.pack", (int)(strlen(pack->name) - 4), pack->name);
		return name ? touch(dir->fd, name) : fault_oom(f);
	}
	r = loose_read(dir->fd, oid, &type, &data, &size, f);
	if (r < 0)
		return r;
	loose_free(data);
	loose_path(oid, path);
	return touch(dir->fd, path);
}

/* the 256 directories "00" to "ff", as far as they match the prefix */
static int loose_foreach_in(struct odb_dir *dir, unsigned fan, const git_oid *prefix, size_t hexlen,
			    git_odb_foreach_cb cb, void *userdata)
{
	char name[GIT_OID_HEXSZ + 1];
	struct dirent *entry;
	DIR *listing;
	int fd, r = 0;

	snprintf(name, sizeof(name), "%02x", fan);
	fd = openat(dir->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	listing = fd < 0 ? NULL : fdopendir(fd);
	if (!listing) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while (r == 0 && (entry = readdir(listing))) {
		git_oid oid;

		if (strlen(entry->d_name) != GIT_OID_HEXSZ - 2)
			continue;
		memcpy(name + 2, entry->d_name, GIT_OID_HEXSZ - 1);
		if (git_oid_fromstr(&oid, name) < 0 || git_oid_ncmp(&oid, prefix, hexlen) != 0)
			continue;
		r = cb(&oid, userdata);
	}
	closedir(listing);
	return r;
}

static int loose_foreach(struct odb_dir *dir, const git_oid *prefix, size_t hexlen,
			 git_odb_foreach_cb cb, void *userdata)
{
	int r = 0;

	for (unsigned fan = 0; fan < 256 && r == 0; fan++) {
		unsigned digits = hexlen > 2 ? 2 : (unsigned)hexlen;
		git_oid at = { .id = { (unsigned char)fan } };

		if (git_oid_ncmp(&at, prefix, digits) == 0)
			r = loose_foreach_in(dir, fan, prefix, hexlen, cb, userdata);
	}
	return r;
}

int odb_dir_foreach(struct odb_dir *dir, git_odb_foreach_cb cb, void *userdata)
{
	git_oid any = { { 0 } };

	for (size_t i = 0; i < dir->n_packs; i++) {
		int r = dir->packs[i].backend->foreach(dir->packs[i].backend, cb, userdata);

		if (r != 0)
			return r;
	}
	return loose_foreach(dir, &any, 0, cb, userdata);
}

int odb_dir_foreach_prefix(struct odb_dir *dir, const git_oid *prefix, size_t hexlen,
			   git_odb_foreach_cb cb, void *userdata)
{
	for (size_t i = 0; i < dir->n_packs; i++) {
		git_odb_backend *backend = dir->packs[i].backend;
		git_oid found;
		int rc = backend->exists_prefix(&found, backend, prefix, hexlen);

		if (rc == 0)
			rc = cb(&found, userdata);
		else if (rc != GIT_EAMBIGUOUS)
			continue; /* not here, or a damaged pack */
		if (rc != 0)
			return rc;
	}
	return loose_foreach(dir, prefix, hexlen, cb, userdata);
}
