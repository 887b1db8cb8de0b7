/* A gigabyte goes by, and a few pieces of it are in memory. */
#include "git/blob-stream.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "git/loose.h"
#include "git/pack-file.h"
#include "git/sha1.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define PIECE_BYTES (128 << 10)
#define NAMES_AT    (8 + 256 * 4) /* magic, version, fan-out */
#define LONG_OFFSET 0x80000000u
#define ENTRY_BYTES 16 /* a type and a size in a pack */
#define ENTRY_BLOB  3
#define OPEN_FLAGS  (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

/* outcomes of looking into one place */
enum {
	NOT_HERE = 1, /* or not in a form that can be streamed, or damaged: another copy may do */
};

struct stream {
	int in;	     /* the file that it is in */
	uint64_t at; /* of the next compressed byte */
	int out;
	const git_oid *oid;
	uint64_t size;
	uint64_t done;
	struct sha1 sha1;
	z_stream z;
	uint8_t piece[PIECE_BYTES];
	uint8_t plain[PIECE_BYTES];
};

/* --- out --- */

static void hash_header(struct sha1 *sha1, uint64_t size)
{
	char header[32];
	int len = snprintf(header, sizeof(header), "blob %llu", (unsigned long long)size);

	sha1_init(sha1);
	sha1_update(sha1, header, (size_t)len + 1);
}

static int put(struct stream *s, const uint8_t *data, size_t len)
{
	if (len > s->size - s->done)
		return NOT_HERE;
	s->done += len;
	sha1_update(&s->sha1, data, len);
	return fs_write_all(s->out, data, len);
}

static int fill(struct stream *s)
{
	ssize_t n;

	do
		n = pread(s->in, s->piece, sizeof(s->piece), (off_t)s->at);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return NOT_HERE;
	s->at += (size_t)n;
	s->z.next_in = s->piece;
	s->z.avail_in = (uInt)n;
	return 0;
}

/* @skip: bytes of a header in front of the content */
static int inflate_all(struct stream *s, size_t skip)
{
	int rc = Z_OK, r = 0;

	while (rc == Z_OK && r == 0) {
		size_t len, less;

		if (s->z.avail_in == 0)
			r = fill(s);
		if (r != 0)
			return r;
		s->z.next_out = s->plain;
		s->z.avail_out = sizeof(s->plain);
		rc = inflate(&s->z, Z_NO_FLUSH);
		if (rc != Z_OK && rc != Z_STREAM_END)
			return NOT_HERE;
		len = sizeof(s->plain) - s->z.avail_out;
		less = skip < len ? skip : len;
		skip -= less;
		r = put(s, s->plain + less, len - less);
	}
	return r;
}

/* back to the beginning: what another copy left is overwritten */
static int rewind_out(int fd)
{
	return ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0;
}

static int stream_run(struct stream *s, size_t skip)
{
	git_oid is;
	int r = rewind_out(s->out);

	if (r < 0)
		return r;
	if (inflateInit(&s->z) != Z_OK)
		return -ENOMEM;
	hash_header(&s->sha1, s->size);
	r = inflate_all(s, skip);
	inflateEnd(&s->z);
	if (sha1_final(&s->sha1, &is) < 0)
		return -ENOMEM;
	if (r != 0)
		return r;
	return s->done == s->size && git_oid_equal(&is, s->oid) ? 0 : NOT_HERE;
}

static int stream_from(int in, uint64_t at, size_t skip, const git_oid *oid, uint64_t size, int out)
{
	struct stream *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	*s = (struct stream){ .in = in, .at = at, .out = out, .oid = oid, .size = size };
	r = stream_run(s, skip);
	free(s);
	return r;
}

/* --- in --- */

static int read_u32(int fd, uint64_t at, uint32_t *ret)
{
	uint32_t value;
	int r = pack_file_read(fd, &value, sizeof(value), at);

	if (r == 0)
		*ret = ntohl(value);
	return r;
}

