/* What a check found is held against what the last one had found, and told once. */
#include "world.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/json.h"

TestSuite(check, .init = world_open, .fini = world_close);

/* --- what a worker says --- */

static json_object *finding(unsigned n, const char *severity, const char *slot)
{
	json_object *o = json_object_new_object();
	char key[FINDING_KEY_SIZE], where[32];

	snprintf(key, sizeof(key), "%040u", n);
	snprintf(where, sizeof(where), "refs/heads/%u", n);
	json_set_string(o, "key", key);
	json_set_string(o, "id", "empty-ref");
	json_set_string(o, "severity", severity);
	json_set_string(o, "where", where);
	json_set_string(o, "slot", slot);
	return json_set_string(o, "detail", "it is empty");
}

static json_object *reply_of(json_object *findings, bool truncated)
{
	json_object *o = json_set(json_object_new_object(), "findings", findings);
	json_object *counts = json_object_new_object();
	static const char *const severities[] = { "error", "warning", "info" };

	for (size_t s = 0; s < ARRAY_SIZE(severities); s++)
		json_set_int(counts, severities[s], 0);
	for (size_t i = 0; i < json_object_array_length(findings); i++) {
		const char *severity = json_get_string(json_object_array_get_idx(findings, i), "severity");

		json_set_int(counts, severity, json_get_int(counts, severity, 0) + 1);
	}
	json_set(o, "counts", counts);
	json_set_int(o, "objects", 12);
	return json_set_bool(o, "truncated", truncated);
}

/* findings [from, until) of a severity */
static json_object *some(unsigned from, unsigned until, const char *severity)
{
	json_object *list = json_object_new_array();

	for (unsigned n = from; n < until; n++)
		json_object_array_add(list, finding(n, severity, NULL));
	return list;
}

static struct check made;

static void forget(void)
{
	json_object_put(made.result.findings);
	json_object_put(made.result.meanings);
	json_object_put(made.result.unsettled);
	free(made.slots);
	made = (struct check){ 0 };
}

/* a check that has looked at the slots as they are now */
static void begin(enum pool_check_depth depth)
{
	struct slot *slot = NULL;

	forget();
	made.pool = world.pool;
	made.depth = depth;
	made.slots = calloc(world.pool->total + 1, sizeof(*made.slots));
	cr_assert(made.slots != NULL);
	while ((slot = slot_next(world.pools, world.pool, slot))) {
		snprintf(made.slots[made.n_slots].name, NAME_SIZE, "%s", slot->rec.name);
		made.slots[made.n_slots++].since_usec = slot->rec.since_usec;
	}
}

static void end(json_object *findings, bool truncated)
{
	_cleanup_json_ json_object *reply = reply_of(findings, truncated);
	struct fault f = FAULT_NONE;

	cr_assert(eq(int, check_judge(&made, reply), 0));
	cr_assert(eq(int, pools_commit(world.pools, &f), 0), "%s", f.text);
}

static void check(json_object *findings, bool truncated)
{
	begin(POOL_CHECK_PLAIN);
	end(findings, truncated);
}

/* --- what is known afterwards --- */

struct seen {
	const char *kind;
	unsigned n;
	char last[512];
};

static int count_kind(const struct event_record *r, void *userdata)
{
	struct seen *seen = userdata;

	if (strcmp(r->kind, seen->kind) == 0) {
		seen->n++;
		memcpy(seen->last, r->detail, sizeof(seen->last));
	}
	return 0;
}

static struct seen events(const char *kind, uint64_t since)
{
	struct seen seen = { .kind = kind };

	cr_assert(eq(int, ledger_read_events(world.ledger, since, UINT64_MAX, count_kind, &seen, NULL), 0));
	return seen;
}

static int count_finding(const struct finding_record *r, void *userdata)
{
	(*(unsigned *)userdata)++;
	return 0;
}

static unsigned kept(void)
{
	unsigned n = 0;

	cr_assert(eq(int, ledger_each_finding(world.ledger, "p", count_finding, &n, NULL), 0));
	return n;
}

static unsigned count_new(void)
{
	unsigned n = 0;

	for (size_t i = 0; i < json_object_array_length(made.result.findings); i++)
		n += json_get_bool(json_object_array_get_idx(made.result.findings, i), "sinceLast", false);
	return n;
}

