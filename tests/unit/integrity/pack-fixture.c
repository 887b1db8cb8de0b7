#include "pack-fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "git-fixture.h"
#include "git/sha1.h"
#include "util/fs.h"
#include "util/text.h"

void check_fixture_init(struct check_fixture *f)
{
	git_libgit2_init();
	*f = (struct check_fixture){ .spec = { .threads = 2, .common_dir = fixture_dir } };
	f->check = (struct check){ .spec = &f->spec, .findings = findings_new(), .is_sha1 = true };
	cr_assert_not_null(f->check.findings);
}

void check_fixture_deinit(struct check_fixture *f)
{
	findings_free(f->check.findings);
	git_libgit2_shutdown();
}

size_t findings_of(const struct check_fixture *f, const char *id)
{
	size_t n = 0;

	for (size_t i = 0; i < findings_kept(f->check.findings); i++)
		n += strcmp(findings_at(f->check.findings, i)->id, id) == 0;
	return n;
}

void findings_show(const struct check_fixture *f)
{
	for (size_t i = 0; i < findings_kept(f->check.findings); i++) {
		const struct finding *finding = findings_at(f->check.findings, i);

		fprintf(stderr, "%s %s %s: %s\n", finding->id, finding->where,
			finding->object ? finding->object : "-", finding->detail);
	}
}

