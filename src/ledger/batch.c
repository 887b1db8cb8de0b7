/* Memory first, then the disk, then the answers; or everything back. */
#include "ledger/batch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/env.h"
#include "ledger/events.h"
#include "ledger/journal.h"
#include "util/clock.h"
#include "util/crash.h"

struct batch {
	struct ledger *ledger;
	struct journal journal; /* of the batch that is being recorded */
	struct journal spare;	/* its buffer while the other is committed */
};

struct batch *batch_new(struct ledger *l)
{
	_cleanup_(freep) struct batch *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->ledger = l;
	if (journal_init(&b->journal) < 0)
		return NULL;
	if (journal_init(&b->spare) < 0) {
		journal_deinit(&b->journal);
		return NULL;
	}
	return TAKE(b);
}

void batch_free(struct batch *b)
{
	if (!b)
		return;
	assert(batch_is_empty(b));
	journal_deinit(&b->journal);
	journal_deinit(&b->spare);
	free(b);
}

bool batch_is_empty(const struct batch *b)
{
	return b->journal.len == 0;
}

size_t batch_count(const struct batch *b)
{
	return b->journal.writes;
}

/* --- recording what is to be written --- */

static struct entry *begin_write(struct batch *b, enum entry_type type, enum ledger_db db,
				 const struct record_key *key, size_t max)
{
	struct entry *e = journal_add(&b->journal, type, key->len + max);

	if (!e)
		return NULL;
	assert(key->len > 0);
	e->db = (uint8_t)db;
	e->key_len = (uint16_t)key->len;
	memcpy(e->bytes, key->bytes, key->len);
	return e;
}

static void end_write(struct batch *b, struct entry *e, size_t data_len)
{
	e->data_len = (uint32_t)data_len;
	journal_end(&b->journal, e, e->key_len + data_len);
}

static uint8_t *entry_data(struct entry *e)
{
	return e->bytes + e->key_len;
}

