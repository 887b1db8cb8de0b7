/* LMDB has no checksums, so nothing in it is believed. */
#include "ledger/scan.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "ledger/pages.h"
#include "util/text.h"

#define SCAN_MSEC	  60000
#define SCAN_MEMORY_BYTES (1ULL << 30)

/* --- one record --- */

static void note_token(struct seen *seen, uint64_t token)
{
	if (token > seen->token)
		seen->token = token;
}

static void note_sequence(struct seen *seen, uint64_t sequence)
{
	if (sequence > seen->sequence)
		seen->sequence = sequence;
}

union decoded {
	struct pool_record pool;
	struct slot_record slot;
	struct lease_record lease;
	struct key_record key;
	struct token_record token;
	struct event_record event;
	struct generation_record generation;
	struct handoff_record handoff;
	struct ticket_record ticket;
	struct lease_stats_record lease_stats;
	struct salvage_record salvage;
};

static int decode(enum ledger_db db, const MDB_val *k, const MDB_val *v, union decoded *d,
		  struct fault *f)
{
	switch (db) {
	case LEDGER_META:
		return generation_record_decode(k->mv_data, k->mv_size, v->mv_data, v->mv_size,
						&d->generation, f);
	case LEDGER_POOLS:
		return pool_record_decode(k->mv_data, k->mv_size, v->mv_data, v->mv_size, &d->pool,
					  f);
	case LEDGER_SLOTS:
		return slot_record_decode(k->mv_data, k->mv_size, v->mv_data, v->mv_size, &d->slot,
					  f);
	case LEDGER_LEASES:
		return lease_record_decode(k->mv_data, k->mv_size, v->mv_data, v->mv_size,
					   &d->lease, f);
	case LEDGER_TOKENS:
		return token_record_decode(k->mv_data, k->mv_size, v->mv_data, v->mv_size,
					   &d->token, f);
	case LEDGER_KEYS:
		return key_record_decode(k->mv_data, k->mv_size, v->mv_data, v->mv_size, &d->key,
					 f);
	case LEDGER_EVENTS:
		return event_record_decode(k->mv_data, k->mv_size, v->mv_data, v->mv_size,
					   &d->event, f);
	case LEDGER_HANDOFFS:
		return handoff_record_decode(k->mv_data, k->mv_size, v->mv_data, v->mv_size,
					     &d->handoff, f);
	case LEDGER_TICKETS:
		return ticket_record_decode(k->mv_data, k->mv_size, v->mv_data, v->mv_size,
					    &d->ticket, f);
	case LEDGER_SALVAGE:
		return salvage_record_decode(k->mv_data, k->mv_size, v->mv_data, v->mv_size,
					     &d->salvage, f);
	case LEDGER_STATS:
		return lease_stats_record_decode(k->mv_data, k->mv_size, v->mv_data, v->mv_size,
						 &d->lease_stats, f);
	case LEDGER_VERIFIED:
		return verified_decode(k->mv_data, k->mv_size, v->mv_data, v->mv_size, f);
	default: /* kinds that others keep here: by the checksum that all have */
		return record_check(k->mv_data, k->mv_size, v->mv_data, v->mv_size, f);
	}
}

static void note(enum ledger_db db, const union decoded *d, struct seen *seen)
{
	seen->records++;
	switch (db) {
	case LEDGER_META:
		seen->has_generation = true;
		seen->generation = d->generation;
		note_token(seen, d->generation.token_floor);
		if (d->generation.next_sequence > 0)
			note_sequence(seen, d->generation.next_sequence - 1);
		break;
	case LEDGER_SLOTS:
		note_token(seen, d->slot.token);
		break;
	case LEDGER_LEASES:
		note_token(seen, d->lease.token);
		break;
	case LEDGER_TOKENS:
		note_token(seen, d->token.token);
		break;
	case LEDGER_EVENTS:
		note_token(seen, d->event.token);
		note_sequence(seen, d->event.sequence);
		break;
	default:
		break;
	}
}

