/* Chunks, each where its table says, and nowhere else. */
#include "integrity/chunk-file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/pack-private.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define FILE_MAX  (16ULL << 30)
#define FAN_BYTES (256 * 4)
#define ROW	  12 /* of the table: a name, an offset of eight bytes */
#define SUM	  GIT_OID_RAWSZ

int chunk_file_tell(struct chunk_file *file, const unsigned char *name, const char *fmt, ...)
{
	struct finding_place place = { .where = file->where };
	char hex[GIT_OID_HEXSZ + 1], detail[256];
	git_oid oid;
	va_list ap;

	if (file->told++ >= TOLD_MAX)
		return 0;
	if (name) {
		git_oid_fromraw(&oid, name);
		git_oid_tostr(hex, sizeof(hex), &oid);
		place.object = hex;
	}
	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	return finding_add(file->check->findings, file->id, &place, "%s", detail);
}

int chunk_file_load(struct check *c, int dir_fd, const char *dir, const char *path, const char *id,
		    struct chunk_file *ret)
{
	int r;

	*ret = (struct chunk_file){ .check = c, .id = id };
	ret->where = text_printf("%s/%s", dir, path);
	if (!ret->where)
		return -ENOMEM;
	r = fs_read_file_at(dir_fd, path, FILE_MAX, (char **)&ret->data, &ret->len);
	if (r == 0)
		return 1;
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r == -ENOMEM || r == -EMFILE || r == -ENFILE)
		return r;
	return chunk_file_tell(ret, NULL, "it cannot be read: %s", strerror(-r));
}

void chunk_file_deinit(struct chunk_file *file)
{
	free(file->where);
	free(file->data);
	*file = (struct chunk_file){ 0 };
}

static int check_sum(struct chunk_file *file)
{
	struct hash hash;
	git_oid sum;
	int r = hash_init(&hash, false);

	if (r == 0)
		r = hash_begin_plain(&hash);
	if (r == 0) {
		hash_update(&hash, file->data, file->len - SUM);
		r = hash_final(&hash, &sum);
	}
	hash_deinit(&hash);
	if (r == 0 && memcmp(sum.id, file->data + file->len - SUM, SUM) != 0)
		r = chunk_file_tell(file, NULL, "its checksum is wrong");
	return r;
}

static int check_row(struct chunk_file *file, const unsigned char *row, uint64_t least)
{
	uint32_t id = pack_be32(row);
	uint64_t at = pack_be64(row + 4), end = pack_be64(row + ROW + 4);

	if (id == 0)
		return chunk_file_tell(file, NULL, "its table of chunks ends too early");
	if (at < least || end < at || end > file->len - SUM)
		return chunk_file_tell(file, NULL, "a chunk is not where one can be");
	if (chunk_find(file, id))
		return chunk_file_tell(file, NULL, "it has a chunk twice");
	file->chunks[file->n_chunks++] = (struct chunk){ id, file->data + at, end - at };
	return 1;
}

int chunk_file_parse(struct chunk_file *file, size_t header, unsigned n_chunks)
{
	uint64_t begin = header + ((uint64_t)n_chunks + 1) * ROW;
	int r;

	if (file->len < begin + SUM)
		return chunk_file_tell(file, NULL, "it is too short for its table of chunks");
	r = check_sum(file);
	if (r < 0)
		return r;
	r = 1;
	for (unsigned i = 0; i < n_chunks && r > 0; i++)
		r = check_row(file, file->data + header + (size_t)i * ROW, begin);
	if (r > 0 && pack_be32(file->data + header + (size_t)n_chunks * ROW) != 0)
		r = chunk_file_tell(file, NULL, "its table of chunks has no end");
	return r;
}

const struct chunk *chunk_find(const struct chunk_file *file, uint32_t id)
{
	for (unsigned i = 0; i < file->n_chunks; i++)
		if (file->chunks[i].id == id)
			return &file->chunks[i];
	return NULL;
}

int chunk_need(struct chunk_file *file, uint32_t id, uint64_t len, const struct chunk **ret)
{
	const struct chunk *chunk = chunk_find(file, id);
	char name[5] = { (char)(id >> 24), (char)(id >> 16), (char)(id >> 8), (char)id, '\0' };

	if (!chunk)
		return chunk_file_tell(file, NULL, "the chunk %s is not there", name);
	if (chunk->len != len)
		return chunk_file_tell(file, NULL, "the chunk %s has %llu bytes instead of %llu", name,
				       (unsigned long long)chunk->len, (unsigned long long)len);
	*ret = chunk;
	return 1;
}

static int check_order(struct chunk_file *file)
{
	int r = 0;

	for (unsigned i = 1; i < 256; i++)
		if (pack_be32(file->fan + i * 4) < pack_be32(file->fan + i * 4 - 4))
			return chunk_file_tell(file, NULL, "its fan-out table decreases at %02x", i);
	for (uint32_t i = 0; i < file->n && r == 0; i++) {
		const unsigned char *name = chunk_file_name(file, i);
		uint32_t low = name[0] ? pack_be32(file->fan + (name[0] - 1) * 4) : 0;

		if (i > 0 && memcmp(name - SUM, name, SUM) >= 0)
			r = chunk_file_tell(file, name, "its name is not in order");
		else if (i < low || i >= pack_be32(file->fan + name[0] * 4))
			r = chunk_file_tell(file, name, "the fan-out table leads past its name");
	}
	return r < 0 ? r : 1;
}

int chunk_file_names(struct chunk_file *file)
{
	const struct chunk *chunk = NULL;
	int r = chunk_need(file, CHUNK_ID('O', 'I', 'D', 'F'), FAN_BYTES, &chunk);

	if (r <= 0)
		return r;
	file->fan = chunk->data;
	r = chunk_need(file, CHUNK_ID('O', 'I', 'D', 'L'), (uint64_t)pack_be32(file->fan + 255 * 4) * SUM,
		       &chunk);
	if (r <= 0)
		return r;
	file->n = pack_be32(file->fan + 255 * 4);
	file->names = chunk->data;
	return check_order(file);
}

const unsigned char *chunk_file_name(const struct chunk_file *file, uint32_t pos)
{
	return file->names + (size_t)pos * SUM;
}

const unsigned char *chunk_file_sum(const struct chunk_file *file)
{
	return file->data + file->len - SUM;
}

int64_t chunk_file_find(const struct chunk_file *file, const unsigned char *oid)
{
	uint32_t low = 0, high = file->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		int r = memcmp(oid, chunk_file_name(file, mid), SUM);

		if (r == 0)
			return mid;
		if (r < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return -ENOENT;
}
