/* Little-endian, with a version in front. */
#include "integrity/notes.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 3
#define MARKS_IN_PART ((MEMO_NOTE_BYTES - 20) / 12)

struct cursor {
	uint8_t *p, *end;
	bool failed;
};

static void move(struct cursor *c, void *data, const void *from, size_t n, bool is_put)
{
	if ((size_t)(c->end - c->p) < n) {
		c->failed = true;
		return;
	}
	if (is_put)
		memcpy(c->p, from, n);
	else
		memcpy(data, c->p, n);
	c->p += n;
}

static void put_u64(struct cursor *c, uint64_t v)
{
	v = htole64(v);
	move(c, NULL, &v, sizeof(v), true);
}

static void put_u32(struct cursor *c, uint32_t v)
{
	v = htole32(v);
	move(c, NULL, &v, sizeof(v), true);
}

static uint64_t get_u64(struct cursor *c)
{
	uint64_t v = 0;

	move(c, &v, NULL, sizeof(v), false);
	return le64toh(v);
}

static uint32_t get_u32(struct cursor *c)
{
	uint32_t v = 0;

	move(c, &v, NULL, sizeof(v), false);
	return le32toh(v);
}

/* FNV-1a: nobody attacks who could not change the ledger as well */
static uint64_t mix(uint64_t h, uint64_t v)
{
	for (unsigned i = 0; i < 8; i++, v >>= 8)
		h = (h ^ (v & 255)) * 0x100000001b3ULL;
	return h;
}

static uint64_t mix_file(uint64_t h, const struct stat *st)
{
	return mix(mix(mix(h, st->st_dev), st->st_ino), (uint64_t)st->st_size);
}

static uint64_t mix_times(uint64_t h, const struct stat *st)
{
	h = mix(mix(h, (uint64_t)st->st_mtim.tv_sec), (uint64_t)st->st_mtim.tv_nsec);
	return mix(mix(h, (uint64_t)st->st_ctim.tv_sec), (uint64_t)st->st_ctim.tv_nsec);
}

static uint64_t mix_stat(uint64_t h, const struct stat *st)
{
	return mix_times(mix_file(h, st), st);
}

#define START 0xcbf29ce484222325ULL

uint64_t pack_note_stamp(const struct stat *pack, const struct stat *idx, const git_oid *trailer)
{
	uint64_t h = mix_file(mix_file(START, pack), idx);

	for (unsigned i = 0; i < GIT_OID_RAWSZ; i++)
		h = mix(h, trailer->id[i]);
	return h;
}

uint64_t pack_note_times(const struct stat *pack, const struct stat *idx)
{
	return mix_times(mix_times(START, pack), idx);
}

uint64_t pack_note_stamp_also(uint64_t stamp, const struct stat *st)
{
	return mix_stat(stamp, st);
}

bool pack_note_find(const struct memo *memo, const char *name, struct pack_note *ret)
{
	size_t len;
	uint8_t *data = memo ? (uint8_t *)memo_find(memo, name, &len) : NULL;
	struct cursor c = { data, data ? data + len : NULL, false };

	if (!data || get_u32(&c) != VERSION)
		return false;
	ret->is_whole = get_u32(&c);
	ret->stamp = get_u64(&c);
	ret->times = get_u64(&c);
	ret->read_usec = get_u64(&c);
	ret->scrub_usec = get_u64(&c);
	ret->scrub_from = get_u64(&c);
	ret->n = get_u32(&c);
	if (c.failed || ret->n > NOTE_OBJECTS)
		return false;
	move(&c, ret->again, NULL, ret->n * sizeof(*ret->again), false);
	return !c.failed && c.p == c.end;
}

int pack_note_put(struct memo *memo, const char *name, const struct pack_note *note)
{
	uint8_t data[MEMO_NOTE_BYTES];
	struct cursor c = { data, data + sizeof(data), false };

	put_u32(&c, VERSION);
	put_u32(&c, note->is_whole);
	put_u64(&c, note->stamp);
	put_u64(&c, note->times);
	put_u64(&c, note->read_usec);
	put_u64(&c, note->scrub_usec);
	put_u64(&c, note->scrub_from);
	put_u32(&c, note->n);
	move(&c, NULL, note->again, note->n * sizeof(*note->again), true);
	return c.failed ? -EINVAL : memo_put(memo, name, data, (size_t)(c.p - data));
}

