#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "ledger/batch.h"
#include "util/cleanup.h"

#define TEXT(s) ((char *)(s))

static struct ledger *must_open(const char *dir, uint64_t map_bytes, uint64_t events_keep)
{
	struct ledger *l = NULL;
	struct fault f = FAULT_NONE;

	cr_assert(eq(int, ledger_open(dir, map_bytes, events_keep, &l, &f), 0), "%s", f.text);
	return l;
}

/* what the functions below were told, in order */
static char heard[256];

static void hear(void *arg, int error, const struct fault *why)
{
	size_t len = strlen(heard);

	snprintf(heard + len, sizeof(heard) - len, "%s:%d ", (const char *)arg, error);
	cr_expect(eq(int, error != 0, why != NULL));
	if (why)
		cr_expect(why->text[0] != '\0');
}

static void taken_back(void *arg)
{
	size_t len = strlen(heard);

	snprintf(heard + len, sizeof(heard) - len, "undo-%s ", (const char *)arg);
}

static int count_slot(const struct slot_record *r, void *userdata)
{
	(*(unsigned *)userdata)++;
	return 0;
}

static unsigned slots_in(struct ledger *l)
{
	unsigned n = 0;

	cr_assert(eq(int, ledger_each_slot(l, count_slot, &n, NULL), 0));
	return n;
}

static int last_slot(const struct slot_record *r, void *userdata)
{
	*(struct slot_record *)userdata = *r;
	return 0;
}

static int last_lease(const struct lease_record *r, void *userdata)
{
	*(struct lease_record *)userdata = *r;
	return 0;
}

static int last_pool(const struct pool_record *r, void *userdata)
{
	*(struct pool_record *)userdata = *r;
	return 0;
}

static int last_key(const struct key_record *r, void *userdata)
{
	*(struct key_record *)userdata = *r;
	return 0;
}

static int last_token(const char *name, const struct token_record *r, void *userdata)
{
	cr_expect(eq(str, TEXT(name), TEXT("api-1")));
	*(struct token_record *)userdata = *r;
	return 0;
}

static int last_handoff(const struct handoff_record *r, void *userdata)
{
	*(struct handoff_record *)userdata = *r;
	return 0;
}

static int last_salvage(const struct salvage_record *r, void *userdata)
{
	*(struct salvage_record *)userdata = *r;
	return 0;
}

static int last_ticket(const struct ticket_record *r, void *userdata)
{
	*(struct ticket_record *)userdata = *r;
	return 0;
}

static int last_lease_stats(const struct lease_stats_record *r, void *userdata)
{
	*(struct lease_stats_record *)userdata = *r;
	return 0;
}

Test(batch, hand_offs_places_in_the_line_and_counts_are_kept_and_go_when_told_to)
{
	char *dir = scratch_make();
	struct handoff_record handoff = handoff_full(), handoff_read;
	struct ticket_record ticket = ticket_full(), ticket_read;
	struct lease_stats_record stats = lease_stats_full(), stats_read;
	struct ledger *l = must_open(dir, 0, 100);
	struct batch *b = batch_new(l);

	batch_put_handoff(b, &handoff);
	batch_put_ticket(b, &ticket);
	batch_put_lease_stats(b, &stats);
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	batch_free(b);
	ledger_close(l);

	l = must_open(dir, 0, 100);
	cr_assert(eq(int, ledger_each_handoff(l, last_handoff, &handoff_read, NULL), 0));
	cr_assert(eq(int, ledger_each_ticket(l, last_ticket, &ticket_read, NULL), 0));
	cr_assert(eq(int, ledger_each_lease_stats(l, last_lease_stats, &stats_read, NULL), 0));
	cr_expect(eq(int, memcmp(&handoff, &handoff_read, sizeof(handoff)), 0));
	cr_expect(eq(int, memcmp(&ticket, &ticket_read, sizeof(ticket)), 0));
	cr_expect(eq(int, memcmp(&stats, &stats_read, sizeof(stats)), 0));

	b = batch_new(l);
	batch_delete_handoff(b, &handoff.lease);
	batch_delete_ticket(b, ticket.uid, ticket.key);
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	memset(&handoff_read, 0, sizeof(handoff_read));
	memset(&ticket_read, 0, sizeof(ticket_read));
	cr_assert(eq(int, ledger_each_handoff(l, last_handoff, &handoff_read, NULL), 0));
	cr_assert(eq(int, ledger_each_ticket(l, last_ticket, &ticket_read, NULL), 0));
	cr_expect(handoff_read.slot[0] == '\0' && ticket_read.key[0] == '\0');
	batch_free(b);
	ledger_close(l);
}

