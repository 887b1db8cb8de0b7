/*
 * Out of the database, and into it.
 *
 * git takes a pack for there when it sees the .idx: so that comes last when a pack is placed, and goes
 * first when one is removed. What goes is renamed into slotd/maintain/ before it is deleted; whatever
 * of that a crash leaves there is put back, unless its other half is deleted already: then the decision
 * had been made.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/loose.h"
#include "git/maintain-private.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/text.h"

#define NEW_DIR "new" /* below dir_fd: where a pack is made */

#define FILE_SIZE (PACK_NAME_SIZE + 8)

static bool is_there(int dirfd, const char *name)
{
	return faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* to where nothing is; what is not there any more is fine */
static int move(int from, const char *name, int to, const char *as, struct fault *f)
{
	if (renameat2(from, name, to, as, RENAME_NOREPLACE) == 0 || errno == ENOENT)
		return 0;
	return errno == EEXIST ? -EEXIST : fault_errno(f, -errno, "cannot move %s", name);
}

/* somebody may have made it anew meanwhile: then ours is the same once more */
static int move_back(int from, const char *name, int to, const char *as, struct fault *f)
{
	int r = move(from, name, to, as, f);

	return r == -EEXIST ? admin_remove_at(from, name, f) : r;
}

/* --- a pack goes --- */

static void remove_also(int pack_fd, const char *name)
{
	static const char *const suffixes[] = { ".rev", ".bitmap" };
	char file[FILE_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		snprintf(file, sizeof(file), "%s%s", name, suffixes[i]);
		unlinkat(pack_fd, file, 0); /* nobody misses it, nobody minds it */
	}
}

static int move_pack_back(struct maintenance *m, const char *pack, const char *idx)
{
	int r = move_back(m->dir_fd, pack, m->pack_fd, pack, m->f);

	return r < 0 ? r : move_back(m->dir_fd, idx, m->pack_fd, idx, m->f);
}

int maintain_drop_pack(struct maintenance *m, const char *name, time_t cutoff)
{
	char pack[FILE_SIZE], idx[FILE_SIZE];
	struct stat st;
	int r;

	snprintf(pack, sizeof(pack), "%s.pack", name);
	snprintf(idx, sizeof(idx), "%s.idx", name);
	r = move(m->pack_fd, idx, m->dir_fd, idx, m->f);
	CRASH_POINT("maintain.drop.idx-moved");
	if (r == 0)
		r = move(m->pack_fd, pack, m->dir_fd, pack, m->f);
	CRASH_POINT("maintain.drop.pack-moved");
	if (r == 0 && cutoff && fstatat(m->dir_fd, pack, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_mtime >= cutoff) {
		r = move_pack_back(m, pack, idx);
		return r < 0 ? r : 1;
	}
	if (r == 0)
		r = admin_remove_at(m->dir_fd, idx, m->f);
	CRASH_POINT("maintain.drop.idx-removed");
	if (r == 0)
		r = admin_remove_at(m->dir_fd, pack, m->f);
	if (r == 0)
		remove_also(m->pack_fd, name);
	return r;
}

/* --- a loose object goes --- */

int maintain_drop_loose(struct maintenance *m, const git_oid *oid, time_t cutoff)
{
	char hex[GIT_OID_HEXSZ + 1], path[GIT_OID_HEXSZ + 2];
	struct stat st;
	int r;

	git_oid_tostr(hex, sizeof(hex), oid);
	loose_path(oid, path);
	r = move(m->objects_fd, path, m->dir_fd, hex, m->f);
	CRASH_POINT("maintain.drop.loose-moved");
	if (r < 0)
		return r;
	if (fstatat(m->dir_fd, hex, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtime >= cutoff) {
		r = move_back(m->dir_fd, hex, m->objects_fd, path, m->f);
		return r < 0 ? r : 1;
	}
	return admin_remove_at(m->dir_fd, hex, m->f);
}

/* --- a pack comes --- */

static int sync_file(int dirfd, const char *name, struct fault *f)
{
	_cleanup_(closep) int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return fault_errno(f, -errno, "cannot sync %s", name);
	return 0;
}

static int find_pack(int dirfd, const char *name, void *userdata)
{
	if (text_has_suffix(name, ".idx") && strlen(name) == PACK_NAME_SIZE - 1 + strlen(".idx"))
		snprintf(userdata, PACK_NAME_SIZE, "%.*s", (int)PACK_NAME_SIZE - 1, name);
	return 0;
}

static int place(struct maintenance *m, int new_fd, const char *pack, const char *idx)
{
	int r;

	/* the same objects made a pack before: that one does */
	if (is_there(m->pack_fd, pack) && is_there(m->pack_fd, idx))
		return 0;
	r = move(new_fd, pack, m->pack_fd, pack, m->f);
	CRASH_POINT("maintain.place.pack");
	if (r == 0)
		r = move(new_fd, idx, m->pack_fd, idx, m->f);
	CRASH_POINT("maintain.place.idx");
	if (r == -EEXIST)
		return fault(m->f, r, "%s is in the way", pack);
	return r;
}

int maintain_place(struct maintenance *m, int new_fd, char ret_name[PACK_NAME_SIZE])
{
	char pack[FILE_SIZE], idx[FILE_SIZE], name[PACK_NAME_SIZE] = "";
	int r = admin_foreach_at(new_fd, ".", find_pack, name, m->f);

	if (r == 0 && name[0] == '\0')
		return fault(m->f, -EIO, "no pack was made");
	snprintf(pack, sizeof(pack), "%s.pack", name);
	snprintf(idx, sizeof(idx), "%s.idx", name);
	CRASH_POINT("maintain.place.made");
	if (r == 0)
		r = sync_file(new_fd, pack, m->f);
	if (r == 0)
		r = sync_file(new_fd, idx, m->f);
	if (r == 0)
		r = place(m, new_fd, pack, idx);
	if (r == 0)
		r = admin_sync(m->pack_fd, m->f);
	if (r == 0)
		memcpy(ret_name, name, sizeof(name));
	return r;
}

/* --- after a crash --- */

struct undo {
	int objects_fd, pack_fd, dir_fd;
	struct fault *f;
};

/* placed without its .idx, which is still here: nobody has seen it */
static int unplace(int dirfd, const char *name, void *userdata)
{
	struct undo *u = userdata;
	char pack[FILE_SIZE];

	if (!text_has_suffix(name, ".idx") || strlen(name) >= FILE_SIZE - 1 ||
	    is_there(u->pack_fd, name))
		return 0;
	snprintf(pack, sizeof(pack), "%.*s.pack", (int)(strlen(name) - 4), name);
	return admin_remove_at(u->pack_fd, pack, u->f);
}

static bool has_twin(const struct undo *u, int dirfd, const char *name, const char *suffix)
{
	char twin[FILE_SIZE];

	snprintf(twin, sizeof(twin), "%.*s%s", (int)(strrchr(name, '.') - name), name, suffix);
	return is_there(dirfd, twin);
}

static int put_back(int dirfd, const char *name, void *userdata)
{
	struct undo *u = userdata;
	char path[GIT_OID_HEXSZ + 2];
	git_oid oid;

	if (text_has_suffix(name, ".pack") && strlen(name) < FILE_SIZE)
		return has_twin(u, dirfd, name, ".idx")
			       ? move_back(dirfd, name, u->pack_fd, name, u->f)
			       : admin_remove_at(dirfd, name, u->f);
	if (strlen(name) != GIT_OID_HEXSZ || git_oid_fromstr(&oid, name) < 0)
		return 0;
	loose_path(&oid, path);
	return move_back(dirfd, name, u->objects_fd, path, u->f);
}

/* after the packs */
static int put_back_index(int dirfd, const char *name, void *userdata)
{
	struct undo *u = userdata;

	if (!text_has_suffix(name, ".idx") || strlen(name) >= FILE_SIZE)
		return 0;
	return has_twin(u, u->pack_fd, name, ".pack")
		       ? move_back(dirfd, name, u->pack_fd, name, u->f)
		       : admin_remove_at(dirfd, name, u->f);
}

int maintain_undo(int common_fd, int objects_fd, int dir_fd, struct fault *f)
{
	_cleanup_(closep) int pack_fd = admin_open_dir_at(objects_fd, "pack", f);
	struct undo u = { .objects_fd = objects_fd, .pack_fd = pack_fd, .dir_fd = dir_fd, .f = f };
	int r;

	if (pack_fd < 0)
		return pack_fd;
	r = admin_foreach_at(dir_fd, NEW_DIR, unplace, &u, f);
	if (r == 0)
		r = fs_remove_tree_at(dir_fd, NEW_DIR, f);
	CRASH_POINT("maintain.undo.removed");
	if (r == 0)
		r = admin_foreach_at(dir_fd, ".", put_back, &u, f);
	CRASH_POINT("maintain.undo.packs");
	if (r == 0)
		r = admin_foreach_at(dir_fd, ".", put_back_index, &u, f);
	return r;
}
