/* What was saved is recorded with what becomes of the slot, found by its names, and goes when it may. */
#include "world.h"

#include <criterion/criterion.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

#define LEASE	"0123456789abcdef0123456789abcdef"
#define NOBODY	"00000000000000000000000000000000"
#define COMMIT	"1111111111111111111111111111111111111111"
#define OTHER	"1111111222222222222222222222222222222222"
#define LONG_AGO (1000 * USEC_PER_DAY)

TestSuite(salvage, .init = world_open, .fini = world_close);

/* --- what a worker says --- */

static json_object *saved(const char *lease, unsigned n, const char *commit, int64_t bytes)
{
	_cleanup_(freep) char *ref = text_printf("refs/slotd/salvage/p-1/%s/%u", lease, n);
	json_object *o = json_set_string(json_object_new_object(), "ref", ref);

	json_set_int(o, "n", n);
	json_set_string(o, "commit", commit);
	json_set_int(o, "takenAtUsec", LONG_AGO + n);
	json_set_string(o, "summary", "1 changed file");
	json_set_int(o, "bytes", bytes);
	return json_set(o, "special", json_object_new_array());
}

static void take(json_object *entry)
{
	_cleanup_json_ json_object *list = json_object_new_array();

	json_object_array_add(list, entry);
	salvages_take(slot_of("p-1"), list);
}

static void take_some(const char *lease, unsigned n, int64_t bytes)
{
	take(saved(lease, n, COMMIT, bytes));
	world_settle();
}

/* --- what is known --- */

static bool may(const char *pool, void *userdata)
{
	return userdata == NULL;
}

static int find(const char *what, struct salvage **ret)
{
	*ret = NULL;
	return salvage_find(world.pools, what, may, NULL, ret);
}

static unsigned known(void)
{
	unsigned n = 0;

	for (struct salvage *s = salvage_next(world.pools, NULL); s; s = salvage_next(world.pools, s))
		n++;
	return n;
}

static int count_kind(const struct event_record *e, void *userdata)
{
	const char *kind = *(const char **)userdata;

	if (strcmp(e->kind, kind) == 0)
		((unsigned *)userdata)[2]++;
	return 0;
}

static unsigned events(const char *kind)
{
	struct {
		const char *kind;
		unsigned n;
	} seen = { kind, 0 };
	struct fault f = FAULT_NONE;

	cr_assert_eq(ledger_read_events(world.ledger, 0, UINT64_MAX, count_kind, &seen, &f), 0, "%s", f.text);
	return seen.n;
}

/* the only one of a slot that somebody had, wrote in and gave back */
static const struct salvage_record *only_one(void)
{
	cr_assert_eq(known(), 1);
	return salvage_record(salvage_next(world.pools, NULL));
}

static void leave_work(const struct answer *a)
{
	_cleanup_(freep) char *path = slot_path(slot_of(a->slot));

	cr_assert_eq(shell("echo mine >%s/new", path), 0);
}

static bool is_in_store(const struct salvage *s)
{
	_cleanup_(freep) char *ref = salvage_ref(s);

	return shell("test $(git -C %s/repo rev-parse -q --verify %s) = %s", world.dir, ref,
		     salvage_record(s)->commit) == 0;
}

/* --- names --- */

Test(salvage, is_found_by_each_of_its_names_and_by_no_other)
{
	struct salvage *s;

	world_add_pool(1, 1);
	take_some(LEASE, 1, 10);
	cr_expect_eq(find("p-1/01234567/1", &s), 0);
	cr_assert_not_null(s);
	cr_expect_str_eq(salvage_id(s), "p-1/01234567/1");
	cr_expect_eq(find("p-1/" LEASE "/1", &s), 0);
	cr_expect_eq(find("refs/slotd/salvage/p-1/" LEASE "/1", &s), 0);
	cr_expect_eq(find("1111111", &s), 0);
	cr_expect_eq(find(COMMIT, &s), 0);
	cr_expect_eq(find("111111", &s), SALVAGE_E_ABSENT, "six digits are too few");
	cr_expect_eq(find(COMMIT "1", &s), SALVAGE_E_ABSENT);
	cr_expect_eq(find("1111112", &s), SALVAGE_E_ABSENT);
	cr_expect_eq(find("p-1/01234567/2", &s), SALVAGE_E_ABSENT);
	cr_expect_eq(find("refs/heads/p-1/" LEASE "/1", &s), SALVAGE_E_ABSENT);
	cr_expect_eq(find("", &s), SALVAGE_E_ABSENT);
	cr_expect_eq(salvage_find(world.pools, COMMIT, may, &s, &s), SALVAGE_E_ABSENT, "not for him");
}