Test(check, what_is_new_and_what_is_gone_is_told_once)
{
	uint64_t before;

	world_add_pool(1, 2);
	cr_expect(pool_last_check(world.pool) == NULL);
	check(some(0, 3, "error"), false);
	cr_expect(eq(u32, count_new(), 3));
	cr_expect(eq(u32, events("finding", 0).n, 3));
	cr_assert(pool_last_check(world.pool) != NULL);
	cr_expect(eq(u64, pool_last_check(world.pool)->errors, 3));

	before = ledger_last_sequence(world.ledger);
	check(some(1, 4, "error"), false);
	cr_expect(eq(u32, count_new(), 1));
	cr_expect(eq(u32, events("finding", before).n, 1));
	cr_expect(eq(u32, events("finding_gone", before).n, 1));
	cr_expect(eq(str, events("finding_gone", before).last, (char *)"error empty-ref in refs/heads/0"));
	cr_expect(eq(u32, kept(), 3));

	before = ledger_last_sequence(world.ledger);
	check(some(1, 4, "error"), false);
	cr_expect(eq(u32, count_new(), 0));
	cr_expect(eq(u32, events("finding", before).n + events("finding_gone", before).n, 0));
	cr_expect(eq(u32, events("checked", before).n, 1));
	forget();
}

Test(check, a_restart_makes_nothing_new)
{
	uint64_t before;

	world_add_pool(1, 2);
	check(some(0, 3, "warning"), false);
	forget();
	world_restart(false);
	before = ledger_last_sequence(world.ledger);
	cr_assert(pool_last_check(world.pool) != NULL);
	cr_expect(eq(u64, pool_last_check(world.pool)->warnings, 3));
	check(some(0, 3, "warning"), false);
	cr_expect(eq(u32, count_new(), 0));
	cr_expect(eq(u32, events("finding", before).n, 0));
	forget();
}

Test(check, notes_are_remembered_and_no_news)
{
	world_add_pool(1, 2);
	check(some(0, 3, "info"), false);
	cr_expect(eq(u32, count_new(), 3));
	check(some(0, 2, "info"), false);
	cr_expect(eq(u32, count_new(), 0));
	cr_expect(eq(u32, kept(), 2));
	cr_expect(eq(u32, events("finding", 0).n + events("finding_gone", 0).n, 0));
	forget();
}

Test(check, of_very_much_a_hundred_are_told_and_then_how_many_more)
{
	uint64_t before;

	world_add_pool(1, 2);
	check(some(0, 250, "error"), false);
	cr_expect(eq(u32, events("finding", 0).n, 101));
	cr_expect(eq(str, events("finding", 0).last, (char *)"and 150 more that came or went; all: slotctl check p"));
	cr_expect(eq(u32, kept(), 250));
	before = ledger_last_sequence(world.ledger);
	check(some(1000, 1001, "error"), false);
	cr_expect(eq(u32, events("finding", before).n, 2));
	cr_expect(eq(u32, events("finding_gone", before).n, 99));
	cr_expect(eq(u32, kept(), 1));
	forget();
}

Test(check, of_more_than_can_be_kept_nobody_says_that_it_is_gone)
{
	world_add_pool(1, 2);
	check(some(0, 10, "error"), false);
	check(some(5, 15, "error"), true);
	cr_expect(eq(u32, events("finding_gone", 0).n, 0));
	cr_expect(eq(u32, kept(), 10));
	forget();
}

Test(check, another_severity_is_kept_and_told)
{
	uint64_t before;

	world_add_pool(1, 2);
	check(some(0, 1, "warning"), false);
	before = ledger_last_sequence(world.ledger);
	check(some(0, 1, "error"), false);
	cr_expect(eq(u32, count_new(), 0));
	cr_expect(eq(u32, events("finding", before).n, 1));
	cr_expect(eq(u32, kept(), 1));
	forget();
}

/* --- slots that move --- */

static json_object *of_slot(const char *slot)
{
	json_object *list = json_object_new_array();

	json_object_array_add(list, finding(1, "error", slot));
	json_object_array_add(list, finding(2, "error", NULL));
	return list;
}

Test(check, what_is_found_of_a_slot_that_moved_is_left_out_and_says_so)
{
	struct acquire_spec spec;
	struct answer a;
	json_object *list;

	world_add_pool(1, 2);
	begin(POOL_CHECK_PLAIN);
	spec = spec_of("a");
	ask_and_wait(&spec, &a);
	cr_assert(eq(str, a.error, (char *)""));
	list = of_slot(a.slot);
	json_set_string(json_object_array_get_idx(list, 1), "where", "worktrees/slotd-p-1/HEAD");
	end(list, false);
	cr_expect(eq(sz, json_object_array_length(made.result.findings), 0));
	cr_expect(eq(u64, made.result.errors, 0));
	cr_assert(eq(sz, json_object_array_length(made.result.unsettled), 1));
	cr_expect(eq(u32, events("finding", 0).n, 0));
	cr_expect(eq(u32, kept(), 0));
	forget();
}

