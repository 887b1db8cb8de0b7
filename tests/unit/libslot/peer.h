/**
 * DOC: peer - the other end of the socket, as a script in a process of its own
 *
 * Says and does what a daemon may say and do at its worst: answers late, in pieces, or
 * never; hangs up in the middle of a message; goes away and comes back.
 *
 * Calling sequence
 * ----------------
 * 1. peer_start() with the steps; it listens when that returns
 * 2. what is tested, on peer->path
 * 3. peer_finish(): was the script carried out to its end?
 * 4. peer_call(): what the client sent
 */
#ifndef TESTS_PEER_H
#define TESTS_PEER_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum peer_do {
	PEER_END,
	PEER_ACCEPT,	/* the next connection; closes the one before */
	PEER_READ,	/* one message; kept for peer_call() */
	PEER_SEND,	/* a message, with its NUL */
	PEER_SEND_PART, /* bytes without a NUL */
	PEER_FLOOD,	/* @n MiB of "a" without a NUL, or as much as the client takes */
	PEER_PAUSE,	/* @n milliseconds: an answer that comes late */
	PEER_CLOSE,	/* hang up */
	PEER_AWAIT_END, /* until the client hangs up */
	PEER_UNLISTEN,	/* the socket vanishes */
	PEER_REFUSE,	/* the socket stays, nobody listens */
	PEER_LISTEN,	/* a daemon is back */
	PEER_KICK,	/* SIGUSR1 to the test */
};

struct peer_step {
	enum peer_do what;
	const char *text;
	int n;
};

struct peer {
	char directory[64];
	char path[96];
	char log[96];
	pid_t pid;
};

/* steps end with PEER_END */
void peer_start(struct peer *peer, const struct peer_step *steps);

/* waits; true when every step was carried out and the client sent nothing else */
bool peer_finish(struct peer *peer);

/* the @i-th message that was read; the caller puts it; NULL when there is none */
json_object *peer_call(const struct peer *peer, size_t i);

/* removes what peer_start() made */
void peer_remove(struct peer *peer);

/* a directory to play in, without a process */
void peer_prepare(struct peer *peer);

#endif
