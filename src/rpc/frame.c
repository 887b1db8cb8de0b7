/* Bytes in, messages out; messages in, bytes out; both bounded. */
#include "rpc/frame.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

#define IDLE_BYTES 4096 /* what a quiet connection keeps of each buffer */

int frame_buf_init(struct frame_buf *b, size_t max_message, int max_depth, size_t max_out)
{
	*b = (struct frame_buf){
		.max_message = max_message ? max_message : FRAME_MESSAGE_BYTES,
		.max_depth = max_depth ? max_depth : FRAME_DEPTH,
		.max_out = max_out,
		.fd_out = -1,
	};
	/* json-c counts a value inside the innermost container as one level more */
	b->tokener = json_tokener_new_ex(b->max_depth + 1);
	if (!b->tokener)
		return -ENOMEM;
	json_tokener_set_flags(b->tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	return 0;
}

void frame_buf_deinit(struct frame_buf *b)
{
	/* one that never got as far as its tokener has no descriptors either */
	if (!b->tokener)
		return;
	json_tokener_free(b->tokener);
	for (size_t i = 0; i < b->n_fds_in; i++)
		close(b->fds_in[i]);
	closep(&b->fd_out);
	free(b->in);
	free(b->out);
	*b = (struct frame_buf){ .fd_out = -1 };
}

/* --- in --- */

static void drop_in(struct frame_buf *b, size_t n)
{
	b->in_start += n;
	b->in_len -= n;
	b->in_scanned = 0;
	if (b->in_len > 0)
		return;
	b->in_start = 0;
	if (b->in_size > IDLE_BYTES) {
		free(TAKE(b->in));
		b->in_size = 0;
	}
}

/* room for what a message and its NUL still lack, in steps; 0 also when there is none left to give */
static int make_room(struct frame_buf *b)
{
	size_t limit = b->max_message + 1;
	size_t size = b->in_size ? b->in_size * 2 : IDLE_BYTES;
	char *in;

	if (b->in_start > 0) {
		memmove(b->in, b->in + b->in_start, b->in_len);
		b->in_start = 0;
	}
	if (b->in_len < b->in_size || b->in_size >= limit)
		return 0;
	if (size > limit)
		size = limit;
	in = realloc(b->in, size);
	if (!in)
		return -ENOMEM;
	b->in = in;
	b->in_size = size;
	return 0;
}

static void keep_fds(struct frame_buf *b, struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (b->n_fds_in < FRAME_FDS)
				b->fds_in[b->n_fds_in++] = fd;
			else
				close(fd);
		}
	}
}

static ssize_t receive(struct frame_buf *b, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * FRAME_FDS)];
		struct cmsghdr align;
	} control;
	struct iovec iov = {
		.iov_base = b->in + b->in_len,
		.iov_len = b->in_size - b->in_len,
	};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);

	if (n >= 0)
		keep_fds(b, &msg);
	return n;
}

int frame_read(struct frame_buf *b, int fd, struct fault *f)
{
	ssize_t n;

	if (b->in_closed)
		return 0;
	if (make_room(b) < 0)
		return fault_oom(f);
	if (b->in_len == b->in_size)
		return 0;

	n = receive(b, fd);
	if (n > 0)
		b->in_len += (size_t)n;
	else if (n == 0 || errno == ECONNRESET)
		b->in_closed = true;
	else if (errno != EAGAIN && errno != EINTR)
		return fault_errno(f, -errno, "cannot read from the socket");
	return 0;
}

static int parse_message(struct frame_buf *b, const char *text, size_t len, json_object **ret)
{
	_cleanup_json_ json_object *o = NULL;
	enum json_tokener_error e;

	/* json-c lets encoded surrogates pass */
	if (!text_is_utf8(text, len))
		return FRAME_E_NOT_JSON;
	json_tokener_reset(b->tokener);
	o = json_tokener_parse_ex(b->tokener, text, (int)len);
	e = json_tokener_get_error(b->tokener);
	json_tokener_reset(b->tokener);
	if (e == json_tokener_error_depth)
		return FRAME_E_TOO_DEEP;
	if (e != json_tokener_success || !json_object_is_type(o, json_type_object))
		return FRAME_E_NOT_JSON;
	*ret = TAKE(o);
	return 0;
}

