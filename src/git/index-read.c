/* Trust nothing but the arithmetic. */
#include "git/index-read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "git/sha1.h"
#include "util/cleanup.h"

#define HEADER_BYTES  12
#define ENTRY_BYTES   62 /* before the path, without extended flags */
#define FLAG_VALID    0x8000
#define FLAG_EXTENDED 0x4000
#define FLAG_STAGE    0x3000
#define FLAG_LENGTH   0x0fff
#define XFLAG_SKIP    0x4000
#define XFLAG_INTENT  0x2000

/* a cursor over the bytes before the trailer */
struct reader {
	const uint8_t *at, *end;
	uint32_t version;
	struct index *index;
	struct fault *f;
};

void index_deinit(struct index *index)
{
	tree_list_deinit(&index->list);
}

static int damaged(struct fault *f, const char *why)
{
	return fault(f, -EUCLEAN, "the index is damaged: %s", why);
}

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t get_u16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static void get_stat(const uint8_t *p, struct tree_entry *e)
{
	e->stat.ctime_sec = get_u32(p);
	e->stat.ctime_nsec = get_u32(p + 4);
	e->stat.mtime_sec = get_u32(p + 8);
	e->stat.mtime_nsec = get_u32(p + 12);
	e->stat.dev = get_u32(p + 16);
	e->stat.ino = get_u32(p + 20);
	e->mode = get_u32(p + 24);
	e->stat.uid = get_u32(p + 28);
	e->stat.gid = get_u32(p + 32);
	e->stat.size = get_u32(p + 36);
	memcpy(e->oid.id, p + 40, GIT_OID_RAWSZ);
}

/* how many bytes of the path before are dropped: a number in base 128, carried */
static int get_strip(struct reader *r, size_t *ret)
{
	size_t value = 0;

	for (int i = 0; i < 3; i++) {
		uint8_t byte;

		if (r->at == r->end)
			return damaged(r->f, "an entry ends early");
		byte = *r->at++;
		value = (value << 7 | (byte & 0x7f)) + (byte & 0x80 ? 1 : 0);
		if (!(byte & 0x80)) {
			*ret = value;
			return 0;
		}
	}
	return damaged(r->f, "an entry has an impossible path");
}

/* the path of an entry, NUL-terminated in the file; in version 4 only what differs */
static int get_path(struct reader *r, const struct tree_entry *before, struct tree_entry *e)
{
	char path[TREE_MAX_PATH + 1];
	const uint8_t *nul;
	size_t kept = 0, strip = 0, len;

	if (r->version == 4) {
		if (get_strip(r, &strip) < 0)
			return -EUCLEAN;
		kept = before ? before->path_len : 0;
		if (strip > kept)
			return damaged(r->f, "an entry has an impossible path");
		kept -= strip;
	}
	nul = memchr(r->at, '\0', (size_t)(r->end - r->at));
	if (!nul)
		return damaged(r->f, "an entry ends early");
	len = (size_t)(nul - r->at);
	if (kept + len > TREE_MAX_PATH)
		return damaged(r->f, "a path is too long");
	if (kept > 0)
		memcpy(path, before->path, kept);
	memcpy(path + kept, r->at, len);
	r->at = nul + 1;
	e->path_len = (uint32_t)(kept + len);
	e->path = tree_list_path(&r->index->list, path, e->path_len);
	return e->path ? 0 : fault_oom(r->f);
}

static int check_entry(struct reader *r, const struct tree_entry *before,
		       const struct tree_entry *e)
{
	int order;

	if (e->mode == TREE_MODE_DIR)
		return fault(r->f, -EUCLEAN, "the index is sparse (git sparse-checkout)");
	if (e->mode != TREE_MODE_FILE && e->mode != TREE_MODE_EXEC && e->mode != TREE_MODE_LINK &&
	    e->mode != TREE_MODE_GITLINK)
		return damaged(r->f, "an entry has an unknown mode");
	if (e->path_len == 0) /* stands for an entry of the shared index */
		return fault(r->f, -EUCLEAN, "the index is split (core.splitIndex)");
	if (!tree_path_is_safe(e->path, e->path_len))
		return damaged(r->f, "an entry has a path that may not be in a work tree");
	if (!before)
		return 0;
	order = tree_path_compare(before->path, before->path_len, e->path, e->path_len);
	if (order > 0 ||
	    (order == 0 && ((before->flags & TREE_ENTRY_STAGE) == 0 ||
			    (before->flags & TREE_ENTRY_STAGE) >= (e->flags & TREE_ENTRY_STAGE))))
		return damaged(r->f, "its entries are out of order");
	return 0;
}

static uint32_t flags_from_file(uint32_t flags, uint32_t more)
{
	return (flags & FLAG_STAGE) >> 12 | (flags & FLAG_VALID ? TREE_ENTRY_ASSUME_VALID : 0) |
	       (more & XFLAG_SKIP ? TREE_ENTRY_SKIP_WORKTREE : 0) |
	       (more & XFLAG_INTENT ? TREE_ENTRY_INTENT_TO_ADD : 0);
}

