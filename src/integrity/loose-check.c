/* One file, one object: read with care. */
#include "integrity/loose-check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "git/loose.h"
#include "integrity/hash.h"
#include "util/cleanup.h"
#include "util/text.h"

#define OPEN_FLAGS   (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define MEMORY_BYTES (256ULL << 20)
#define WHOLE_SHARE  4		  /* of the memory, that a blob may have as a whole */
#define WHOLE_MAX    (2ULL << 30) /* what is no blob is always needed as a whole */
#define RATIO	     1032	  /* deflate cannot do better; a header that claims more is a lie */
#define IN_BYTES     (16 << 10)
#define OUT_BYTES    (32 << 10)

/* an object on its way out of its file */
struct reading {
	struct check *check;
	int fd;
	uint64_t file_len;
	z_stream z;
	struct hash hash;
	const char *why; /* of an -EBADMSG */
	git_object_t type;
	uint64_t len;
	unsigned char *data; /* NULL: it is hashed in pieces */
	uint64_t done;	     /* bytes of content that came */
	bool is_at_end;	     /* of the stream */
	unsigned char in[IN_BYTES];
};

static int bad(struct reading *x, const char *why)
{
	x->why = why;
	return -EBADMSG;
}

static int feed(struct reading *x)
{
	ssize_t n;

	do
		n = read(x->fd, x->in, sizeof(x->in));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return bad(x, "it cannot be read to its end");
	if (n == 0)
		return bad(x, "it is truncated");
	x->z.next_in = x->in;
	x->z.avail_in = (uInt)n;
	return 0;
}

/* fills @out, unless the stream ends before; *ret_len: bytes that came */
static int inflate_some(struct reading *x, unsigned char *out, size_t len, size_t *ret_len)
{
	size_t done = 0;

	while (done < len && !x->is_at_end) {
		uInt room = len - done > UINT_MAX ? UINT_MAX : (uInt)(len - done);
		int rc;

		if (x->z.avail_in == 0 && feed(x) < 0)
			return -EBADMSG;
		x->z.next_out = out + done;
		x->z.avail_out = room;
		rc = inflate(&x->z, Z_NO_FLUSH);
		done += room - x->z.avail_out;
		if (rc == Z_MEM_ERROR)
			return -ENOMEM;
		if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
			return bad(x, "it does not inflate");
		x->is_at_end = rc == Z_STREAM_END;
	}
	*ret_len = done;
	return 0;
}

/* "<type> <len>", without its NUL */
static int parse_header(struct reading *x, const char *text)
{
	const char *space = strchr(text, ' '), *p;
	char name[16];

	if (!space || (size_t)(space - text) >= sizeof(name))
		return bad(x, "its header is not one");
	memcpy(name, text, (size_t)(space - text));
	name[space - text] = '\0';
	x->type = git_object_string2type(name);
	if (x->type != GIT_OBJECT_BLOB && x->type != GIT_OBJECT_TREE && x->type != GIT_OBJECT_COMMIT &&
	    x->type != GIT_OBJECT_TAG)
		return bad(x, "its type is unknown");
	if (space[1] == '\0' || (space[1] == '0' && space[2] != '\0'))
		return bad(x, "its header has no length");
	for (p = space + 1; *p >= '0' && *p <= '9'; p++) {
		if (x->len > (UINT64_MAX - 9) / 10)
			return bad(x, "its length is no number");
		x->len = x->len * 10 + (uint64_t)(*p - '0');
	}
	if (*p != '\0')
		return bad(x, "its length is no number");
	return x->len / RATIO > x->file_len ? bad(x, "it is shorter than its header says") : 0;
}

/* byte by byte: what comes behind the NUL is content already */
static int read_header(struct reading *x)
{
	unsigned char head[LOOSE_HEADER_MAX];
	size_t len = 0, n = 0;

	while (len < sizeof(head)) {
		int r = inflate_some(x, head + len, 1, &n);

		if (r < 0)
			return r;
		if (n == 0)
			return bad(x, "it ends within its header");
		if (head[len++] == '\0')
			return parse_header(x, (const char *)head);
	}
	return bad(x, "its header is not one");
}

static int prepare_content(struct reading *x)
{
	uint64_t memory = x->check->spec->memory_bytes ? x->check->spec->memory_bytes : MEMORY_BYTES;

	if (x->type == GIT_OBJECT_BLOB && x->len > memory / WHOLE_SHARE)
		return hash_begin(&x->hash, x->type, x->len);
	if (x->len > WHOLE_MAX)
		return bad(x, "it is too large for its type");
	x->data = malloc((size_t)x->len + 1);
	return x->data ? hash_begin(&x->hash, x->type, x->len) : -ENOMEM;
}

