/**
 * DOC: batch - all changes of one turn of the loop, committed together
 *
 * Who decides changes memory at once and records here what is to be written, how to
 * take the change back, and what to do once it is durable (answer, send a job).
 * batch_commit() writes everything in one transaction with one sync. If it fails,
 * memory is put back to what it was before the first change and everybody waiting is
 * told; so memory never says what the disk does not.
 *
 * Calling sequence
 * ----------------
 *	mark = batch_mark(b);
 *	batch_save(b, &slot->rec, sizeof(slot->rec));	before the first change
 *	slot->rec.state = ...;
 *	batch_put_slot(b, &slot->rec);
 *	batch_after(b, answer, call);
 *	if (something failed)
 *		batch_rollback(b, mark);		this request only
 *	...
 *	batch_commit(b);				at the end of the turn
 *
 * A crash before the commit's sync leaves none of it, a crash after it all of it.
 * Memory running out while recording sets the batch to failed: commit then fails with
 * -ENOMEM and undoes everything, so the recording calls return nothing. A reserve is kept for
 * what undoing needs; when that is used up too, the process ends, for the ledger is right and
 * memory is not.
 */
#ifndef LEDGER_BATCH_H
#define LEDGER_BATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "ledger/ledger.h"

struct batch;

struct batch *batch_new(struct ledger *l); /* NULL: no memory */
void batch_free(struct batch *b);	   /* must be empty; accepts NULL */

bool batch_is_empty(const struct batch *b);
size_t batch_count(const struct batch *b); /* writes recorded */

/* --- what is to be written; the record is copied --- */
void batch_put_pool(struct batch *b, const struct pool_record *r);
void batch_put_slot(struct batch *b, const struct slot_record *r);
void batch_put_lease(struct batch *b, const struct lease_record *r);
void batch_put_key(struct batch *b, const struct key_record *r);
void batch_put_token(struct batch *b, const char *name, const struct token_record *r);
void batch_put_handoff(struct batch *b, const struct handoff_record *r);
void batch_put_salvage(struct batch *b, const struct salvage_record *r);
void batch_put_ticket(struct batch *b, const struct ticket_record *r);
void batch_put_note(struct batch *b, const struct note_record *r);
void batch_put_check(struct batch *b, const struct check_record *r);
void batch_put_finding(struct batch *b, const struct finding_record *r);
void batch_put_lease_stats(struct batch *b, const struct lease_stats_record *r);
void batch_delete_pool(struct batch *b, const char *name);
void batch_delete_slot(struct batch *b, const char *name);
void batch_delete_lease(struct batch *b, const struct id *id);
void batch_delete_key(struct batch *b, uint32_t uid, const char *key);
void batch_delete_handoff(struct batch *b, const struct id *lease);
void batch_delete_salvage(struct batch *b, const char *slot, const struct id *lease, uint64_t n);
void batch_delete_ticket(struct batch *b, uint32_t uid, const char *key);
void batch_delete_note(struct batch *b, const char *pool, const char *name);
void batch_delete_finding(struct batch *b, const char *pool, const char *key);
/* all notes of a pool; those that are put afterwards in the same batch are what it has then */
void batch_clear_notes(struct batch *b, const char *pool);
/* all that checks of a pool have left: its notes, findings and the check itself */
void batch_clear_verified(struct batch *b, const char *pool);

/**
 * batch_event - record history
 * @r: sequence and at_usec are set here
 *
 * Returns the sequence it has. Older events than events.keep go in the same transaction.
 * A rollback takes the sequence back.
 */
uint64_t batch_event(struct batch *b, const struct event_record *r);

/* --- how to take it back --- */

/* keep these bytes, to be put back on rollback; call before changing them */
void batch_save(struct batch *b, void *memory, size_t size);

/* call this on rollback, after the bytes that were saved later are back, before earlier ones are */
void batch_undo(struct batch *b, void (*fn)(void *arg), void *arg);

/* --- what comes afterwards --- */

/**
 * batch_after_fn
 * @error: 0: it is on disk; else the negative errno, memory is undone already
 * @why: the sentence when @error is not 0
 */
typedef void (*batch_after_fn)(void *arg, int error, const struct fault *why);

/* run after the commit, in the order in which they were recorded; dropped by a rollback past it
 * with @error -ECANCELED, and then they must not commit */
void batch_after(struct batch *b, batch_after_fn fn, void *arg);

/* --- --- */

size_t batch_mark(const struct batch *b);
void batch_rollback(struct batch *b, size_t mark);

/**
 * batch_commit - make it durable, then run what comes afterwards
 *
 * One transaction, one sync; a full map grows and the transaction is repeated. An after-function may
 * record into the same batch again: that is the next batch. 0, or the fault that everybody was told.
 */
int batch_commit(struct batch *b, struct fault *f);

#endif