/* where the name is in the table; NOT_HERE or a negative errno */
static int find_name(int idx, const git_oid *oid, uint32_t n, uint32_t *ret)
{
	uint32_t low = 0, high = 0;
	uint8_t first = oid->id[0];
	int r = first ? read_u32(idx, 8 + (first - 1) * 4u, &low) : 0;

	if (r == 0)
		r = read_u32(idx, 8 + first * 4u, &high);
	while (r == 0 && low < high && high <= n) {
		uint32_t mid = low + (high - low) / 2;
		git_oid at;
		int order;

		r = pack_file_read(idx, at.id, GIT_OID_RAWSZ,
				   NAMES_AT + (uint64_t)mid * GIT_OID_RAWSZ);
		order = r < 0 ? 0 : git_oid_cmp(&at, oid);
		if (r == 0 && order == 0) {
			*ret = mid;
			return 0;
		}
		low = order < 0 ? mid + 1 : low;
		high = order < 0 ? high : mid;
	}
	return NOT_HERE;
}

/* the offset of an object by the index of a pack, version 2 */
static int find_offset(int idx, const git_oid *oid, uint64_t *ret)
{
	uint32_t magic = 0, version = 0, n = 0, place = 0, offset = 0;
	uint64_t offsets_at, wide = 0;

	if (read_u32(idx, 0, &magic) < 0 || read_u32(idx, 4, &version) < 0 ||
	    magic != 0xff744f63u || version != 2 || read_u32(idx, 8 + 255 * 4, &n) < 0 ||
	    find_name(idx, oid, n, &place) != 0)
		return NOT_HERE;
	offsets_at = NAMES_AT + (uint64_t)n * (GIT_OID_RAWSZ + 4);
	if (read_u32(idx, offsets_at + place * 4ull, &offset) < 0)
		return NOT_HERE;
	*ret = offset;
	if (!(offset & LONG_OFFSET))
		return 0;
	if (pack_file_read(idx, &wide, sizeof(wide),
			   offsets_at + n * 4ull + (offset & ~LONG_OFFSET) * 8ull) < 0)
		return NOT_HERE;
	*ret = be64toh(wide);
	return 0;
}

/* a whole blob of that size begins here? Then *at is moved to its compressed bytes */
static int read_entry(int pack, uint64_t size, uint64_t *at)
{
	uint8_t head[ENTRY_BYTES];
	uint64_t is;
	unsigned shift = 4, i = 0;

	if (pack_file_read(pack, head, sizeof(head), *at) < 0 || ((head[0] >> 4) & 7) != ENTRY_BLOB)
		return NOT_HERE;
	is = head[0] & 15;
	while (head[i] & 0x80) {
		if (++i == ENTRY_BYTES || shift > 57)
			return NOT_HERE;
		is |= (uint64_t)(head[i] & 0x7f) << shift;
		shift += 7;
	}
	*at += i + 1;
	return is == size ? 0 : NOT_HERE;
}

static int try_pack(int dir_fd, const char *idx_name, const git_oid *oid, uint64_t size, int out)
{
	_cleanup_(freep) char *name = text_printf("%.*s.pack", (int)strlen(idx_name) - 4, idx_name);
	_cleanup_(closep) int idx = -1;
	_cleanup_(closep) int pack = -1;
	uint64_t at = 0;

	if (!name)
		return -ENOMEM;
	idx = openat(dir_fd, idx_name, OPEN_FLAGS);
	if (idx < 0 || find_offset(idx, oid, &at) != 0)
		return NOT_HERE;
	pack = openat(dir_fd, name, OPEN_FLAGS);
	if (pack < 0 || read_entry(pack, size, &at) != 0)
		return NOT_HERE;
	return stream_from(pack, at, 0, oid, size, out);
}

