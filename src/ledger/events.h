/**
 * DOC: events - the history does not grow without end
 *
 * Inside the ledger only.
 */
#ifndef LEDGER_EVENTS_H
#define LEDGER_EVENTS_H

#include "ledger/env.h"

/**
 * events_trim - delete the oldest above events_keep
 * @added: events that this transaction has put
 *
 * At most 1,000 more than were added, so that a lowered limit is reached over some
 * commits and no caller waits for all of it. Returns LMDB's code.
 */
int events_trim(struct ledger *l, MDB_txn *txn, size_t added);

#endif