Test(batch, a_salvage_is_kept_by_slot_lease_and_number)
{
	char *dir = scratch_make();
	struct salvage_record first = salvage_full(), second = first, read;
	struct ledger *l = must_open(dir, 0, 100);
	struct batch *b = batch_new(l);

	first.n = 1;
	second.n = 2;
	batch_put_salvage(b, &second);
	batch_put_salvage(b, &first);
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	batch_free(b);
	ledger_close(l);

	l = must_open(dir, 0, 100);
	cr_assert(eq(int, ledger_each_salvage(l, last_salvage, &read, NULL), 0));
	cr_expect(eq(int, memcmp(&second, &read, sizeof(read)), 0));
	b = batch_new(l);
	batch_delete_salvage(b, second.slot, &second.lease, second.n);
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	cr_assert(eq(int, ledger_each_salvage(l, last_salvage, &read, NULL), 0));
	cr_expect(eq(int, memcmp(&first, &read, sizeof(read)), 0));
	batch_delete_salvage(b, first.slot, &first.lease, first.n);
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	memset(&read, 0, sizeof(read));
	cr_assert(eq(int, ledger_each_salvage(l, last_salvage, &read, NULL), 0));
	cr_expect(eq(u64, read.n, 0));
	batch_free(b);
	ledger_close(l);
}

/* --- what checks of a pool have left --- */

struct heard_notes {
	unsigned n;
	struct note_record last;
};

static int hear_note(const struct note_record *r, void *userdata)
{
	struct heard_notes *h = userdata;

	h->n++;
	h->last = *r;
	return 0;
}

static int hear_finding(const struct finding_record *r, void *userdata)
{
	(*(unsigned *)userdata)++;
	return 0;
}

static unsigned notes_of(struct ledger *l, const char *pool)
{
	struct heard_notes h = { 0 };

	cr_assert(eq(int, ledger_each_note(l, pool, hear_note, &h, NULL), 0));
	return h.n;
}

static unsigned findings_of(struct ledger *l, const char *pool)
{
	unsigned n = 0;

	cr_assert(eq(int, ledger_each_finding(l, pool, hear_finding, &n, NULL), 0));
	return n;
}

/* @n notes and findings of a pool, and its check */
static void put_verified(struct batch *b, const char *pool, int n)
{
	struct check_record check = check_empty(pool);

	for (int i = 0; i < n; i++) {
		struct note_record note = note_empty(pool, "");
		struct finding_record finding = finding_empty(pool, "");

		snprintf(note.name, sizeof(note.name), "pack-%d", i);
		snprintf(finding.key, sizeof(finding.key), "%040d", i);
		note.note.len = NOTE_BYTES;
		batch_put_note(b, &note);
		batch_put_finding(b, &finding);
	}
	batch_put_check(b, &check);
}

