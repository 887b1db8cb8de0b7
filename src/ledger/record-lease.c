/* Who holds what, until when, and under which idempotency key it was asked for. */
#include "ledger/codec.h"

#include <stdlib.h>

#include "util/cleanup.h"

struct moment moment_now(void)
{
	return (struct moment){
		.wall_usec = clock_wall_usec(),
		.boot_usec = clock_boot_usec(),
		.boot = *clock_boot_id(),
	};
}

static uint64_t since(uint64_t usec, uint64_t now)
{
	return now > usec ? now - usec : 0;
}

uint64_t moment_age_usec(const struct moment *m)
{
	return boot_id_is_same(&m->boot, clock_boot_id()) ? since(m->boot_usec, clock_boot_usec()) :
							    since(m->wall_usec, clock_wall_usec());
}

/* as recorded, unless the clock was set since: the same moment is told in the same words each time */
uint64_t moment_wall_usec(const struct moment *m)
{
	int64_t was = (int64_t)m->wall_usec, is;

	if (was == 0 || !boot_id_is_same(&m->boot, clock_boot_id()))
		return m->wall_usec;
	is = (int64_t)clock_wall_usec() - ((int64_t)clock_boot_usec() - (int64_t)m->boot_usec);
	if (llabs(is - was) < 2 * (int64_t)USEC_PER_SEC) /* a leap second is no reason */
		return m->wall_usec;
	return is > 0 ? (uint64_t)is : 1;
}

#define LEASE_BIND_ALL \
	(LEASE_BIND_TTL | LEASE_BIND_PROCESS | LEASE_BIND_CONNECTION | LEASE_BIND_MANUAL)

/* clang-format off */
static const struct field lease_fields[] = {
	BYTES(lease_record, id),
	STRING(lease_record, slot),
	STRING(lease_record, pool),
	INT(lease_record, token),
	INT(lease_record, sequence),
	INT(lease_record, uid),
	INT(lease_record, pid),
	INT(lease_record, pid_start),
	STRING(lease_record, agent),
	STRING(lease_record, task),
	STRING(lease_record, branch),
	STRING(lease_record, ref),
	STRING(lease_record, base),
	STRING(lease_record, meta),
	RANGE(lease_record, bind, 0, LEASE_BIND_ALL),
	INT(lease_record, bound_pid),
	INT(lease_record, bound_start),
	MOMENT(lease_record, bound_end),
	INT(lease_record, priority),
	STRING(lease_record, labels),
	INT(lease_record, estimate_usec),
	INT(lease_record, asked_ttl_usec),
	MOMENT(lease_record, acquired),
	MOMENT(lease_record, renewed),
	MOMENT(lease_record, heard),
	INT(lease_record, heard_slept_usec),
	MOMENT(lease_record, seen),
	INT(lease_record, seen_slept_usec),
	MOMENT(lease_record, deadline),
	INT(lease_record, ttl_usec),
	INT(lease_record, grace_usec),
	BYTES(lease_record, rhythm),
	INT(lease_record, renewals),
	INT(lease_record, without_progress),
	BOOL(lease_record, stuck),
	INT(lease_record, progress),
	STRING(lease_record, message),
	BOOL(lease_record, warned),
	INT(lease_record, verdict),
	INT(lease_record, reason),
	INT(lease_record, extensions),
	MOMENT(lease_record, suspect),
	BYTES(lease_record, handoff),
	INT(lease_record, told_age_usec),
};
/* clang-format on */

static void lease_key(const void *record, struct record_key *ret)
{
	record_key_from_id(&((const struct lease_record *)record)->id, ret);
}

static const struct record_kind lease_kind = {
	.what = "lease",
	.id = RECORD_KIND_LEASE,
	.version = 1,
	.size = sizeof(struct lease_record),
	.fields = lease_fields,
	.n_fields = ARRAY_SIZE(lease_fields),
	.key = lease_key,
};

size_t lease_record_encode(const struct lease_record *r, uint8_t *buf)
{
	return record_encode(&lease_kind, NULL, r, buf);
}

int lease_record_decode(const void *key, size_t key_len, const void *data, size_t len,
			struct lease_record *ret, struct fault *f)
{
	return record_decode(&lease_kind, key, key_len, data, len, ret, f);
}

/* --- idempotency keys --- */

/* clang-format off */
static const struct field key_fields[] = {
	INT(key_record, uid),
	STRING(key_record, key),
	BYTES(key_record, request),
	BYTES(key_record, lease),
	STRING(key_record, slot),
	RANGE(key_record, end, LEASE_END_NONE, LEASE_END_FORCED),
	INT(key_record, created_usec),
	INT(key_record, ended_usec),
};
/* clang-format on */

static void key_key(const void *record, struct record_key *ret)
{
	const struct key_record *r = record;

	record_key_from_uid(r->uid, r->key, ret);
}

static const struct record_kind key_kind = {
	.what = "key",
	.id = RECORD_KIND_KEY,
	.version = 1,
	.size = sizeof(struct key_record),
	.fields = key_fields,
	.n_fields = ARRAY_SIZE(key_fields),
	.key = key_key,
};

size_t key_record_encode(const struct key_record *r, uint8_t *buf)
{
	return record_encode(&key_kind, NULL, r, buf);
}

int key_record_decode(const void *key, size_t key_len, const void *data, size_t len,
		      struct key_record *ret, struct fault *f)
{
	return record_decode(&key_kind, key, key_len, data, len, ret, f);
}