Test(salvage, name_that_means_two_is_said_to_be_ambiguous)
{
	struct salvage *s;

	world_add_pool(1, 1);
	take(saved(LEASE, 1, COMMIT, 1));
	take(saved(LEASE, 2, OTHER, 1));
	take(saved("01234567ffffffffffffffffffffffff", 1, OTHER, 1));
	world_settle();
	cr_expect_eq(find("1111111", &s), SALVAGE_E_AMBIGUOUS);
	cr_expect_eq(find("11111111", &s), 0);
	cr_expect_eq(find("p-1/01234567/1", &s), SALVAGE_E_AMBIGUOUS, "two leases begin alike");
	cr_expect_eq(find("p-1/01234567/2", &s), 0);
	cr_expect_eq(find("p-1/" LEASE "/1", &s), 0);
}

Test(salvage, what_is_none_of_the_slot_is_not_believed)
{
	static const char *const refs[] = {
		"refs/heads/main", "refs/slotd/salvage/p-2/" LEASE "/1", "refs/slotd/salvage/p-1/" LEASE "/0",
		"refs/slotd/salvage/p-1/" LEASE "/-1", "refs/slotd/salvage/p-1/" LEASE "/1x",
		"refs/slotd/salvage/p-1/" LEASE "/", "refs/slotd/salvage/p-1/" LEASE, "refs/slotd/salvage/p-1/0123/1",
		"refs/slotd/salvage/p-1/0123456789ABCDEF0123456789abcdef/1", "refs/slotd/salvage/p-1", "",
		"refs/slotd/salvage/../" LEASE "/1", "refs/slotd/salvage/p-1/" LEASE "/99999999999999999999",
	};

	world_add_pool(1, 1);
	for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
		json_object *entry = saved(LEASE, 1, COMMIT, 1);

		take(json_set_string(entry, "ref", refs[i]));
		cr_expect_eq(known(), 0, "%s", refs[i]);
	}
}

/* --- recording --- */

Test(salvage, one_that_is_told_of_again_is_no_other_and_no_news)
{
	world_add_pool(1, 1);
	take_some(LEASE, 1, 10);
	take_some(LEASE, 1, 10);
	cr_expect_eq(known(), 1);
	cr_expect_eq(events("salvaged"), 1);
}

Test(salvage, all_are_known_after_a_restart_and_the_oldest_comes_first)
{
	static const char *const leases[] = { "f1234567f1234567f1234567f1234567", LEASE, NOBODY };
	struct salvage *s = NULL;
	struct id id;
	unsigned n;

	world_add_pool(1, 1);
	for (unsigned i = 1; i <= 12; i++)
		take_some(leases[i % 3], i, 1);
	world_restart(false);
	for (unsigned i = 1; i <= 12; i++) {
		s = salvage_next(world.pools, s);
		cr_assert_not_null(s);
		cr_expect_eq(salvage_record(s)->n, i);
	}
	cr_expect_null(salvage_next(world.pools, s));
	cr_assert_eq(id_from_string(LEASE, &id), 0);
	s = salvage_find_by_lease(world.pools, &id, &n);
	cr_assert_not_null(s);
	cr_expect_eq(salvage_record(s)->n, 10, "the newest");
	cr_expect_eq(n, 4);
	cr_assert_eq(id_from_string(NOBODY, &id), 0);
	cr_expect_null(salvage_find_by_lease(world.pools, &id, &n), "what no lease had is nobody's");
}

