/* Header, entries, trailer. */
#include "integrity/index-parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "git/sha1.h"
#include "util/cleanup.h"

#define HEADER_BYTES  12
#define ENTRY_BYTES   62 /* before the path, without extended flags */
#define FLAG_EXTENDED 0x4000
#define FLAG_STAGE    0x3000
#define FLAG_LENGTH   0x0fff
#define XFLAG_INTENT  0x2000
#define XFLAG_KNOWN   0x6000

int index_damaged(struct fault *f, const char *why)
{
	return fault(f, -EUCLEAN, "%s", why);
}

/* the entries, one after the other */
struct entries {
	struct index_cursor *c;
	struct index_entry e;
	size_t before_len; /* of the path before */
	unsigned before_stage;
	bool has_before;
	char paths[2][INDEX_PATH_BYTES + 1]; /* this one's and the one before, in turn */
};

/* git's own varint: each further byte adds one to what was there */
static int get_strip(struct index_cursor *c, size_t *ret)
{
	size_t value = 0;

	for (int i = 0; i < 4 && c->at < c->end; i++) {
		uint8_t byte = *c->at++;

		value = (value << 7 | (byte & 0x7f)) + (byte & 0x80 ? 1 : 0);
		if (!(byte & 0x80)) {
			*ret = value;
			return 0;
		}
	}
	return index_damaged(c->f, "an entry has an impossible path");
}

/* in version 4 only what differs from the path before */
static int get_path(struct entries *es)
{
	struct index_cursor *c = es->c;
	char *path = es->paths[es->e.i % 2];
	const uint8_t *nul;
	size_t kept = 0, strip = 0, len;

	if (c->summary->version == 4) {
		if (get_strip(c, &strip) < 0)
			return -EUCLEAN;
		if (strip > es->before_len)
			return index_damaged(c->f, "an entry has an impossible path");
		kept = es->before_len - strip;
	}
	nul = memchr(c->at, '\0', (size_t)(c->end - c->at));
	if (!nul)
		return index_damaged(c->f, "an entry ends early");
	len = (size_t)(nul - c->at);
	if (kept + len > INDEX_PATH_BYTES)
		return index_damaged(c->f, "a path is too long");
	memcpy(path, es->paths[(es->e.i + 1) % 2], kept);
	memcpy(path + kept, c->at, len + 1);
	c->at = nul + 1;
	es->e.path = path;
	es->e.path_len = kept + len;
	return 0;
}

/* what git would not take into an index by any way of its own */
static bool is_bad_component(const char *s, size_t len)
{
	return len == 0 || (len == 1 && s[0] == '.') || (len == 2 && memcmp(s, "..", 2) == 0) ||
	       (len == 4 && strncasecmp(s, ".git", 4) == 0);
}

static bool path_is_valid(const struct index_entry *e)
{
	const char *at = e->path, *end = e->path + e->path_len;

	/* a directory of a sparse index ends with a slash, nothing else does */
	if (e->mode == INDEX_MODE_DIR) {
		if (e->path_len < 2 || end[-1] != '/')
			return false;
		end--;
	}
	for (;;) {
		const char *slash = memchr(at, '/', (size_t)(end - at));
		const char *to = slash ? slash : end;

		if (is_bad_component(at, (size_t)(to - at)))
			return false;
		if (!slash)
			return true;
		at = slash + 1;
	}
}

static int check_order(struct entries *es)
{
	const struct index_entry *e = &es->e;
	int order;

	if (!es->has_before)
		return 0;
	/* strcmp() compares as memcmp() does, and both end with a NUL */
	order = strcmp(es->paths[(e->i + 1) % 2], e->path);
	if (order > 0)
		return index_damaged(es->c->f, "its entries are out of order");
	if (order == 0 && (es->before_stage == 0 || es->before_stage >= e->stage))
		return index_damaged(es->c->f, "a path is in it twice");
	return 0;
}

static int check_entry(struct entries *es)
{
	const struct index_entry *e = &es->e;

	if (e->mode != 0100644 && e->mode != 0100755 && e->mode != 0120000 &&
	    e->mode != INDEX_MODE_GITLINK && e->mode != INDEX_MODE_DIR)
		return fault(es->c->f, -EUCLEAN, "an entry has the unknown mode %o", e->mode);
	if (git_oid_is_zero(&e->oid))
		return index_damaged(es->c->f, "the id of an entry is all zeros");
	if (e->path_len == 0) /* whether there may be such is seen when all extensions are known */
		return es->has_before ? index_damaged(es->c->f, "an entry has no path") : 0;
	if (!path_is_valid(e))
		return index_damaged(es->c->f, "an entry has a path that may not be in a work tree");
	return check_order(es);
}

/* versions 2 and 3 fill up with NULs to a multiple of eight */
static int skip_padding(struct index_cursor *c, const uint8_t *begin, size_t fixed, size_t path_len)
{
	size_t whole = (fixed + path_len + 8) & ~(size_t)7;

	if (c->summary->version == 4)
		return 0;
	if ((size_t)(c->end - begin) < whole)
		return index_damaged(c->f, "an entry ends early");
	c->at = begin + whole;
	return 0;
}