Test(batch, what_checks_leave_is_kept_by_pool)
{
	char *dir = scratch_make();
	struct note_record note = note_full();
	struct check_record check = check_full(), check_read;
	struct finding_record finding = finding_full();
	struct heard_notes h = { 0 };
	struct ledger *l = must_open(dir, 0, 100);
	struct batch *b = batch_new(l);

	batch_put_note(b, &note);
	batch_put_check(b, &check);
	batch_put_finding(b, &finding);
	put_verified(b, "api", 3);
	put_verified(b, "api-two", 2);
	put_verified(b, "ap", 1);
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	batch_free(b);
	ledger_close(l);

	l = must_open(dir, 0, 100);
	cr_assert(eq(int, ledger_each_note(l, note.pool, hear_note, &h, NULL), 0));
	cr_expect(eq(u32, h.n, 1));
	cr_expect(eq(int, memcmp(&h.last, &note, sizeof(note)), 0));
	cr_assert(eq(int, ledger_find_check(l, check.pool, &check_read, NULL), 0));
	cr_expect(eq(int, memcmp(&check, &check_read, sizeof(check)), 0));
	cr_expect(eq(u32, findings_of(l, finding.pool), 1));
	cr_expect(eq(u32, notes_of(l, "api"), 3));
	cr_expect(eq(u32, findings_of(l, "api"), 3));
	cr_expect(eq(u32, notes_of(l, "api-two"), 2));
	cr_expect(eq(u32, findings_of(l, "ap"), 1));
	cr_expect(eq(u32, notes_of(l, "api-"), 0));
	cr_expect(eq(int, ledger_find_check(l, "api-", &check_read, NULL), -ENOENT));
	ledger_close(l);
}

Test(batch, one_note_or_finding_goes_and_no_other)
{
	char *dir = scratch_make();
	struct ledger *l = must_open(dir, 0, 100);
	struct batch *b = batch_new(l);
	char key[FINDING_KEY_SIZE];

	snprintf(key, sizeof(key), "%040d", 1);
	put_verified(b, "api", 3);
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	for (int twice = 0; twice < 2; twice++) {
		batch_delete_note(b, "api", "pack-1");
		batch_delete_finding(b, "api", key);
		cr_assert(eq(int, batch_commit(b, NULL), 0));
		cr_expect(eq(u32, notes_of(l, "api"), 2));
		cr_expect(eq(u32, findings_of(l, "api"), 2));
	}
	batch_free(b);
	ledger_close(l);
}

Test(batch, all_notes_of_a_pool_are_replaced_in_one_commit)
{
	char *dir = scratch_make();
	struct note_record note = note_empty("api", "new");
	struct ledger *l = must_open(dir, 0, 100);
	struct batch *b = batch_new(l);
	struct heard_notes h = { 0 };
	size_t mark;

	put_verified(b, "api", 300);
	put_verified(b, "api-two", 2);
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	mark = batch_mark(b);
	batch_clear_notes(b, "api");
	batch_rollback(b, mark);
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	cr_expect(eq(u32, notes_of(l, "api"), 300), "taken back");

	batch_clear_notes(b, "api");
	batch_put_note(b, &note);
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	cr_assert(eq(int, ledger_each_note(l, "api", hear_note, &h, NULL), 0));
	cr_expect(eq(u32, h.n, 1));
	cr_expect(eq(str, h.last.name, TEXT("new")));
	cr_expect(eq(u32, findings_of(l, "api"), 300));
	cr_expect(eq(u32, notes_of(l, "api-two"), 2));
	batch_free(b);
	ledger_close(l);
}

Test(batch, what_checks_left_goes_with_its_pool)
{
	char *dir = scratch_make();
	struct ledger *l = must_open(dir, 0, 100);
	struct batch *b = batch_new(l);
	struct check_record read;
	struct ledger_info info;

	put_verified(b, "api", 100);
	put_verified(b, "api-two", 2);
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	for (int twice = 0; twice < 2; twice++) {
		batch_clear_verified(b, "api");
		cr_assert(eq(int, batch_commit(b, NULL), 0));
		cr_expect(eq(int, ledger_find_check(l, "api", &read, NULL), -ENOENT));
		cr_expect(eq(u32, notes_of(l, "api"), 0));
		cr_expect(eq(u32, findings_of(l, "api"), 0));
		cr_expect(eq(u32, notes_of(l, "api-two"), 2));
		cr_expect(eq(u32, findings_of(l, "api-two"), 2));
		cr_expect(eq(int, ledger_find_check(l, "api-two", &read, NULL), 0));
	}
	batch_clear_verified(b, "api-two");
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	cr_assert(eq(int, ledger_info(l, &info, NULL), 0));
	cr_expect(eq(u64, info.records, 1), "the generation alone");
	batch_free(b);
	ledger_close(l);
}

