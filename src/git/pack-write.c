/* All that must not be lost, in one file. */
#include "git/pack-private.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git/sha1.h"
#include "util/cleanup.h"
#include "util/fs.h"

/*
 * An agent waits for its release, and a salvage is kept for some weeks: time counts more than
 * space. 100 MB of source text in files of 10 kB became 27 % of it with level 1, at 126 MB/s, and
 * 24 % with zlib's default, at 71 MB/s. What cannot be compressed takes as long either way.
 */
#define LEVEL Z_BEST_SPEED

/* zlib counts in unsigned int */
#define DEFLATE_MAX ((size_t)1 << 30)

int pack_fault(int dir_fd, const char *below, int r, struct fault *f)
{
	char link[32], path[200];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", dir_fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0) /* without /proc */
		n = snprintf(path, sizeof(path), "%s", *below ? "objects" : "objects/pack");
	path[n] = '\0';
	if (r == -ENOSPC)
		return fault(f, r, "cannot save to %s%s: the disk is full", path, below);
	if (r == -EAGAIN)
		return fault(f, r, "cannot save to %s%s: somebody removed our file there", path,
			     below);
	return fault_errno(f, r, "cannot save to %s%s", path, below);
}

int pack_dir_open(int objects_fd)
{
	return fs_open_beneath(objects_fd, "pack", O_RDONLY | O_DIRECTORY, 0);
}

static int dir_open_or_make(int objects_fd)
{
	int fd = pack_dir_open(objects_fd);
	int r;

	if (fd != -ENOENT)
		return fd;
	if (mkdirat(objects_fd, "pack", 0777) < 0 && errno != EEXIST)
		return -errno;
	r = fs_sync_dir_at(objects_fd, ".");
	return r < 0 ? r : pack_dir_open(objects_fd);
}

int pack_flush(struct pack_writer *w)
{
	int r = pack_file_write(&w->parts[PACK_PART_PACK], w->out, w->used, w->flushed);

	if (r < 0)
		return r;
	w->flushed += w->used;
	w->used = 0;
	return 0;
}

/* the header, with a count that is put right at the end */
static void begin(struct pack_writer *w)
{
	static const uint32_t version = 2;
	uint32_t header[] = { 0, htonl(version), 0 };

	memcpy(header, "PACK", 4);
	memcpy(w->out, header, PACK_HEADER_BYTES);
	w->used = PACK_HEADER_BYTES;
}

static void writer_freep(struct pack_writer **w)
{
	pack_writer_free(*w);
}

int pack_writer_new(int objects_fd, struct pack_writer **ret, struct fault *f)
{
	_cleanup_(writer_freep) struct pack_writer *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return fault_oom(f);
	for (int i = 0; i < PACK_PARTS; i++)
		w->parts[i].fd = -1;
	w->dir_fd = -1;
	if (deflateInit(&w->z, LEVEL) != Z_OK)
		return fault_oom(f);
	w->dir_fd = dir_open_or_make(objects_fd);
	if (w->dir_fd < 0)
		return pack_fault(objects_fd, "/pack", w->dir_fd, f);
	r = pack_file_open(w->dir_fd, "pack", &w->parts[PACK_PART_PACK]);
	if (r < 0)
		return pack_fault(w->dir_fd, "", r, f);
	begin(w);
	*ret = TAKE(w);
	return 0;
}

void pack_writer_free(struct pack_writer *w)
{
	if (!w)
		return;
	for (int i = 0; i < PACK_PARTS; i++)
		pack_file_close(w->dir_fd, &w->parts[i]);
	closep(&w->dir_fd);
	deflateEnd(&w->z);
	pack_table_deinit(&w->table);
	free(w);
}

bool pack_writer_has(const struct pack_writer *w, const git_oid *oid)
{
	return pack_table_find(&w->table, oid) != NULL;
}

size_t pack_writer_count(const struct pack_writer *w)
{
	return w->table.n;
}

