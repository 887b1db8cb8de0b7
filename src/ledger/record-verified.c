/* What checks have verified, and what they found: three kinds of records in one database. */
#include "ledger/codec.h"

#include <errno.h>

#include "util/cleanup.h"

/* clang-format off */
static const struct field note_fields[] = {
	STRING(note_record, pool),
	STRING(note_record, name),
	BLOB(note_record, note),
};

static const struct field check_fields[] = {
	STRING(check_record, pool),
	RANGE(check_record, depth, VERIFIED_PLAIN, VERIFIED_FULL),
	MOMENT(check_record, at),
	MOMENT(check_record, scrubbed),
	INT(check_record, errors),
	INT(check_record, warnings),
	INT(check_record, infos),
	INT(check_record, objects),
	INT(check_record, packs),
	INT(check_record, objects_read),
	INT(check_record, elapsed_usec),
	BOOL(check_record, truncated),
};

static const struct field finding_fields[] = {
	STRING(finding_record, pool),
	STRING(finding_record, key),
	RANGE(finding_record, severity, 0, 2),
	STRING(finding_record, id),
	STRING(finding_record, where),
	STRING(finding_record, slot),
	STRING(finding_record, object),
	STRING(finding_record, path),
	INT(finding_record, since_usec),
};
/* clang-format on */

static void note_key(const void *record, struct record_key *ret)
{
	const struct note_record *r = record;

	record_key_from_verified(r->pool, VERIFIED_NOTE, r->name, ret);
}

static void check_key(const void *record, struct record_key *ret)
{
	record_key_from_name(((const struct check_record *)record)->pool, ret);
}

static void finding_key(const void *record, struct record_key *ret)
{
	const struct finding_record *r = record;

	record_key_from_verified(r->pool, VERIFIED_FINDING, r->key, ret);
}

/* the codec's entry points for a kind */
#define KIND(name_, number, text)                                                            \
	static const struct record_kind name_##_kind = {                                     \
		.what = text,                                                                \
		.id = number,                                                                \
		.version = 1,                                                                \
		.size = sizeof(struct name_##_record),                                       \
		.fields = name_##_fields,                                                    \
		.n_fields = ARRAY_SIZE(name_##_fields),                                      \
		.key = name_##_key,                                                          \
	};                                                                                   \
	size_t name_##_record_encode(const struct name_##_record *r, uint8_t *buf)           \
	{                                                                                    \
		return record_encode(&name_##_kind, NULL, r, buf);                           \
	}                                                                                    \
	int name_##_record_decode(const void *key, size_t key_len, const void *data,         \
				  size_t len, struct name_##_record *ret, struct fault *f)   \
	{                                                                                    \
		return record_decode(&name_##_kind, key, key_len, data, len, ret, f);        \
	}

KIND(note, RECORD_KIND_NOTE, "note of a check")
KIND(check, RECORD_KIND_CHECK, "check")
KIND(finding, RECORD_KIND_FINDING, "finding")

int verified_decode(const void *key, size_t key_len, const void *data, size_t len, struct fault *f)
{
	struct finding_record finding;
	struct check_record check;
	struct note_record note;
	int r = record_check(key, key_len, data, len, f);

	if (r < 0)
		return r;
	switch (*(const uint8_t *)data) {
	case RECORD_KIND_NOTE:
		return note_record_decode(key, key_len, data, len, &note, f);
	case RECORD_KIND_CHECK:
		return check_record_decode(key, key_len, data, len, &check, f);
	default:
		return finding_record_decode(key, key_len, data, len, &finding, f);
	}
}