static int try_packs(int objects_fd, const git_oid *oid, uint64_t size, int out)
{
	int fd = openat(objects_fd, "pack", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int r = NOT_HERE;

	if (!dir) {
		closep(&fd);
		return NOT_HERE;
	}
	while (r == NOT_HERE && (entry = readdir(dir)))
		if (text_has_suffix(entry->d_name, ".idx"))
			r = try_pack(fd, entry->d_name, oid, size, out);
	closedir(dir);
	return r;
}

/* "blob <size>" and a NUL come before the content; the hash would tell if they did not */
static int try_loose(int objects_fd, const git_oid *oid, uint64_t size, int out)
{
	char path[GIT_OID_HEXSZ + 2], header[32];
	_cleanup_(closep) int fd = -1;
	struct stat st;

	loose_path(oid, path);
	fd = openat(objects_fd, path, OPEN_FLAGS);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NOT_HERE;
	return stream_from(
		fd, 0,
		(size_t)snprintf(header, sizeof(header), "blob %llu", (unsigned long long)size) + 1,
		oid, size, out);
}

static int try_streams(struct repo *repo, const git_oid *oid, uint64_t size, int out)
{
	_cleanup_(freep) char *path = text_printf("%s/objects", repo_common_dir(repo));
	_cleanup_(closep) int fd = -1;
	int r;

	if (!path)
		return -ENOMEM;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return NOT_HERE;
	r = try_packs(fd, oid, size, out);
	return r == NOT_HERE ? try_loose(fd, oid, size, out) : r;
}

static int read_whole(struct repo *repo, const git_oid *oid, int out, struct fault *f)
{
	git_odb_object *o = NULL;
	int rc = git_odb_read(&o, repo_odb(repo), oid), r;

	if (rc < 0)
		return git_fault(f, rc, "the blob %s cannot be read", git_oid_tostr_s(oid));
	r = rewind_out(out);
	if (r == 0)
		r = fs_write_all(out, git_odb_object_data(o), git_odb_object_size(o));
	git_odb_object_free(o);
	return r < 0 ? fault_errno(f, r, "cannot write") : 0;
}

int blob_size(struct repo *repo, const git_oid *oid, uint64_t *ret, struct fault *f)
{
	char hex[GIT_OID_HEXSZ + 1];
	git_object_t type;
	size_t size;
	int rc = git_odb_read_header(&size, &type, repo_odb(repo), oid);

	git_oid_tostr(hex, sizeof(hex), oid);
	if (rc == GIT_ENOTFOUND)
		return fault(f, -EUCLEAN, "the blob %s is missing from the store", hex);
	if (rc < 0)
		return git_fault(f, rc, "the blob %s cannot be read", hex);
	if (type != GIT_OBJECT_BLOB)
		return fault(f, -EUCLEAN, "%s is not a blob", hex);
	*ret = size;
	return 0;
}

int blob_to_fd(struct repo *repo, const git_oid *oid, int fd, struct fault *f)
{
	uint64_t size;
	int r = blob_size(repo, oid, &size, f);

	if (r < 0)
		return r;
	r = size > BLOB_STREAM_BYTES ? try_streams(repo, oid, size, fd) : NOT_HERE;
	if (r < 0)
		return fault_errno(f, r, "cannot write");
	return r == NOT_HERE ? read_whole(repo, oid, fd, f) : 0;
}

int blob_is_fd(const git_oid *oid, int fd, uint64_t size)
{
	_cleanup_(freep) uint8_t *piece = malloc(PIECE_BYTES);
	struct sha1 sha1;
	uint64_t done = 0;
	ssize_t n = 1;
	git_oid is;

	if (!piece)
		return -ENOMEM;
	hash_header(&sha1, size);
	while (n > 0 && done <= size) {
		n = read(fd, piece, PIECE_BYTES);
		if (n < 0 && errno == EINTR) {
			n = 1;
			continue;
		}
		if (n < 0) {
			int r = -errno;

			sha1_deinit(&sha1);
			return r;
		}
		done += (size_t)n;
		sha1_update(&sha1, piece, (size_t)n);
	}
	if (sha1_final(&sha1, &is) < 0)
		return -ENOMEM;
	return done == size && git_oid_equal(&is, oid);
}
