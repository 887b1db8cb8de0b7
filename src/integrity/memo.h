/**
 * DOC: memo - what was verified in earlier checks
 *
 * Small notes by name ("pack-<hex>", "loose-ab", ...) that a check is given, reads, and leaves changed; whoever
 * runs it keeps them in between (the ledger's "verified"). What is in a note is the check's own matter: one
 * that it does not understand counts as none, so that a lost or old note costs time and nothing else.
 *
 * Calling sequence
 * ----------------
 * 1. memo_new(), memo_put() for each that was kept
 * 2. check_run()
 * 3. memo_foreach(): what is to be kept from now on, in place of all that was
 * 4. memo_free()
 */
#ifndef INTEGRITY_MEMO_H
#define INTEGRITY_MEMO_H

#include <stddef.h>
#include <stdint.h>

#define MEMO_NAME_BYTES 64   /* at most, with its NUL */
#define MEMO_NOTE_BYTES 7000 /* of a note at most */

struct memo;

struct memo *memo_new(void); /* NULL: no memory */
void memo_free(struct memo *memo); /* accepts NULL */

/* replaces one of that name; @data is copied. 0; -ENOMEM; -EINVAL: a name or note that is too long */
int memo_put(struct memo *memo, const char *name, const void *data, size_t len);
void memo_remove(struct memo *memo, const char *name);
void memo_clear(struct memo *memo);

/* borrowed until it is changed; NULL: there is none */
const void *memo_find(const struct memo *memo, const char *name, size_t *ret_len);

/* in no order; @fn may not change the memo. A negative return ends it and is returned */
int memo_foreach(const struct memo *memo,
		 int (*fn)(const char *name, const void *data, size_t len, void *userdata), void *userdata);

#endif
