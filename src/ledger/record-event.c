/* What happened, and which ledger this is. */
#include "ledger/codec.h"

#include "util/cleanup.h"

/* clang-format off */
static const struct field event_fields[] = {
	INT(event_record, sequence),
	INT(event_record, at_usec),
	STRING(event_record, kind),
	STRING(event_record, pool),
	STRING(event_record, slot),
	STRING(event_record, lease),
	INT(event_record, uid),
	INT(event_record, token),
	STRING(event_record, detail),
};
/* clang-format on */

static void event_key(const void *record, struct record_key *ret)
{
	record_key_from_sequence(((const struct event_record *)record)->sequence, ret);
}

static const struct record_kind event_kind = {
	.what = "event",
	.id = RECORD_KIND_EVENT,
	.version = 1,
	.size = sizeof(struct event_record),
	.fields = event_fields,
	.n_fields = ARRAY_SIZE(event_fields),
	.key = event_key,
};

size_t event_record_encode(const struct event_record *r, uint8_t *buf)
{
	return record_encode(&event_kind, NULL, r, buf);
}

int event_record_decode(const void *key, size_t key_len, const void *data, size_t len,
			struct event_record *ret, struct fault *f)
{
	return record_decode(&event_kind, key, key_len, data, len, ret, f);
}

/* --- the one record of meta --- */

/* clang-format off */
static const struct field generation_fields[] = {
	INT(generation_record, schema),
	BYTES(generation_record, generation),
	INT(generation_record, created_usec),
	INT(generation_record, token_floor),
	INT(generation_record, next_sequence),
	BYTES(generation_record, boot),
};
/* clang-format on */

static void generation_key(const void *record, struct record_key *ret)
{
	record_key_from_name("generation", ret);
}

static const struct record_kind generation_kind = {
	.what = "generation",
	.id = RECORD_KIND_GENERATION,
	.version = 1,
	.size = sizeof(struct generation_record),
	.fields = generation_fields,
	.n_fields = ARRAY_SIZE(generation_fields),
	.key = generation_key,
};

size_t generation_record_encode(const struct generation_record *r, uint8_t *buf)
{
	return record_encode(&generation_kind, NULL, r, buf);
}

int generation_record_decode(const void *key, size_t key_len, const void *data, size_t len,
			     struct generation_record *ret, struct fault *f)
{
	return record_decode(&generation_kind, key, key_len, data, len, ret, f);
}
