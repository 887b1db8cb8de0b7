/* One environment, one writer; what is committed stays. */
#include "ledger/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ledger/env.h"
#include "ledger/marker.h"
#include "util/clock.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/text.h"

#define DEFAULT_MAP_BYTES (64ULL << 20)
#define LOCK_BYTES	  16384 /* more than LMDB's 126 readers need */

/* --- the databases and the generation record --- */

int ledger_put_generation(struct ledger *l, MDB_txn *txn, const struct generation_record *r)
{
	uint8_t buf[RECORD_MAX];
	struct record_key key;
	MDB_val k, v;

	record_key_from_name("generation", &key);
	k = record_key_val(&key);
	v = (MDB_val){ .mv_size = generation_record_encode(r, buf), .mv_data = buf };
	return mdb_put(txn, l->dbi[LEDGER_META], &k, &v, 0);
}

static int open_databases(struct ledger *l, MDB_txn *txn, unsigned flags)
{
	for (int i = 0; i < LEDGER_DBS; i++) {
		int rc = mdb_dbi_open(txn, ledger_dbs[i].name, flags, &l->dbi[i]);

		if (rc)
			return rc;
	}
	return 0;
}

static int create_databases(struct ledger *l, MDB_txn *txn, void *arg)
{
	const struct generation_record *generation = arg;
	int rc;

	rc = open_databases(l, txn, MDB_CREATE);
	if (rc)
		return rc;
	return ledger_put_generation(l, txn, generation);
}

static int read_generation(struct ledger *l, MDB_txn *txn, struct fault *f)
{
	struct record_key key;
	MDB_val k, v;
	int rc, r;

	record_key_from_name("generation", &key);
	k = record_key_val(&key);
	rc = mdb_get(txn, l->dbi[LEDGER_META], &k, &v);
	if (rc)
		return ledger_fault(f, rc, l->dir, "find the generation of");
	r = generation_record_decode(k.mv_data, k.mv_size, v.mv_data, v.mv_size, &l->generation, f);
	if (r < 0)
		return r == -EBADMSG ? -EUCLEAN : r;
	if (l->generation.schema > LEDGER_SCHEMA)
		return fault(f, -EPROTONOSUPPORT,
			     "the ledger in %s has schema %u, and this slotd knows %u: it was made by a "
			     "newer one", l->dir, l->generation.schema, LEDGER_SCHEMA);
	return 0;
}

/* the newest event, or what the generation record says, whichever is later */
static int read_sequence(struct ledger *l, MDB_txn *txn, struct fault *f)
{
	_cleanup_(mdb_cursor_closep) MDB_cursor *cursor = NULL;
	uint64_t sequence = 0;
	MDB_val k, v;
	int rc;

	rc = mdb_cursor_open(txn, l->dbi[LEDGER_EVENTS], &cursor);
	if (rc == 0)
		rc = mdb_cursor_get(cursor, &k, &v, MDB_LAST);
	if (rc && rc != MDB_NOTFOUND)
		return ledger_fault(f, rc, l->dir, "find the last event of");
	if (rc == 0 && !record_key_to_sequence(k.mv_data, k.mv_size, &sequence))
		return fault(f, -EUCLEAN, "the last event of the ledger in %s has no sequence",
			     l->dir);
	if (l->generation.next_sequence > sequence + 1)
		sequence = l->generation.next_sequence - 1;
	l->sequence = sequence;
	l->last_sequence = sequence;
	return 0;
}

enum { DATABASES_ABSENT = 1, DATABASES_OLDER };

static int read_databases(struct ledger *l, struct fault *f)
{
	_cleanup_(mdb_txn_abortp) MDB_txn *txn = NULL;
	int rc, r;

	rc = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn);
	if (rc)
		return ledger_fault(f, rc, l->dir, "read");
	rc = mdb_dbi_open(txn, ledger_dbs[LEDGER_META].name, 0, &l->dbi[LEDGER_META]);
	if (rc == MDB_NOTFOUND)
		return DATABASES_ABSENT;
	if (rc)
		return ledger_fault(f, rc, l->dir, "open the databases of");
	r = read_generation(l, txn, f);
	if (r < 0)
		return r;
	if (l->generation.schema < LEDGER_SCHEMA)
		return DATABASES_OLDER;
	rc = open_databases(l, txn, 0);
	if (rc)
		return ledger_fault(f, rc, l->dir, "open the databases of");
	r = read_sequence(l, txn, f);
	if (r < 0)
		return r;
	/* keeps the handles of the databases */
	rc = mdb_txn_commit(TAKE(txn));
	return rc ? ledger_fault(f, rc, l->dir, "read") : 0;
}

/* --- of an older schema --- */

/* what has come since is there, and empty, in the transaction that says so */
static int raise_schema(struct ledger *l, const char *state_dir, struct fault *f)
{
	_cleanup_(freep) char *kept = text_printf(LEDGER_OLDER "%u", l->generation.schema);
	struct generation_record next = l->generation;
	int r;

	if (!kept)
		return fault_oom(f);
	r = ledger_keep_copy(l, kept, f);
	if (r < 0)
		return r;
	next.schema = LEDGER_SCHEMA;
	r = ledger_write(l, create_databases, &next, f);
	if (r == 0)
		log_notice("the ledger was raised from schema %u to %u; as it was, it is kept in %s/%s",
			   l->generation.schema, LEDGER_SCHEMA, state_dir, kept);
	return r;
}

/* --- the directory --- */

static int make_dir(const char *state_dir, const char *dir, struct fault *f)
{
	int r;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return ledger_fault(f, errno, state_dir, "make a directory for");
	r = fs_sync_dir_at(AT_FDCWD, state_dir);
	return r < 0 ? fault_errno(f, r, "cannot sync %s", state_dir) : 0;
}

