/* Any bytes may stand in an object's file; only an object comes out. */
#include "git/loose.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <git2/sys/odb_backend.h>
#include <zlib.h>

#include "git/sha1.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"

/* deflate cannot do better than this; a header that claims more is a lie */
#define MAX_RATIO  1032
#define OPEN_FLAGS (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

void loose_path(const git_oid *oid, char *ret)
{
	git_oid_pathfmt(ret, oid);
	ret[GIT_OID_HEXSZ + 1] = '\0';
}

/* "<type> <size>\0": the length with its NUL, or -EUCLEAN */
static int header_parse(const uint8_t *text, size_t len, git_object_t *ret_type, uint64_t *ret_size,
			struct fault *f)
{
	const uint8_t *nul = memchr(text, '\0', len);
	const uint8_t *space = nul ? memchr(text, ' ', (size_t)(nul - text)) : NULL;
	char name[16];
	uint64_t size = 0;
	git_object_t type;

	if (!space || (size_t)(space - text) >= sizeof(name) || space + 1 == nul)
		return fault(f, -EUCLEAN, "its header is not one");
	memcpy(name, text, (size_t)(space - text));
	name[space - text] = '\0';
	type = git_object_string2type(name);
	if (type != GIT_OBJECT_BLOB && type != GIT_OBJECT_TREE && type != GIT_OBJECT_COMMIT &&
	    type != GIT_OBJECT_TAG)
		return fault(f, -EUCLEAN, "its type is unknown");
	if (space[1] == '0' && space + 2 != nul)
		return fault(f, -EUCLEAN, "its size has a leading zero");
	for (const uint8_t *p = space + 1; p < nul; p++) {
		if (*p < '0' || *p > '9')
			return fault(f, -EUCLEAN, "its size is not a number");
		if (size > LOOSE_MAX_BYTES)
			return fault(f, -EFBIG, "it claims more than %llu bytes", LOOSE_MAX_BYTES);
		size = size * 10 + (uint64_t)(*p - '0');
	}
	if (size > LOOSE_MAX_BYTES || size > SIZE_MAX - 1)
		return fault(f, -EFBIG, "it claims more than %llu bytes", LOOSE_MAX_BYTES);
	*ret_type = type;
	*ret_size = size;
	return (int)(nul - text) + 1;
}

struct inflater {
	z_stream z;
	const uint8_t *in;
	size_t left; /* bytes at in that zlib has not got yet */
	bool ended;  /* the end of the stream was seen */
};

/* fills out as far as the stream goes; the number of bytes written, or -EUCLEAN, -ENOMEM */
static ssize_t inflate_into(struct inflater *x, uint8_t *out, size_t size, struct fault *f)
{
	size_t done = 0;

	while (done < size && !x->ended) {
		uInt room = size - done > UINT_MAX ? UINT_MAX : (uInt)(size - done);
		uInt give = x->left > UINT_MAX ? UINT_MAX : (uInt)x->left;
		int rc;

		x->z.next_in = (uint8_t *)x->in;
		x->z.avail_in = give;
		x->z.next_out = out + done;
		x->z.avail_out = room;
		rc = inflate(&x->z, Z_NO_FLUSH);
		x->in += give - x->z.avail_in;
		x->left -= give - x->z.avail_in;
		done += room - x->z.avail_out;
		if (rc == Z_STREAM_END)
			x->ended = true;
		else if (rc == Z_MEM_ERROR)
			return fault_oom(f);
		else if (rc == Z_BUF_ERROR || (rc == Z_OK && x->left == 0 && x->z.avail_out > 0))
			return fault(f, -EUCLEAN, "it is truncated");
		else if (rc != Z_OK)
			return fault(f, -EUCLEAN, "it does not inflate");
	}
	return (ssize_t)done;
}

/* after the last byte of content: the stream must end, and the file with it */
static int inflate_finish(struct inflater *x, struct fault *f)
{
	uint8_t more;
	ssize_t n = inflate_into(x, &more, 1, f);

	if (n < 0)
		return (int)n;
	if (n > 0)
		return fault(f, -EUCLEAN, "it is longer than its header says");
	return x->left > 0 ? fault(f, -EUCLEAN, "something follows its end") : 0;
}

/* the first inflated bytes; the header may be followed by content already */
static int inflate_head(struct inflater *x, uint8_t *head, size_t *ret_len, struct fault *f)
{
	size_t len = 0;

	/* byte by byte, so that a truncated tail does not spoil a whole header */
	while (len < LOOSE_HEADER_MAX && !x->ended) {
		ssize_t n = inflate_into(x, head + len, 1, f);

		if (n < 0)
			return (int)n;
		len += (size_t)n;
		if (n > 0 && head[len - 1] == '\0')
			break;
	}
	*ret_len = len;
	return 0;
}

static void inflate_endp(struct inflater *x)
{
	inflateEnd(&x->z);
}

/* begins with it; inflate_endp ends it */
static int decode_header(struct inflater *x, git_object_t *ret_type, uint64_t *ret_size, struct fault *f)
{
	uint8_t head[LOOSE_HEADER_MAX];
	size_t n;
	int r;

	if (inflateInit(&x->z) != Z_OK)
		return fault_oom(f);
	r = inflate_head(x, head, &n, f);
	return r < 0 ? r : header_parse(head, n, ret_type, ret_size, f);
}