Test(batch, what_was_committed_is_there_after_opening_again)
{
	char *dir = scratch_make();
	struct pool_record pool = pool_full(), pool_read;
	struct slot_record slot = slot_full(), slot_read;
	struct lease_record lease = lease_full(), lease_read;
	struct key_record key = key_full(), key_read;
	struct token_record token = token_full(), token_read;
	struct ledger *l = must_open(dir, 0, 100);
	struct batch *b = batch_new(l);

	cr_expect(batch_is_empty(b));
	batch_put_pool(b, &pool);
	batch_put_slot(b, &slot);
	batch_put_lease(b, &lease);
	batch_put_key(b, &key);
	batch_put_token(b, "api-1", &token);
	cr_expect(eq(sz, batch_count(b), 5));
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	cr_expect(batch_is_empty(b));
	batch_free(b);
	ledger_close(l);

	l = must_open(dir, 0, 100);
	cr_assert(eq(int, ledger_each_pool(l, last_pool, &pool_read, NULL), 0));
	cr_assert(eq(int, ledger_each_slot(l, last_slot, &slot_read, NULL), 0));
	cr_assert(eq(int, ledger_each_lease(l, last_lease, &lease_read, NULL), 0));
	cr_assert(eq(int, ledger_each_key(l, last_key, &key_read, NULL), 0));
	cr_assert(eq(int, ledger_each_token(l, last_token, &token_read, NULL), 0));
	cr_expect(eq(int, memcmp(&pool, &pool_read, sizeof(pool)), 0));
	cr_expect(eq(int, memcmp(&slot, &slot_read, sizeof(slot)), 0));
	cr_expect(eq(int, memcmp(&lease, &lease_read, sizeof(lease)), 0));
	cr_expect(eq(int, memcmp(&key, &key_read, sizeof(key)), 0));
	cr_expect(eq(int, memcmp(&token, &token_read, sizeof(token)), 0));
	ledger_close(l);
}

Test(batch, deletes_take_records_away_and_absent_ones_are_no_fault)
{
	char *dir = scratch_make();
	struct pool_record pool = pool_empty("api");
	struct slot_record slot = slot_empty("api-1");
	struct lease_record lease = lease_full();
	struct key_record key = key_empty(7, "k");
	struct ledger_info info;
	struct ledger *l = must_open(dir, 0, 100);
	struct batch *b = batch_new(l);

	batch_put_pool(b, &pool);
	batch_put_slot(b, &slot);
	batch_put_lease(b, &lease);
	batch_put_key(b, &key);
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	cr_assert(eq(int, ledger_info(l, &info, NULL), 0));
	cr_expect(eq(u64, info.records, 5)); /* the generation is one too */

	for (int twice = 0; twice < 2; twice++) {
		batch_delete_pool(b, "api");
		batch_delete_slot(b, "api-1");
		batch_delete_lease(b, &lease.id);
		batch_delete_key(b, 7, "k");
		cr_assert(eq(int, batch_commit(b, NULL), 0));
	}
	cr_assert(eq(int, ledger_info(l, &info, NULL), 0));
	cr_expect(eq(u64, info.records, 1));
	cr_expect(ge(u64, info.commits, 3));
	batch_free(b);
	ledger_close(l);
}

