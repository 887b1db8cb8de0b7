/* What outlives a lease or a connection: hand-offs, places in the line, and what was counted. */
#include "ledger/codec.h"

#include <errno.h>
#include <string.h>

#include "util/cleanup.h"

static const char *const declared_names[] = {
	[LEASE_DECLARED_NONE] = "",
	[LEASE_DECLARED_DONE] = "done",
	[LEASE_DECLARED_FAILED] = "failed",
	[LEASE_DECLARED_BLOCKED] = "blocked",
};

const char *lease_declared_to_string(enum lease_declared d)
{
	return (unsigned)d < ARRAY_SIZE(declared_names) ? declared_names[d] : "";
}

int lease_declared_from_string(const char *text, enum lease_declared *ret)
{
	for (size_t i = LEASE_DECLARED_DONE; i < ARRAY_SIZE(declared_names); i++) {
		if (strcmp(declared_names[i], text) == 0) {
			*ret = (enum lease_declared)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* clang-format off */
static const struct field handoff_fields[] = {
	BYTES(handoff_record, lease),
	STRING(handoff_record, slot),
	STRING(handoff_record, pool),
	INT(handoff_record, uid),
	STRING(handoff_record, agent),
	STRING(handoff_record, task),
	STRING(handoff_record, branch),
	STRING(handoff_record, base),
	RANGE(handoff_record, end, LEASE_END_RELEASED, LEASE_END_FORCED),
	RANGE(handoff_record, declared, LEASE_DECLARED_NONE, LEASE_DECLARED_BLOCKED),
	BOOL(handoff_record, discarded),
	STRING(handoff_record, reason),
	INT(handoff_record, progress),
	STRING(handoff_record, message),
	INT(handoff_record, held_usec),
	MOMENT(handoff_record, ended),
};

static const struct field ticket_fields[] = {
	INT(ticket_record, uid),
	STRING(ticket_record, key),
	BYTES(ticket_record, request),
	STRING(ticket_record, pool),
	STRING(ticket_record, agent),
	STRING(ticket_record, task),
	STRING(ticket_record, branch),
	INT(ticket_record, number),
	INT(ticket_record, priority),
	MOMENT(ticket_record, since),
	INT(ticket_record, wait_usec),
};

static const struct field lease_stats_fields[] = {
	INT(lease_stats_record, renewals),
	INT(lease_stats_record, extensions),
	INT(lease_stats_record, recoveries),
	INT(lease_stats_record, stopped),
	INT(lease_stats_record, suspected),
	INT(lease_stats_record, late_reports),
	INT(lease_stats_record, terminal),
	INT(lease_stats_record, handoffs),
};
/* clang-format on */

static void handoff_key(const void *record, struct record_key *ret)
{
	record_key_from_id(&((const struct handoff_record *)record)->lease, ret);
}

static void ticket_key(const void *record, struct record_key *ret)
{
	const struct ticket_record *r = record;

	record_key_from_uid(r->uid, r->key, ret);
}

static void lease_stats_key(const void *record, struct record_key *ret)
{
	record_key_from_name(LEASE_STATS_KEY, ret);
}

/* the codec's entry points for a kind */
#define KIND(name, number, text)                                                             \
	static const struct record_kind name##_kind = {                                      \
		.what = text,                                                                \
		.id = number,                                                                \
		.version = 1,                                                                \
		.size = sizeof(struct name##_record),                                        \
		.fields = name##_fields,                                                     \
		.n_fields = ARRAY_SIZE(name##_fields),                                       \
		.key = name##_key,                                                           \
	};                                                                                   \
	size_t name##_record_encode(const struct name##_record *r, uint8_t *buf)             \
	{                                                                                    \
		return record_encode(&name##_kind, NULL, r, buf);                            \
	}                                                                                    \
	int name##_record_decode(const void *key, size_t key_len, const void *data,          \
				 size_t len, struct name##_record *ret, struct fault *f)     \
	{                                                                                    \
		return record_decode(&name##_kind, key, key_len, data, len, ret, f);         \
	}

KIND(handoff, RECORD_KIND_HANDOFF, "hand-off")
KIND(ticket, RECORD_KIND_TICKET, "ticket")
KIND(lease_stats, RECORD_KIND_LEASE_STATS, "lease statistics")
