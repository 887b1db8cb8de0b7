/* One way to write a record, and nothing else can be read. */
#include "ledger/codec.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define CRC_OFFSET 2

static void store_le(uint8_t *to, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t load_le(const uint8_t *from, size_t size)
{
	uint64_t value = 0;

	for (size_t i = 0; i < size; i++)
		value |= (uint64_t)from[i] << (8 * i);
	return value;
}

/* an integer of the struct, which may be signed: its bits are what is kept */
static uint64_t int_get(const uint8_t *from, size_t size)
{
	uint32_t four;
	uint64_t eight;

	switch (size) {
	case 1:
		return *from;
	case 4:
		memcpy(&four, from, 4);
		return four;
	default:
		assert(size == 8);
		memcpy(&eight, from, 8);
		return eight;
	}
}

static void int_set(uint8_t *to, uint64_t value, size_t size)
{
	uint32_t four = (uint32_t)value;

	switch (size) {
	case 1:
		*to = (uint8_t)value;
		break;
	case 4:
		memcpy(to, &four, 4);
		break;
	default:
		memcpy(to, &value, 8);
		break;
	}
}

static bool int_is_allowed(const struct field *field, uint64_t value)
{
	return field->max == 0 || (value >= field->min && value <= field->max);
}

/* --- keys --- */

void record_key_from_name(const char *name, struct record_key *ret)
{
	ret->len = strlen(name);
	assert(ret->len < NAME_SIZE);
	memcpy(ret->bytes, name, ret->len);
}

void record_key_from_id(const struct id *id, struct record_key *ret)
{
	ret->len = sizeof(*id);
	memcpy(ret->bytes, id, sizeof(*id));
}

static void store_be(uint8_t *to, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

void record_key_from_uid(uint32_t uid, const char *text, struct record_key *ret)
{
	size_t len = strlen(text);

	assert(len < LABEL_SIZE);
	store_be(ret->bytes, uid, 4);
	memcpy(ret->bytes + 4, text, len);
	ret->len = 4 + len;
}

/* "<slot>/<lease>/<n>", as the ref ends */
void record_key_from_salvage(const char *slot, const struct id *lease, uint64_t n,
			     struct record_key *ret)
{
	char text[RECORD_KEY_MAX], id[ID_TEXT_SIZE];

	assert(strlen(slot) < NAME_SIZE);
	ret->len = (size_t)snprintf(text, sizeof(text), "%s/%s/%llu", slot, id_to_string(lease, id),
				    (unsigned long long)n);
	assert(ret->len < sizeof(text));
	memcpy(ret->bytes, text, ret->len);
}

void record_key_from_verified(const char *pool, char what, const char *name, struct record_key *ret)
{
	size_t pool_len = strlen(pool), name_len = strlen(name);

	assert(pool_len < NAME_SIZE && name_len < NOTE_NAME_SIZE);
	memcpy(ret->bytes, pool, pool_len);
	ret->bytes[pool_len] = (uint8_t)what;
	memcpy(ret->bytes + pool_len + 1, name, name_len);
	ret->len = pool_len + 1 + name_len;
}

void record_key_from_sequence(uint64_t sequence, struct record_key *ret)
{
	ret->len = 8;
	store_be(ret->bytes, sequence, 8);
}

bool record_key_to_sequence(const void *key, size_t key_len, uint64_t *ret)
{
	const uint8_t *bytes = key;
	uint64_t value = 0;

	if (key_len != 8)
		return false;
	for (size_t i = 0; i < 8; i++)
		value = value << 8 | bytes[i];
	*ret = value;
	return true;
}

/* for a sentence: the text if it is one, else hex; cut to what fits */
static const char *key_to_text(const uint8_t *key, size_t len, char *ret, size_t size)
{
	size_t i;

	for (i = 0; i < len && isgraph(key[i]); i++)
		;
	if (i == len && len < size) {
		memcpy(ret, key, len);
		ret[len] = '\0';
		return ret;
	}
	ret[0] = '\0';
	for (i = 0; i < len && 2 * i + 2 < size; i++)
		snprintf(ret + 2 * i, 3, "%02x", key[i]);
	return ret;
}

/* --- encoding --- */

static uint32_t checksum(const void *key, size_t key_len, const uint8_t *data, size_t len)
{
	uLong crc = crc32(0, key, (uInt)key_len);

	crc = crc32(crc, data, CRC_OFFSET);
	return (uint32_t)crc32(crc, data + RECORD_HEADER, (uInt)(len - RECORD_HEADER));
}

void record_seal(const void *key, size_t key_len, uint8_t *data, size_t len)
{
	store_le(data + CRC_OFFSET, checksum(key, key_len, data, len), 4);
}

static uint8_t *blob_encode(const struct field *field, const uint8_t *from, uint8_t *to)
{
	uint32_t len;

	memcpy(&len, from, sizeof(len));
	assert(len <= field->size - sizeof(len));
	store_le(to, len, 2);
	memcpy(to + 2, from + sizeof(len), len);
	return to + 2 + len;
}

static uint8_t *field_encode(const struct field *field, const uint8_t *from, uint8_t *to)
{
	size_t len = field->size;
	uint64_t value;

	switch (field->type) {
	case FIELD_INT:
		value = int_get(from, len);
		assert(int_is_allowed(field, value));
		store_le(to, value, len);
		return to + len;
	case FIELD_BYTES:
		memcpy(to, from, len);
		return to + len;
	case FIELD_BLOB:
		return blob_encode(field, from, to);
	default:
		len = strnlen((const char *)from, field->size);
		assert(len < field->size);
		store_le(to, len, 2);
		memcpy(to + 2, from, len);
		return to + 2 + len;
	}
}

size_t record_encode(const struct record_kind *kind, const struct record_key *key,
		     const void *record, uint8_t *buf)
{
	struct record_key own;
	uint8_t *at = buf + RECORD_HEADER;

	if (!key) {
		kind->key(record, &own);
		key = &own;
	}
	assert(key->len > 0);
	buf[0] = kind->id;
	buf[1] = kind->version;
	for (size_t i = 0; i < kind->n_fields; i++)
		at = field_encode(&kind->fields[i],
				  (const uint8_t *)record + kind->fields[i].offset, at);
	record_seal(key->bytes, key->len, buf, (size_t)(at - buf));
	return (size_t)(at - buf);
}

/* --- decoding --- */

/* the bytes of a record that are not read yet */
struct input {
	const uint8_t *at;
	size_t left;
};

static const uint8_t *input_take(struct input *in, size_t n)
{
	const uint8_t *at = in->at;

	if (in->left < n)
		return NULL;
	in->at += n;
	in->left -= n;
	return at;
}

static bool string_decode(const struct field *field, struct input *in, uint8_t *to)
{
	const uint8_t *from = input_take(in, 2);
	size_t len;

	if (!from)
		return false;
	len = (size_t)load_le(from, 2);
	from = input_take(in, len);
	if (!from || len >= field->size || memchr(from, 0, len))
		return false;
	memcpy(to, from, len);
	return true;
}

static bool blob_decode(const struct field *field, struct input *in, uint8_t *to)
{
	const uint8_t *from = input_take(in, 2);
	uint32_t len;

	if (!from)
		return false;
	len = (uint32_t)load_le(from, 2);
	from = input_take(in, len);
	if (!from || len > field->size - sizeof(len))
		return false;
	memcpy(to, &len, sizeof(len));
	memcpy(to + sizeof(len), from, len);
	return true;
}

static bool field_decode(const struct field *field, struct input *in, uint8_t *to)
{
	const uint8_t *from;
	uint64_t value;

	if (field->type == FIELD_STRING)
		return string_decode(field, in, to);
	if (field->type == FIELD_BLOB)
		return blob_decode(field, in, to);
	from = input_take(in, field->size);
	if (!from)
		return false;
	if (field->type == FIELD_BYTES) {
		memcpy(to, from, field->size);
		return true;
	}
	value = load_le(from, field->size);
	int_set(to, value, field->size);
	return int_is_allowed(field, value);
}

static bool fields_decode(const struct record_kind *kind, uint8_t version, struct input *in,
			  uint8_t *to)
{
	memset(to, 0, kind->size);
	for (size_t i = 0; i < kind->n_fields; i++) {
		if (kind->fields[i].since > version)
			continue;
		if (!field_decode(&kind->fields[i], in, to + kind->fields[i].offset))
			return false;
	}
	return in->left == 0;
}

static int damaged(const char *what, const void *key, size_t key_len, struct fault *f,
		   const char *why)
{
	char text[2 * RECORD_KEY_MAX];

	return fault(f, -EBADMSG, "the %s record of \"%s\" is damaged: %s", what,
		     key_to_text(key, key_len, text, sizeof(text)), why);
}

static bool is_filed_right(const struct record_kind *kind, const void *record, const void *key,
			   size_t key_len)
{
	struct record_key own;

	if (!kind->key)
		return true;
	kind->key(record, &own);
	return own.len == key_len && memcmp(own.bytes, key, key_len) == 0;
}

static int check(const char *what, const void *key, size_t key_len, const uint8_t *data, size_t len,
		 struct fault *f)
{
	if (key_len == 0 || key_len > RECORD_KEY_MAX)
		return fault(f, -EBADMSG, "a %s record is damaged: its key has a wrong length",
			     what);
	if (len < RECORD_HEADER || len > RECORD_MAX)
		return damaged(what, key, key_len, f, "its length is wrong");
	if (load_le(data + CRC_OFFSET, 4) != checksum(key, key_len, data, len))
		return damaged(what, key, key_len, f, "its checksum is wrong");
	return 0;
}

int record_check(const void *key, size_t key_len, const void *data, size_t len, struct fault *f)
{
	return check("ledger", key, key_len, data, len, f);
}

union any_record {
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

int record_decode(const struct record_kind *kind, const void *key, size_t key_len, const void *data,
		  size_t len, void *ret, struct fault *f)
{
	const uint8_t *bytes = data;
	union any_record record;
	struct input in;
	int r;

	r = check(kind->what, key, key_len, bytes, len, f);
	if (r < 0)
		return r;
	if (bytes[0] != kind->id)
		return damaged(kind->what, key, key_len, f, "it is a record of another kind");
	if (bytes[1] > kind->version)
		return fault(f, -EPROTONOSUPPORT,
			     "a %s record has version %u, and this slotd knows up to %u",
			     kind->what, bytes[1], kind->version);

	in = (struct input){ .at = bytes + RECORD_HEADER, .left = len - RECORD_HEADER };
	if (bytes[1] == 0 || !fields_decode(kind, bytes[1], &in, (uint8_t *)&record))
		return damaged(kind->what, key, key_len, f, "its content makes no sense");
	if (!is_filed_right(kind, &record, key, key_len))
		return damaged(kind->what, key, key_len, f, "it belongs under another key");
	memcpy(ret, &record, kind->size);
	return 0;
}
