/*
 * Any bytes as a record under any key. The first byte chooses the record; its highest bit has
 * the checksum put right, so that the fields behind it are reached. The second is the length
 * of the key. What decodes must encode to the very bytes that were read, if it is no earlier version.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/codec.h"

#define KINDS	 14
#define SEAL_BIT 0x80

union any {
	struct pool_record pool;
	struct slot_record slot;
	struct lease_record lease;
	struct key_record key;
	struct token_record token;
	struct event_record event;
	struct generation_record generation;
	struct handoff_record handoff;
	struct ticket_record ticket;
	struct lease_stats_record lease_stats;
	struct salvage_record salvage;
	struct note_record note;
	struct check_record check;
	struct finding_record finding;
};

static int decode(unsigned kind, const uint8_t *key, size_t key_len, const uint8_t *data,
		  size_t len, union any *ret)
{
	switch (kind) {
	case 0:
		return pool_record_decode(key, key_len, data, len, &ret->pool, NULL);
	case 1:
		return slot_record_decode(key, key_len, data, len, &ret->slot, NULL);
	case 2:
		return lease_record_decode(key, key_len, data, len, &ret->lease, NULL);
	case 3:
		return key_record_decode(key, key_len, data, len, &ret->key, NULL);
	case 4:
		return token_record_decode(key, key_len, data, len, &ret->token, NULL);
	case 5:
		return event_record_decode(key, key_len, data, len, &ret->event, NULL);
	case 7:
		return handoff_record_decode(key, key_len, data, len, &ret->handoff, NULL);
	case 8:
		return ticket_record_decode(key, key_len, data, len, &ret->ticket, NULL);
	case 9:
		return lease_stats_record_decode(key, key_len, data, len, &ret->lease_stats, NULL);
	case 10:
		return salvage_record_decode(key, key_len, data, len, &ret->salvage, NULL);
	case 11:
		return note_record_decode(key, key_len, data, len, &ret->note, NULL);
	case 12:
		return check_record_decode(key, key_len, data, len, &ret->check, NULL);
	case 13:
		return finding_record_decode(key, key_len, data, len, &ret->finding, NULL);
	default:
		return generation_record_decode(key, key_len, data, len, &ret->generation, NULL);
	}
}

static size_t encode(unsigned kind, const char *name, const union any *r, uint8_t *buf)
{
	switch (kind) {
	case 0:
		return pool_record_encode(&r->pool, buf);
	case 1:
		return slot_record_encode(&r->slot, buf);
	case 2:
		return lease_record_encode(&r->lease, buf);
	case 3:
		return key_record_encode(&r->key, buf);
	case 4:
		return token_record_encode(&r->token, name, buf);
	case 5:
		return event_record_encode(&r->event, buf);
	case 7:
		return handoff_record_encode(&r->handoff, buf);
	case 8:
		return ticket_record_encode(&r->ticket, buf);
	case 9:
		return lease_stats_record_encode(&r->lease_stats, buf);
	case 10:
		return salvage_record_encode(&r->salvage, buf);
	case 11:
		return note_record_encode(&r->note, buf);
	case 12:
		return check_record_encode(&r->check, buf);
	case 13:
		return finding_record_encode(&r->finding, buf);
	default:
		return generation_record_encode(&r->generation, buf);
	}
}

static void check(unsigned kind, const uint8_t *key, size_t key_len, const uint8_t *data,
		  size_t len)
{
	uint8_t again[RECORD_MAX];
	char name[NAME_SIZE] = "";
	size_t again_len;
	union any r;

	if (decode(kind, key, key_len, data, len, &r) < 0)
		return;
	/* a token's name is the key alone, and as text it may be shorter than that */
	if (key_len < sizeof(name))
		memcpy(name, key, key_len);
	if (kind == 4 && strlen(name) != key_len)
		return;
	again_len = encode(kind, name, &r, again);
	if (again[1] == data[1] && (again_len != len || memcmp(again, data, len) != 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t key_len, len;
	uint8_t *record;

	if (size < 2 || size - 2 < data[1])
		return 0;
	key_len = data[1];
	len = size - 2 - key_len;
	record = malloc(len ? len : 1);
	if (!record)
		return 0;
	memcpy(record, data + 2 + key_len, len);
	if (data[0] & SEAL_BIT && len >= RECORD_HEADER)
		record_seal(data + 2, key_len, record, len);
	check((data[0] & (SEAL_BIT - 1)) % KINDS, data + 2, key_len, record, len);
	free(record);
	return 0;
}
