#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "ledger/codec.h"
#include "util/cleanup.h"

/* one type for all kinds, so that each test runs over each of them */
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

struct sample {
	const char *what;
	size_t size;
	union any record;
	struct record_key key;
	uint8_t data[RECORD_MAX];
	size_t len;
	int (*decode)(const void *key, size_t key_len, const void *data, size_t len, union any *ret,
		      struct fault *f);
};

#define DECODE(name)                                                                            \
	static int decode_##name(const void *key, size_t key_len, const void *data, size_t len, \
				 union any *ret, struct fault *f)                               \
	{                                                                                       \
		return name##_record_decode(key, key_len, data, len, &ret->name, f);            \
	}
DECODE(pool)
DECODE(slot)
DECODE(lease)
DECODE(key)
DECODE(token)
DECODE(event)
DECODE(generation)
DECODE(handoff)
DECODE(ticket)
DECODE(lease_stats)
DECODE(salvage)
DECODE(note)
DECODE(check)
DECODE(finding)

#define SAMPLE(s, name_, value)                        \
	do {                                           \
		memset((s), 0, sizeof(*(s)));          \
		(s)->what = #name_;                    \
		(s)->record.name_ = (value);           \
		(s)->size = sizeof((s)->record.name_); \
		(s)->decode = decode_##name_;          \
	} while (0)

#define SAMPLES 28

static void make_full(struct sample *s)
{
	SAMPLE(&s[0], pool, pool_full());
	SAMPLE(&s[1], slot, slot_full());
	SAMPLE(&s[2], lease, lease_full());
	SAMPLE(&s[3], key, key_full());
	SAMPLE(&s[4], token, token_full());
	SAMPLE(&s[5], event, event_full());
	SAMPLE(&s[6], generation, generation_full());
	SAMPLE(&s[7], handoff, handoff_full());
	SAMPLE(&s[8], ticket, ticket_full());
	SAMPLE(&s[9], lease_stats, lease_stats_full());
	SAMPLE(&s[10], salvage, salvage_full());
	SAMPLE(&s[11], note, note_full());
	SAMPLE(&s[12], check, check_full());
	SAMPLE(&s[13], finding, finding_full());
}

static void make_empty(struct sample *s)
{
	static const struct token_record token;
	static const struct generation_record generation;
	static const struct lease_stats_record lease_stats;

	SAMPLE(&s[0], pool, pool_empty("a"));
	SAMPLE(&s[1], slot, slot_empty("a-1"));
	SAMPLE(&s[2], lease, lease_empty());
	SAMPLE(&s[3], key, key_empty(0, "k"));
	SAMPLE(&s[4], token, token);
	SAMPLE(&s[5], event, event_empty(""));
	SAMPLE(&s[6], generation, generation);
	SAMPLE(&s[7], handoff, handoff_empty());
	SAMPLE(&s[8], ticket, ticket_empty(0, "k"));
	SAMPLE(&s[9], lease_stats, lease_stats);
	SAMPLE(&s[10], salvage, salvage_empty("", 0));
	SAMPLE(&s[11], note, note_empty("a", ""));
	SAMPLE(&s[12], check, check_empty("a"));
	SAMPLE(&s[13], finding, finding_empty("a", ""));
}

static void encode_all(struct sample *s)
{
	record_key_from_name(s[0].record.pool.name, &s[0].key);
	s[0].len = pool_record_encode(&s[0].record.pool, s[0].data);
	record_key_from_name(s[1].record.slot.name, &s[1].key);
	s[1].len = slot_record_encode(&s[1].record.slot, s[1].data);
	record_key_from_id(&s[2].record.lease.id, &s[2].key);
	s[2].len = lease_record_encode(&s[2].record.lease, s[2].data);
	record_key_from_uid(s[3].record.key.uid, s[3].record.key.key, &s[3].key);
	s[3].len = key_record_encode(&s[3].record.key, s[3].data);
	record_key_from_name("api-1", &s[4].key);
	s[4].len = token_record_encode(&s[4].record.token, "api-1", s[4].data);
	record_key_from_sequence(s[5].record.event.sequence, &s[5].key);
	s[5].len = event_record_encode(&s[5].record.event, s[5].data);
	record_key_from_name("generation", &s[6].key);
	s[6].len = generation_record_encode(&s[6].record.generation, s[6].data);
	record_key_from_id(&s[7].record.handoff.lease, &s[7].key);
	s[7].len = handoff_record_encode(&s[7].record.handoff, s[7].data);
	record_key_from_uid(s[8].record.ticket.uid, s[8].record.ticket.key, &s[8].key);
	s[8].len = ticket_record_encode(&s[8].record.ticket, s[8].data);
	record_key_from_name(LEASE_STATS_KEY, &s[9].key);
	s[9].len = lease_stats_record_encode(&s[9].record.lease_stats, s[9].data);
	record_key_from_salvage(s[10].record.salvage.slot, &s[10].record.salvage.lease,
				s[10].record.salvage.n, &s[10].key);
	s[10].len = salvage_record_encode(&s[10].record.salvage, s[10].data);
	record_key_from_verified(s[11].record.note.pool, VERIFIED_NOTE, s[11].record.note.name, &s[11].key);
	s[11].len = note_record_encode(&s[11].record.note, s[11].data);
	record_key_from_name(s[12].record.check.pool, &s[12].key);
	s[12].len = check_record_encode(&s[12].record.check, s[12].data);
	record_key_from_verified(s[13].record.finding.pool, VERIFIED_FINDING, s[13].record.finding.key,
				 &s[13].key);
	s[13].len = finding_record_encode(&s[13].record.finding, s[13].data);
}