/* where the next byte goes */
static uint64_t end_of(const struct pack_writer *w)
{
	return w->flushed + w->used;
}

/* back to what was there before an object: bytes that are not in the file yet are still in out */
static int cut_back(struct pack_writer *w, uint64_t end)
{
	if (end < w->flushed) {
		w->flushed = end;
		w->used = 0;
	} else {
		w->used = (size_t)(end - w->flushed);
	}
	/* a write that failed may have left something behind the end, too */
	if (ftruncate(w->parts[PACK_PART_PACK].fd, (off_t)w->flushed) < 0)
		w->broken = -errno;
	return w->broken;
}

/*
 * Type and size, and the deflated content after it.
 * Source: gitformat-pack(5), "pack-*.pack files": the low four bits of the size, then seven at a time
 */
static int object_begin(struct pack_writer *w, git_object_t type, uint64_t size)
{
	uint8_t header[12];
	size_t n = 0;
	int r = 0;

	header[0] = (uint8_t)((unsigned)type << 4 | (size & 15));
	for (size >>= 4; size > 0; size >>= 7) {
		header[n++] |= 0x80;
		header[n] = size & 0x7f;
	}
	n++;
	if (sizeof(w->out) - w->used < n)
		r = pack_flush(w);
	if (r < 0)
		return r;
	memcpy(w->out + w->used, header, n);
	w->used += n;
	w->crc = (uint32_t)crc32(0, header, (uInt)n);
	return deflateReset(&w->z) == Z_OK ? 0 : -EIO;
}

/* one step of zlib's, into what is left of out */
static int deflate_step(struct pack_writer *w, int flush, bool *ret_is_done)
{
	uint8_t *out = w->out + w->used;
	size_t room = sizeof(w->out) - w->used, n;
	int rc;

	w->z.next_out = out;
	w->z.avail_out = (uInt)room;
	rc = deflate(&w->z, flush);
	if (rc == Z_STREAM_ERROR)
		return -EIO;
	n = room - w->z.avail_out;
	w->crc = (uint32_t)crc32(w->crc, out, (uInt)n);
	w->used += n;
	*ret_is_done = rc == Z_STREAM_END ||
		       (flush == Z_NO_FLUSH && w->z.avail_in == 0 && w->z.avail_out > 0);
	return w->z.avail_out == 0 ? pack_flush(w) : 0;
}

static int deflate_all(struct pack_writer *w, const void *data, size_t len, bool is_last)
{
	const uint8_t *in = data;

	do {
		size_t n = len < DEFLATE_MAX ? len : DEFLATE_MAX;
		bool is_done = false;
		int r = 0;

		w->z.next_in = (uint8_t *)in;
		w->z.avail_in = (uInt)n;
		while (r == 0 && !is_done)
			r = deflate_step(w, is_last && n == len ? Z_FINISH : Z_NO_FLUSH, &is_done);
		if (r < 0)
			return r;
		in += n;
		len -= n;
	} while (len > 0);
	return 0;
}

static int object_record(struct pack_writer *w, uint64_t offset, const git_oid *oid)
{
	struct pack_entry entry = { .oid = *oid, .crc = w->crc, .offset = offset };

	return pack_table_add(&w->table, &entry);
}

/* may something be added? */
static int check_usable(const struct pack_writer *w, struct fault *f)
{
	assert(!w->is_finished);
	return w->broken < 0 ? pack_fault(w->dir_fd, "", w->broken, f) : 0;
}

int pack_writer_add(struct pack_writer *w, git_object_t type, const void *data, size_t len,
		    git_oid *ret, struct fault *f)
{
	uint64_t offset = end_of(w);
	git_oid oid;
	int r = check_usable(w, f);

	assert(type >= GIT_OBJECT_COMMIT && type <= GIT_OBJECT_TAG);
	if (r < 0)
		return r;
	if (sha1_object(type, data, len, &oid) < 0)
		return fault_oom(f);
	if (!pack_writer_has(w, &oid)) {
		r = object_begin(w, type, len);
		if (r == 0)
			r = deflate_all(w, data, len, true);
		if (r == 0)
			r = object_record(w, offset, &oid);
		if (r < 0) {
			(void)cut_back(w, offset); /* whoever goes on is told */
			return pack_fault(w->dir_fd, "", r, f);
		}
	}
	*ret = oid;
	return 0;
}

