/**
 * DOC: env - LMDB, behind one door
 *
 * Inside the ledger only. How an environment is opened, how a write transaction is
 * repeated when the map is full, and what LMDB's codes mean.
 *
 * Never with MDB_WRITEMAP (a full disk would be SIGBUS), never DUPSORT, always
 * MDB_NOTLS. An environment does not cross fork(): a child opens its own.
 */
#ifndef LEDGER_ENV_H
#define LEDGER_ENV_H

#include <lmdb.h>
#include <stdbool.h>

#include "ledger/codec.h"
#include "ledger/ledger.h"
#include "util/cleanup.h"

#define LEDGER_DIR	   "ledger"
#define LEDGER_COPY_DIR	   "ledger.copy"
#define LEDGER_NEW	   ".new" /* behind the name of a copy that is not whole yet */
#define LEDGER_REBUILD_DIR "ledger.rebuild"
#define LEDGER_DAMAGED	   "ledger.damaged-" /* and the unix seconds */
#define LEDGER_OLDER	   "ledger.schema-"  /* and the number: as it was before it was raised */
#define LEDGER_UNPROVED	   "ledger.unproved" /* a file: the ledger is a rebuilt one */
#define LEDGER_DATA_FILE   "data.mdb"	     /* LMDB's name */

struct ledger {
	MDB_env *env;
	MDB_dbi dbi[LEDGER_DBS];
	char *state_dir;
	char *dir; /* of this environment */
	struct generation_record generation;
	uint64_t sequence;	/* given to the newest event, committed or not */
	uint64_t last_sequence; /* of the newest event that is committed */
	uint64_t events_keep;	/* at least 1: the newest remembers the sequence */
	uint64_t commits;
	unsigned readers; /* read transactions in progress: the map cannot grow */
	bool is_lost;	  /* growing took the map away: nothing works any more */
};

/* what there is in a ledger, by enum ledger_db */
struct ledger_db_kind {
	const char *name; /* "meta", "pools", ... */
	uint32_t schema;  /* the first whose every ledger has it: an older one may lack it */
};

extern const struct ledger_db_kind ledger_dbs[LEDGER_DBS];

/**
 * ledger_fault - what a code of LMDB means to us; the border for foreign codes
 * @rc: not 0
 * @dir: of the environment
 * @doing: "open", "write", ...: the sentence is "cannot <doing> the ledger in <dir>: ..."
 *
 * -ENOSPC for a full disk, however it shows (0.9.24 says EIO after a short write), -EDQUOT
 * included; -ENOTRECOVERABLE for MDB_PANIC, -EUCLEAN for damage, else the errno.
 */
int ledger_fault(struct fault *f, int rc, const char *dir, const char *doing);

/**
 * env_open - open an environment
 * @map_bytes: rounded up to whole pages; 0: as the file says
 * @flags: of mdb_env_open(); MDB_NOTLS is added
 *
 * Returns 0 or LMDB's code.
 */
int env_open(const char *dir, uint64_t map_bytes, unsigned flags, MDB_env **ret);

/**
 * ledger_open_dir - make or open the environment in <state_dir>/<name>
 * @generation: what a fresh one is given
 *
 * Makes the databases and the generation record in one transaction, if they are not
 * there, and likewise what one of an older schema lacks; knows nothing of the marker.
 */
int ledger_open_dir(const char *state_dir, const char *name, uint64_t map_bytes,
		    const struct generation_record *generation, struct ledger **ret,
		    struct fault *f);

/**
 * ledger_write - one write transaction
 * @fn: does the work and returns LMDB's code; called again after each growth of the map
 *
 * 0 when it is on disk; else the fault, and nothing has changed.
 */
int ledger_write(struct ledger *l, int (*fn)(struct ledger *l, MDB_txn *txn, void *arg), void *arg,
		 struct fault *f);

/* copies the open ledger, in a child that is waited for, to <state_dir>/@name, whole or not at all */
int ledger_keep_copy(const struct ledger *l, const char *name, struct fault *f);

/* LMDB's code; the generation record, decoded and remembered, after ledger_write() */
int ledger_put_generation(struct ledger *l, MDB_txn *txn, const struct generation_record *r);

static inline void mdb_env_closep(MDB_env **env)
{
	if (*env)
		mdb_env_close(*env);
}

static inline void mdb_txn_abortp(MDB_txn **txn)
{
	if (*txn)
		mdb_txn_abort(*txn);
}

static inline void mdb_cursor_closep(MDB_cursor **cursor)
{
	if (*cursor)
		mdb_cursor_close(*cursor);
}

static inline void ledger_closep(struct ledger **l)
{
	ledger_close(*l);
}

static inline MDB_val record_key_val(struct record_key *key)
{
	return (MDB_val){ .mv_size = key->len, .mv_data = key->bytes };
}

#endif