/*
 * LMDB writes to its lock file through a map, and leaves it sparse: on a full disk that
 * would be SIGBUS. So it has its blocks before LMDB sees it.
 */
static int reserve_lock(const struct ledger *l, struct fault *f)
{
	_cleanup_(freep) char *path = text_printf("%s/lock.mdb", l->dir);
	_cleanup_(closep) int fd = -1;
	int rc;

	if (!path)
		return fault_oom(f);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return ledger_fault(f, errno, l->dir, "lock");
	do {
		rc = posix_fallocate(fd, 0, LOCK_BYTES);
	} while (rc == EINTR);
	return rc ? ledger_fault(f, rc, l->dir, "lock") : 0;
}

static struct ledger *ledger_new(const char *state_dir, const char *name)
{
	_cleanup_(ledger_closep) struct ledger *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->events_keep = 1;
	l->state_dir = strdup(state_dir);
	l->dir = text_printf("%s/%s", state_dir, name);
	if (!l->state_dir || !l->dir)
		return NULL;
	return TAKE(l);
}

int ledger_open_dir(const char *state_dir, const char *name, uint64_t map_bytes,
		    const struct generation_record *generation, struct ledger **ret,
		    struct fault *f)
{
	_cleanup_(ledger_closep) struct ledger *l = ledger_new(state_dir, name);
	int rc, r;

	if (!l)
		return fault_oom(f);
	r = make_dir(state_dir, l->dir, f);
	if (r == 0)
		r = reserve_lock(l, f);
	if (r < 0)
		return r;
	rc = env_open(l->dir, map_bytes ? map_bytes : DEFAULT_MAP_BYTES, 0, &l->env);
	if (rc)
		return ledger_fault(f, rc, l->dir, "open");
	r = read_databases(l, f);
	if (r == DATABASES_ABSENT) {
		r = ledger_write(l, create_databases, (void *)generation, f);
		/* LMDB syncs its file, but not the name of it */
		if (r == 0)
			r = fs_sync_dir_at(AT_FDCWD, l->dir);
		if (r == 0)
			r = read_databases(l, f);
	} else if (r == DATABASES_OLDER) {
		r = raise_schema(l, state_dir, f);
		if (r == 0)
			r = read_databases(l, f);
	}
	if (r < 0)
		return r;
	*ret = TAKE(l);
	return 0;
}

static int store_generation(struct ledger *l, MDB_txn *txn, void *arg)
{
	return ledger_put_generation(l, txn, arg);
}

/* a new boot is remembered, and how far the events went with it */
static int note_boot(struct ledger *l, struct fault *f)
{
	struct generation_record next = l->generation;
	int r;

	if (memcmp(&next.boot, clock_boot_id(), sizeof(next.boot)) == 0)
		return 0;
	next.boot = *clock_boot_id();
	next.next_sequence = l->sequence + 1;
	r = ledger_write(l, store_generation, &next, f);
	if (r == 0)
		l->generation = next;
	return r;
}

int ledger_open(const char *state_dir, uint64_t map_bytes, uint64_t events_keep,
		struct ledger **ret, struct fault *f)
{
	_cleanup_(ledger_closep) struct ledger *l = NULL;
	struct generation_record fresh = {
		.schema = LEDGER_SCHEMA,
		.created_usec = clock_wall_usec(),
		.next_sequence = 1,
		.boot = *clock_boot_id(),
	};
	int r;

	id_random(&fresh.generation);
	r = ledger_open_dir(state_dir, LEDGER_DIR, map_bytes, &fresh, &l, f);
	if (r < 0)
		return r;
	ledger_set_events_keep(l, events_keep);
	r = note_boot(l, f);
	if (r < 0)
		return r;
	CRASH_POINT("ledger.open.before-marker");
	r = marker_ensure(state_dir, &l->generation.generation, f);
	if (r < 0)
		return r;
	*ret = TAKE(l);
	return 0;
}

void ledger_close(struct ledger *l)
{
	if (!l)
		return;
	if (l->env)
		mdb_env_close(l->env);
	free(l->state_dir);
	free(l->dir);
	free(l);
}

/* --- what it says about itself --- */

const struct generation_record *ledger_generation(const struct ledger *l)
{
	return &l->generation;
}

uint64_t ledger_last_sequence(const struct ledger *l)
{
	return l->last_sequence;
}

void ledger_set_events_keep(struct ledger *l, uint64_t events_keep)
{
	l->events_keep = events_keep > 0 ? events_keep : 1;
}

int ledger_info(struct ledger *l, struct ledger_info *ret, struct fault *f)
{
	_cleanup_(mdb_txn_abortp) MDB_txn *txn = NULL;
	struct ledger_info info = { .commits = l->commits };
	MDB_envinfo env;
	MDB_stat stat;
	int rc;

	if (l->is_lost)
		return ledger_fault(f, MDB_PANIC, l->dir, "look at");
	rc = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn);
	for (int i = 0; rc == 0 && i < LEDGER_DBS; i++) {
		rc = mdb_stat(txn, l->dbi[i], &stat);
		if (rc == 0)
			info.records += stat.ms_entries;
	}
	if (rc == 0)
		rc = mdb_env_info(l->env, &env);
	if (rc)
		return ledger_fault(f, rc, l->dir, "look at");
	info.map_bytes = env.me_mapsize;
	info.used_bytes = (env.me_last_pgno + 1) * (uint64_t)stat.ms_psize;
	*ret = info;
	return 0;
}
