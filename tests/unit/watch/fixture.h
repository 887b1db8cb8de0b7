/**
 * DOC: fixture - a loop, a directory of its own, and shell commands in it
 *
 * Events of inotify are queued by the very call that causes them, so "nothing came"
 * can be told without waiting.
 */
#ifndef TESTS_WATCH_FIXTURE_H
#define TESTS_WATCH_FIXTURE_H

#include "watch/watch.h"

struct fixture {
	sd_event *event;
	struct watch *watch;
	unsigned calls; /* of the callback */
	char *dir;
	char path[128];
};

void fixture_open(struct fixture *x);
void fixture_close(struct fixture *x);

/* counts */
void fixture_called(struct watch *w, void *userdata);

/* runs a shell command in the directory; fails the test when it fails */
__attribute__((format(printf, 2, 3))) void fixture_shell(struct fixture *x, const char *fmt, ...);

/* handles all that is there; returns how often the callback came */
unsigned fixture_drain(struct fixture *x);

/* waits for the callback, at most ten seconds; returns how often it came */
unsigned fixture_wait(struct fixture *x);

#endif
