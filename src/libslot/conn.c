/* One socket after the other behind one descriptor. */
#include "libslot/conn.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "util/cleanup.h"
#include "util/clock.h"

#define REPLY_BYTES (32 * 1024 * 1024) /* a list of 10,000 takes some 5 MiB */
#define REPLY_DEPTH 32

int conn_init(struct conn *conn)
{
	*conn = (struct conn){ .fd = -1 };
	conn->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return conn->epoll_fd < 0 ? -errno : 0;
}

void conn_deinit(struct conn *conn, bool inherited)
{
	/* the epoll set and the socket are shared with the parent: only the copies go */
	if (inherited && conn->fd >= 0) {
		frame_buf_deinit(&conn->buf);
		closep(&conn->fd);
		conn->fd = -1;
	}
	conn_close(conn);
	closep(&conn->epoll_fd);
	conn->epoll_fd = -1;
}

static int dial(const char *path, struct fault *f)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_(closep) int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return fault_errno(f, -ENAMETOOLONG, "%s", path);
	strcpy(address.sun_path, path);

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fault_errno(f, -errno, "cannot make a socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return fault_errno(f, -errno, "cannot connect to slotd at %s", path);
	return TAKE_FD(fd);
}

static int watch(struct conn *conn, int op, uint32_t events)
{
	struct epoll_event event = { .events = events };

	if (epoll_ctl(conn->epoll_fd, op, conn->fd, &event) < 0)
		return -errno;
	conn->events = events;
	return 0;
}

int conn_open(struct conn *conn, const char *path, struct fault *f)
{
	int fd, r;

	fd = dial(path, f);
	if (fd < 0)
		return fd;
	conn->fd = fd;
	r = frame_buf_init(&conn->buf, REPLY_BYTES, REPLY_DEPTH, FRAME_MESSAGE_BYTES + 1);
	if (r == 0)
		r = watch(conn, EPOLL_CTL_ADD, EPOLLIN);
	if (r < 0) {
		conn_close(conn);
		return fault_errno(f, r, "cannot watch the connection");
	}
	conn->since_usec = clock_boot_usec();
	return 0;
}

void conn_close(struct conn *conn)
{
	if (conn->fd < 0)
		return;
	/* a forked child may hold copies: the registration and the stream must end all the same */
	epoll_ctl(conn->epoll_fd, EPOLL_CTL_DEL, conn->fd, NULL);
	shutdown(conn->fd, SHUT_RDWR);
	closep(&conn->fd);
	conn->fd = -1;
	frame_buf_deinit(&conn->buf);
}

bool conn_is_stale(struct conn *conn)
{
	struct pollfd p = { .fd = conn->fd, .events = POLLIN };

	return conn->fd >= 0 && (frame_is_partial(&conn->buf) || poll(&p, 1, 0) != 0);
}

int conn_queue(struct conn *conn, json_object *message, struct fault *f)
{
	int r = frame_queue(&conn->buf, message);

	if (r == -ENOBUFS)
		return fault(f, -EMSGSIZE, "the call is longer than %d bytes", FRAME_MESSAGE_BYTES);
	return r < 0 ? fault_oom(f) : 0;
}

int conn_flush(struct conn *conn, struct fault *f)
{
	uint32_t events;
	int r;

	r = frame_flush(&conn->buf, conn->fd, f);
	if (r < 0)
		return r;
	events = frame_pending(&conn->buf) ? EPOLLIN | EPOLLOUT : EPOLLIN;
	if (events == conn->events)
		return 0;
	r = watch(conn, EPOLL_CTL_MOD, events);
	return r < 0 ? fault_errno(f, r, "cannot watch the connection") : 0;
}

int conn_receive(struct conn *conn, json_object **ret, struct fault *f)
{
	int r;

	r = frame_next(&conn->buf, ret);
	if (r == FRAME_E_PARTIAL) {
		r = frame_read(&conn->buf, conn->fd, f);
		if (r < 0)
			return r;
		r = frame_next(&conn->buf, ret);
	}
	switch (r) {
	case 0:
		return 0;
	case FRAME_E_PARTIAL:
		return CONN_E_LATER;
	case FRAME_E_CLOSED:
		return fault(f, -ECONNRESET, "slotd closed the connection");
	case FRAME_E_TOO_LONG:
		return fault(f, -EMSGSIZE, "slotd's reply is longer than %d bytes", REPLY_BYTES);
	case FRAME_E_TOO_DEEP:
		return fault(f, -EPROTO, "slotd's reply is nested too deeply");
	default:
		return fault(f, -EPROTO, "slotd's reply is not a JSON object");
	}
}