uint64_t loose_prefix(const git_oid *oid)
{
	uint64_t v;

	memcpy(&v, oid->id, sizeof(v));
	return be64toh(v);
}

uint32_t loose_stamp(const struct stat *st)
{
	uint64_t h = mix_stat(START, st);

	return (uint32_t)(h ^ h >> 32) | 1; /* never 0 */
}

void loose_note_deinit(struct loose_note *note)
{
	free(note->marks);
	*note = (struct loose_note){ 0 };
}

int loose_note_add(struct loose_note *note, uint64_t prefix, uint32_t stamp)
{
	if (note->n == note->size) {
		size_t size = note->size ? note->size * 2 : 64;
		struct loose_mark *marks = reallocarray(note->marks, size, sizeof(*marks));

		if (!marks)
			return -ENOMEM;
		note->marks = marks;
		note->size = size;
	}
	note->marks[note->n++] = (struct loose_mark){ prefix, stamp };
	return 0;
}

/* of the i-th part */
static void part_name(char ret[MEMO_NAME_BYTES], const char *name, unsigned part)
{
	snprintf(ret, MEMO_NAME_BYTES, "%s.%u", name, part);
}

/* 1: there are more parts; 0: it was the last; -EBADMSG: there is none that can be understood */
static int find_part(const struct memo *memo, const char *name, unsigned part, struct loose_note *ret)
{
	char full[MEMO_NAME_BYTES];
	uint32_t n, more;
	struct cursor c;
	uint8_t *data;
	size_t len;

	part_name(full, name, part);
	data = (uint8_t *)memo_find(memo, full, &len);
	c = (struct cursor){ data, data ? data + len : NULL, false };
	if (!data || get_u32(&c) != VERSION)
		return -EBADMSG;
	ret->read_usec = get_u64(&c);
	more = get_u32(&c);
	n = get_u32(&c);
	if (c.failed || n > MARKS_IN_PART)
		return -EBADMSG;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t prefix = get_u64(&c);

		if (loose_note_add(ret, prefix, get_u32(&c)) < 0)
			return -ENOMEM;
	}
	return c.failed || c.p != c.end ? -EBADMSG : more != 0;
}

int loose_note_find(const struct memo *memo, const char *name, struct loose_note *ret)
{
	unsigned part = 0;
	int r;

	if (!memo)
		return 0;
	do
		r = find_part(memo, name, part++, ret);
	while (r > 0);
	if (r == -EBADMSG)
		loose_note_deinit(ret);
	return r == -ENOMEM ? r : r == 0;
}

static int put_part(struct memo *memo, const char *name, unsigned part, const struct loose_note *note)
{
	size_t from = (size_t)part * MARKS_IN_PART, n = note->n - from;
	char full[MEMO_NAME_BYTES];
	uint8_t data[MEMO_NOTE_BYTES];
	struct cursor c = { data, data + sizeof(data), false };

	n = n > MARKS_IN_PART ? MARKS_IN_PART : n;
	put_u32(&c, VERSION);
	put_u64(&c, note->read_usec);
	put_u32(&c, from + n < note->n);
	put_u32(&c, (uint32_t)n);
	for (size_t i = from; i < from + n; i++) {
		put_u64(&c, note->marks[i].prefix);
		put_u32(&c, note->marks[i].stamp);
	}
	part_name(full, name, part);
	return c.failed ? -EINVAL : memo_put(memo, full, data, (size_t)(c.p - data));
}

void loose_note_remove(struct memo *memo, const char *name)
{
	char full[MEMO_NAME_BYTES];
	size_t len;

	for (unsigned part = 0;; part++) {
		part_name(full, name, part);
		if (!memo_find(memo, full, &len))
			return;
		memo_remove(memo, full);
	}
}

int loose_note_put(struct memo *memo, const char *name, const struct loose_note *note)
{
	int r = 0;

	loose_note_remove(memo, name);
	for (size_t part = 0; r == 0 && (part == 0 || part * MARKS_IN_PART < note->n); part++)
		r = put_part(memo, name, (unsigned)part, note);
	return r;
}

bool loose_note_has(const struct loose_note *note, uint64_t prefix, uint32_t stamp)
{
	size_t low = 0, high = note->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (note->marks[mid].prefix < prefix)
			low = mid + 1;
		else
			high = mid;
	}
	return low < note->n && note->marks[low].prefix == prefix && note->marks[low].stamp == stamp;
}
