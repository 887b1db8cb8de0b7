/*
 * Any bytes as a pack and its index. The first byte tells how to take the others: as the two files (a length of two
 * bytes, the pack, the index), of which the count and the trailer are made to fit so that they are opened at all; or
 * as objects (kind, base, length, bytes) that are deflated here, so that deltas and chains get past zlib's checksum.
 * Whatever they are, each object is told once, and what is told as good can be read.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "integrity/pack.h"
#include "util/fs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define SUM	    GIT_OID_RAWSZ
#define OBJECTS_MAX 32
#define FILE_MAX    (64 << 10)
#define READ_MAX    (1 << 20)

struct bytes {
	uint8_t data[FILE_MAX];
	size_t len;
};

static struct bytes pack, idx;
static char dir[64];
static int dir_fd = -1;

static void remove_all(void)
{
	fs_remove_tree(dir, NULL);
}

static void make_dir(void)
{
	git_libgit2_init();
	strcpy(dir, "/tmp/slotd-fuzz-XXXXXX");
	if (!mkdtemp(dir))
		abort();
	atexit(remove_all);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void put(const char *path, const struct bytes *b)
{
	int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || fs_write_all(fd, b->data, b->len) < 0)
		abort();
	close(fd);
}

static void add(struct bytes *b, const void *data, size_t len)
{
	if (len <= sizeof(b->data) - b->len) {
		memcpy(b->data + b->len, data, len);
		b->len += len;
	}
}

static void add_be32(struct bytes *b, uint32_t v)
{
	v = htobe32(v);
	add(b, &v, sizeof(v));
}

/* count and trailer of the pack as the index has them */
static void make_fit(void)
{
	if (pack.len >= 12 + SUM && idx.len >= 8 + 1024 + 2 * SUM) {
		memcpy(pack.data + 8, idx.data + 8 + 255 * 4, 4);
		memcpy(idx.data + idx.len - 2 * SUM, pack.data + pack.len - SUM, SUM);
	}
}

static void take_files(const uint8_t *data, size_t len)
{
	size_t n = len < 2 ? 0 : (size_t)data[0] << 8 | data[1];

	data += len < 2 ? len : 2;
	len -= len < 2 ? len : 2;
	n = n > len ? len : n;
	add(&pack, data, n);
	add(&idx, data + n, len - n);
	make_fit();
}

/* one object; names are 8, 16, ... in their first byte. The bytes that it took */
static size_t take_object(const uint8_t *data, size_t len, uint32_t i, const uint32_t *offsets)
{
	uint8_t kind = data[0] & 7, base = data[1], name[SUM] = { 0 }, out[1024];
	size_t n = data[2] > len - 3 ? len - 3 : data[2], claims = data[0] & 0x80 ? data[2] : n;
	uint32_t distance = base < i ? pack.len - offsets[base] : base;
	uint8_t header[4] = { (uint8_t)(kind << 4 | (claims & 15) | (claims > 15 ? 0x80 : 0)), (uint8_t)(claims >> 4),
			      (uint8_t)(((distance >> 7) - 1) | 0x80), (uint8_t)(distance & 0x7f) };
	uLongf size = sizeof(out);

	add(&pack, header, claims > 15 ? 2 : 1);
	if (kind == 6)
		add(&pack, distance < 128 ? header + 3 : header + 2, distance < 128 ? 1 : 2);
	name[0] = (uint8_t)(base * 8);
	if (kind == 7)
		add(&pack, name, SUM);
	if (compress(out, &size, data + 3, n) != Z_OK)
		abort();
	add(&pack, out, size);
	return 3 + n;
}

static void take_objects(const uint8_t *data, size_t len)
{
	uint32_t offsets[OBJECTS_MAX], n = 0;
	uint8_t sums[2 * SUM] = { 0 };

	add(&pack, "PACK\0\0\0\2\0\0\0\0", 12);
	for (; len > 3 && n < OBJECTS_MAX; n++) {
		size_t used;

		offsets[n] = (uint32_t)pack.len;
		used = take_object(data, len, n, offsets);
		data += used;
		len -= used;
	}
	add(&pack, sums, SUM);
	add(&idx, "\377tOc\0\0\0\2", 8);
	for (uint32_t i = 0; i < 256; i++)
		add_be32(&idx, i / 8 + 1 < n ? i / 8 + 1 : n);
	for (uint32_t i = 0; i < n; i++) {
		uint8_t name[SUM] = { (uint8_t)(i * 8) };

		add(&idx, name, SUM);
	}
	for (uint32_t i = 0; i < n; i++)
		add_be32(&idx, 0);
	for (uint32_t i = 0; i < n; i++)
		add_be32(&idx, offsets[i]);
	add(&idx, sums, 2 * SUM);
	make_fit();
}

struct told {
	uint8_t v[FILE_MAX];
	uint32_t n;
};

static void tell(struct told *told, uint32_t pos, uint8_t what)
{
	if (told->v[pos])
		abort();
	told->v[pos] = what;
	told->n++;
}

static int on_object(unsigned thread, const struct pack_object *object, void *userdata)
{
	tell(userdata, object->pos, 1);
	return 0;
}

static int on_bad(unsigned thread, uint32_t pos, void *userdata)
{
	tell(userdata, pos, 2);
	return 0;
}

static int read_base(const git_oid *oid, git_object_t *ret_type, void **ret, size_t *ret_len, void *userdata)
{
	if (oid->id[0] & 8)
		return -ENOENT;
	*ret_type = GIT_OBJECT_BLOB;
	*ret_len = 10;
	*ret = memcpy(malloc(10), "0123456789", 10);
	return 0;
}

static void walk(struct check *c, struct pack *p)
{
	static struct told told;
	struct pack_walker w = { on_object, on_bad, read_base, &told, false, 0, 0 };

	memset(&told, 0, sizeof(told));
	if (pack_check_files(c, p) != 0 || pack_walk(c, p, &w) != 0 || told.n != pack_count(p))
		abort();
	for (uint32_t pos = 0; pos < pack_count(p); pos++) {
		git_object_t type;
		uint64_t whole;
		void *content;
		size_t len;

		if (pack_read_header(p, pos, &type, &whole) == 0 && type > 4)
			abort();
		if (pack_read(p, pos, &w, READ_MAX, &type, &content, &len) == 0)
			free(content);
		else if (told.v[pos] == 1)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct check_spec spec = { .threads = 1, .memory_bytes = len > 0 && data[0] & 2 ? 64 : 0 };
	struct check c = { .spec = &spec };
	struct pack *p;

	if (!dir[0])
		make_dir();
	if (len == 0 || len > 4096)
		return 0;
	pack.len = idx.len = 0;
	if (data[0] & 1)
		take_objects(data + 1, len - 1);
	else
		take_files(data + 1, len - 1);
	put("pack-1.pack", &pack);
	put("pack-1.idx", &idx);
	c.findings = findings_new();
	if (pack_open(&c, dir_fd, "p", "pack-1", &p) == 0) {
		walk(&c, p);
		pack_close(p);
	} else if (findings_kept(c.findings) == 0) {
		abort();
	}
	findings_free(c.findings);
	return 0;
}
