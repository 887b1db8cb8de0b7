/* A pool of a real repository, with the real worker program and a real ledger. */
#ifndef TEST_POOL_WORLD_H
#define TEST_POOL_WORLD_H

#include "pool/private.h"

/* of the test that runs: each test is a process */
extern struct world {
	char *dir;
	sd_event *event;
	struct conf *conf;
	struct ledger *ledger;
	struct jobs *jobs;
	struct pools *pools;
	struct pool *pool; /* world_add_pool(); "p" */
	bool over; /* the test has ended: what is told from now on, nobody hears */
} world;

/* what became of an acquire */
struct answer {
	unsigned told;
	char error[32], text[256], lease[ID_TEXT_SIZE], slot[NAME_SIZE];
	uint64_t token;
};

/* the fixture of a suite: directory, repository, everything; no pool yet */
void world_open(void);
void world_close(void); /* also after a test that broke off */

void world_add_pool(int ready, int max);
void world_restart(bool rebuilt); /* the daemon's part of memory is made anew */
/* RLIMIT_FSIZE: no file grows, so a commit's own write fails; mended at the latest by world_close() */
void break_ledger(void);
void mend_ledger(void);

void world_settle(void); /* turns of the loop, until one finds nothing more to do at once */

/* runs the loop until the condition holds; fails the test after 60 s */
#define RUN_UNTIL(condition)                                                     \
	do {                                                                     \
		uint64_t end_ = clock_boot_usec() + 60 * USEC_PER_SEC;           \
		while (!(condition)) {                                           \
			cr_assert_lt(clock_boot_usec(), end_, "%s", #condition); \
			sd_event_run(world.event, 20000);                        \
		}                                                                \
	} while (0)

/* what is asked of world.pool unless the test names another one; the second is willing to wait */
struct acquire_spec spec_of(const char *agent);
struct acquire_spec spec_waiting(const char *agent, uint64_t usec);

struct waiter *ask(const struct acquire_spec *spec, struct answer *ret);
void ask_and_wait(const struct acquire_spec *spec, struct answer *ret); /* until it is answered */
void give_back(const struct answer *a, bool discard);

struct lease *lease_of(const struct answer *a);
struct slot *slot_of(const char *name);
unsigned count(enum slot_state state); /* of world.pool */
int shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
