/**
 * DOC: support - raw bytes on one end of a socket, a service or a client on the other
 */
#ifndef TESTS_RPC_SUPPORT_H
#define TESTS_RPC_SUPPORT_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "util/fault.h"
#include "util/json.h"

/* a whole message, its NUL included */
static inline void put_message(int fd, const char *text)
{
	cr_assert(eq(long, send(fd, text, strlen(text) + 1, MSG_NOSIGNAL),
		     (ssize_t)strlen(text) + 1));
}

static inline void put_bytes(int fd, const char *text, size_t len)
{
	cr_assert(eq(long, send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len));
}

/* the loop runs until nothing happens for @quiet_usec */
static inline void settle(sd_event *event, uint64_t quiet_usec)
{
	while (sd_event_run(event, quiet_usec) > 0)
		;
}

/* one message that is there already, without its NUL; "" at end of file, NULL when nothing is there */
static inline const char *get_message(int fd)
{
	static char text[256 * 1024];
	size_t n = 0;

	for (;;) {
		ssize_t r = recv(fd, text + n, 1, MSG_DONTWAIT);

		if (r < 0 && errno == EAGAIN)
			return n ? text : NULL;
		if (r <= 0)
			return "";
		if (text[n++] == '\0')
			return text;
		cr_assert(lt(sz, n, sizeof(text)));
	}
}

#endif