/* a file that is to be saved */
struct source {
	uint64_t size;
	pack_read_fn read;
	void *userdata;
};

/* 0: the end */
static ssize_t source_read(const struct source *source, void *buf, size_t n, struct fault *f)
{
	ssize_t got;

	do
		got = source->read(buf, n, source->userdata);
	while (got == -EINTR);
	assert(got <= (ssize_t)n);
	if (got < 0)
		return fault_errno(f, (int)got, "cannot read what is to be saved");
	return got;
}

static int changed(uint64_t size, const char *what, struct fault *f)
{
	return fault(f, -EAGAIN, "what is to be saved has %s than %llu bytes: it changed meanwhile",
		     what, (unsigned long long)size);
}

/* what is read goes both ways */
static int stream_content(struct pack_writer *w, const struct source *source, struct sha1 *sha1,
			  struct fault *f)
{
	uint64_t left = source->size;

	do {
		size_t want = left < sizeof(w->in) ? (size_t)left : sizeof(w->in);
		ssize_t n = want ? source_read(source, w->in, want, f) : 0;
		int r;

		if (n < 0)
			return (int)n;
		if (n == 0 && want > 0)
			return changed(source->size, "fewer", f);
		left -= (uint64_t)n;
		sha1_update(sha1, w->in, (size_t)n);
		r = deflate_all(w, w->in, (size_t)n, left == 0);
		if (r < 0)
			return pack_fault(w->dir_fd, "", r, f);
	} while (left > 0);
	return 0;
}

/* after the last byte there must be no other one */
static int stream_end(struct pack_writer *w, const struct source *source, struct fault *f)
{
	ssize_t n = source_read(source, w->in, 1, f);

	return n > 0 ? changed(source->size, "more", f) : (int)n;
}

static int stream_object(struct pack_writer *w, const struct source *source, git_oid *ret,
			 struct fault *f)
{
	_cleanup_(sha1_deinit) struct sha1 sha1;
	char header[32];
	int n = snprintf(header, sizeof(header), "blob %llu", (unsigned long long)source->size);
	int r;

	sha1_init(&sha1);
	sha1_update(&sha1, header, (size_t)n + 1);
	r = object_begin(w, GIT_OBJECT_BLOB, source->size);
	if (r < 0)
		return pack_fault(w->dir_fd, "", r, f);
	r = stream_content(w, source, &sha1, f);
	if (r == 0)
		r = stream_end(w, source, f);
	if (r == 0 && sha1_final(&sha1, ret) < 0)
		r = fault_oom(f);
	return r;
}

int pack_writer_add_stream(struct pack_writer *w, uint64_t size, pack_read_fn read, void *userdata,
			   git_oid *ret, struct fault *f)
{
	struct source source = { .size = size, .read = read, .userdata = userdata };
	uint64_t offset = end_of(w);
	bool is_known = false;
	git_oid oid;
	int r = check_usable(w, f);

	if (r < 0)
		return r;
	r = stream_object(w, &source, &oid, f);
	/* its name is known only now */
	if (r == 0)
		is_known = pack_writer_has(w, &oid);
	if (r == 0 && !is_known && object_record(w, offset, &oid) < 0)
		r = fault_oom(f);
	if (r == 0 && is_known && cut_back(w, offset) < 0)
		r = pack_fault(w->dir_fd, "", w->broken, f);
	if (r < 0)
		(void)cut_back(w, offset); /* whoever goes on is told */
	else
		*ret = oid;
	return r;
}