Test(salvage, what_could_not_be_recorded_is_recorded_when_it_is_told_of_again)
{
	world_add_pool(1, 1);
	break_ledger();
	take_some(LEASE, 1, 10);
	cr_expect_eq(known(), 0, "memory is as the ledger");
	mend_ledger();
	take_some(LEASE, 1, 10);
	cr_expect_eq(known(), 1);
	cr_expect_eq(events("salvaged"), 1);
}

/* --- with the slot --- */

Test(salvage, work_that_is_given_back_is_saved_and_the_slot_is_ready)
{
	struct acquire_spec spec = spec_of("anna");
	const struct salvage_record *r;
	struct answer a;
	struct id id;

	strcpy(spec.task, "T");
	spec.uid = 7;
	world_add_pool(1, 1);
	ask_and_wait(&spec, &a);
	leave_work(&a);
	give_back(&a, false);
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
	world_settle();
	r = only_one();
	cr_assert_eq(id_from_string(a.lease, &id), 0);
	cr_expect(id_is_equal(&r->lease, &id));
	cr_expect_str_eq(r->agent, "anna");
	cr_expect_str_eq(r->task, "T");
	cr_expect_str_eq(r->pool, "p");
	cr_expect_str_eq(r->slot, "p-1");
	cr_expect_eq(r->uid, 7);
	cr_expect_eq(r->n, 1);
	cr_expect_gt(r->bytes, 0);
	cr_expect(is_in_store(salvage_next(world.pools, NULL)));
	cr_expect_eq(events("salvaged"), 1);
	cr_expect(id_is_null(&slot_of("p-1")->rec.left_lease), "what comes next is not hers");
	cr_expect_eq(slot_of("p-1")->rec.left_usec, 0);
}

Test(salvage, one_that_the_store_told_of_first_belongs_to_its_holder_all_the_same)
{
	struct acquire_spec spec = spec_of("anna");
	struct salvage_record found;
	struct answer a;
	bool is_new;

	spec.uid = 7;
	world_add_pool(1, 1);
	ask_and_wait(&spec, &a);
	leave_work(&a);
	give_back(&a, false);
	RUN_UNTIL(slot_of("p-1")->job != NULL);
	memset(&found, 0, sizeof(found));
	strcpy(found.slot, "p-1");
	strcpy(found.pool, "p");
	strcpy(found.commit, COMMIT);
	cr_assert_eq(id_from_string(a.lease, &found.lease), 0);
	found.n = 1;
	found.uid = found.drop_uid = UINT32_MAX;
	cr_assert_not_null(salvage_enter(world.pools, &found, &is_new));
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
	world_settle();
	cr_expect_eq(only_one()->uid, 7);
	cr_expect_str_eq(only_one()->agent, "anna");
	cr_expect(is_in_store(salvage_next(world.pools, NULL)), "its commit is the store's");
}

Test(salvage, work_that_may_go_is_not_saved)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a;

	world_add_pool(1, 1);
	ask_and_wait(&spec, &a);
	leave_work(&a);
	give_back(&a, true);
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
	cr_expect_eq(known(), 0);
}

Test(salvage, slot_that_nobody_had_is_saved_for_nobody_when_it_is_removed)
{
	struct answer a = { .slot = "p-1" };
	struct refusal no = { 0 };
	const struct salvage_record *r;

	world_add_pool(1, 1);
	leave_work(&a);
	cr_assert_eq(slot_remove(slot_of("p-1"), false, 0, &no), 0, "%s", no.why.text);
	RUN_UNTIL(!slot_of("p-1"));
	world_settle();
	r = only_one();
	cr_expect(id_is_null(&r->lease));
	cr_expect_str_eq(r->agent, "");
	cr_expect_eq(r->uid, UINT32_MAX);
	cr_expect(is_in_store(salvage_next(world.pools, NULL)));
}

