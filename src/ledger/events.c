/* The oldest go in the transaction that brings the newest. */
#include "ledger/events.h"

#define TRIM_AT_ONCE 1000

int events_trim(struct ledger *l, MDB_txn *txn, size_t added)
{
	_cleanup_(mdb_cursor_closep) MDB_cursor *cursor = NULL;
	MDB_dbi dbi = l->dbi[LEDGER_EVENTS];
	MDB_val k, v;
	MDB_stat stat;
	size_t excess;
	int rc;

	rc = mdb_stat(txn, dbi, &stat);
	if (rc || stat.ms_entries <= l->events_keep)
		return rc;
	excess = stat.ms_entries - l->events_keep;
	if (excess > added + TRIM_AT_ONCE)
		excess = added + TRIM_AT_ONCE;
	rc = mdb_cursor_open(txn, dbi, &cursor);
	for (; rc == 0 && excess > 0; excess--) {
		rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
		if (rc == 0)
			rc = mdb_cursor_del(cursor, 0);
	}
	return rc;
}
