/* LMDB's codes end here. */
#include "ledger/env.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "util/crash.h"

/* one that comes later has a schema of its own: LEDGER_SCHEMA goes up, and a row names it */
const struct ledger_db_kind ledger_dbs[LEDGER_DBS] = {
	[LEDGER_META] = { "meta", 1 },
	[LEDGER_POOLS] = { "pools", 1 },
	[LEDGER_SLOTS] = { "slots", 1 },
	[LEDGER_LEASES] = { "leases", 1 },
	[LEDGER_TOKENS] = { "tokens", 1 },
	[LEDGER_KEYS] = { "keys", 1 },
	[LEDGER_EVENTS] = { "events", 1 },
	[LEDGER_CHECKPOINTS] = { "checkpoints", 1 },
	[LEDGER_BREAKERS] = { "breakers", 1 },
	[LEDGER_VERIFIED] = { "verified", 1 },
	[LEDGER_STATS] = { "stats", 1 },
	[LEDGER_HANDOFFS] = { "handoffs", 2 },
	[LEDGER_TICKETS] = { "tickets", 2 },
	[LEDGER_SALVAGE] = { "salvage", 2 },
};

/* less than this and a short write was the disk's end, not its failure */
#define FULL_BELOW_BYTES (1 << 20)

static bool disk_is_full(const char *dir)
{
	struct statvfs st;
	uint64_t blocks;

	if (statvfs(dir, &st) < 0)
		return false;
	blocks = geteuid() == 0 ? st.f_bfree : st.f_bavail;
	return blocks * st.f_frsize < FULL_BELOW_BYTES;
}

int ledger_fault(struct fault *f, int rc, const char *dir, const char *doing)
{
	if (rc == ENOSPC || rc == EDQUOT || (rc == EIO && disk_is_full(dir)))
		return fault(f, -ENOSPC,
			     "cannot %s the ledger in %s: %s; nothing was changed, make room there",
			     doing, dir,
			     rc == EDQUOT ? "the quota is used up" : "the disk is full");
	if (rc == MDB_PANIC)
		return fault(f, -ENOTRECOVERABLE,
			     "cannot %s the ledger in %s: an earlier write failed; restart slotd",
			     doing, dir);
	if (rc > 0)
		return fault_errno(f, -rc, "cannot %s the ledger in %s", doing, dir);

	fault(f, 0, "cannot %s the ledger in %s: %s", doing, dir, mdb_strerror(rc));
	switch (rc) {
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
	case MDB_NOTFOUND:
	case MDB_INCOMPATIBLE:
	case MDB_KEYEXIST:
		return -EUCLEAN;
	case MDB_READERS_FULL:
	case MDB_MAP_RESIZED:
		return -EAGAIN;
	case MDB_TXN_FULL:
		return -E2BIG;
	default:
		return -EIO;
	}
}

static uint64_t round_to_pages(uint64_t bytes)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	return (bytes + page - 1) / page * page;
}

int env_open(const char *dir, uint64_t map_bytes, unsigned flags, MDB_env **ret)
{
	_cleanup_(mdb_env_closep) MDB_env *env = NULL;
	int rc;

	rc = mdb_env_create(&env);
	if (rc)
		return rc;
	rc = mdb_env_set_maxdbs(env, LEDGER_DBS);
	if (rc == 0 && map_bytes > 0)
		rc = mdb_env_set_mapsize(env, round_to_pages(map_bytes));
	if (rc == 0)
		rc = mdb_env_open(env, dir, flags | MDB_NOTLS, 0600);
	if (rc)
		return rc;
	*ret = TAKE(env);
	return 0;
}

/*
 * LMDB lets go of the old map before it asks for the new one and cannot go back.
 * So ask first, while the old one is still there.
 */
static bool address_space_has(size_t bytes)
{
	void *probe =
		mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (probe == MAP_FAILED)
		return false;
	munmap(probe, bytes);
	return true;
}

static int map_grow(struct ledger *l, struct fault *f)
{
	MDB_envinfo info;
	int dead;
	int rc;

	assert(l->readers == 0);
	rc = mdb_env_info(l->env, &info);
	if (rc)
		return ledger_fault(f, rc, l->dir, "grow");
	/* a reader that was killed holds on to old pages; without it this may be enough */
	rc = mdb_reader_check(l->env, &dead);
	if (rc)
		return ledger_fault(f, rc, l->dir, "grow");
	if (info.me_mapsize > SIZE_MAX / 4 || !address_space_has(info.me_mapsize * 2))
		return fault(f, -ENOMEM, "cannot grow the ledger in %s beyond %zu bytes", l->dir,
			     info.me_mapsize);
	rc = mdb_env_set_mapsize(l->env, info.me_mapsize * 2);
	if (rc) {
		l->is_lost = true;
		return ledger_fault(f, MDB_PANIC, l->dir, "grow");
	}
	return 0;
}

static int write_once(struct ledger *l, int (*fn)(struct ledger *l, MDB_txn *txn, void *arg),
		      void *arg)
{
	_cleanup_(mdb_txn_abortp) MDB_txn *txn = NULL;
	int rc;

	rc = mdb_txn_begin(l->env, NULL, 0, &txn);
	if (rc)
		return rc;
	CRASH_POINT("ledger.commit.begin");
	rc = fn(l, txn, arg);
	if (rc)
		return rc;
	CRASH_POINT("ledger.commit.before-sync");
	rc = mdb_txn_commit(TAKE(txn));
	if (rc == 0)
		CRASH_POINT("ledger.commit.after-sync");
	return rc;
}

int ledger_write(struct ledger *l, int (*fn)(struct ledger *l, MDB_txn *txn, void *arg), void *arg,
		 struct fault *f)
{
	int rc, r;

	if (l->is_lost)
		return ledger_fault(f, MDB_PANIC, l->dir, "write to");
	for (;;) {
		rc = write_once(l, fn, arg);
		if (rc != MDB_MAP_FULL)
			break;
		r = map_grow(l, f);
		if (r < 0)
			return r;
	}
	if (rc)
		return ledger_fault(f, rc, l->dir, "write to");
	l->commits++;
	return 0;
}