Test(salvage, clean_that_is_repeated_after_a_crash_saves_nothing_twice)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a;

	world_add_pool(1, 1);
	ask_and_wait(&spec, &a);
	leave_work(&a);
	give_back(&a, false);
	RUN_UNTIL(slot_of("p-1")->job != NULL);
	break_ledger();
	RUN_UNTIL(slot_of("p-1")->job == NULL);
	world_settle();
	cr_expect_eq(known(), 0, "it could not be recorded");
	mend_ledger();
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
	world_settle();
	cr_expect_eq(only_one()->n, 1);
	cr_expect_str_eq(only_one()->agent, "anna");
	cr_expect(is_in_store(salvage_next(world.pools, NULL)));
}

/* --- what may go --- */

static void at(uint64_t usec)
{
	static const struct boot_id boot = { .bytes = { 1 } };

	clock_fake(LONG_AGO + usec, usec, &boot);
}

static const char *fate(unsigned n)
{
	_cleanup_(freep) char *id = text_printf("p-1/01234567/%u", n);
	struct salvage *s;

	cr_assert_eq(find(id, &s), 0, "%s", id);
	return salvage_record(s)->dropping;
}

/* a round of the janitor, up to where jobs would start */
static void expire(void)
{
	world.pools->salvage_round_usec = 0;
	salvages_expire(world.pools);
}

static void begin_to_keep(uint64_t keep_usec, uint64_t most_bytes)
{
	world.conf->salvage.keep_usec = keep_usec;
	world.conf->salvage.max_size_bytes = most_bytes;
	world_add_pool(1, 1);
}

Test(salvage, what_is_older_than_it_is_kept_goes_and_what_is_younger_stays)
{
	begin_to_keep(10 * USEC_PER_DAY, 1000);
	at(USEC_PER_DAY);
	take(saved(LEASE, 1, COMMIT, 1));
	at(5 * USEC_PER_DAY);
	take(saved(LEASE, 2, COMMIT, 1));
	at(11 * USEC_PER_DAY - 1);
	expire();
	cr_expect_str_empty(fate(1));
	at(11 * USEC_PER_DAY);
	expire();
	cr_expect_str_eq(fate(1), "older than salvage.keep (10d)");
	cr_expect_str_empty(fate(2));
	clock_real();
}

Test(salvage, jump_of_the_wall_clock_drops_nothing)
{
	static const struct boot_id boot = { .bytes = { 1 } };

	begin_to_keep(10 * USEC_PER_DAY, 1000);
	at(USEC_PER_DAY);
	take(saved(LEASE, 1, COMMIT, 1));
	clock_fake(LONG_AGO + 4000 * USEC_PER_DAY, 2 * USEC_PER_DAY, &boot);
	expire();
	cr_expect_str_empty(fate(1));
	clock_real();
}

Test(salvage, oldest_make_room_and_no_more_than_needed)
{
	begin_to_keep(100 * USEC_PER_DAY, 100);
	at(USEC_PER_DAY);
	for (unsigned n = 1; n <= 5; n++)
		take(saved(LEASE, n, COMMIT, 30));
	at(3 * USEC_PER_DAY);
	cr_expect_eq(salvages_excess(world.pools).bytes, 50);
	expire();
	cr_expect_neq(fate(1)[0], '\0');
	cr_expect_neq(fate(2)[0], '\0');
	for (unsigned n = 3; n <= 5; n++)
		cr_expect_str_empty(fate(n), "%u", n);
	cr_expect_eq(salvages_excess(world.pools).bytes, 0);
	clock_real();
}