/* all content, hashed as it comes while it is still in the processor's cache */
static int read_content(struct reading *x)
{
	unsigned char piece[OUT_BYTES];

	while (x->done < x->len) {
		uint64_t left = x->len - x->done;
		size_t want = left < sizeof(piece) ? (size_t)left : sizeof(piece), n;
		unsigned char *out = x->data ? x->data + x->done : piece;
		int r = inflate_some(x, out, want, &n);

		if (r < 0)
			return r;
		if (n == 0)
			return bad(x, "it is shorter than its header says");
		hash_update(&x->hash, out, n);
		x->done += n;
		if (check_is_stopped(x->check))
			return x->check->stop;
	}
	if (x->data)
		x->data[x->len] = '\0';
	return 0;
}

/* the stream must end with the content, and the file with the stream */
static int read_end(struct reading *x)
{
	unsigned char more;
	size_t n;
	int r = inflate_some(x, &more, 1, &n);

	if (r < 0)
		return r;
	if (n > 0)
		return bad(x, "it is longer than its header says");
	if (x->z.avail_in > 0 || read(x->fd, &more, 1) == 1)
		return bad(x, "something follows its end");
	return 0;
}

static int read_object(struct reading *x, const git_oid *oid)
{
	git_oid found;
	int r = read_header(x);

	if (r == 0)
		r = prepare_content(x);
	if (r == 0)
		r = read_content(x);
	if (r == 0)
		r = read_end(x);
	if (r == 0)
		r = hash_final(&x->hash, &found);
	if (r == 0 && !git_oid_equal(&found, oid))
		r = bad(x, "its content has another name");
	return r;
}

/* a descriptor of a regular file that is not empty; @why is set with -EBADMSG */
static int open_object(int objects_fd, const char *path, uint64_t *ret_len, const char **ret_why)
{
	_cleanup_(closep) int fd = openat(objects_fd, path, OPEN_FLAGS);
	struct stat st;

	if (fd < 0 && (errno == ENOENT || errno == EMFILE || errno == ENFILE || errno == ENOMEM))
		return -errno;
	*ret_why = NULL;
	if (fd < 0 && errno == ELOOP)
		*ret_why = "it is a symbolic link";
	else if (fd < 0 && errno != ENXIO) /* a socket */
		*ret_why = "it cannot be opened";
	else if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		*ret_why = "it is no regular file";
	if (*ret_why)
		return -EBADMSG;
	*ret_len = (uint64_t)st.st_size;
	return TAKE_FD(fd);
}

static int tell(struct check *c, const char *id, const char *dir, const char *path, const git_oid *oid,
		const char *why)
{
	_cleanup_(freep) char *where = text_printf("%s/%s", dir, path);
	char hex[GIT_OID_HEXSZ + 1];
	struct finding_place place = { .where = where, .object = hex };
	int r;

	if (!where)
		return -ENOMEM;
	git_oid_tostr(hex, sizeof(hex), oid);
	r = finding_add(c->findings, id, &place, "%s", why);
	return r < 0 ? r : -EBADMSG;
}

/* what allocates, and what is freed whatever comes of it */
static int read_file(struct reading *x, const git_oid *oid, bool detect_collisions)
{
	int r = hash_init(&x->hash, detect_collisions);

	if (r == 0 && inflateInit(&x->z) != Z_OK)
		r = -ENOMEM;
	if (r == 0) {
		r = read_object(x, oid);
		inflateEnd(&x->z);
	}
	hash_deinit(&x->hash);
	return r;
}

int loose_check_object(struct check *c, int objects_fd, const char *dir, const git_oid *oid,
		       bool detect_collisions, git_object_t *ret_type, void **ret_data, uint64_t *ret_len)
{
	_cleanup_(closep) int fd = -1;
	struct reading x = { .check = c };
	char path[GIT_OID_HEXSZ + 2];
	int r;

	loose_path(oid, path);
	fd = open_object(objects_fd, path, &x.file_len, &x.why);
	if (fd == -EBADMSG)
		return tell(c, "corrupt-object", dir, path, oid, x.why);
	if (fd < 0)
		return fd;
	if (x.file_len == 0)
		return tell(c, "empty-object", dir, path, oid, "the file is empty");
	x.fd = fd;
	r = read_file(&x, oid, detect_collisions);
	if (r < 0) {
		free(x.data);
		return r == -EBADMSG ? tell(c, "corrupt-object", dir, path, oid, x.why) : r;
	}
	*ret_type = x.type;
	*ret_data = x.data;
	*ret_len = x.len;
	return 0;
}
