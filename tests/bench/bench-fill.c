/*
 * bench-fill STATE_DIR SLOTS
 *
 * Writes a ledger with a paused pool of so many isolated slots, to see what slotd needs for them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/batch.h"
#include "ledger/ledger.h"

static void die(const struct fault *f)
{
	fprintf(stderr, "bench-fill: %s\n", f->text);
	exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
	struct pool_record pool = { .name = "big", .state = POOL_STATE_ACTIVE, .ready = 0,
				    .max = 10000, .paused = true };
	struct fault f = FAULT_NONE;
	struct ledger *ledger;
	struct batch *batch;
	unsigned long n;

	if (argc != 3) {
		fputs("usage: bench-fill STATE_DIR SLOTS\n", stderr);
		return 2;
	}
	n = strtoul(argv[2], NULL, 10);
	if (ledger_open(argv[1], 0, 100000, &ledger, &f) < 0)
		die(&f);
	batch = batch_new(ledger);
	if (!batch)
		return EXIT_FAILURE;
	snprintf(pool.path, sizeof(pool.path), "%s/repo", argv[1]);
	snprintf(pool.common_dir, sizeof(pool.common_dir), "%s/repo/.git", argv[1]);
	batch_put_pool(batch, &pool);
	for (unsigned long i = 1; i <= n; i++) {
		struct slot_record slot = { .state = SLOT_STATE_ISOLATED, .pool = "big",
					    .allocations = 7, .since_usec = 1 };

		snprintf(slot.name, sizeof(slot.name), "big-%lu", i);
		snprintf(slot.reason, sizeof(slot.reason), "not saved: 3 changed files: a, b, c");
		memset(slot.head, 'a', 40);
		memset(slot.target, 'a', 40);
		batch_put_slot(batch, &slot);
		if (i % 1000 == 0 && batch_commit(batch, &f) < 0)
			die(&f);
	}
	if (batch_commit(batch, &f) < 0)
		die(&f);
	batch_free(batch);
	ledger_close(ledger);
	return 0;
}
