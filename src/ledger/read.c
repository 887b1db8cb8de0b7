/* Copied out before the transaction ends. */
#include "ledger/ledger.h"

#include <errno.h>
#include <string.h>

#include "ledger/env.h"

/* decodes one record and hands it on; anything but 0 ends the reading */
typedef int (*visit_fn)(const MDB_val *key, const MDB_val *val, void *arg, struct fault *f);

/* a record that does not decode is damage of the ledger */
static int from_decode(int r)
{
	return r == -EBADMSG ? -EUCLEAN : r;
}

static int visit_range(struct ledger *l, MDB_txn *txn, enum ledger_db db, struct record_key *from,
		       visit_fn visit, void *arg, struct fault *f)
{
	_cleanup_(mdb_cursor_closep) MDB_cursor *cursor = NULL;
	MDB_cursor_op op = from ? MDB_SET_RANGE : MDB_FIRST;
	MDB_val k = { 0 }, v;
	int rc, r;

	if (from)
		k = record_key_val(from);
	rc = mdb_cursor_open(txn, l->dbi[db], &cursor);
	while (rc == 0) {
		rc = mdb_cursor_get(cursor, &k, &v, op);
		if (rc)
			break;
		op = MDB_NEXT;
		r = visit(&k, &v, arg, f);
		if (r)
			return r < 0 ? r : 0;
	}
	return rc == MDB_NOTFOUND ? 0 : ledger_fault(f, rc, l->dir, "read");
}

static int visit_all(struct ledger *l, enum ledger_db db, struct record_key *from, visit_fn visit,
		     void *arg, struct fault *f)
{
	_cleanup_(mdb_txn_abortp) MDB_txn *txn = NULL;
	int rc, r;

	if (l->is_lost)
		return ledger_fault(f, MDB_PANIC, l->dir, "read");
	rc = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn);
	if (rc)
		return ledger_fault(f, rc, l->dir, "read");
	l->readers++;
	r = visit_range(l, txn, db, from, visit, arg, f);
	l->readers--;
	return r;
}

/* decodes, hands on to struct each_<name> */
#define VISIT(name)                                                                              \
	static int visit_##name(const MDB_val *key, const MDB_val *val, void *arg,               \
				struct fault *f)                                                 \
	{                                                                                        \
		struct each_##name *each = arg;                                                  \
		struct name##_record record;                                                     \
		int r;                                                                           \
                                                                                                 \
		r = name##_record_decode(key->mv_data, key->mv_size, val->mv_data, val->mv_size, \
					 &record, f);                                            \
		if (r < 0)                                                                       \
			return from_decode(r);                                                   \
		r = each->fn(&record, each->userdata);                                           \
		return r < 0 ? r : 0;                                                            \
	}