static struct sample *make_samples(void)
{
	struct sample *s = calloc(SAMPLES, sizeof(*s));

	cr_assert(s != NULL);
	make_full(s);
	make_empty(s + SAMPLES / 2);
	encode_all(s);
	encode_all(s + SAMPLES / 2);
	return s;
}

static int decode(const struct sample *s, const void *data, size_t len, union any *ret)
{
	/* exactly as large as it says, so that a read behind the end is seen */
	_cleanup_(freep) void *copy = malloc(len ? len : 1);

	cr_assert(copy != NULL);
	memcpy(copy, data, len);
	return s->decode(s->key.bytes, s->key.len, copy, len, ret, NULL);
}

Test(record, every_record_comes_back_byte_for_byte_with_full_and_with_empty_fields)
{
	_cleanup_(freep) struct sample *s = make_samples();

	for (int i = 0; i < SAMPLES; i++) {
		union any got;

		memset(&got, 0xff, sizeof(got));
		cr_expect(le(sz, s[i].len, RECORD_MAX));
		cr_assert(eq(int, decode(&s[i], s[i].data, s[i].len, &got), 0), "%s %d", s[i].what,
			  i);
		cr_expect(eq(int, memcmp(&got, &s[i].record, s[i].size), 0), "%s %d", s[i].what, i);
	}
}

Test(record, an_empty_slot_is_small_on_disk)
{
	_cleanup_(freep) struct sample *s = make_samples();

	cr_expect(lt(sz, s[SAMPLES / 2 + 1].len, 256));
}

Test(record, no_truncation_decodes_and_ret_is_left_alone)
{
	_cleanup_(freep) struct sample *s = make_samples();

	for (int i = 0; i < SAMPLES; i++) {
		union any got, before;

		memset(&got, 0x3c, sizeof(got));
		before = got;
		for (size_t len = 0; len < s[i].len; len++)
			cr_assert(eq(int, decode(&s[i], s[i].data, len, &got), -EBADMSG),
				  "%s at %zu", s[i].what, len);
		cr_expect(eq(int, memcmp(&got, &before, sizeof(got)), 0));
	}
}