Test(batch, the_last_of_several_puts_of_one_key_wins)
{
	char *dir = scratch_make();
	struct slot_record slot = slot_empty("api-1");
	struct ledger *l = must_open(dir, 0, 100);
	struct batch *b = batch_new(l);

	for (slot.token = 1; slot.token < 4; slot.token++)
		batch_put_slot(b, &slot);
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	cr_assert(eq(int, ledger_each_slot(l, last_slot, &slot, NULL), 0));
	cr_expect(eq(u64, slot.token, 3));
	batch_free(b);
	ledger_close(l);
}

Test(batch, rollback_takes_back_one_request_and_leaves_the_earlier_one)
{
	char *dir = scratch_make();
	struct slot_record one = slot_empty("api-1"), two = slot_empty("api-2");
	struct event_record event = event_empty("tried");
	struct ledger *l = must_open(dir, 0, 100);
	struct batch *b = batch_new(l);
	uint64_t sequence;
	size_t mark;
	int value = 1;

	batch_put_slot(b, &one);
	sequence = batch_event(b, &event);
	batch_after(b, hear, TEXT("first"));

	mark = batch_mark(b);
	batch_save(b, &value, sizeof(value));
	value = 2;
	batch_put_slot(b, &two);
	cr_expect(eq(u64, batch_event(b, &event), sequence + 1));
	batch_undo(b, taken_back, TEXT("a"));
	batch_save(b, &value, sizeof(value));
	value = 3;
	batch_undo(b, taken_back, TEXT("b"));
	batch_after(b, hear, TEXT("second"));
	batch_rollback(b, mark);

	cr_expect(eq(int, value, 1));
	cr_expect(eq(str, heard, TEXT("undo-b undo-a second:-125 ")));
	cr_expect(eq(sz, batch_count(b), 2));
	cr_expect(eq(u64, batch_event(b, &event), sequence + 1));
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	cr_expect(eq(str, heard, TEXT("undo-b undo-a second:-125 first:0 ")));
	cr_expect(eq(int, (int)slots_in(l), 1));
	cr_expect(eq(u64, ledger_last_sequence(l), sequence + 1));
	batch_free(b);
	ledger_close(l);
}

struct watched {
	int value;
	int seen; /* value when it was taken back */
};

static void look(void *arg)
{
	struct watched *w = arg;

	w->seen = w->value;
}

Test(batch, undo_runs_between_the_later_and_the_earlier_saves)
{
	char *dir = scratch_make();
	struct watched w = { .value = 1 };
	struct ledger *l = must_open(dir, 0, 100);
	struct batch *b = batch_new(l);

	batch_save(b, &w.value, sizeof(w.value));
	w.value = 2;
	batch_undo(b, look, &w);
	batch_save(b, &w.value, sizeof(w.value));
	w.value = 3;
	batch_rollback(b, 0);
	cr_expect(eq(int, w.seen, 2));
	cr_expect(eq(int, w.value, 1));
	cr_expect(batch_is_empty(b));
	batch_free(b);
	ledger_close(l);
}

struct again {
	struct batch *b;
	int error;
};

static void record_more(void *arg, int error, const struct fault *why)
{
	struct again *again = arg;
	struct slot_record slot = slot_empty("api-9");

	again->error = error;
	batch_put_slot(again->b, &slot);
	batch_after(again->b, hear, TEXT("next"));
}

Test(batch, what_an_after_function_records_is_the_next_batch)
{
	char *dir = scratch_make();
	struct slot_record slot = slot_empty("api-1");
	struct ledger *l = must_open(dir, 0, 100);
	struct again again = { .b = batch_new(l), .error = 1 };

	batch_put_slot(again.b, &slot);
	batch_after(again.b, record_more, &again);
	batch_after(again.b, hear, TEXT("last"));
	cr_assert(eq(int, batch_commit(again.b, NULL), 0));
	cr_expect(eq(int, again.error, 0));
	cr_expect(eq(str, heard, TEXT("last:0 ")));
	cr_expect(eq(int, (int)slots_in(l), 1));

	cr_expect(eq(sz, batch_count(again.b), 1));
	cr_assert(eq(int, batch_commit(again.b, NULL), 0));
	cr_expect(eq(str, heard, TEXT("last:0 next:0 ")));
	cr_expect(eq(int, (int)slots_in(l), 2));
	batch_free(again.b);
	ledger_close(l);
}

