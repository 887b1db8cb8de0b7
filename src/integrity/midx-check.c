/* One index for many packs: does it say what theirs say? */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "integrity/chunk-file.h"
#include "integrity/graph-check.h"
#include "integrity/pack-private.h"
#include "util/cleanup.h"
#include "util/text.h"

#define HEADER_BYTES 12
#define LARGE	     0x80000000

struct midx {
	struct chunk_file file;
	const struct graph_reader *reader;
	uint32_t n_packs;
	struct pack **packs;	 /* NULL: not to be had, which was told */
	const struct chunk *places, *large; /* large: NULL, if there is none */
};

static void midx_deinit(struct midx *m)
{
	free(m->packs);
	chunk_file_deinit(&m->file);
}

static int parse_header(struct midx *m)
{
	struct chunk_file *f = &m->file;

	if (f->len < HEADER_BYTES + GIT_OID_RAWSZ)
		return chunk_file_tell(f, NULL, "it is too short to be one");
	if (memcmp(f->data, "MIDX", 4) != 0)
		return chunk_file_tell(f, NULL, "it does not begin like one");
	if (f->data[4] != 1 || f->data[5] != 1)
		return chunk_file_tell(f, NULL, "its version, or its kind of hash, is unknown");
	m->n_packs = pack_be32(f->data + 8);
	return chunk_file_parse(f, HEADER_BYTES, f->data[6]);
}

/* each name ends with a NUL, and they are sorted */
static int load_packs(struct midx *m)
{
	const struct chunk *chunk = chunk_find(&m->file, CHUNK_ID('P', 'N', 'A', 'M'));
	const char *last = NULL, *name, *end;
	int r = 0;

	if (!chunk)
		return chunk_file_tell(&m->file, NULL, "the chunk PNAM is not there");
	if (m->n_packs > chunk->len)
		return chunk_file_tell(&m->file, NULL, "it has fewer names of packs than it says");
	m->packs = calloc((size_t)m->n_packs + 1, sizeof(*m->packs));
	if (!m->packs)
		return -ENOMEM;
	name = (const char *)chunk->data;
	end = name + chunk->len;
	for (uint32_t i = 0; i < m->n_packs && r == 0; i++) {
		const char *nul = name < end ? memchr(name, '\0', (size_t)(end - name)) : NULL;

		if (!nul)
			return chunk_file_tell(&m->file, NULL, "it has fewer names of packs than it says");
		if (last && strcmp(last, name) >= 0)
			r = chunk_file_tell(&m->file, NULL, "the names of packs are not in order");
		m->packs[i] = m->reader->find_pack(name, m->reader->userdata);
		if (r == 0 && !m->packs[i])
			r = chunk_file_tell(&m->file, NULL, "the pack of %.80s is not there", name);
		last = name;
		name = nul + 1;
	}
	return r < 0 ? r : 1;
}

/* with the large ones looked up; PACK_NO_OFFSET: that leads nowhere */
static uint64_t place_offset(const struct midx *m, uint32_t i)
{
	uint32_t offset = pack_be32(m->places->data + (size_t)i * 8 + 4);

	/* without a table of large ones the bit is one of the offset's */
	if (!m->large || !(offset & LARGE))
		return offset;
	offset &= ~LARGE;
	return offset < m->large->len / 8 ? pack_be64(m->large->data + (size_t)offset * 8) : PACK_NO_OFFSET;
}

/* any of the copies that the pack has may be meant */
static bool has_copy_at(const struct pack *p, const unsigned char *name, uint64_t offset, bool *ret_has_any)
{
	int64_t pos = pack_find(p, name);

	*ret_has_any = pos >= 0;
	while (pos > 0 && memcmp(pack_name(p, (uint32_t)pos - 1), name, GIT_OID_RAWSZ) == 0)
		pos--;
	for (; pos >= 0 && pos < p->n && memcmp(pack_name(p, (uint32_t)pos), name, GIT_OID_RAWSZ) == 0; pos++)
		if (pack_offset(p, (uint32_t)pos) == offset)
			return true;
	return false;
}