Test(record, no_single_flipped_bit_decodes)
{
	_cleanup_(freep) struct sample *s = make_samples();

	for (int i = 0; i < SAMPLES; i++) {
		for (size_t bit = 0; bit < 8 * s[i].len; bit++) {
			union any got;

			s[i].data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			cr_assert(eq(int, decode(&s[i], s[i].data, s[i].len, &got), -EBADMSG),
				  "%s bit %zu", s[i].what, bit);
			s[i].data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

/* the checksum put right, as if damage had been lucky: the content is judged by itself */
Test(record, a_flipped_bit_under_a_right_checksum_is_refused_or_means_what_it_says)
{
	_cleanup_(freep) struct sample *s = make_samples();

	for (int i = 0; i < SAMPLES / 2; i++) {
		for (size_t bit = 0; bit < 8 * s[i].len; bit++) {
			union any got;
			int r;

			s[i].data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			record_seal(s[i].key.bytes, s[i].key.len, s[i].data, s[i].len);
			r = decode(&s[i], s[i].data, s[i].len, &got);
			cr_assert(r == 0 || r == -EBADMSG || r == -EPROTONOSUPPORT);
			if (r == 0 && bit / 8 >= RECORD_HEADER)
				cr_assert(ne(int, memcmp(&got, &s[i].record, s[i].size), 0),
					  "%s bit %zu changed nothing", s[i].what, bit);
			s[i].data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

Test(record, bytes_behind_the_last_field_are_damage)
{
	_cleanup_(freep) struct sample *s = make_samples();
	union any got;

	for (int i = SAMPLES / 2; i < SAMPLES; i++) {
		s[i].data[s[i].len] = 0;
		record_seal(s[i].key.bytes, s[i].key.len, s[i].data, s[i].len + 1);
		cr_expect(eq(int, decode(&s[i], s[i].data, s[i].len + 1, &got), -EBADMSG), "%s",
			  s[i].what);
	}
}

Test(record, a_newer_version_is_told_from_damage)
{
	_cleanup_(freep) struct sample *s = make_samples();
	union any got;

	for (int i = 0; i < SAMPLES; i++) {
		s[i].data[1]++;
		record_seal(s[i].key.bytes, s[i].key.len, s[i].data, s[i].len);
		cr_expect(eq(int, decode(&s[i], s[i].data, s[i].len, &got), -EPROTONOSUPPORT), "%s",
			  s[i].what);
		s[i].data[1] = 0;
		record_seal(s[i].key.bytes, s[i].key.len, s[i].data, s[i].len);
		cr_expect(eq(int, decode(&s[i], s[i].data, s[i].len, &got), -EBADMSG), "%s",
			  s[i].what);
	}
}

/* what an empty slot of the second version has behind the first: left_*, warmed, port_*, hook_due, unsure, left_by */
#define LATER_BYTES (sizeof(struct id) + 4 + 2 + 2 + 8 + 8 + 2 + 4 + 4 + 1 + 1 + 2)

/* as the version before had written it: without the fields that came later */
static size_t make_older(struct sample *s, size_t later)
{
	s->data[1]--;
	s->len -= later;
	record_seal(s->key.bytes, s->key.len, s->data, s->len);
	return s->len;
}

Test(record, a_slot_of_the_first_version_decodes_and_lacks_what_came_later)
{
	_cleanup_(freep) struct sample *s = make_samples();
	struct slot_record before = slot_empty("a-1");
	struct sample *slot = &s[SAMPLES / 2 + 1];
	size_t later = LATER_BYTES;
	union any got;

	make_older(slot, later);
	cr_assert(eq(int, decode(slot, slot->data, slot->len, &got), 0));
	cr_expect(eq(int, memcmp(&got.slot, &before, sizeof(before)), 0));
	cr_expect(eq(sz, slot_record_encode(&got.slot, slot->data), slot->len + later));
	cr_expect(eq(int, slot->data[1], 2), "it is written as the newest");
}

Test(record, a_slot_of_the_first_version_has_no_more_fields_and_no_fewer)
{
	_cleanup_(freep) struct sample *s = make_samples();
	struct sample *slot = &s[SAMPLES / 2 + 1];
	union any got;

	make_older(slot, 0);
	cr_expect(eq(int, decode(slot, slot->data, slot->len, &got), -EBADMSG));
	slot->data[1] = 2;
	make_older(slot, LATER_BYTES + 1);
	cr_expect(eq(int, decode(slot, slot->data, slot->len, &got), -EBADMSG));
}

Test(record, a_record_under_another_key_is_damaged)
{
	_cleanup_(freep) struct sample *s = make_samples();
	union any got;

	for (int i = 0; i < SAMPLES; i++) {
		s[i].key.bytes[0] ^= 1;
		cr_expect(eq(int, decode(&s[i], s[i].data, s[i].len, &got), -EBADMSG), "%s",
			  s[i].what);
		if (strcmp(s[i].what, "token") == 0)
			continue; /* knows its name by the checksum alone */
		record_seal(s[i].key.bytes, s[i].key.len, s[i].data, s[i].len);
		cr_expect(eq(int, decode(&s[i], s[i].data, s[i].len, &got), -EBADMSG), "%s",
			  s[i].what);
	}
}

Test(record, a_record_of_another_kind_is_damage)
{
	_cleanup_(freep) struct sample *s = make_samples();
	struct slot_record got;
	struct fault f = FAULT_NONE;

	record_seal(s[0].key.bytes, s[0].key.len, s[0].data, s[0].len);
	cr_expect(
		eq(int,
		   slot_record_decode(s[0].key.bytes, s[0].key.len, s[0].data, s[0].len, &got, &f),
		   -EBADMSG));
	cr_expect(ne(ptr, strstr(f.text, "slot"), NULL));
}

Test(record, keys_without_bytes_or_with_too_many_are_damage)
{
	_cleanup_(freep) struct sample *s = make_samples();
	static const uint8_t key[600];
	union any got;

	for (int i = 0; i < SAMPLES; i++) {
		cr_expect(eq(int, s[i].decode(key, 0, s[i].data, s[i].len, &got, NULL), -EBADMSG));
		cr_expect(eq(int, s[i].decode(key, sizeof(key), s[i].data, s[i].len, &got, NULL),
			     -EBADMSG));
	}
}

Test(record, keys_of_events_sort_by_their_number)
{
	struct record_key low, high;
	uint64_t back;

	record_key_from_sequence(255, &low);
	record_key_from_sequence(256, &high);
	cr_expect(lt(int, memcmp(low.bytes, high.bytes, 8), 0));
	cr_expect(record_key_to_sequence(high.bytes, high.len, &back));
	cr_expect(eq(u64, back, 256));
	cr_expect(not(record_key_to_sequence(high.bytes, 7, &back)));
}

Test(record, every_state_has_a_name_that_leads_back_to_it)
{
	for (int s = SLOT_STATE_CREATING; s < SLOT_STATES; s++) {
		enum slot_state back;

		cr_assert(
			eq(int,
			   slot_state_from_string(slot_state_to_string((enum slot_state)s), &back),
			   0));
		cr_expect(eq(int, (int)back, s));
	}
}

Test(record, what_is_no_state_has_no_name_and_leaves_ret_alone)
{
	enum slot_state back = SLOT_STATE_READY;

	cr_expect(eq(int, slot_state_from_string("", &back), -EINVAL));
	cr_expect(eq(int, slot_state_from_string("Ready", &back), -EINVAL));
	cr_expect(eq(int, slot_state_from_string("unknown", &back), -EINVAL));
	cr_expect(eq(int, (int)back, SLOT_STATE_READY));
	cr_expect(eq(str, (char *)slot_state_to_string((enum slot_state)0), (char *)"unknown"));
	cr_expect(eq(str, (char *)slot_state_to_string((enum slot_state)99), (char *)"unknown"));
}

Test(record, now_is_what_the_clocks_say)
{
	struct boot_id boot = { .bytes = { 1, 2, 3 } };
	struct moment now;

	clock_fake(100, 7, &boot);
	now = moment_now();
	clock_real();
	cr_expect(eq(u64, now.wall_usec, 100));
	cr_expect(eq(u64, now.boot_usec, 7));
	cr_expect(eq(int, memcmp(&now.boot, &boot, sizeof(boot)), 0));
}

Test(record, age_of_a_moment_is_not_that_of_the_wall_clock)
{
	struct boot_id boot = { .bytes = { 1 } }, next = { .bytes = { 2 } };
	struct moment m;

	clock_fake(1000 * USEC_PER_SEC, 100 * USEC_PER_SEC, &boot);
	m = moment_now();
	clock_fake(1 * USEC_PER_SEC, 107 * USEC_PER_SEC, &boot);
	cr_expect(eq(u64, moment_age_usec(&m), 7 * USEC_PER_SEC));
	clock_fake(1020 * USEC_PER_SEC, 3 * USEC_PER_SEC, &next);
	cr_expect(eq(u64, moment_age_usec(&m), 20 * USEC_PER_SEC), "nothing else is known");
	clock_fake(1 * USEC_PER_SEC, 3 * USEC_PER_SEC, &next);
	cr_expect(eq(u64, moment_age_usec(&m), 0));
}

Test(record, moment_is_told_by_the_wall_clock_as_it_is_set_now)
{
	struct boot_id boot = { .bytes = { 1 } }, next = { .bytes = { 2 } };
	struct moment m, never = { 0 };

	clock_fake(1000 * USEC_PER_SEC, 100 * USEC_PER_SEC, &boot);
	m = moment_now();
	clock_fake(1007 * USEC_PER_SEC + 900, 107 * USEC_PER_SEC, &boot);
	cr_expect(eq(u64, moment_wall_usec(&m), m.wall_usec), "as recorded, to the microsecond");
	clock_fake(5000 * USEC_PER_SEC, 107 * USEC_PER_SEC, &boot);
	cr_expect(eq(u64, moment_wall_usec(&m), 4993 * USEC_PER_SEC));
	clock_fake(17 * USEC_PER_SEC, 107 * USEC_PER_SEC, &boot);
	cr_expect(eq(u64, moment_wall_usec(&m), 10 * USEC_PER_SEC));
	clock_fake(1 * USEC_PER_SEC, 107 * USEC_PER_SEC, &boot);
	cr_expect(eq(u64, moment_wall_usec(&m), 1), "before 1970, which cannot be told");
	clock_fake(5000 * USEC_PER_SEC, 107 * USEC_PER_SEC, &next);
	cr_expect(eq(u64, moment_wall_usec(&m), m.wall_usec));
	cr_expect(eq(u64, moment_wall_usec(&never), 0));
	clock_real();
}