/* batch_put_<name>() for a record whose key is in it */
#define PUT(name, db, make_key)                                                            \
	void batch_put_##name(struct batch *b, const struct name##_record *r)              \
	{                                                                                  \
		struct record_key key;                                                     \
		struct entry *e;                                                           \
                                                                                           \
		make_key;                                                                  \
		e = begin_write(b, ENTRY_PUT, db, &key, RECORD_MAX);                       \
		if (e)                                                                     \
			end_write(b, e, name##_record_encode(r, entry_data(e)));           \
	}

PUT(pool, LEDGER_POOLS, record_key_from_name(r->name, &key))
PUT(slot, LEDGER_SLOTS, record_key_from_name(r->name, &key))
PUT(lease, LEDGER_LEASES, record_key_from_id(&r->id, &key))
PUT(key, LEDGER_KEYS, record_key_from_uid(r->uid, r->key, &key))
PUT(handoff, LEDGER_HANDOFFS, record_key_from_id(&r->lease, &key))
PUT(salvage, LEDGER_SALVAGE, record_key_from_salvage(r->slot, &r->lease, r->n, &key))
PUT(ticket, LEDGER_TICKETS, record_key_from_uid(r->uid, r->key, &key))
PUT(note, LEDGER_VERIFIED, record_key_from_verified(r->pool, VERIFIED_NOTE, r->name, &key))
PUT(check, LEDGER_VERIFIED, record_key_from_name(r->pool, &key))
PUT(finding, LEDGER_VERIFIED, record_key_from_verified(r->pool, VERIFIED_FINDING, r->key, &key))
PUT(lease_stats, LEDGER_STATS, record_key_from_name(LEASE_STATS_KEY, &key))

void batch_put_token(struct batch *b, const char *name, const struct token_record *r)
{
	struct record_key key;
	struct entry *e;

	record_key_from_name(name, &key);
	e = begin_write(b, ENTRY_PUT, LEDGER_TOKENS, &key, RECORD_MAX);
	if (e)
		end_write(b, e, token_record_encode(r, name, entry_data(e)));
}

uint64_t batch_event(struct batch *b, const struct event_record *r)
{
	struct event_record event = *r;
	struct record_key key;
	struct entry *e;

	event.sequence = b->ledger->sequence + 1;
	event.at_usec = clock_wall_usec();
	record_key_from_sequence(event.sequence, &key);
	e = begin_write(b, ENTRY_EVENT, LEDGER_EVENTS, &key, RECORD_MAX);
	if (e) {
		end_write(b, e, event_record_encode(&event, entry_data(e)));
		b->ledger->sequence = event.sequence;
	}
	return event.sequence;
}

static void delete (struct batch *b, enum ledger_db db, const struct record_key *key)
{
	struct entry *e = begin_write(b, ENTRY_DELETE, db, key, 0);

	if (e)
		end_write(b, e, 0);
}

static void delete_named(struct batch *b, enum ledger_db db, const char *name)
{
	struct record_key key;

	record_key_from_name(name, &key);
	delete (b, db, &key);
}

static void delete_identified(struct batch *b, enum ledger_db db, const struct id *id)
{
	struct record_key key;

	record_key_from_id(id, &key);
	delete (b, db, &key);
}

static void delete_of_uid(struct batch *b, enum ledger_db db, uint32_t uid, const char *text)
{
	struct record_key key;

	record_key_from_uid(uid, text, &key);
	delete (b, db, &key);
}

void batch_delete_pool(struct batch *b, const char *name)
{
	delete_named(b, LEDGER_POOLS, name);
}

void batch_delete_slot(struct batch *b, const char *name)
{
	delete_named(b, LEDGER_SLOTS, name);
}

void batch_delete_lease(struct batch *b, const struct id *id)
{
	delete_identified(b, LEDGER_LEASES, id);
}

void batch_delete_key(struct batch *b, uint32_t uid, const char *text)
{
	delete_of_uid(b, LEDGER_KEYS, uid, text);
}

void batch_delete_handoff(struct batch *b, const struct id *lease)
{
	delete_identified(b, LEDGER_HANDOFFS, lease);
}

void batch_delete_salvage(struct batch *b, const char *slot, const struct id *lease, uint64_t n)
{
	struct record_key key;

	record_key_from_salvage(slot, lease, n, &key);
	delete (b, LEDGER_SALVAGE, &key);
}

void batch_delete_ticket(struct batch *b, uint32_t uid, const char *text)
{
	delete_of_uid(b, LEDGER_TICKETS, uid, text);
}

static void delete_verified(struct batch *b, const char *pool, char what, const char *name)
{
	struct record_key key;

	record_key_from_verified(pool, what, name, &key);
	delete (b, LEDGER_VERIFIED, &key);
}

void batch_delete_note(struct batch *b, const char *pool, const char *name)
{
	delete_verified(b, pool, VERIFIED_NOTE, name);
}

void batch_delete_finding(struct batch *b, const char *pool, const char *finding)
{
	delete_verified(b, pool, VERIFIED_FINDING, finding);
}

static void clear(struct batch *b, enum ledger_db db, const char *pool, char what)
{
	struct record_key key;
	struct entry *e;

	record_key_from_verified(pool, what, "", &key);
	e = begin_write(b, ENTRY_CLEAR, db, &key, 0);
	if (e)
		end_write(b, e, 0);
}

void batch_clear_notes(struct batch *b, const char *pool)
{
	clear(b, LEDGER_VERIFIED, pool, VERIFIED_NOTE);
}

void batch_clear_verified(struct batch *b, const char *pool)
{
	delete_named(b, LEDGER_VERIFIED, pool);
	clear(b, LEDGER_VERIFIED, pool, VERIFIED_FINDING);
	clear(b, LEDGER_VERIFIED, pool, VERIFIED_NOTE);
}

/* --- recording how to take it back, and what comes afterwards --- */

void batch_save(struct batch *b, void *memory, size_t size)
{
	struct entry *e = journal_add(&b->journal, ENTRY_SAVE, size);

	e->u.memory = memory;
	e->data_len = (uint32_t)size;
	memcpy(e->bytes, memory, size);
	journal_end(&b->journal, e, size);
}

void batch_undo(struct batch *b, void (*fn)(void *arg), void *arg)
{
	struct entry *e = journal_add(&b->journal, ENTRY_UNDO, 0);

	e->u.undo = fn;
	e->arg = arg;
	journal_end(&b->journal, e, 0);
}

void batch_after(struct batch *b, batch_after_fn fn, void *arg)
{
	struct entry *e = journal_add(&b->journal, ENTRY_AFTER, 0);

	e->u.after = fn;
	e->arg = arg;
	journal_end(&b->journal, e, 0);
}

/* --- taking it back --- */

/* the newest first, so that each sees memory as it was when it was recorded */
static void undo(struct batch *b, struct journal *j, size_t mark)
{
	size_t at = j->len;

	while (at > mark) {
		struct entry *e;

		at = journal_before(j, at);
		e = journal_at(j, at);
		if (e->type == ENTRY_SAVE)
			memcpy(e->u.memory, e->bytes, e->data_len);
		else if (e->type == ENTRY_UNDO)
			e->u.undo(e->arg);
		else if (e->type == ENTRY_EVENT)
			b->ledger->sequence--;
	}
}

/* the buffer may move while a function records into the same journal */
static void run_after(struct journal *j, size_t from, size_t to, int error, const struct fault *why)
{
	for (size_t at = from; at < to; at += journal_at(j, at)->size) {
		struct entry *e = journal_at(j, at);

		if (e->type == ENTRY_AFTER)
			e->u.after(e->arg, error, why);
	}
}

size_t batch_mark(const struct batch *b)
{
	return b->journal.len;
}

void batch_rollback(struct batch *b, size_t mark)
{
	static const struct fault why = { .text = "the request was taken back" };
	size_t end = b->journal.len;

	assert(mark <= end);
	undo(b, &b->journal, mark);
	run_after(&b->journal, mark, end, -ECANCELED, &why);
	journal_cut(&b->journal, mark, end);
}

/* --- committing --- */

static bool begins_with(const MDB_val *key, const MDB_val *prefix)
{
	return key->mv_size >= prefix->mv_size &&
	       memcmp(key->mv_data, prefix->mv_data, prefix->mv_size) == 0;
}

/* every record whose key begins so */
static int clear_range(MDB_txn *txn, MDB_dbi dbi, MDB_val prefix)
{
	_cleanup_(mdb_cursor_closep) MDB_cursor *cursor = NULL;
	int rc = mdb_cursor_open(txn, dbi, &cursor);

	while (rc == 0) {
		MDB_val k = prefix, v;

		rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
		if (rc == 0 && !begins_with(&k, &prefix))
			return 0;
		if (rc == 0)
			rc = mdb_cursor_del(cursor, 0);
	}
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int write_entry(struct ledger *l, MDB_txn *txn, struct entry *e)
{
	MDB_val k = { .mv_size = e->key_len, .mv_data = e->bytes };
	MDB_val v = { .mv_size = e->data_len, .mv_data = entry_data(e) };
	int rc;

	if (e->type == ENTRY_DELETE) {
		rc = mdb_del(txn, l->dbi[e->db], &k, NULL);
		return rc == MDB_NOTFOUND ? 0 : rc;
	}
	if (e->type == ENTRY_CLEAR)
		return clear_range(txn, l->dbi[e->db], k);
	/* events come in order: without splitting pages in the middle */
	return mdb_put(txn, l->dbi[e->db], &k, &v, e->type == ENTRY_EVENT ? MDB_APPEND : 0);
}

static int write_journal(struct ledger *l, MDB_txn *txn, void *arg)
{
	struct journal *j = arg;
	size_t events = 0;
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < j->len; at += journal_at(j, at)->size) {
		struct entry *e = journal_at(j, at);

		if (e->type > ENTRY_CLEAR)
			continue;
		rc = write_entry(l, txn, e);
		events += e->type == ENTRY_EVENT;
		CRASH_POINT("ledger.commit.put");
	}
	return rc ? rc : events_trim(l, txn, events);
}

static int make_durable(struct batch *b, struct journal *j, struct fault *f)
{
	if (j->failed)
		return fault_oom(f);
	if (j->writes == 0)
		return 0;
	return ledger_write(b->ledger, write_journal, j, f);
}

/* the buffer for the next turn */
static void recycle(struct batch *b, struct journal *j)
{
	journal_clear(j);
	if (b->spare.buf)
		journal_deinit(j);
	else
		b->spare = *j;
}

int batch_commit(struct batch *b, struct fault *f)
{
	struct journal j = b->journal;
	struct fault why = FAULT_NONE;
	int r;

	if (j.len == 0)
		return 0;
	r = make_durable(b, &j, &why);
	if (r < 0)
		undo(b, &j, 0);
	else
		b->ledger->last_sequence = b->ledger->sequence;

	/* whatever the answers record is the next batch */
	b->journal = b->spare;
	b->spare = (struct journal){ 0 };
	run_after(&j, 0, j.len, r, r < 0 ? &why : NULL);
	recycle(b, &j);
	return r < 0 ? fault(f, r, "%s", why.text) : 0;
}