/* ledger_each_<name>() for a record that carries its own key */
#define EACH(name, db)                                                                           \
	struct each_##name {                                                                     \
		int (*fn)(const struct name##_record *r, void *userdata);                        \
		void *userdata;                                                                  \
	};                                                                                       \
	VISIT(name)                                                                              \
	int ledger_each_##name(struct ledger *l,                                                 \
			       int (*fn)(const struct name##_record *r, void *userdata),         \
			       void *userdata, struct fault *f)                                  \
	{                                                                                        \
		struct each_##name each = { .fn = fn, .userdata = userdata };                    \
                                                                                                 \
		return visit_all(l, db, NULL, visit_##name, &each, f);                           \
	}

EACH(pool, LEDGER_POOLS)
EACH(slot, LEDGER_SLOTS)
EACH(lease, LEDGER_LEASES)
EACH(key, LEDGER_KEYS)
EACH(handoff, LEDGER_HANDOFFS)
EACH(salvage, LEDGER_SALVAGE)
EACH(ticket, LEDGER_TICKETS)
EACH(lease_stats, LEDGER_STATS)

/* --- tokens: the name is the key --- */

struct each_token {
	int (*fn)(const char *name, const struct token_record *r, void *userdata);
	void *userdata;
};

static int visit_token(const MDB_val *key, const MDB_val *val, void *arg, struct fault *f)
{
	struct each_token *each = arg;
	struct token_record record;
	char name[NAME_SIZE];
	int r;

	r = token_record_decode(key->mv_data, key->mv_size, val->mv_data, val->mv_size, &record, f);
	if (r < 0)
		return from_decode(r);
	if (key->mv_size >= sizeof(name))
		return fault(f, -EUCLEAN, "a token record has a name that is too long");
	memcpy(name, key->mv_data, key->mv_size);
	name[key->mv_size] = '\0';
	r = each->fn(name, &record, each->userdata);
	return r < 0 ? r : 0;
}

int ledger_each_token(struct ledger *l,
		      int (*fn)(const char *name, const struct token_record *r, void *userdata),
		      void *userdata, struct fault *f)
{
	struct each_token each = { .fn = fn, .userdata = userdata };

	return visit_all(l, LEDGER_TOKENS, NULL, visit_token, &each, f);
}

/* --- what checks of one pool have left --- */

struct some_verified {
	struct record_key prefix;
	visit_fn visit;
	void *each;
};

/* the others of the pool, and those of other pools, lie before and behind */
static int visit_verified(const MDB_val *key, const MDB_val *val, void *arg, struct fault *f)
{
	struct some_verified *some = arg;

	if (key->mv_size < some->prefix.len ||
	    memcmp(key->mv_data, some->prefix.bytes, some->prefix.len) != 0)
		return 1;
	return some->visit(key, val, some->each, f);
}

static int each_verified(struct ledger *l, const char *pool, char what, visit_fn visit, void *each,
			 struct fault *f)
{
	struct some_verified some = { .visit = visit, .each = each };
	struct record_key from;

	record_key_from_verified(pool, what, "", &some.prefix);
	from = some.prefix;
	return visit_all(l, LEDGER_VERIFIED, &from, visit_verified, &some, f);
}

#define EACH_VERIFIED(name, what)                                                                  \
	struct each_##name {                                                                       \
		int (*fn)(const struct name##_record *r, void *userdata);                          \
		void *userdata;                                                                    \
	};                                                                                         \
	VISIT(name)                                                                                \
	int ledger_each_##name(struct ledger *l, const char *pool,                                 \
			       int (*fn)(const struct name##_record *r, void *userdata),           \
			       void *userdata, struct fault *f)                                    \
	{                                                                                          \
		struct each_##name each = { .fn = fn, .userdata = userdata };                      \
                                                                                                   \
		return each_verified(l, pool, what, visit_##name, &each, f);                       \
	}

EACH_VERIFIED(note, VERIFIED_NOTE)
EACH_VERIFIED(finding, VERIFIED_FINDING)

int ledger_find_check(struct ledger *l, const char *pool, struct check_record *ret, struct fault *f)
{
	_cleanup_(mdb_txn_abortp) MDB_txn *txn = NULL;
	struct record_key key;
	MDB_val k, v;
	int rc, r;

	if (l->is_lost)
		return ledger_fault(f, MDB_PANIC, l->dir, "read");
	rc = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn);
	if (rc)
		return ledger_fault(f, rc, l->dir, "read");
	record_key_from_name(pool, &key);
	k = record_key_val(&key);
	rc = mdb_get(txn, l->dbi[LEDGER_VERIFIED], &k, &v);
	if (rc == MDB_NOTFOUND)
		return -ENOENT;
	if (rc)
		return ledger_fault(f, rc, l->dir, "read");
	r = check_record_decode(k.mv_data, k.mv_size, v.mv_data, v.mv_size, ret, f);
	return from_decode(r);
}

/* --- events: a part of them --- */

struct some_events {
	struct each_event {
		int (*fn)(const struct event_record *r, void *userdata);
		void *userdata;
	} each;
	uint64_t left;
};

static int visit_event(const MDB_val *key, const MDB_val *val, void *arg, struct fault *f)
{
	struct some_events *some = arg;
	struct event_record record;
	int r;

	if (some->left-- == 0)
		return 1;
	r = event_record_decode(key->mv_data, key->mv_size, val->mv_data, val->mv_size, &record, f);
	if (r < 0)
		return from_decode(r);
	r = some->each.fn(&record, some->each.userdata);
	return r < 0 ? r : 0;
}

int ledger_read_events(struct ledger *l, uint64_t since, uint64_t limit,
		       int (*fn)(const struct event_record *r, void *userdata), void *userdata,
		       struct fault *f)
{
	struct some_events some = { .each = { .fn = fn, .userdata = userdata }, .left = limit };
	struct record_key from;

	if (since == UINT64_MAX)
		return 0;
	record_key_from_sequence(since + 1, &from);
	return visit_all(l, LEDGER_EVENTS, &from, visit_event, &some, f);
}
