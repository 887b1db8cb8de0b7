/**
 * DOC: frame - NUL-terminated JSON over a stream socket
 *
 * The wire of Varlink. A frame buffer belongs to one socket and holds what was
 * read and not yet taken, and what was queued and not yet written; both are
 * bounded. Used by slotd, by workers and by libslot; knows no event loop.
 *
 * Calling sequence
 * ----------------
 * 1. frame_buf_init()
 * 2. when the socket is readable: frame_read(), then frame_next() until it says
 *    FRAME_E_PARTIAL
 * 3. to send: frame_queue(), then frame_flush() until frame_pending() is 0
 * 4. frame_buf_deinit()
 *
 * Errors
 * ------
 * A negative errno with a fault means that the stream cannot go on. An outcome
 * FRAME_E_* concerns one message.
 */
#ifndef RPC_FRAME_H
#define RPC_FRAME_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include "util/fault.h"

#define FRAME_MESSAGE_BYTES (64 * 1024) /* default limit of a call, without its NUL */
#define FRAME_DEPTH	    16		/* default limit of nesting */
#define FRAME_FDS	    4		/* descriptors that may come with what is unread */

enum frame_outcome {
	FRAME_E_PARTIAL = 1, /* no whole message yet */
	FRAME_E_TOO_LONG,    /* longer than the limit: skipped up to its NUL; said once */
	FRAME_E_TOO_DEEP,    /* nested deeper than the limit: skipped */
	FRAME_E_NOT_JSON,    /* not one JSON object in UTF-8: skipped */
	FRAME_E_CLOSED,	     /* the peer has closed and all whole messages were taken */
};

struct frame_buf {
	char *in;
	size_t in_len;	  /* bytes unread */
	size_t in_size;
	size_t in_start;  /* first unread byte */
	size_t in_scanned; /* of them known to hold no NUL */
	bool in_skipping; /* inside a message that is too long */
	bool in_closed;
	char *out;
	size_t out_len;	  /* bytes unwritten */
	size_t out_size;
	size_t out_start;
	size_t max_message; /* bytes of one incoming message */
	int max_depth;
	size_t max_out; /* bytes queued at most */
	int fds_in[FRAME_FDS];
	size_t n_fds_in;
	int fd_out; /* goes with the next byte written; -1: none */
	struct json_tokener *tokener;
};

/**
 * frame_buf_init - ready for a new socket
 * @max_message: bytes of one incoming message; 0: FRAME_MESSAGE_BYTES
 * @max_depth: 0: FRAME_DEPTH
 * @max_out: bytes that may be queued; 0: no limit
 *
 * 0 or -ENOMEM.
 */
int frame_buf_init(struct frame_buf *b, size_t max_message, int max_depth, size_t max_out);

/* frees buffers, closes descriptors that nobody took; accepts a zeroed or deinitialised one */
void frame_buf_deinit(struct frame_buf *b);

/**
 * frame_read - take in what the socket has
 *
 * Reads once, at most as much as one message may be long; descriptors that come along
 * are kept for frame_take_fd() (those beyond FRAME_FDS are closed). Works on blocking
 * and non-blocking sockets. 0 also for end of file (see FRAME_E_CLOSED) and when nothing
 * was there (-EAGAIN is not an error).
 */
int frame_read(struct frame_buf *b, int fd, struct fault *f);

/**
 * frame_next - the next whole message
 * @ret: a JSON object that the caller puts
 *
 * 0 or a FRAME_E_* outcome.
 */
int frame_next(struct frame_buf *b, json_object **ret);

/* is part of a message there, without its end? for read time-outs */
bool frame_is_partial(const struct frame_buf *b);

/* the oldest descriptor that came in, owned by the caller; -1: none */
int frame_take_fd(struct frame_buf *b);

/**
 * frame_queue - queue a message
 * @message: borrowed
 *
 * 0, -ENOMEM, or -ENOBUFS when @max_out would be passed (nothing was queued).
 */
int frame_queue(struct frame_buf *b, json_object *message);

/* the same with a descriptor that goes along, duplicated here; nothing else may be unwritten */
int frame_queue_fd(struct frame_buf *b, json_object *message, int fd);

/* bytes that wait to be written */
size_t frame_pending(const struct frame_buf *b);

/**
 * frame_flush - write what the socket takes, without SIGPIPE
 *
 * 0 also when something is left on a non-blocking socket; -EPIPE or another errno
 * when the stream is over.
 */
int frame_flush(struct frame_buf *b, int fd, struct fault *f);

#endif
