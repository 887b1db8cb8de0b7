/**
 * DOC: worker-fixture - a real slotd-worker at the other end of a socket
 *
 * In the scratch directory of git-fixture: "o" is origin or the adopted repository, "s.git" the
 * store of a url pool, "slots" the slots directory. Replies are held against the interface.
 */
#ifndef TESTS_WORKER_FIXTURE_H
#define TESTS_WORKER_FIXTURE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "git-fixture.h"
#include "rpc/frame.h"

struct worker_end {
	pid_t pid; /* 0: none */
	int fd;
	struct frame_buf frames;
	char error[64];	   /* of the last call, without the interface; "" */
	char message[512]; /* its message */
	int progress;	   /* replies before the last one */
	void (*heard)(json_object *params); /* told each of them; or NULL */
};

/* starts one; @store NULL: the url pool's; else an adopted repository in the scratch directory */
void worker_start(struct worker_end *w, const char *store);

/* closes its socket, waits; its exit status, or -signal */
int worker_stop(struct worker_end *w);

/* SIGKILL, reaped */
void worker_kill(struct worker_end *w);

/**
 * worker_call - one call, with a lock's descriptor, until its last reply
 * @params: printf format of a JSON object with ' for "
 *
 * Its parameters, freed by worker_forget(); NULL when the worker died.
 */
__attribute__((format(printf, 3, 4))) json_object *worker_call(struct worker_end *w,
							       const char *method,
							       const char *params, ...);

/* the halves of it; @lock_fd -1: none */
void worker_send(struct worker_end *w, const char *method, json_object *params, int lock_fd);
json_object *worker_receive(struct worker_end *w, const char *method);

void worker_forget(void);

/* a descriptor for calls whose lock does not matter */
int any_lock(void);

/* "o" with files of several kinds on main, and branches topic and other */
void make_origin(void);

/* a slot as the ledger would know it */
struct slot {
	char name[16];
	char commit[41]; /* where it was made */
	int64_t dev, ino;
};

/* StoreOpen, then SlotCreate at the pool's ref; fails the test when either fails */
void store_open(struct worker_end *w);
void slot_create(struct worker_end *w, const char *name, struct slot *ret);

/* "slot", "dev" and "ino" as a beginning of parameters */
const char *slot_params(const struct slot *slot);

/* git's own word in slots/<name>: nothing changed, nothing untracked, HEAD there */
void assert_clean_at(const struct slot *slot, const char *commit);

#endif
