/**
 * DOC: slotd - one thread, one loop
 *
 * What the parts of the program share. main.c puts them together and takes them
 * apart; server.c listens; methods-*.c parse, ask the pools and answer; reload.c brings in
 * a new configuration; shutdown.c ends everything in order.
 */
#ifndef SLOTD_SLOTD_H
#define SLOTD_SLOTD_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "config/conf.h"
#include "jobs/jobs.h"
#include "ledger/ledger.h"
#include "pool/pools.h"
#include "rpc/service.h"
#include "util/list.h"
#include "watch/watch.h"

#define MAX_LISTEN 4

struct slotd {
	sd_event *event;
	struct conf *conf;
	char *conf_path; /* NULL: no file, built-in defaults */
	enum conf_scope scope;
	bool activated; /* the socket came from the service manager */
	int lock_fd;
	uint64_t started_usec; /* CLOCK_BOOTTIME */

	struct ledger *ledger;
	struct jobs *jobs;
	struct pools *pools;
	struct rpc_service *service;
	struct watch *watch; /* of the configuration file */

	int listen_fds[MAX_LISTEN];
	sd_event_source *listen[MAX_LISTEN];
	size_t n_listen;
	int spare_fd;		 /* given up to refuse a connection at EMFILE */
	sd_event_source *listen_again; /* timer after EMFILE */

	struct list followers; /* of events */
	unsigned signals;      /* that asked for an end */
	bool stopping;
	sd_event_source *stop_timer;
	sd_event_source *stop_check;
	uint64_t stop_deadline_usec; /* CLOCK_MONOTONIC */
};

/* main.c: as many as the processors when the file does not say */
unsigned count_workers(const struct conf *conf);

/* server.c */
int server_open(struct slotd *d, struct fault *f);
void server_set_limits(struct slotd *d, const struct conf *conf); /* who is connected stays */
void server_stop_listening(struct slotd *d);
void server_close(struct slotd *d);

/* lock.c: -EBUSY names the holder */
int state_lock(const char *state_dir, int *ret, struct fault *f);

/* reload.c */
void reload_watch(struct slotd *d);
void reload(struct slotd *d);

/* shutdown.c */
int shutdown_init(struct slotd *d, struct fault *f);
void shutdown_deinit(struct slotd *d);

/* methods.c and methods-*.c */
int methods_register(struct slotd *d, struct fault *f);
void events_announce(void *userdata); /* struct slotd: new events can be read */
unsigned events_close(struct slotd *d);

#endif
