/* What a slot is, and the names of its states. */
#include "ledger/codec.h"

#include <errno.h>
#include <string.h>

#include "util/cleanup.h"

/* clang-format off */
static const struct field slot_fields[] = {
	STRING(slot_record, name),
	STRING(slot_record, pool),
	RANGE(slot_record, state, SLOT_STATE_CREATING, SLOT_STATE_REMOVING),
	BOOL(slot_record, discard),
	BOOL(slot_record, forget),
	STRING(slot_record, reason),
	STRING(slot_record, head),
	STRING(slot_record, branch),
	STRING(slot_record, target),
	BYTES(slot_record, lease),
	INT(slot_record, token),
	INT(slot_record, dev),
	INT(slot_record, ino),
	INT(slot_record, since_usec),
	INT(slot_record, created_usec),
	INT(slot_record, released_usec),
	INT(slot_record, allocations),
	INT(slot_record, used_usec),
	INT(slot_record, disk_bytes),
	INT(slot_record, isolated_usec),
	STRING(slot_record, isolated_by),
	STRING(slot_record, last_agent),
	STRING(slot_record, last_branch),
	INT(slot_record, attempts),
	BYTES(slot_record, boot),
	BYTES_SINCE(2, slot_record, left_lease),
	INT_SINCE(2, slot_record, left_uid),
	STRING_SINCE(2, slot_record, left_task),
	STRING_SINCE(2, slot_record, left_base),
	INT_SINCE(2, slot_record, left_since_usec),
	INT_SINCE(2, slot_record, left_usec),
	BOOL_SINCE(2, slot_record, unsure),
	STRING_SINCE(2, slot_record, left_by),
	STRING_SINCE(2, slot_record, warmed),
	INT_SINCE(2, slot_record, port_base),
	INT_SINCE(2, slot_record, port_count),
	BOOL_SINCE(2, slot_record, hook_due),
};
/* clang-format on */

static void slot_key(const void *record, struct record_key *ret)
{
	record_key_from_name(((const struct slot_record *)record)->name, ret);
}

static const struct record_kind slot_kind = {
	.what = "slot",
	.id = RECORD_KIND_SLOT,
	.version = 2,
	.size = sizeof(struct slot_record),
	.fields = slot_fields,
	.n_fields = ARRAY_SIZE(slot_fields),
	.key = slot_key,
};

size_t slot_record_encode(const struct slot_record *r, uint8_t *buf)
{
	return record_encode(&slot_kind, NULL, r, buf);
}

int slot_record_decode(const void *key, size_t key_len, const void *data, size_t len,
		       struct slot_record *ret, struct fault *f)
{
	return record_decode(&slot_kind, key, key_len, data, len, ret, f);
}

static const char *const state_names[SLOT_STATES] = {
	[SLOT_STATE_CREATING] = "creating",   [SLOT_STATE_READY] = "ready",
	[SLOT_STATE_PREPARING] = "preparing", [SLOT_STATE_LEASED] = "leased",
	[SLOT_STATE_CLEANING] = "cleaning",   [SLOT_STATE_RECOVERING] = "recovering",
	[SLOT_STATE_ISOLATED] = "isolated",   [SLOT_STATE_REMOVING] = "removing",
};

const char *slot_state_to_string(enum slot_state s)
{
	const char *name = (unsigned)s < SLOT_STATES ? state_names[s] : NULL;

	return name ? name : "unknown";
}

int slot_state_from_string(const char *text, enum slot_state *ret)
{
	for (int s = SLOT_STATE_CREATING; s < SLOT_STATES; s++) {
		if (strcmp(text, state_names[s]) == 0) {
			*ret = (enum slot_state)s;
			return 0;
		}
	}
	return -EINVAL;
}