int scan_record(enum ledger_db db, const MDB_val *key, const MDB_val *val, struct seen *seen,
		struct fault *f)
{
	union decoded d;
	int r = decode(db, key, val, &d, f);

	if (r < 0)
		return r == -EBADMSG ? -EUCLEAN : r;
	note(db, &d, seen);
	return 0;
}

/* --- the file --- */

off_t scan_data_bytes(const char *dir, struct fault *f)
{
	_cleanup_(freep) char *path = text_printf("%s/" LEDGER_DATA_FILE, dir);
	struct stat st;

	if (!path)
		return fault_oom(f);
	if (lstat(path, &st) < 0) {
		if (errno == ENOENT)
			return 0;
		return fault_errno(f, errno == ENOTDIR ? -EUCLEAN : -errno, "cannot look at %s",
				   path);
	}
	if (!S_ISREG(st.st_mode))
		return fault(f, -EUCLEAN, "%s is not a regular file", path);
	return st.st_size;
}

struct child_limits scan_limits(const char *dir)
{
	off_t bytes = scan_data_bytes(dir, NULL);

	return (struct child_limits){
		.time_msec = SCAN_MSEC,
		.memory_bytes = SCAN_MEMORY_BYTES + 2 * (uint64_t)(bytes > 0 ? bytes : 0),
	};
}

/* a size in a damaged header asks for more than there is; so does a machine without memory */
static bool memory_is_short(size_t bytes)
{
	void *probe = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (probe == MAP_FAILED)
		return true;
	munmap(probe, bytes);
	return false;
}

int scan_open(const char *dir, MDB_env **ret, struct fault *f)
{
	off_t bytes = scan_data_bytes(dir, f);
	int rc;

	if (bytes < 0)
		return (int)bytes;
	rc = env_open(dir, (uint64_t)bytes, MDB_RDONLY | MDB_NOLOCK, ret);
	if (rc == 0)
		return 0;
	if (rc == EIO || rc == EINVAL || (rc == ENOMEM && !memory_is_short((size_t)bytes)))
		return fault_errno(f, -EUCLEAN, "cannot open the ledger in %s", dir);
	return ledger_fault(f, rc, dir, "open");
}

/* --- one database --- */

struct place {
	const char *dir;
	MDB_txn *txn;
	struct seen *seen;
};

static int damage(const struct place *p, struct fault *f, const char *name, const char *what)
{
	return fault(f, -EUCLEAN, "the database %s of the ledger in %s is damaged: %s", name,
		     p->dir, what);
}

/* iterating follows the leaves, looking up the branches: both must lead to the same place */
static bool is_found(const struct place *p, MDB_dbi dbi, MDB_val *key, const MDB_val *val)
{
	MDB_val found;

	return mdb_get(p->txn, dbi, key, &found) == 0 && found.mv_data == val->mv_data &&
	       found.mv_size == val->mv_size;
}

static int scan_records(const struct place *p, enum ledger_db db, MDB_dbi dbi, struct fault *f)
{
	_cleanup_(mdb_cursor_closep) MDB_cursor *cursor = NULL;
	const char *name = ledger_dbs[db].name;
	MDB_val k, v;
	MDB_stat stat;
	size_t n = 0;
	int rc, r;

	rc = mdb_stat(p->txn, dbi, &stat);
	if (rc == 0)
		rc = mdb_cursor_open(p->txn, dbi, &cursor);
	while (rc == 0) {
		rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
		if (rc)
			break;
		/* a ring of pages has no end */
		if (++n > stat.ms_entries)
			return damage(p, f, name, "it has more records than it says");
		r = scan_record(db, &k, &v, p->seen, f);
		if (r < 0)
			return r;
		if (!is_found(p, dbi, &k, &v))
			return damage(p, f, name, "a record is not found under its key");
	}
	if (rc != MDB_NOTFOUND)
		return ledger_fault(f, rc, p->dir, "read");
	return n == stat.ms_entries ? 0 : damage(p, f, name, "records are missing");
}

/* a ledger that is older than the database; it gets that when it is opened */
static bool may_be_missing(const struct place *p, enum ledger_db db)
{
	return p->seen->has_generation && p->seen->generation.schema < ledger_dbs[db].schema;
}

