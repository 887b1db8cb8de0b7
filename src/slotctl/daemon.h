/**
 * DOC: daemon - which slotd, and how to start the user's own
 */
#ifndef SLOTCTL_DAEMON_H
#define SLOTCTL_DAEMON_H

#include <stdbool.h>

#include "slotctl/cli.h"
#include "util/fault.h"

/* what starts the daemon of the system, for people */
#define SYSTEM_START "'systemctl start slotd@USER.socket', where USER is whom the agents run as"

/* what holds for the user's own daemon */
struct daemon_paths {
	char *socket;
	char *state_dir;
	char *log; /* of a daemon that slotctl started */
};

void daemon_paths_deinit(struct daemon_paths *p);

/**
 * daemon_find_paths - where the user's daemon has its things
 *
 * From the user's slotd.yaml if there is one that can be read, else the defaults.
 * -EACCES: the place of the socket belongs to somebody else.
 */
int daemon_find_paths(struct daemon_paths *ret, struct fault *f);

/**
 * daemon_choose - which daemon this run talks to
 *
 * Sets cli->scope and cli->socket: --socket, --system or --user, else SLOTD_SOCKET, else
 * the system's socket where there is one, else the user's.
 */
int daemon_choose(struct cli *cli, struct fault *f);

/**
 * daemon_start - start the user's daemon and connect to it
 *
 * By its socket unit where a user manager has one, else detached from this session, with
 * its output in the log. Returns when cli->client is connected, whoever won a race.
 * Says on standard error that it started one.
 */
int daemon_start(struct cli *cli, struct fault *f);

/* is it the user's own daemon, also when its socket was named (slotctl run exports it)? */
bool daemon_is_users(const struct cli *cli);

/* runs systemctl --user with these arguments (NULL-terminated), silently: its exit status, or -1
 * where there is no user manager */
int daemon_systemctl(const char *const *args);

/**
 * daemon_read_log - the last lines of a log
 * @from: byte to begin at
 * @lines: at most
 *
 * The caller frees; "" when there are none, NULL when it cannot be read.
 */
char *daemon_read_log(const char *path, long from, size_t lines);

#endif