static int get_flags(struct entries *es, const uint8_t *begin, size_t *ret_fixed)
{
	struct index_cursor *c = es->c;
	uint32_t flags = index_u32(begin + 58) & 0xffff, more = 0;

	*ret_fixed = ENTRY_BYTES;
	if (flags & FLAG_EXTENDED) {
		if (c->summary->version < 3)
			return index_damaged(c->f, "an entry of version 2 has extended flags");
		more = index_u32(begin + 60) & 0xffff;
		if (more & ~XFLAG_KNOWN)
			return index_damaged(c->f, "an entry has unknown flags");
		*ret_fixed += 2;
	}
	es->e.stage = (flags & FLAG_STAGE) >> 12;
	es->e.is_intent = more & XFLAG_INTENT;
	c->at = begin + *ret_fixed;
	return 0;
}

static int get_entry(struct entries *es)
{
	struct index_cursor *c = es->c;
	const uint8_t *begin = c->at;
	size_t fixed, said;
	int r;

	if ((size_t)(c->end - begin) < ENTRY_BYTES + 2)
		return index_damaged(c->f, "an entry ends early");
	es->e.mode = index_u32(begin + 24);
	memcpy(es->e.oid.id, begin + 40, GIT_OID_RAWSZ);
	said = index_u32(begin + 58) & FLAG_LENGTH;
	r = get_flags(es, begin, &fixed);
	if (r == 0)
		r = get_path(es);
	if (r == 0 && said != (es->e.path_len < FLAG_LENGTH ? es->e.path_len : FLAG_LENGTH))
		r = index_damaged(c->f, "a path has another length than it says");
	if (r == 0)
		r = skip_padding(c, begin, fixed, es->e.path_len);
	if (r == 0)
		r = check_entry(es);
	return r;
}

static int get_entries(struct index_cursor *c, size_t n)
{
	_cleanup_(freep) struct entries *es = calloc(1, sizeof(*es));
	int r = 0;

	if (!es)
		return -ENOMEM;
	es->c = c;
	for (size_t i = 0; r == 0 && i < n; i++) {
		c->offsets[i] = (uint32_t)(c->at - c->data);
		es->e.i = i;
		r = get_entry(es);
		if (r < 0)
			return r;
		c->summary->has_directories |= es->e.mode == INDEX_MODE_DIR;
		es->before_len = es->e.path_len;
		es->before_stage = es->e.stage;
		es->has_before = es->e.path_len > 0;
		r = c->handler->entry ? c->handler->entry(&es->e, c->handler->userdata) : 0;
	}
	c->offsets[n] = (uint32_t)(c->at - c->data);
	return r < 0 ? r : 0;
}

static int check_trailer(const uint8_t *data, size_t len, git_oid *ret, struct fault *f)
{
	struct sha1 sha1;
	git_oid digest;

	memcpy(ret->id, data + len - GIT_OID_RAWSZ, GIT_OID_RAWSZ);
	if (git_oid_is_zero(ret))
		return 0;
	sha1_init(&sha1);
	sha1_update(&sha1, data, len - GIT_OID_RAWSZ);
	if (sha1_final(&sha1, &digest) < 0)
		return -ENOMEM;
	return git_oid_equal(&digest, ret) ? 0 : index_damaged(f, "its checksum is wrong");
}

static int parse_all(struct index_cursor *c, size_t n)
{
	int r;

	/* what cannot be there is not even begun with */
	if (n > (size_t)(c->end - c->at) / ENTRY_BYTES)
		return index_damaged(c->f, "it has fewer entries than it says");
	c->offsets = calloc(n + 1, sizeof(*c->offsets));
	if (!c->offsets)
		return -ENOMEM;
	r = get_entries(c, n);
	if (r == 0)
		r = index_parse_extensions(c);
	if (r == 0 && c->summary->has_directories && !c->summary->is_sparse)
		r = index_damaged(c->f, "an entry is a directory, and the index is not sparse");
	return r;
}

int index_parse(const uint8_t *data, size_t len, const struct index_handler *handler,
		struct index_summary *ret, struct fault *f)
{
	struct index_cursor c = { .data = data, .handler = handler, .summary = ret, .f = f };
	int r;

	*ret = (struct index_summary){ 0 };
	if (len == 0)
		return index_damaged(f, "it is empty, as after a crash of the machine");
	if (len < HEADER_BYTES + GIT_OID_RAWSZ || memcmp(data, "DIRC", 4) != 0 || len > UINT32_MAX)
		return index_damaged(f, "it does not begin as an index does");
	ret->version = index_u32(data + 4);
	if (ret->version < 2 || ret->version > 4)
		return fault(f, -EUCLEAN, "it has the unknown version %u", ret->version);
	r = check_trailer(data, len, &ret->checksum, f);
	if (r < 0)
		return r;
	c.at = data + HEADER_BYTES;
	c.end = data + len - GIT_OID_RAWSZ;
	ret->n_entries = index_u32(data + 8);
	r = parse_all(&c, ret->n_entries);
	free(c.offsets);
	return r;
}