int loose_decode_header(const uint8_t *data, size_t len, git_object_t *ret_type, size_t *ret_size,
			struct fault *f)
{
	_cleanup_(inflate_endp) struct inflater x = { .in = data, .left = len };
	uint64_t size;
	int r = decode_header(&x, ret_type, &size, f);

	if (r < 0)
		return r;
	*ret_size = (size_t)size;
	return 0;
}

void loose_free(void *data)
{
	if (data)
		git_odb_backend_data_free(NULL, data);
}

static void loose_freep(void *p)
{
	loose_free(*(void **)p);
}

/* the rest of the content, behind what came along with the header */
static int decode_body(struct inflater *x, uint8_t *body, size_t size, struct fault *f)
{
	ssize_t n = inflate_into(x, body, size, f);

	if (n < 0)
		return (int)n;
	if ((size_t)n < size)
		return fault(f, -EUCLEAN, "it is shorter than its header says");
	return inflate_finish(x, f);
}

int loose_decode(const uint8_t *data, size_t len, git_object_t *ret_type, void **ret_data,
		 size_t *ret_size, struct fault *f)
{
	_cleanup_(inflate_endp) struct inflater x = { .in = data, .left = len };
	_cleanup_(loose_freep) uint8_t *body = NULL;
	git_object_t type;
	uint64_t size;
	int r;

	r = decode_header(&x, &type, &size, f);
	if (r < 0)
		return r;
	if (size / MAX_RATIO > len)
		return fault(f, -EUCLEAN, "it is shorter than its header says");
	body = git_odb_backend_data_alloc(NULL, (size_t)size + 1);
	if (!body)
		return fault_oom(f);
	r = decode_body(&x, body, (size_t)size, f);
	if (r < 0)
		return r;
	body[size] = '\0';
	*ret_type = type;
	*ret_data = TAKE(body);
	*ret_size = (size_t)size;
	return 0;
}

static int object_open(int objects_fd, const git_oid *oid, struct stat *ret_st)
{
	char path[GIT_OID_HEXSZ + 2];
	int fd;

	loose_path(oid, path);
	fd = openat(objects_fd, path, OPEN_FLAGS | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOTDIR ? -ENOENT : -errno;
	if (fstat(fd, ret_st) == 0 && S_ISREG(ret_st->st_mode))
		return fd;
	close(fd);
	return -EUCLEAN;
}

static int object_load(int objects_fd, const git_oid *oid, size_t max, uint8_t **ret,
		       size_t *ret_len, struct fault *f)
{
	_cleanup_(closep) int fd = -1;
	_cleanup_(freep) uint8_t *data = NULL;
	struct stat st;
	ssize_t n;

	fd = object_open(objects_fd, oid, &st);
	if (fd == -ELOOP || fd == -EUCLEAN)
		return fault(f, -EUCLEAN, "it is not a regular file");
	if (fd < 0)
		return fault_errno(f, fd, "it cannot be opened");
	if ((uint64_t)st.st_size > LOOSE_MAX_BYTES)
		return fault(f, -EFBIG, "its file has more than %llu bytes", LOOSE_MAX_BYTES);
	if ((size_t)st.st_size < max)
		max = (size_t)st.st_size;
	data = malloc(max ? max : 1);
	if (!data)
		return fault_oom(f);
	n = fs_read_up_to(fd, data, max); /* fewer when the file is shrinking under us */
	if (n < 0)
		return fault_errno(f, (int)n, "it cannot be read");
	*ret = TAKE(data);
	*ret_len = (size_t)n;
	return 0;
}

/* "it is truncated" becomes "the loose object 1234… is damaged: it is truncated" */
static int object_fault(struct fault *f, int code, const git_oid *oid)
{
	struct fault cause = FAULT_NONE;
	char hex[GIT_OID_HEXSZ + 1];

	if (f)
		cause = *f;
	git_oid_tostr(hex, sizeof(hex), oid);
	if (code == -ENOENT)
		return fault(f, code, "object %s is missing", hex);
	return fault(f, code, "the loose object %s cannot be used: %s", hex, cause.text);
}

int loose_read(int objects_fd, const git_oid *oid, git_object_t *ret_type, void **ret_data,
	       size_t *ret_size, struct fault *f)
{
	_cleanup_(freep) uint8_t *file = NULL;
	_cleanup_(loose_freep) void *data = NULL;
	size_t len = 0, size = 0;
	git_object_t type = GIT_OBJECT_INVALID;
	git_oid found;
	int r;

	r = object_load(objects_fd, oid, SIZE_MAX, &file, &len, f);
	if (r == 0)
		r = loose_decode(file, len, &type, &data, &size, f);
	if (r == 0)
		r = sha1_object(type, data, size, &found);
	if (r == 0 && !git_oid_equal(&found, oid))
		r = fault(f, -EUCLEAN, "its content has another name");
	if (r < 0)
		return object_fault(f, r, oid);
	*ret_type = type;
	*ret_data = TAKE(data);
	*ret_size = size;
	return 0;
}

int loose_read_header(int objects_fd, const git_oid *oid, git_object_t *ret_type, size_t *ret_size,
		      struct fault *f)
{
	_cleanup_(freep) uint8_t *file = NULL;
	size_t len = 0;
	int r;

	r = object_load(objects_fd, oid, 4096, &file, &len, f);
	if (r == 0)
		r = loose_decode_header(file, len, ret_type, ret_size, f);
	return r < 0 ? object_fault(f, r, oid) : 0;
}