static int get_entry(struct reader *r)
{
	struct tree_list *list = &r->index->list;
	const uint8_t *begin = r->at;
	const struct tree_entry *before;
	struct tree_entry *e;
	uint32_t flags, more = 0;
	size_t fixed = ENTRY_BYTES;
	int rc;

	if ((size_t)(r->end - begin) < ENTRY_BYTES + 2)
		return damaged(r->f, "an entry ends early");
	flags = get_u16(begin + 60);
	if (flags & FLAG_EXTENDED) {
		if (r->version < 3)
			return damaged(r->f, "an entry of version 2 has extended flags");
		more = get_u16(begin + ENTRY_BYTES);
		fixed += 2;
	}
	e = tree_list_add(list);
	if (!e)
		return fault_oom(r->f);
	before = list->n > 1 ? e - 1 : NULL;
	get_stat(begin, e);
	e->flags = flags_from_file(flags, more);
	r->at = begin + fixed;
	rc = get_path(r, before, e);
	if (rc < 0)
		return rc;
	if ((flags & FLAG_LENGTH) != (e->path_len < FLAG_LENGTH ? e->path_len : FLAG_LENGTH))
		return damaged(r->f, "a path has another length than it says");
	if (r->version < 4) {
		size_t whole = (fixed + e->path_len + 8) & ~(size_t)7;

		if ((size_t)(r->end - begin) < whole)
			return damaged(r->f, "an entry ends early");
		r->at = begin + whole;
	}
	return check_entry(r, before, e);
}

/* extensions that begin with a capital letter may be ignored; the others change the meaning */
static int check_extensions(struct reader *r)
{
	while (r->at < r->end) {
		uint32_t size;

		if (r->end - r->at < 8)
			return damaged(r->f, "an extension ends early");
		size = get_u32(r->at + 4);
		if (memcmp(r->at, "link", 4) == 0)
			return fault(r->f, -EUCLEAN, "the index is split (core.splitIndex)");
		if (memcmp(r->at, "sdir", 4) == 0)
			return fault(r->f, -EUCLEAN, "the index is sparse (git sparse-checkout)");
		if (r->at[0] < 'A' || r->at[0] > 'Z')
			return fault(r->f, -EUCLEAN, "the index has an unknown extension");
		r->at += 8;
		if (size > (size_t)(r->end - r->at))
			return damaged(r->f, "an extension ends early");
		r->at += size;
	}
	return 0;
}

static int check_trailer(const uint8_t *data, size_t len, struct fault *f)
{
	const uint8_t *trailer = data + len - GIT_OID_RAWSZ;
	struct sha1 sha1;
	git_oid digest;

	for (size_t i = 0; i < GIT_OID_RAWSZ; i++) {
		if (trailer[i] == 0)
			continue;
		sha1_init(&sha1);
		sha1_update(&sha1, data, len - GIT_OID_RAWSZ);
		if (sha1_final(&sha1, &digest) < 0)
			return fault_oom(f);
		return memcmp(digest.id, trailer, GIT_OID_RAWSZ) == 0
			       ? 0
			       : damaged(f, "its checksum is wrong");
	}
	return 0;
}

static int get_all(struct reader *r, uint32_t n)
{
	/* what cannot be there is not even begun with */
	if (n > TREE_MAX_ENTRIES || n > (size_t)(r->end - r->at) / ENTRY_BYTES)
		return damaged(r->f, "it has fewer entries than it says");
	for (uint32_t i = 0; i < n; i++) {
		int rc = get_entry(r);

		if (rc < 0)
			return rc;
	}
	return check_extensions(r);
}

int index_decode(const uint8_t *data, size_t len, struct index *ret, struct fault *f)
{
	_cleanup_(index_deinit) struct index index = { 0 };
	struct reader r = { .index = &index, .f = f };
	int rc;

	if (len < HEADER_BYTES + GIT_OID_RAWSZ || memcmp(data, "DIRC", 4) != 0)
		return damaged(f, "it is not one");
	r.version = get_u32(data + 4);
	if (r.version < 2 || r.version > 4)
		return fault(f, -EUCLEAN, "the index has version %u", r.version);
	rc = check_trailer(data, len, f);
	if (rc < 0)
		return rc;
	r.at = data + HEADER_BYTES;
	r.end = data + len - GIT_OID_RAWSZ;
	rc = get_all(&r, get_u32(data + 8));
	if (rc < 0)
		return rc;
	*ret = index;
	index = (struct index){ 0 };
	return 0;
}

/* the whole file, if it is one; not more than it had when it was opened */
static int load(int fd, const struct stat *st, uint8_t **ret, size_t *ret_len, struct fault *f)
{
	_cleanup_(freep) uint8_t *data = NULL;
	size_t len = 0, size = (size_t)st->st_size;

	if (!S_ISREG(st->st_mode))
		return damaged(f, "it is not a regular file");
	if (st->st_size > INDEX_MAX_BYTES)
		return damaged(f, "it is too large");
	data = malloc(size ? size : 1);
	if (!data)
		return fault_oom(f);
	while (len < size) {
		ssize_t n = read(fd, data + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_errno(f, -errno, "cannot read the index");
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret = TAKE(data);
	*ret_len = len;
	return 0;
}

int index_read(int admin_fd, struct index *ret, struct fault *f)
{
	_cleanup_(closep) int fd = -1;
	_cleanup_(freep) uint8_t *data = NULL;
	struct stat st;
	size_t len = 0;
	int r;

	fd = openat(admin_fd, "index", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return fault(f, -ENOENT, "there is no index");
	if (fd < 0 && errno == ELOOP)
		return damaged(f, "it is a link");
	if (fd < 0 || fstat(fd, &st) < 0)
		return fault_errno(f, -errno, "cannot open the index");
	r = load(fd, &st, &data, &len, f);
	if (r == 0)
		r = index_decode(data, len, ret, f);
	if (r == 0)
		ret->mtime = st.st_mtim;
	return r;
}

bool index_is_racy(const struct index *index, const struct tree_stat *st)
{
	uint32_t sec = (uint32_t)index->mtime.tv_sec, nsec = (uint32_t)index->mtime.tv_nsec;

	return st->mtime_sec > sec || (st->mtime_sec == sec && st->mtime_nsec >= nsec);
}
