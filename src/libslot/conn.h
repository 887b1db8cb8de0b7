/**
 * DOC: conn - one socket to the daemon, never blocking
 *
 * Calling sequence
 * ----------------
 * 1. conn_init()
 * 2. conn_open(), conn_queue(), then conn_flush() and conn_receive() whenever the
 *    epoll descriptor is readable
 * 3. conn_close(), and conn_open() again
 * 4. conn_deinit()
 *
 * The epoll descriptor stays the same while sockets come and go; that is what callers
 * of libslot poll.
 */
#ifndef LIBSLOT_CONN_H
#define LIBSLOT_CONN_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "rpc/frame.h"
#include "util/fault.h"

enum conn_outcome {
	CONN_E_LATER = 1, /* no whole message yet */
};

struct conn {
	int fd; /* -1: not connected */
	int epoll_fd;
	uint32_t events;     /* that the socket is registered for */
	uint64_t since_usec; /* CLOCK_BOOTTIME of the connect */
	struct frame_buf buf;
};

/* 0 or a negative errno; conn_deinit() is allowed in both cases */
int conn_init(struct conn *conn);

/* @inherited: after fork(), in the child: leaves what it shares with the parent alone */
void conn_deinit(struct conn *conn, bool inherited);

/* a negative errno of socket(2) or connect(2); -EAGAIN: the daemon's queue is full */
int conn_open(struct conn *conn, const char *path, struct fault *f);

/* no-op when it is closed */
void conn_close(struct conn *conn);

/* on an idle connection anything to read is its end, or not meant for us */
bool conn_is_stale(struct conn *conn);

/* @message: borrowed; 0, -EMSGSIZE or -ENOMEM */
int conn_queue(struct conn *conn, json_object *message, struct fault *f);

/* 0 also when something is left (frame_pending()); a negative errno when the stream is over */
int conn_flush(struct conn *conn, struct fault *f);

/**
 * conn_receive - the next message
 * @ret: belongs to the caller
 *
 * 0; CONN_E_LATER; -ECONNRESET when the daemon closed; -EMSGSIZE for a message beyond all
 * bounds; -EPROTO for one that is no JSON object; -ENOMEM.
 */
int conn_receive(struct conn *conn, json_object **ret, struct fault *f);

#endif