static int scan_database(const struct place *p, enum ledger_db db, struct fault *f)
{
	unsigned flags;
	MDB_dbi dbi;
	int rc;

	rc = mdb_dbi_open(p->txn, ledger_dbs[db].name, 0, &dbi);
	if (rc == MDB_NOTFOUND && may_be_missing(p, db))
		return 0;
	if (rc == MDB_NOTFOUND)
		return damage(p, f, ledger_dbs[db].name, "it is missing");
	if (rc == 0)
		rc = mdb_dbi_flags(p->txn, dbi, &flags);
	if (rc)
		return ledger_fault(f, rc, p->dir, "open a database of");
	if (flags != 0)
		return damage(p, f, ledger_dbs[db].name, "it has flags that we never set");
	return scan_records(p, db, dbi, f);
}

/* --- all of them --- */

static bool is_known(const MDB_val *name)
{
	for (int i = 0; i < LEDGER_DBS; i++) {
		if (strlen(ledger_dbs[i].name) == name->mv_size &&
		    memcmp(ledger_dbs[i].name, name->mv_data, name->mv_size) == 0)
			return true;
	}
	return false;
}

/* how many databases there are; a name that we do not know is damage */
static int count_databases(const struct place *p, struct fault *f)
{
	_cleanup_(mdb_cursor_closep) MDB_cursor *cursor = NULL;
	MDB_dbi names;
	MDB_val k, v;
	int n = 0;
	int rc;

	rc = mdb_dbi_open(p->txn, NULL, 0, &names);
	if (rc == 0)
		rc = mdb_cursor_open(p->txn, names, &cursor);
	while (rc == 0) {
		rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
		if (rc == 0 && (!is_known(&k) || ++n > LEDGER_DBS))
			return damage(p, f, "of databases", "a name in it is not known");
	}
	return rc == MDB_NOTFOUND ? n : ledger_fault(f, rc, p->dir, "read");
}

static int scan_schema(const struct place *p, struct fault *f)
{
	if (!p->seen->has_generation)
		return damage(p, f, ledger_dbs[LEDGER_META].name, "there is no generation record");
	if (p->seen->generation.schema > LEDGER_SCHEMA)
		return fault(f, -EPROTONOSUPPORT,
			     "the ledger in %s has schema %u, and this slotd knows %u: it was made "
			     "by a newer one",
			     p->dir, p->seen->generation.schema, LEDGER_SCHEMA);
	if (p->seen->generation.schema < 1)
		return damage(p, f, ledger_dbs[LEDGER_META].name, "its schema never existed");
	return 0;
}

/* the generation first: what a newer slotd has added is not damage */
static int scan_databases(const struct place *p, struct fault *f)
{
	MDB_envinfo info;
	MDB_stat stat;
	int n, r;

	if (mdb_env_info(mdb_txn_env(p->txn), &info) == 0 && info.me_last_txnid == 0 &&
	    mdb_env_stat(mdb_txn_env(p->txn), &stat) == 0 && stat.ms_entries == 0)
		return SCAN_EMPTY;
	r = scan_database(p, LEDGER_META, f);
	if (r == 0)
		r = scan_schema(p, f);
	if (r < 0)
		return r;
	n = count_databases(p, f);
	if (n < 0)
		return n;
	for (int db = LEDGER_META + 1; r == 0 && db < LEDGER_DBS; db++)
		r = scan_database(p, (enum ledger_db)db, f);
	return r;
}

int scan_all(const char *dir, struct seen *seen, struct fault *f)
{
	_cleanup_(mdb_env_closep) MDB_env *env = NULL;
	_cleanup_(mdb_txn_abortp) MDB_txn *txn = NULL;
	struct place place = { .dir = dir, .seen = seen };
	int rc, r;

	r = pages_check(dir, f);
	if (r == 0)
		r = scan_open(dir, &env, f);
	if (r < 0)
		return r;
	rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
	if (rc)
		return ledger_fault(f, rc, dir, "read");
	place.txn = txn;
	return scan_databases(&place, f);
}
