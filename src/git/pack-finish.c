/* First it lasts, then it is seen. */
#include "git/pack-private.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "git/sha1.h"
#include "util/cleanup.h"
#include "util/crash.h"

/* other names that are tried when the pack's own is taken */
#define NAMES_MAX 16

/*
 * git repack deletes packs without a .keep, so that comes first; git takes a pack for there when
 * it sees the .idx, so that comes last.
 */
static const struct {
	const char *suffix;
	const char *crash_point;
} parts[PACK_PARTS] = {
	[PACK_PART_KEEP] = { ".keep", "salvage.pack.keep-placed" },
	[PACK_PART_PACK] = { ".pack", "salvage.pack.pack-placed" },
	[PACK_PART_INDEX] = { ".idx", "salvage.pack.index-placed" },
};

#define PART_NAME_SIZE (PACK_NAME_SIZE + 5)

static void part_name(const char *name, int part, char ret[PART_NAME_SIZE])
{
	snprintf(ret, PART_NAME_SIZE, "%s%s", name, parts[part].suffix);
}

static int sync_part(const struct pack_writer *w, int part)
{
	return fsync(w->parts[part].fd) < 0 ? -errno : 0;
}

/* over the bytes as they are in the end: the count stands before all others */
static int checksum(struct pack_writer *w, git_oid *ret)
{
	_cleanup_(sha1_deinit) struct sha1 sha1;

	sha1_init(&sha1);
	for (uint64_t at = 0; at < w->flushed; at += sizeof(w->in)) {
		uint64_t left = w->flushed - at;
		size_t n = left < sizeof(w->in) ? (size_t)left : sizeof(w->in);
		int r = pack_file_read(w->parts[PACK_PART_PACK].fd, w->in, n, at);

		if (r < 0)
			return r;
		sha1_update(&sha1, w->in, n);
	}
	return sha1_final(&sha1, ret);
}

static int finish_pack(struct pack_writer *w, git_oid *ret_sum)
{
	const struct pack_file *pack = &w->parts[PACK_PART_PACK];
	uint32_t count = htonl((uint32_t)w->table.n);
	int r = pack_flush(w);

	if (r == 0)
		r = pack_file_write(pack, &count, sizeof(count), PACK_HEADER_BYTES - sizeof(count));
	if (r == 0)
		r = checksum(w, ret_sum);
	if (r == 0)
		r = pack_file_write(pack, ret_sum->id, GIT_OID_RAWSZ, w->flushed);
	CRASH_POINT("salvage.pack.written");
	return r < 0 ? r : sync_part(w, PACK_PART_PACK);
}

static int make_part(struct pack_writer *w, int part, const char *kind, const void *data,
		     size_t len)
{
	int r = pack_file_open(w->dir_fd, kind, &w->parts[part]);

	if (r == 0)
		r = pack_file_write(&w->parts[part], data, len, 0);
	return r < 0 ? r : sync_part(w, part);
}

static int make_index(struct pack_writer *w, const git_oid *sum)
{
	_cleanup_(freep) uint8_t *data = NULL;
	size_t len;
	int r = pack_index_encode(&w->table, sum, &data, &len);

	return r < 0 ? r : make_part(w, PACK_PART_INDEX, "idx", data, len);
}

/* the pack's own checksum, as git names its packs; and others, derived from it */
static int name_pack(const git_oid *sum, uint8_t number, char ret[PACK_NAME_SIZE])
{
	char hex[GIT_OID_HEXSZ + 1];
	git_oid oid = *sum;
	struct sha1 sha1;
	int r = 0;

	if (number > 0) {
		sha1_init(&sha1);
		sha1_update(&sha1, sum->id, GIT_OID_RAWSZ);
		sha1_update(&sha1, &number, 1);
		r = sha1_final(&sha1, &oid);
	}
	snprintf(ret, PACK_NAME_SIZE, "pack-%s", git_oid_tostr(hex, sizeof(hex), &oid));
	return r;
}

/*
 * -EEXIST: the name is somebody else's. What is there already has to be ours byte for byte, and
 * kept: a pack without .keep may be on the list of a gc that runs right now.
 */