Test(batch, what_an_after_function_records_during_a_rollback_survives_it)
{
	char *dir = scratch_make();
	struct slot_record slot = slot_empty("api-1");
	struct ledger *l = must_open(dir, 0, 100);
	struct again again = { .b = batch_new(l) };
	size_t mark;

	batch_put_slot(again.b, &slot);
	mark = batch_mark(again.b);
	batch_put_slot(again.b, &slot);
	batch_after(again.b, record_more, &again);
	batch_rollback(again.b, mark);
	cr_expect(eq(int, again.error, -ECANCELED));
	cr_expect(eq(sz, batch_count(again.b), 2));
	batch_rollback(again.b, mark); /* walks back over what moved down */
	cr_expect(eq(str, heard, TEXT("next:-125 ")));
	cr_expect(eq(sz, batch_count(again.b), 1));
	cr_assert(eq(int, batch_commit(again.b, NULL), 0));
	cr_expect(eq(int, (int)slots_in(l), 1));
	batch_free(again.b);
	ledger_close(l);
}

Test(batch, a_batch_without_writes_answers_without_a_commit)
{
	char *dir = scratch_make();
	struct ledger_info before, after;
	struct ledger *l = must_open(dir, 0, 100);
	struct batch *b = batch_new(l);

	cr_assert(eq(int, ledger_info(l, &before, NULL), 0));
	batch_after(b, hear, TEXT("only"));
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	cr_assert(eq(int, ledger_info(l, &after, NULL), 0));
	cr_expect(eq(str, heard, TEXT("only:0 ")));
	cr_expect(eq(u64, after.commits, before.commits));
	batch_free(b);
	ledger_close(l);
}

Test(batch, a_thousand_requests_share_one_commit)
{
	char *dir = scratch_make();
	struct ledger_info before, after;
	struct ledger *l = must_open(dir, 0, 100);
	struct batch *b = batch_new(l);
	char name[NAME_SIZE];

	cr_assert(eq(int, ledger_info(l, &before, NULL), 0));
	for (int i = 0; i < 1000; i++) {
		struct slot_record slot;

		snprintf(name, sizeof(name), "api-%d", i + 1);
		slot = slot_empty(name);
		batch_save(b, heard, sizeof(heard));
		batch_put_slot(b, &slot);
	}
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	cr_assert(eq(int, ledger_info(l, &after, NULL), 0));
	cr_expect(eq(u64, after.commits, before.commits + 1));
	cr_expect(eq(int, (int)slots_in(l), 1000));
	batch_free(b);
	ledger_close(l);
}

static int stop_at_two(const struct slot_record *r, void *userdata)
{
	unsigned *n = userdata;

	return ++*n == 2 ? -EINTR : 0;
}

Test(batch, a_negative_return_ends_the_reading_and_is_handed_on)
{
	char *dir = scratch_make();
	struct slot_record one = slot_empty("api-1"), two = slot_empty("api-2");
	struct slot_record three = slot_empty("api-3");
	struct ledger *l = must_open(dir, 0, 100);
	struct batch *b = batch_new(l);
	unsigned n = 0;

	batch_put_slot(b, &three);
	batch_put_slot(b, &one);
	batch_put_slot(b, &two);
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	cr_expect(eq(int, ledger_each_slot(l, stop_at_two, &n, NULL), -EINTR));
	cr_expect(eq(int, (int)n, 2));
	batch_free(b);
	ledger_close(l);
}

Test(batch, freeing_nothing_is_fine)
{
	batch_free(NULL);
	ledger_close(NULL);
}
