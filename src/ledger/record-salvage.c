/* What was saved of a slot, and hangs on a ref of its pool's store. */
#include "ledger/codec.h"

#include "util/cleanup.h"

/* clang-format off */
static const struct field salvage_fields[] = {
	STRING(salvage_record, slot),
	BYTES(salvage_record, lease),
	INT(salvage_record, n),
	STRING(salvage_record, pool),
	STRING(salvage_record, agent),
	STRING(salvage_record, task),
	INT(salvage_record, uid),
	STRING(salvage_record, commit),
	INT(salvage_record, taken_usec),
	MOMENT(salvage_record, known),
	STRING(salvage_record, summary),
	INT(salvage_record, bytes),
	STRING(salvage_record, dropping),
	INT(salvage_record, drop_uid),
};
/* clang-format on */

static void salvage_key(const void *record, struct record_key *ret)
{
	const struct salvage_record *r = record;

	record_key_from_salvage(r->slot, &r->lease, r->n, ret);
}

static const struct record_kind salvage_kind = {
	.what = "salvage",
	.id = RECORD_KIND_SALVAGE,
	.version = 1,
	.size = sizeof(struct salvage_record),
	.fields = salvage_fields,
	.n_fields = ARRAY_SIZE(salvage_fields),
	.key = salvage_key,
};

size_t salvage_record_encode(const struct salvage_record *r, uint8_t *buf)
{
	return record_encode(&salvage_kind, NULL, r, buf);
}

int salvage_record_decode(const void *key, size_t key_len, const void *data, size_t len,
			  struct salvage_record *ret, struct fault *f)
{
	return record_decode(&salvage_kind, key, key_len, data, len, ret, f);
}
