/* A pool of a real repository, with the real worker program and a real ledger. */
#ifndef TEST_POOL_WORLD_H
#define TEST_POOL_WORLD_H

#include "pool/private.h"

struct world {
	char dir[64];
	sd_event *event;
	struct conf *conf;
	struct ledger *ledger;
	struct jobs *jobs;
	struct pools *pools;
	struct pool *pool;
};

/* what became of an acquire */
struct answer {
	unsigned told;
	char error[32], text[256], lease[ID_TEXT_SIZE], slot[NAME_SIZE];
	uint64_t token;
};

void world_open(struct world *w); /* directory, repository, everything; no pool yet */
void world_add_pool(struct world *w, int ready, int max);
void world_restart(struct world *w, bool rebuilt); /* the daemon's part of memory is made anew */
void world_close(struct world *w);

/* runs the loop until the condition holds; fails the test after 60 s */
#define RUN_UNTIL(w, condition)                                                  \
	do {                                                                     \
		uint64_t end_ = clock_boot_usec() + 60 * USEC_PER_SEC;           \
		while (!(condition)) {                                           \
			cr_assert_lt(clock_boot_usec(), end_, "%s", #condition); \
			sd_event_run((w)->event, 20000);                         \
		}                                                                \
	} while (0)

/* one turn of the loop that finds nothing more to do at once */
void world_settle(struct world *w);

struct waiter *ask(struct world *w, const struct acquire_spec *spec, struct answer *ret);
struct acquire_spec spec_of(struct world *w, const char *agent);
struct lease *lease_of(struct world *w, const struct answer *a);
void give_back(struct world *w, const struct answer *a, bool discard);
int shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
