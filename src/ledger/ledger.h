/**
 * DOC: ledger - what slotd must not forget
 *
 * LMDB ends here. One environment, one writer, one process: slotd's loop.
 * Everything that was committed survives a kill at any instruction and a power
 * failure; everything else never happened.
 *
 * Calling sequence
 * ----------------
 * 1. ledger_judge() in a child process' care: is what is on disk usable?
 * 2. ledger_open(), or ledger_rebuild() and then ledger_open()
 * 3. ledger_each_*() to fill memory
 * 4. batches (batch.h) for all changes
 * 5. ledger_close()
 *
 * Errors
 * ------
 * -ENOSPC (disk full; nothing changed), -EIO, -EUCLEAN (damaged record), -ENOTRECOVERABLE
 * (LMDB panicked: leave and be restarted), each with a sentence.
 */
#ifndef LEDGER_LEDGER_H
#define LEDGER_LEDGER_H

#include <stdint.h>
#include <sys/types.h>

#include "ledger/record.h"
#include "util/fault.h"

/*
 * 1: the first; those with hand-offs, tickets or salvage are among them
 * 2: has all of these
 */
#define LEDGER_SCHEMA 2

struct ledger;

enum ledger_db {
	LEDGER_META,
	LEDGER_POOLS,
	LEDGER_SLOTS,
	LEDGER_LEASES,
	LEDGER_TOKENS,
	LEDGER_KEYS,
	LEDGER_EVENTS,
	LEDGER_CHECKPOINTS,
	LEDGER_BREAKERS,
	LEDGER_VERIFIED,
	LEDGER_STATS,
	LEDGER_HANDOFFS,
	LEDGER_TICKETS,
	LEDGER_SALVAGE,
	LEDGER_DBS,
};

enum ledger_verdict {
	LEDGER_VERDICT_GOOD = 1,
	LEDGER_VERDICT_FRESH,	/* first start: no ledger, and no trace that there was one */
	LEDGER_VERDICT_MISSING, /* there was one (marker, copy, stores or slots), and it is gone or empty */
	LEDGER_VERDICT_DAMAGED, /* does not open, or a record does not decode, or the wrong generation */
	LEDGER_VERDICT_NEWER,	/* made by a newer slotd: refuse to start */
};

/**
 * ledger_judge - look at the ledger without trusting it
 * @state_dir: the ledger is <state_dir>/ledger, the marker <state_dir>/generation,
 *	the copy <state_dir>/ledger.copy
 * @ret: the verdict; DAMAGED, MISSING and NEWER carry a sentence in @f
 *
 * Opens and reads every record in a forked child with a time limit of 60 s and a memory limit,
 * since a damaged file may crash or hang LMDB. Call before ledger_open(), with no environment open.
 */
int ledger_judge(const char *state_dir, enum ledger_verdict *ret, struct fault *f);

/**
 * ledger_open - open or create
 * @state_dir: exists
 * @map_bytes: initial size of the map; 0: 64 MiB. Grows by itself.
 * @events_keep: how many events are kept
 *
 * A fresh one gets its generation, and the marker file is written after the first commit. One of an older
 * schema is kept as <state_dir>/ledger.schema-<its number>, and gets the databases that came later, empty:
 * what belongs there, the caller finds out as at any start. -EPROTONOSUPPORT: a newer slotd has made it.
 */
int ledger_open(const char *state_dir, uint64_t map_bytes, uint64_t events_keep,
		struct ledger **ret, struct fault *f);
void ledger_close(struct ledger *l); /* accepts NULL */

/**
 * ledger_rebuild - put a damaged or missing ledger aside and start from the copy
 *
 * Moves <state_dir>/ledger to <state_dir>/ledger.damaged-<unix seconds>, makes a new one and
 * takes over from the copy every record that decodes (each judged by itself, in a child). Raises the
 * token floor to max(highest token seen, unix seconds << 20) and the sequence likewise. What the copy
 * cannot know, the caller finds out from the disk. @ret_from_copy: how many records came from it.
 */
int ledger_rebuild(const char *state_dir, uint64_t events_keep, unsigned *ret_from_copy,
		   struct fault *f);

/**
 * ledger_is_unproved - was it rebuilt, and has the caller not found out from the disk what it lacks?
 *
 * 1, 0 or a fault. So from ledger_rebuild() until ledger_set_proved(), whoever is killed in between: to be
 * called when what was found out is committed.
 */
int ledger_is_unproved(const char *state_dir, struct fault *f);
int ledger_set_proved(const char *state_dir, struct fault *f);

/**
 * ledger_copy_start - make the periodic copy, in a child process
 *
 * The child opens an environment of its own, copies compactly to <state_dir>/ledger.copy.new,
 * syncs and renames to <state_dir>/ledger.copy. Returns its pid, which the caller waits for.
 */
pid_t ledger_copy_start(struct ledger *l, struct fault *f);

/* the generation record as it is now */
const struct generation_record *ledger_generation(const struct ledger *l);

/* sequence of the newest event; 0: none yet */
uint64_t ledger_last_sequence(const struct ledger *l);

void ledger_set_events_keep(struct ledger *l, uint64_t events_keep);

/* size of the map, used bytes of it, number of commits since open: for PingHealth */
struct ledger_info {
	uint64_t map_bytes, used_bytes, commits, records;
};
int ledger_info(struct ledger *l, struct ledger_info *ret, struct fault *f);

/* --- reading: each calls fn for every record in key order; a negative return of fn ends it;
 *     fn may record into a batch, but not commit --- */

int ledger_each_pool(struct ledger *l, int (*fn)(const struct pool_record *r, void *userdata),
		     void *userdata, struct fault *f);
int ledger_each_slot(struct ledger *l, int (*fn)(const struct slot_record *r, void *userdata),
		     void *userdata, struct fault *f);
int ledger_each_lease(struct ledger *l, int (*fn)(const struct lease_record *r, void *userdata),
		      void *userdata, struct fault *f);
int ledger_each_key(struct ledger *l, int (*fn)(const struct key_record *r, void *userdata),
		    void *userdata, struct fault *f);
int ledger_each_handoff(struct ledger *l, int (*fn)(const struct handoff_record *r, void *userdata),
			void *userdata, struct fault *f);
int ledger_each_salvage(struct ledger *l, int (*fn)(const struct salvage_record *r, void *userdata),
			void *userdata, struct fault *f);
int ledger_each_ticket(struct ledger *l, int (*fn)(const struct ticket_record *r, void *userdata),
		       void *userdata, struct fault *f);
/* of one pool: what its checks have left; -ENOENT: it was never checked */
int ledger_each_note(struct ledger *l, const char *pool,
		     int (*fn)(const struct note_record *r, void *userdata), void *userdata,
		     struct fault *f);
int ledger_each_finding(struct ledger *l, const char *pool,
			int (*fn)(const struct finding_record *r, void *userdata), void *userdata,
			struct fault *f);
int ledger_find_check(struct ledger *l, const char *pool, struct check_record *ret, struct fault *f);
/* called once, or not at all when nothing was ever counted */
int ledger_each_lease_stats(struct ledger *l,
			    int (*fn)(const struct lease_stats_record *r, void *userdata),
			    void *userdata, struct fault *f);
int ledger_each_token(struct ledger *l,
		      int (*fn)(const char *name, const struct token_record *r, void *userdata),
		      void *userdata, struct fault *f);

/* events with a sequence above @since, oldest first, at most @limit */
int ledger_read_events(struct ledger *l, uint64_t since, uint64_t limit,
		       int (*fn)(const struct event_record *r, void *userdata), void *userdata,
		       struct fault *f);

#endif