/* the rest of a message that was too long; true when its end has been passed */
static bool skip(struct frame_buf *b)
{
	const char *nul;

	if (b->in_len == 0)
		return false;
	nul = memchr(b->in + b->in_start, '\0', b->in_len);
	b->in_skipping = !nul;
	drop_in(b, nul ? (size_t)(nul - (b->in + b->in_start)) + 1 : b->in_len);
	return nul;
}

static const char *find_end(struct frame_buf *b)
{
	const char *nul;

	if (b->in_scanned == b->in_len)
		return NULL;
	nul = memchr(b->in + b->in_start + b->in_scanned, '\0', b->in_len - b->in_scanned);
	if (!nul)
		b->in_scanned = b->in_len;
	return nul;
}

int frame_next(struct frame_buf *b, json_object **ret)
{
	const char *text, *nul = NULL;
	size_t len;
	int r;

	if (!b->in_skipping || skip(b))
		nul = find_end(b);
	if (!nul) {
		if (b->in_len > b->max_message) {
			b->in_skipping = true;
			drop_in(b, b->in_len);
			return FRAME_E_TOO_LONG;
		}
		return b->in_closed ? FRAME_E_CLOSED : FRAME_E_PARTIAL;
	}
	text = b->in + b->in_start;
	len = (size_t)(nul - text);
	r = parse_message(b, text, len, ret);
	drop_in(b, len + 1);
	return r;
}

bool frame_is_partial(const struct frame_buf *b)
{
	return b->in_skipping || b->in_len > 0;
}

int frame_take_fd(struct frame_buf *b)
{
	int fd;

	if (b->n_fds_in == 0)
		return -1;
	fd = b->fds_in[0];
	b->n_fds_in--;
	memmove(b->fds_in, b->fds_in + 1, b->n_fds_in * sizeof(int));
	return fd;
}

/* --- out --- */

static int grow_out(struct frame_buf *b, size_t more)
{
	size_t size = b->out_size ? b->out_size : IDLE_BYTES;
	char *out;

	if (b->out_start > 0) {
		memmove(b->out, b->out + b->out_start, b->out_len);
		b->out_start = 0;
	}
	while (size < b->out_len + more)
		size *= 2;
	if (size <= b->out_size)
		return 0;
	out = realloc(b->out, size);
	if (!out)
		return -ENOMEM;
	b->out = out;
	b->out_size = size;
	return 0;
}

int frame_queue(struct frame_buf *b, json_object *message)
{
	size_t len;
	const char *text = json_object_to_json_string_length(
		message, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);

	if (!text)
		return -ENOMEM;
	len++; /* the NUL goes along */
	if (b->max_out && b->out_len + len > b->max_out)
		return -ENOBUFS;
	if (grow_out(b, len) < 0)
		return -ENOMEM;
	memcpy(b->out + b->out_len, text, len);
	b->out_len += len;
	return 0;
}

int frame_queue_fd(struct frame_buf *b, json_object *message, int fd)
{
	_cleanup_(closep) int copy = -1;
	int r;

	assert(b->out_len == 0 && b->fd_out < 0);
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return -errno;
	r = frame_queue(b, message);
	if (r < 0)
		return r;
	b->fd_out = TAKE_FD(copy);
	return 0;
}

size_t frame_pending(const struct frame_buf *b)
{
	return b->out_len;
}

static ssize_t transmit(struct frame_buf *b, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { .iov_base = b->out + b->out_start, .iov_len = b->out_len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (b->fd_out >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.align = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		};
		memcpy(CMSG_DATA(&control.align), &b->fd_out, sizeof(int));
	}
	n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	if (n > 0) {
		closep(&b->fd_out);
		b->fd_out = -1;
	}
	return n;
}

static void drop_out(struct frame_buf *b, size_t n)
{
	b->out_start += n;
	b->out_len -= n;
	if (b->out_len > 0)
		return;
	b->out_start = 0;
	if (b->out_size > IDLE_BYTES) {
		free(TAKE(b->out));
		b->out_size = 0;
	}
}

int frame_flush(struct frame_buf *b, int fd, struct fault *f)
{
	while (b->out_len > 0) {
		ssize_t n = transmit(b, fd);

		if (n >= 0)
			drop_out(b, (size_t)n);
		else if (errno == EAGAIN)
			return 0;
		else if (errno != EINTR)
			return fault_errno(f, -errno, "cannot write to the socket");
	}
	return 0;
}
