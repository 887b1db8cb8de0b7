/**
 * DOC: scan - read all of an environment that may be damaged
 *
 * Inside the ledger only, and only in a child: LMDB may crash on the way.
 */
#ifndef LEDGER_SCAN_H
#define LEDGER_SCAN_H

#include <sys/types.h>

#include "ledger/child.h"
#include "ledger/env.h"

/* what intact records say */
struct seen {
	uint64_t records;
	uint64_t token;	   /* the highest */
	uint64_t sequence; /* the highest */
	bool has_generation;
	struct generation_record generation;
};

enum { SCAN_EMPTY = CHILD_DIED + 1 };

/**
 * scan_record - does this record decode as what its database holds?
 * @seen: takes note of an intact one
 *
 * 0, -EUCLEAN, or -EPROTONOSUPPORT for one of a newer slotd.
 */
int scan_record(enum ledger_db db, const MDB_val *key, const MDB_val *val, struct seen *seen,
		struct fault *f);

/**
 * scan_open - open an environment for reading, as big as its file and without its lock
 *
 * -EUCLEAN when LMDB finds it damaged, else as ledger_fault(). Nobody else may write to it.
 */
int scan_open(const char *dir, MDB_env **ret, struct fault *f);

/**
 * scan_all - read every record, and see that each is found where it is looked for
 *
 * 0, SCAN_EMPTY when there are no databases at all, -EUCLEAN, -EPROTONOSUPPORT.
 */
int scan_all(const char *dir, struct seen *seen, struct fault *f);

/* limits for a child that reads the environment in @dir: 60 s, and memory for its map */
struct child_limits scan_limits(const char *dir);

/* bytes of <dir>/data.mdb; 0: there is none, or it is empty; else a negative errno */
off_t scan_data_bytes(const char *dir, struct fault *f);

#endif
