/**
 * DOC: journal - what a batch remembers, in the order in which it was told
 *
 * Inside the ledger only. One growing buffer of entries, each padded to 8 bytes, that is
 * walked forwards to write and to answer, and backwards to undo. It is kept from batch to
 * batch, so that recording is a few copies.
 *
 * Half of the buffer is a reserve: it grows early, and when it cannot, writes are
 * refused (the batch has failed) while what is needed to undo and to answer still fits.
 */
#ifndef LEDGER_JOURNAL_H
#define LEDGER_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger/batch.h"

enum entry_type {
	ENTRY_PUT = 1, /* key, value */
	ENTRY_EVENT,   /* the same, with a sequence that is taken back */
	ENTRY_DELETE,  /* key */
	ENTRY_CLEAR,   /* key: of one record, and the beginning of those that go with it */
	ENTRY_SAVE,    /* bytes of memory */
	ENTRY_UNDO,    /* a function */
	ENTRY_AFTER,   /* a function */
};

struct entry {
	uint32_t size;	    /* with this header and the padding */
	uint32_t prev_size; /* of the entry before; 0: this is the first */
	uint8_t type;	    /* enum entry_type */
	uint8_t db;	    /* enum ledger_db */
	uint16_t key_len;
	uint32_t data_len;
	union {
		void *memory;	      /* of a save */
		void (*undo)(void *); /* with arg */
		batch_after_fn after; /* with arg */
	} u;
	void *arg;
	uint8_t bytes[]; /* key and data, or the saved bytes */
};

struct journal {
	uint8_t *buf;
	size_t len, size;
	uint32_t last_size; /* of the last entry */
	size_t writes;	    /* puts, events and deletes */
	bool failed;	    /* memory ran out: a write is missing */
};

/* 0 or -ENOMEM; an empty one may also be { 0 }, without a reserve yet */
int journal_init(struct journal *j);
void journal_deinit(struct journal *j);

/* empties it and keeps the buffer, unless it has become very large */
void journal_clear(struct journal *j);

/**
 * journal_add - room for an entry with up to @max bytes behind it
 *
 * Returns the entry, zeroed but for size; journal_end() says how many bytes were used. NULL
 * when memory ran out, and the journal has failed; for saves, undos and afters, which must
 * not be lost, that ends the process: what is in memory would be neither true nor mendable.
 */
struct entry *journal_add(struct journal *j, enum entry_type type, size_t max);
void journal_end(struct journal *j, struct entry *e, size_t used);

/* offsets, since the buffer moves */
static inline struct entry *journal_at(const struct journal *j, size_t offset)
{
	return (struct entry *)(j->buf + offset);
}

/* of the entry that ends at @end */
size_t journal_before(const struct journal *j, size_t end);

/* drops the entries in [from, to), which start and end with an entry; later ones move down */
void journal_cut(struct journal *j, size_t from, size_t to);

#endif