int pack_open_in(struct check_fixture *f, const char *dir, const char *stem, struct pack **ret)
{
	int fd = open(in_dir(dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	return pack_open(&f->check, fd, dir, stem, ret);
}

static int on_object(unsigned thread, const struct pack_object *object, void *userdata)
{
	struct told *told = userdata;
	uint32_t good = __atomic_add_fetch(&told->good, 1, __ATOMIC_RELAXED);
	git_oid oid;

	if (__atomic_exchange_n(&told->v[object->pos], (int)object->type, __ATOMIC_RELAXED) != 0)
		__atomic_add_fetch(&told->repeated, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&told->bytes, object->len, __ATOMIC_RELAXED);
	if (!object->data)
		__atomic_add_fetch(&told->in_pieces, 1, __ATOMIC_RELAXED);
	else if (sha1_object(object->type, object->data, object->len, &oid) < 0 ||
		 ((const char *)object->data)[object->len] != '\0')
		return -EPROTO;
	return told->stop_after && good >= (uint32_t)told->stop_after ? -EINTR : 0;
}

static int on_bad(unsigned thread, uint32_t pos, void *userdata)
{
	struct told *told = userdata;

	if (__atomic_exchange_n(&told->v[pos], -1, __ATOMIC_RELAXED) != 0)
		__atomic_add_fetch(&told->repeated, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&told->bad, 1, __ATOMIC_RELAXED);
	return 0;
}

int told_walk(struct check_fixture *f, struct pack *p, struct told *told)
{
	told->n = pack_count(p);
	told->v = calloc((size_t)told->n + 1, sizeof(*told->v));
	told->walker.on_object = on_object;
	told->walker.on_bad = on_bad;
	told->walker.userdata = told;
	return pack_walk(&f->check, p, &told->walker);
}

void told_deinit(struct told *told)
{
	free(told->v);
	*told = (struct told){ 0 };
}

/* --- packs that are built --- */

static void append(struct pack_builder *b, const void *data, size_t len)
{
	b->data = realloc(b->data, b->len + len);
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static void append_be32(struct pack_builder *b, uint32_t v)
{
	v = htobe32(v);
	append(b, &v, sizeof(v));
}

void builder_init(struct pack_builder *b)
{
	*b = (struct pack_builder){ 0 };
	append(b, "PACK", 4);
	append_be32(b, 2);
	append_be32(b, 0);
}

void builder_deinit(struct pack_builder *b)
{
	free(b->data);
}

static void append_header(struct pack_builder *b, const git_oid *name, int type, uint64_t len)
{
	unsigned char byte = (unsigned char)(type << 4 | (len & 15));

	cr_assert_lt(b->n, 64);
	b->names[b->n] = *name;
	b->offsets[b->n++] = b->len;
	for (len >>= 4; len > 0; len >>= 7) {
		byte |= 0x80;
		append(b, &byte, 1);
		byte = (unsigned char)(len & 0x7f);
	}
	append(b, &byte, 1);
}

static void append_deflated(struct pack_builder *b, const void *data, size_t len)
{
	uLongf size = compressBound(len);
	unsigned char *out = malloc(size);

	cr_assert_eq(compress(out, &size, data, len), Z_OK);
	append(b, out, size);
	free(out);
}

void builder_add(struct pack_builder *b, const git_oid *name, int type, const void *data, size_t len,
		 uint64_t claims)
{
	append_header(b, name, type, claims == UINT64_MAX ? len : claims);
	append_deflated(b, data, len);
}

void builder_add_blob(struct pack_builder *b, const void *data, size_t len)
{
	git_oid oid;

	cr_assert_eq(sha1_object(GIT_OBJECT_BLOB, data, len, &oid), 0);
	builder_add(b, &oid, GIT_OBJECT_BLOB, data, len, UINT64_MAX);
}

void builder_add_ofs(struct pack_builder *b, const git_oid *name, uint32_t base, const void *delta,
		     size_t len)
{
	uint64_t distance = b->len - b->offsets[base];
	unsigned char bytes[2] = { (unsigned char)(((distance >> 7) - 1) | 0x80),
				   (unsigned char)(distance & 0x7f) };

	cr_assert_lt(distance, 128 * 128);
	append_header(b, name, 6, len);
	append(b, distance < 128 ? bytes + 1 : bytes, distance < 128 ? 1 : 2);
	append_deflated(b, delta, len);
}

void builder_add_ref(struct pack_builder *b, const git_oid *name, const git_oid *base, const void *delta,
		     size_t len)
{
	append_header(b, name, 7, len);
	append(b, base->id, GIT_OID_RAWSZ);
	append_deflated(b, delta, len);
}

size_t delta_append(size_t base_len, const char *more, unsigned char *ret)
{
	size_t n = strlen(more), len = 0;

	ret[len++] = (unsigned char)base_len;
	ret[len++] = (unsigned char)(base_len + n);
	ret[len++] = 0x90; /* copy from 0, one byte of length */
	ret[len++] = (unsigned char)base_len;
	ret[len++] = (unsigned char)n;
	memcpy(ret + len, more, n);
	return len + n;
}

static void append_sha1(struct pack_builder *b)
{
	struct sha1 sha1;
	git_oid oid;

	sha1_init(&sha1);
	sha1_update(&sha1, b->data, b->len);
	cr_assert_eq(sha1_final(&sha1, &oid), 0);
	append(b, oid.id, GIT_OID_RAWSZ);
}

static const struct pack_builder *sorted;

static int compare_names(const void *a, const void *b)
{
	return memcmp(sorted->names[*(const uint32_t *)a].id, sorted->names[*(const uint32_t *)b].id,
		      GIT_OID_RAWSZ);
}

/* an index of version 2 for a finished pack */
static void index_make(const struct pack_builder *pack, struct pack_builder *ret)
{
	uint32_t order[64], below = 0;

	*ret = (struct pack_builder){ 0 };
	append_be32(ret, 0xff744f63);
	append_be32(ret, 2);
	for (uint32_t i = 0; i < pack->n; i++)
		order[i] = i;
	sorted = pack;
	if (pack->n)
		qsort(order, pack->n, sizeof(*order), compare_names);
	for (unsigned byte = 0; byte < 256; byte++) {
		while (below < pack->n && pack->names[order[below]].id[0] <= byte)
			below++;
		append_be32(ret, below);
	}
	for (uint32_t i = 0; i < pack->n; i++)
		append(ret, pack->names[order[i]].id, GIT_OID_RAWSZ);
	for (uint32_t i = 0; i < pack->n; i++)
		append_be32(ret, (uint32_t)crc32(0, pack->data + pack->offsets[order[i]],
						 (uInt)(pack->offsets[order[i] + 1] -
							pack->offsets[order[i]])));
	for (uint32_t i = 0; i < pack->n; i++)
		append_be32(ret, (uint32_t)pack->offsets[order[i]]);
	append(ret, pack->data + pack->len - GIT_OID_RAWSZ, GIT_OID_RAWSZ);
	append_sha1(ret);
}

void builder_write(const struct pack_builder *b, const char *dir, const char *stem)
{
	struct pack_builder pack = *b, index;
	uint32_t n = htobe32(b->n);

	pack.data = malloc(b->len);
	memcpy(pack.data, b->data, b->len);
	memcpy(pack.data + 8, &n, sizeof(n));
	pack.offsets[pack.n] = pack.len;
	append_sha1(&pack);
	index_make(&pack, &index);
	bytes_store(fixture_keep(text_printf("%s/%s.pack", dir, stem)), pack.data, pack.len);
	bytes_store(fixture_keep(text_printf("%s/%s.idx", dir, stem)), index.data, index.len);
	builder_deinit(&pack);
	builder_deinit(&index);
}

unsigned char *bytes_load(const char *name, size_t *ret_len)
{
	char *data;

	cr_assert_eq(fs_read_file_at(AT_FDCWD, in_dir(name), 64 << 20, &data, ret_len), 0, "%s", name);
	return (unsigned char *)data;
}

void bytes_store(const char *name, const void *data, size_t len)
{
	int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	cr_assert_geq(fd, 0, "%s", name);
	cr_assert_eq(fs_write_all(fd, data, len), 0);
	close(fd);
}