static int check_place(struct midx *m, uint32_t i)
{
	const unsigned char *name = chunk_file_name(&m->file, i);
	uint32_t pack = pack_be32(m->places->data + (size_t)i * 8);
	uint64_t offset = place_offset(m, i);
	bool has_any;

	if (pack >= m->n_packs)
		return chunk_file_tell(&m->file, name, "it lies in a pack that is not in the list");
	if (offset == PACK_NO_OFFSET)
		return chunk_file_tell(&m->file, name, "its large offset is not there");
	if (!m->packs[pack] || has_copy_at(m->packs[pack], name, offset, &has_any))
		return 0;
	return chunk_file_tell(&m->file, name,
			       has_any ? "the index of its pack has another offset" :
					 "the index of its pack has no such object");
}

static int check_places(struct midx *m)
{
	int r = chunk_need(&m->file, CHUNK_ID('O', 'O', 'F', 'F'), (uint64_t)m->file.n * 8, &m->places);

	if (r <= 0)
		return r;
	m->large = chunk_find(&m->file, CHUNK_ID('L', 'O', 'F', 'F'));
	if (m->large && m->large->len % 8 != 0)
		return chunk_file_tell(&m->file, NULL, "the chunk LOFF is cut in the middle of an offset");
	r = 0;
	for (uint32_t i = 0; i < m->file.n && r == 0; i++) {
		r = check_place(m, i);
		if (r == 0 && i % 65536 == 0)
			r = check_tell(m->file.check);
	}
	return r < 0 ? r : 1;
}

/* the objects as they lie in the packs: a permutation; what order that is git keeps to itself */
static int check_reverse(struct midx *m)
{
	const struct chunk *chunk = chunk_find(&m->file, CHUNK_ID('R', 'I', 'D', 'X'));
	_cleanup_(freep) uint8_t *seen = NULL;

	if (!chunk)
		return 0;
	if (chunk->len != (uint64_t)m->file.n * 4)
		return chunk_file_tell(&m->file, NULL, "the chunk RIDX has not the length of its objects");
	seen = calloc((size_t)m->file.n + 1, 1);
	if (!seen)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->file.n; i++) {
		uint32_t pos = pack_be32(chunk->data + (size_t)i * 4);

		if (pos >= m->file.n || seen[pos])
			return chunk_file_tell(&m->file, NULL, "the chunk RIDX has not each object once");
		seen[pos] = 1;
	}
	return 0;
}

/* they are called after the checksum, so that an old one is no harm */
static int check_side_files(struct midx *m, int objects_fd, const char *dir)
{
	_cleanup_(closep) int fd = openat(objects_fd, "pack", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(freep) char *stem = NULL;
	struct side_owner owner = { NULL, fd, m->file.n, chunk_file_sum(&m->file), NULL };
	git_oid sum;

	if (fd < 0)
		return -errno;
	git_oid_fromraw(&sum, owner.sum);
	owner.stem = stem = text_printf("%s/pack/multi-pack-index-%s", dir, git_oid_tostr_s(&sum));
	return stem ? side_files_check(m->file.check, &owner) : -ENOMEM;
}

int multi_pack_index_check(struct check *c, int objects_fd, const char *dir, const struct graph_reader *r)
{
	_cleanup_(midx_deinit) struct midx m = { .reader = r };
	int rc = chunk_file_load(c, objects_fd, dir, "pack/multi-pack-index", "corrupt-multi-pack-index",
				 &m.file);

	if (rc > 0)
		rc = parse_header(&m);
	if (rc > 0)
		rc = load_packs(&m);
	if (rc > 0)
		rc = chunk_file_names(&m.file);
	if (rc > 0)
		rc = check_places(&m);
	if (rc > 0)
		rc = check_reverse(&m);
	if (rc == 0 && m.places)
		rc = check_side_files(&m, objects_fd, dir);
	return rc < 0 ? rc : 0;
}