static int check_name(const struct pack_writer *w, const char *name)
{
	char file[PART_NAME_SIZE];
	bool is_kept = false;

	for (int part = 0; part < PACK_PARTS; part++) {
		int r;

		part_name(name, part, file);
		r = pack_file_is(w->dir_fd, &w->parts[part], file);
		if (r == 0 && part == PACK_PART_KEEP)
			is_kept = true;
		else if (r == 0 && !is_kept)
			return -EEXIST;
		else if (r < 0 && r != -ENOENT)
			return r;
	}
	return 0;
}

/* 1: it was there already */
static int place_part(struct pack_writer *w, int part, const char *name)
{
	char file[PART_NAME_SIZE];
	int r;

	part_name(name, part, file);
	r = pack_file_place(w->dir_fd, &w->parts[part], file);
	CRASH_POINT(parts[part].crash_point);
	if (r != -EEXIST)
		return r;
	r = pack_file_is(w->dir_fd, &w->parts[part], file);
	return r == 0 ? 1 : r;
}

static void take_back(struct pack_writer *w, const char *name, const bool placed[PACK_PARTS])
{
	char file[PART_NAME_SIZE];

	for (int part = PACK_PARTS - 1; part >= 0; part--) {
		part_name(name, part, file);
		if (placed[part])
			unlinkat(w->dir_fd, file, 0);
	}
}

static int place_as(struct pack_writer *w, const char *name)
{
	bool placed[PACK_PARTS] = { false };
	int r = check_name(w, name);

	for (int part = 0; r == 0 && part < PACK_PARTS; part++) {
		int was_there = place_part(w, part, name);

		placed[part] = was_there == 0;
		r = was_there < 0 ? was_there : 0;
	}
	if (r == 0 && fsync(w->dir_fd) < 0)
		r = -errno;
	if (r < 0)
		take_back(w, name, placed);
	return r;
}

static int place(struct pack_writer *w, const git_oid *sum, char ret_name[PACK_NAME_SIZE])
{
	char name[PACK_NAME_SIZE];
	int r = -EEXIST;

	for (uint8_t number = 0; r == -EEXIST && number < NAMES_MAX; number++) {
		r = name_pack(sum, number, name);
		if (r == 0)
			r = place_as(w, name);
	}
	if (r == 0)
		memcpy(ret_name, name, sizeof(name));
	return r;
}

int pack_writer_finish(struct pack_writer *w, const char *keep, char ret_name[PACK_NAME_SIZE],
		       struct fault *f)
{
	git_oid sum;
	int r = w->broken;

	assert(!w->is_finished);
	w->is_finished = true;
	if (r == 0 && w->table.n == 0) {
		ret_name[0] = '\0';
		return 0;
	}
	if (r == 0)
		r = finish_pack(w, &sum);
	if (r == 0)
		r = make_index(w, &sum);
	if (r == 0)
		r = make_part(w, PACK_PART_KEEP, "keep", keep, strlen(keep));
	CRASH_POINT("salvage.pack.synced");
	if (r == 0)
		r = place(w, &sum, ret_name);
	CRASH_POINT("salvage.pack.placed");
	return r < 0 ? pack_fault(w->dir_fd, "", r, f) : 0;
}

static bool is_pack_name(const char *name)
{
	return strlen(name) == PACK_NAME_SIZE - 1 && memcmp(name, "pack-", 5) == 0 &&
	       strspn(name + 5, "0123456789abcdef") == GIT_OID_HEXSZ;
}

int pack_drop_keep(int objects_fd, const char *name, struct fault *f)
{
	_cleanup_(closep) int dir_fd = -1;
	char file[PART_NAME_SIZE];

	if (name[0] == '\0')
		return 0;
	if (!is_pack_name(name))
		return fault(f, -EINVAL, "this is not the name of a pack: %s", name);
	dir_fd = pack_dir_open(objects_fd);
	if (dir_fd < 0)
		return fault_errno(f, dir_fd, "cannot open objects/pack");
	part_name(name, PACK_PART_KEEP, file);
	if (unlinkat(dir_fd, file, 0) < 0 && errno != ENOENT)
		return fault_errno(f, -errno, "cannot remove %s", file);
	if (fsync(dir_fd) < 0)
		return fault_errno(f, -errno, "cannot sync objects/pack");
	return 0;
}