Test(check, what_was_known_of_a_slot_that_moved_is_neither_new_nor_gone)
{
	struct acquire_spec spec;
	struct answer a;

	world_add_pool(1, 2);
	check(of_slot("p-1"), false);
	cr_expect(eq(u32, kept(), 2));
	begin(POOL_CHECK_PLAIN);
	spec = spec_of("a");
	ask_and_wait(&spec, &a);
	cr_assert(eq(str, a.slot, (char *)"p-1"));
	end(some(2, 3, "error"), false);
	cr_expect(eq(u32, events("finding_gone", 0).n, 0));
	cr_expect(eq(u32, kept(), 2));
	check(some(2, 3, "error"), false);
	cr_expect(eq(u32, events("finding_gone", 0).n, 1), "it has stood still");
	cr_expect(eq(u32, kept(), 1));
	forget();
}

Test(check, a_slot_that_stood_still_is_told_of_and_so_is_one_that_nobody_knows)
{
	world_add_pool(1, 2);
	check(of_slot("p-1"), false);
	cr_expect(eq(sz, json_object_array_length(made.result.findings), 2));
	check(of_slot("p-77"), false);
	cr_expect(eq(sz, json_object_array_length(made.result.findings), 2));
	cr_expect(eq(sz, json_object_array_length(made.result.unsettled), 0));
	forget();
}

Test(check, a_quick_one_records_nothing)
{
	world_add_pool(1, 2);
	check(some(0, 1, "error"), false);
	begin(POOL_CHECK_QUICK);
	end(some(0, 2, "error"), false);
	cr_expect(eq(u32, count_new(), 1));
	cr_expect(eq(u32, kept(), 1));
	cr_expect(eq(u64, pool_last_check(world.pool)->errors, 1));
	cr_expect(eq(u32, events("checked", 0).n, 1));
	forget();
}

/* --- notes --- */

static int count_note(const struct note_record *r, void *userdata)
{
	(*(unsigned *)userdata)++;
	return 0;
}

static unsigned notes(void)
{
	unsigned n = 0;

	cr_assert(eq(int, ledger_each_note(world.ledger, "p", count_note, &n, NULL), 0));
	return n;
}

static void keep(const char *name, const char *data, size_t len)
{
	_cleanup_json_ json_object *list = json_object_new_array();
	json_object *o = json_set_string(json_object_new_object(), "name", name);
	struct fault f = FAULT_NONE;

	if (data)
		json_set_bytes(o, "note", data, len);
	json_object_array_add(list, o);
	check_keep_notes(&made, list);
	cr_assert(eq(int, pools_commit(world.pools, &f), 0), "%s", f.text);
}

Test(check, notes_are_kept_as_they_come_and_go)
{
	static char much[NOTE_BYTES + 1];

	world_add_pool(1, 2);
	begin(POOL_CHECK_PLAIN);
	keep("a", "x", 1);
	keep("b", much, NOTE_BYTES);
	keep("a", "y", 1);
	cr_expect(eq(u32, notes(), 2));
	keep("c", much, sizeof(much));
	keep("a name that is longer than any note of a check ever was, and by far", "x", 1);
	cr_expect(eq(u32, notes(), 2), "what cannot be kept is none");
	keep("a", NULL, 0);
	cr_expect(eq(u32, notes(), 1));
	forget();
}

Test(check, when_the_ledger_cannot_be_written_the_last_check_is_what_it_was)
{
	_cleanup_json_ json_object *reply = reply_of(some(0, 3, "error"), false);
	struct fault f = FAULT_NONE;

	world_add_pool(1, 2);
	check(some(0, 1, "error"), false);
	begin(POOL_CHECK_PLAIN);
	break_ledger();
	cr_assert(eq(int, check_judge(&made, reply), 0));
	cr_expect(lt(int, pools_commit(world.pools, &f), 0));
	mend_ledger();
	cr_expect(eq(sz, json_object_array_length(made.result.findings), 3));
	cr_expect(eq(u64, pool_last_check(world.pool)->errors, 1));
	cr_expect(eq(u32, kept(), 1));
	forget();
}
