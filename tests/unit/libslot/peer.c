/* A daemon at its worst. */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_SECONDS 30

struct stage {
	const struct peer *peer;
	int listener;
	int conn;
	int log;
};

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 8) < 0)
		abort();
	return fd;
}

static void drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static bool send_bytes(struct stage *stage, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(stage->conn, data, len, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static bool read_message(struct stage *stage)
{
	char c;

	do {
		if (read(stage->conn, &c, 1) != 1)
			return false;
		if (write(stage->log, &c, 1) != 1)
			return false;
	} while (c);
	return true;
}

static bool flood(struct stage *stage, int mib)
{
	static char chunk[1 << 20];

	memset(chunk, 'a', sizeof(chunk));
	for (int i = 0; i < mib; i++) {
		if (!send_bytes(stage, chunk, sizeof(chunk)))
			break;
	}
	return true;
}

/* anything but the end is a call that nobody expected */
static bool await_end(struct stage *stage)
{
	char c;
	ssize_t n = read(stage->conn, &c, 1);

	return n == 0 || (n < 0 && errno == ECONNRESET);
}

static bool accept_next(struct stage *stage)
{
	drop(&stage->conn);
	stage->conn = accept(stage->listener, NULL, NULL);
	return stage->conn >= 0;
}

static bool carry_out(struct stage *stage, const struct peer_step *step)
{
	switch (step->what) {
	case PEER_ACCEPT:
		return accept_next(stage);
	case PEER_READ:
		return read_message(stage);
	case PEER_SEND:
		return send_bytes(stage, step->text, strlen(step->text) + 1);
	case PEER_SEND_PART:
		return send_bytes(stage, step->text, strlen(step->text));
	case PEER_FLOOD:
		return flood(stage, step->n);
	case PEER_PAUSE:
		return usleep((useconds_t)step->n * 1000) == 0;
	case PEER_CLOSE:
		drop(&stage->conn);
		return true;
	case PEER_AWAIT_END:
		return await_end(stage);
	case PEER_UNLISTEN:
		drop(&stage->listener);
		return unlink(stage->peer->path) == 0;
	case PEER_REFUSE:
		drop(&stage->listener);
		return true;
	case PEER_LISTEN:
		drop(&stage->listener);
		stage->listener = listen_at(stage->peer->path);
		return true;
	case PEER_KICK:
		return kill(getppid(), SIGUSR1) == 0;
	case PEER_END:
		break;
	}
	return false;
}

static int play(struct stage *stage, const struct peer_step *steps)
{
	alarm(PATIENCE_SECONDS);
	for (int i = 0; steps[i].what != PEER_END; i++) {
		if (!carry_out(stage, &steps[i])) {
			fprintf(stderr, "step %d of the peer's script failed: %s\n", i,
				strerror(errno));
			return 1;
		}
	}
	return 0;
}

void peer_prepare(struct peer *peer)
{
	snprintf(peer->directory, sizeof(peer->directory), "/tmp/libslot-test-XXXXXX");
	if (!mkdtemp(peer->directory))
		abort();
	snprintf(peer->path, sizeof(peer->path), "%s/sock", peer->directory);
	snprintf(peer->log, sizeof(peer->log), "%s/log", peer->directory);
	peer->pid = -1;
}

void peer_start(struct peer *peer, const struct peer_step *steps)
{
	struct stage stage = { .peer = peer, .conn = -1 };

	peer_prepare(peer);
	stage.log = open(peer->log, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
	stage.listener = listen_at(peer->path);
	peer->pid = fork();
	if (stage.log < 0 || peer->pid < 0)
		abort();
	if (peer->pid == 0)
		_exit(play(&stage, steps));
	drop(&stage.listener);
	drop(&stage.log);
}

bool peer_finish(struct peer *peer)
{
	int status;

	while (waitpid(peer->pid, &status, 0) < 0) {
		if (errno != EINTR)
			return false;
	}
	peer->pid = -1;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

json_object *peer_call(const struct peer *peer, size_t i)
{
	static char data[1 << 18];
	json_object *message = NULL;
	size_t len, at = 0;
	FILE *log = fopen(peer->log, "re");

	if (!log)
		return NULL;
	len = fread(data, 1, sizeof(data) - 1, log);
	fclose(log);
	data[len] = '\0';
	for (; at < len; at += strlen(data + at) + 1) {
		if (i-- == 0)
			message = json_tokener_parse(data + at);
	}
	return message;
}

void peer_remove(struct peer *peer)
{
	if (peer->pid > 0) {
		kill(peer->pid, SIGKILL);
		waitpid(peer->pid, NULL, 0);
	}
	unlink(peer->path);
	unlink(peer->log);
	rmdir(peer->directory);
}
