/* What a pool is, and which numbers were given away under a name. */
#include "ledger/codec.h"

#include "util/cleanup.h"

/* clang-format off */
static const struct field pool_fields[] = {
	STRING(pool_record, name),
	STRING(pool_record, url),
	STRING(pool_record, path),
	STRING(pool_record, ref),
	INT(pool_record, ready),
	INT(pool_record, max),
	BOOL(pool_record, from_file),
	BOOL(pool_record, paused),
	BOOL(pool_record, draining),
	BOOL(pool_record, delete_store),
	RANGE(pool_record, state, POOL_STATE_OPENING, POOL_STATE_REMOVING),
	STRING(pool_record, problem),
	STRING(pool_record, common_dir),
	STRING(pool_record, full_ref),
	STRING(pool_record, head),
	MOMENT(pool_record, fetched),
	INT(pool_record, created_usec),
	STRING(pool_record, unsupported),
};
/* clang-format on */

static void pool_key(const void *record, struct record_key *ret)
{
	record_key_from_name(((const struct pool_record *)record)->name, ret);
}

static const struct record_kind pool_kind = {
	.what = "pool",
	.id = RECORD_KIND_POOL,
	.version = 1,
	.size = sizeof(struct pool_record),
	.fields = pool_fields,
	.n_fields = ARRAY_SIZE(pool_fields),
	.key = pool_key,
};

size_t pool_record_encode(const struct pool_record *r, uint8_t *buf)
{
	return record_encode(&pool_kind, NULL, r, buf);
}

int pool_record_decode(const void *key, size_t key_len, const void *data, size_t len,
		       struct pool_record *ret, struct fault *f)
{
	return record_decode(&pool_kind, key, key_len, data, len, ret, f);
}

/* --- tokens: the name is the key alone --- */

/* clang-format off */
static const struct field token_fields[] = {
	INT(token_record, token),
	INT(token_record, next_n),
};
/* clang-format on */

static const struct record_kind token_kind = {
	.what = "token",
	.id = RECORD_KIND_TOKEN,
	.version = 1,
	.size = sizeof(struct token_record),
	.fields = token_fields,
	.n_fields = ARRAY_SIZE(token_fields),
};

size_t token_record_encode(const struct token_record *r, const char *name, uint8_t *buf)
{
	struct record_key key;

	record_key_from_name(name, &key);
	return record_encode(&token_kind, &key, r, buf);
}

int token_record_decode(const void *key, size_t key_len, const void *data, size_t len,
			struct token_record *ret, struct fault *f)
{
	return record_decode(&token_kind, key, key_len, data, len, ret, f);
}