Test(salvage, what_was_saved_within_a_day_stays_whatever_its_size_and_that_is_said_once)
{
	begin_to_keep(100 * USEC_PER_DAY, 100);
	at(USEC_PER_DAY);
	take(saved(LEASE, 1, COMMIT, 80));
	at(2 * USEC_PER_DAY - 1);
	take(saved(LEASE, 2, COMMIT, 80));
	expire();
	expire();
	world_settle();
	cr_expect_str_empty(fate(1));
	cr_expect_str_empty(fate(2));
	cr_expect_eq(salvages_excess(world.pools).bytes, 60);
	cr_expect_eq(events("salvage_over_limit"), 1);
	at(2 * USEC_PER_DAY);
	expire();
	cr_expect_neq(fate(1)[0], '\0', "a day has passed");
	cr_expect_eq(salvages_excess(world.pools).bytes, 0);
	clock_real();
}

Test(salvage, oldest_go_where_there_are_too_many_however_small)
{
	begin_to_keep(100 * USEC_PER_DAY, 1000);
	world.conf->salvage.max_count = 3;
	at(USEC_PER_DAY);
	for (unsigned n = 1; n <= 5; n++)
		take(saved(LEASE, n, COMMIT, 0));
	at(3 * USEC_PER_DAY);
	cr_expect_eq(salvages_excess(world.pools).n, 2);
	expire();
	for (unsigned n = 1; n <= 2; n++)
		cr_expect_str_eq(fate(n), "the oldest, and there are more than salvage.max_count (3)");
	for (unsigned n = 3; n <= 5; n++)
		cr_expect_str_empty(fate(n), "%u", n);
	cr_expect_eq(salvages_excess(world.pools).n, 0);
	clock_real();
}

Test(salvage, what_goes_for_its_number_makes_room_as_well)
{
	begin_to_keep(100 * USEC_PER_DAY, 90);
	world.conf->salvage.max_count = 3;
	at(USEC_PER_DAY);
	for (unsigned n = 1; n <= 5; n++)
		take(saved(LEASE, n, COMMIT, 30));
	at(3 * USEC_PER_DAY);
	expire();
	for (unsigned n = 3; n <= 5; n++)
		cr_expect_str_empty(fate(n), "%u", n);
	clock_real();
}

Test(salvage, any_number_is_kept_where_there_is_no_bound)
{
	begin_to_keep(100 * USEC_PER_DAY, 1000);
	world.conf->salvage.max_count = 0;
	at(USEC_PER_DAY);
	for (unsigned n = 1; n <= 5; n++)
		take(saved(LEASE, n, COMMIT, 1));
	at(3 * USEC_PER_DAY);
	cr_expect_eq(salvages_excess(world.pools).n, 0);
	expire();
	for (unsigned n = 1; n <= 5; n++)
		cr_expect_str_empty(fate(n), "%u", n);
	clock_real();
}

Test(salvage, too_many_of_a_day_stay_and_that_is_said_once)
{
	begin_to_keep(100 * USEC_PER_DAY, 1000);
	world.conf->salvage.max_count = 1;
	at(USEC_PER_DAY);
	take(saved(LEASE, 1, COMMIT, 1));
	at(2 * USEC_PER_DAY - 1);
	take(saved(LEASE, 2, COMMIT, 1));
	expire();
	expire();
	world_settle();
	cr_expect_str_empty(fate(1));
	cr_expect_eq(events("salvage_over_limit"), 1);
	at(2 * USEC_PER_DAY);
	expire();
	cr_expect_neq(fate(1)[0], '\0', "a day has passed");
	cr_expect_str_empty(fate(2));
	cr_expect_eq(salvages_excess(world.pools).n, 0);
	clock_real();
}

Test(salvage, drop_that_cannot_be_recorded_is_refused_and_nothing_goes)
{
	begin_to_keep(10 * USEC_PER_DAY, 1000);
	at(USEC_PER_DAY);
	take(saved(LEASE, 1, COMMIT, 1));
	world_settle();
	at(20 * USEC_PER_DAY);
	break_ledger();
	expire();
	world_settle();
	mend_ledger();
	cr_expect_str_empty(fate(1));
	cr_expect_eq(world.pools->n_salvage_drops, 0);
	expire();
	cr_expect_neq(fate(1)[0], '\0', "it is tried again");
	clock_real();
}
