/**
 * DOC: codec - records to bytes and back, by a table of fields
 *
 * Inside the ledger only. On disk a record is
 *
 *	kind 1 | version 1 | CRC-32 4 | field | field | ...
 *
 * Integers are little-endian and as wide as in memory, byte arrays are as they are, a
 * string has two bytes of length and no NUL, and so have bytes of any number. There is one way to write a record, and
 * whatever decodes encodes to the same bytes again, unless it was written by an earlier
 * version: that lacks the fields which came later, they are zero, and it is written as the
 * newest. The checksum covers the key, so that a record which is found under a wrong key is
 * damaged too.
 */
#ifndef LEDGER_CODEC_H
#define LEDGER_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger/record.h"

#define RECORD_HEADER  6
#define RECORD_KEY_MAX 144 /* a pool's name and that of a note are the longest */

/* where a record is filed */
struct record_key {
	size_t len;
	uint8_t bytes[RECORD_KEY_MAX];
};

enum field_type {
	FIELD_INT = 1,
	FIELD_BYTES,
	FIELD_STRING,
	FIELD_BLOB, /* a uint32_t that says how many, and room for them: struct { uint32_t len; uint8_t data[]; } */
};

struct field {
	uint8_t type;	       /* enum field_type */
	uint8_t min, max;      /* of an integer of one byte; max 0: any */
	uint8_t since;	       /* the version of the record that brought it; 0: the first */
	uint16_t offset, size; /* in the struct */
};

/* clang-format off */
#define FIELD_(kind, s, member) \
	.type = (kind), .offset = offsetof(struct s, member), .size = sizeof(((struct s *)0)->member)
#define INT(s, member)	  { FIELD_(FIELD_INT, s, member) }
#define BYTES(s, member)  { FIELD_(FIELD_BYTES, s, member) }
#define STRING(s, member) { FIELD_(FIELD_STRING, s, member) }
#define BLOB(s, member)	  { FIELD_(FIELD_BLOB, s, member) }
#define RANGE(s, member, low, high) { FIELD_(FIELD_INT, s, member), .min = (low), .max = (high) }
#define BOOL(s, member) RANGE(s, member, 0, 1)
#define INT_SINCE(n, s, member)	   { FIELD_(FIELD_INT, s, member), .since = (n) }
#define BYTES_SINCE(n, s, member)  { FIELD_(FIELD_BYTES, s, member), .since = (n) }
#define BOOL_SINCE(n, s, member)   { FIELD_(FIELD_INT, s, member), .max = 1, .since = (n) }
#define STRING_SINCE(n, s, member) { FIELD_(FIELD_STRING, s, member), .since = (n) }
#define MOMENT(s, member) \
	INT(s, member.wall_usec), INT(s, member.boot_usec), BYTES(s, member.boot)
/* clang-format on */

/* values on disk: never reused */
enum record_kind_id {
	RECORD_KIND_POOL = 1,
	RECORD_KIND_SLOT,
	RECORD_KIND_LEASE,
	RECORD_KIND_KEY,
	RECORD_KIND_TOKEN,
	RECORD_KIND_EVENT,
	RECORD_KIND_GENERATION,
	RECORD_KIND_HANDOFF,
	RECORD_KIND_TICKET,
	RECORD_KIND_LEASE_STATS,
	RECORD_KIND_SALVAGE,
	RECORD_KIND_NOTE,
	RECORD_KIND_CHECK,
	RECORD_KIND_FINDING,
};

#define LEASE_STATS_KEY "leases"

struct record_kind {
	const char *what; /* "slot": for sentences */
	uint8_t id;	  /* enum record_kind_id */
	uint8_t version;
	size_t size; /* of the struct */
	const struct field *fields;
	size_t n_fields;
	void (*key)(const void *record, struct record_key *ret); /* NULL: the caller knows */
};

void record_key_from_name(const char *name, struct record_key *ret);
void record_key_from_id(const struct id *id, struct record_key *ret);
void record_key_from_uid(uint32_t uid, const char *text, struct record_key *ret);
void record_key_from_salvage(const char *slot, const struct id *lease, uint64_t n,
			     struct record_key *ret);
/* in one database, told apart by what follows the pool's name: nothing (its check), and one of these */
#define VERIFIED_NOTE	 '/'
#define VERIFIED_FINDING '!'
void record_key_from_verified(const char *pool, char what, const char *name, struct record_key *ret);
void record_key_from_sequence(uint64_t sequence, struct record_key *ret);

/* of a key in events; false: it is none */
bool record_key_to_sequence(const void *key, size_t key_len, uint64_t *ret);

/**
 * record_encode - write at most RECORD_MAX bytes
 * @key: NULL: by kind->key
 *
 * Returns how many. A string without NUL and a value out of range are assertions.
 */
size_t record_encode(const struct record_kind *kind, const struct record_key *key,
		     const void *record, uint8_t *buf);

/* 0, -EBADMSG or -EPROTONOSUPPORT; @ret (kind->size bytes, padding zeroed) on success only */
int record_decode(const struct record_kind *kind, const void *key, size_t key_len, const void *data,
		  size_t len, void *ret, struct fault *f);

/* header and checksum alone, for records of any kind: 0 or -EBADMSG */
int record_check(const void *key, size_t key_len, const void *data, size_t len, struct fault *f);

/* a record of the database "verified", of whichever kind */
int verified_decode(const void *key, size_t key_len, const void *data, size_t len, struct fault *f);

/* put the right checksum into an encoded record */
void record_seal(const void *key, size_t key_len, uint8_t *data, size_t len);

#endif
