#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "ledger/child.h"
#include "ledger/env.h"
#include "ledger/batch.h"
#include "ledger/marker.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

static enum ledger_verdict judge(const char *dir, struct fault *f)
{
	enum ledger_verdict verdict = 0;
	int r = ledger_judge(dir, &verdict, f);

	cr_assert(eq(int, r, 0), "%s", f ? f->text : "");
	return verdict;
}

#define expect_verdict(dir, wanted)                                                      \
	do {                                                                             \
		struct fault f_ = FAULT_NONE;                                            \
		enum ledger_verdict got_ = judge(dir, &f_);                              \
		cr_expect(eq(int, (int)got_, (int)(wanted)), "%s", f_.text);             \
		if ((wanted) != LEDGER_VERDICT_GOOD && (wanted) != LEDGER_VERDICT_FRESH) \
			cr_expect(f_.text[0] != '\0', "no sentence");                    \
	} while (0)

static void cut(const char *dir, off_t size)
{
	_cleanup_(freep) char *path = path_of(dir, "ledger/data.mdb");

	cr_assert(eq(int, truncate(path, size), 0));
}

static off_t size_of(const char *dir)
{
	_cleanup_(freep) char *path = path_of(dir, "ledger/data.mdb");
	struct stat st;

	cr_assert(eq(int, stat(path, &st), 0));
	return st.st_size;
}

/* some of everything */
static void fill(const char *dir, int slots)
{
	struct pool_record pool = pool_full();
	struct lease_record lease = lease_full();
	struct key_record key = key_full();
	struct ledger *l;
	struct batch *b;

	cr_assert(eq(int, ledger_open(dir, 0, 1000, &l, NULL), 0));
	b = batch_new(l);
	batch_put_pool(b, &pool);
	batch_put_key(b, &key);
	for (int i = 1; i <= slots; i++) {
		struct slot_record slot = slot_full();
		struct token_record token = { .token = (uint64_t)i, .next_n = 0 };
		struct event_record event = event_full();

		snprintf(slot.name, sizeof(slot.name), "api-%d", i);
		slot.token = (uint64_t)i;
		batch_put_slot(b, &slot);
		batch_put_token(b, slot.name, &token);
		memcpy(&lease.id, &i, sizeof(i));
		batch_put_lease(b, &lease);
		batch_event(b, &event);
		cr_assert(eq(int, batch_commit(b, NULL), 0));
	}
	batch_free(b);
	ledger_close(l);
}

Test(judge, nothing_at_all_is_a_first_start)
{
	char *dir = scratch_make();

	expect_verdict(dir, LEDGER_VERDICT_FRESH);
	make_dir_at(dir, "stores");
	make_dir_at(dir, "slots");
	expect_verdict(dir, LEDGER_VERDICT_FRESH);
	expect_verdict("/nonexistent/slotd", LEDGER_VERDICT_FRESH);
}

Test(judge, a_ledger_with_and_without_records_is_good)
{
	char *dir = scratch_make();
	struct ledger *l;

	cr_assert(eq(int, ledger_open(dir, 0, 1, &l, NULL), 0));
	ledger_close(l);
	expect_verdict(dir, LEDGER_VERDICT_GOOD);
	fill(dir, 30);
	expect_verdict(dir, LEDGER_VERDICT_GOOD);
}

Test(judge, notes_larger_than_a_page_and_holes_between_them_are_good)
{
	_cleanup_(ledger_closep) struct ledger *l = NULL;
	char *dir = scratch_make();
	struct note_record note = note_full();
	struct batch *b;

	cr_assert(eq(int, ledger_open(dir, 0, 1000, &l, NULL), 0));
	b = batch_new(l);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 100; i++) {
			snprintf(note.name, sizeof(note.name), "pack-%d", i);
			note.note.len = (uint32_t)(i * 70);
			if ((i + round) % 3)
				batch_put_note(b, &note);
			else
				batch_delete_note(b, note.pool, note.name);
		}
		cr_assert(eq(int, batch_commit(b, NULL), 0));
	}
	batch_free(b);
	expect_verdict(dir, LEDGER_VERDICT_GOOD);
}

Test(judge, a_ledger_that_is_gone_is_missed_by_whatever_is_left)
{
	static const char *const traces[] = { "stores/api.git", "slots/api", "ledger.copy",
					      "ledger.damaged-17" };

	for (size_t i = 0; i < ARRAY_SIZE(traces); i++) {
		char *dir = scratch_make();

		make_dir_at(dir, traces[i]);
		expect_verdict(dir, LEDGER_VERDICT_MISSING);
	}
}

Test(judge, the_marker_alone_says_that_there_was_a_ledger)
{
	char *dir = scratch_make();

	fill(dir, 1);
	remove_at(dir, "ledger/data.mdb");
	expect_verdict(dir, LEDGER_VERDICT_MISSING);
	remove_at(dir, "ledger");
	expect_verdict(dir, LEDGER_VERDICT_MISSING);
}

Test(judge, a_file_of_no_bytes_is_missing_and_on_a_first_start_fresh)
{
	char *dir = scratch_make();

	fill(dir, 1);
	cut(dir, 0);
	expect_verdict(dir, LEDGER_VERDICT_MISSING);
	remove_at(dir, MARKER_FILE);
	expect_verdict(dir, LEDGER_VERDICT_FRESH);
}

Test(judge, a_ledger_without_databases_is_missing_and_on_a_first_start_fresh)
{
	char *dir = scratch_make();
	_cleanup_(freep) char *ledger = path_of(dir, "ledger");
	MDB_env *env;

	make_dir_at(dir, "ledger");
	cr_assert(eq(int, env_open(ledger, 1 << 20, 0, &env), 0));
	mdb_env_close(env);
	expect_verdict(dir, LEDGER_VERDICT_FRESH);
	make_dir_at(dir, "stores/api.git");
	expect_verdict(dir, LEDGER_VERDICT_MISSING);
}

Test(judge, a_truncated_file_is_damaged_wherever_records_are_cut_off)
{
	char *dir = scratch_make();
	off_t whole;

	fill(dir, 40);
	whole = size_of(dir);
	for (off_t size = whole * 6 / 7; size > 0; size -= whole / 7) {
		cut(dir, size);
		expect_verdict(dir, LEDGER_VERDICT_DAMAGED);
	}
	cut(dir, 1);
	expect_verdict(dir, LEDGER_VERDICT_DAMAGED);
}

Test(judge, garbage_and_what_is_no_file_are_damaged)
{
	char *dir = scratch_make();
	_cleanup_(freep) char *data = path_of(dir, "ledger/data.mdb");
	char garbage[8192];

	memset(garbage, 0xa5, sizeof(garbage));
	make_dir_at(dir, "ledger");
	cr_assert(eq(int, fs_write_file_at(AT_FDCWD, data, garbage, sizeof(garbage), 0600), 0));
	expect_verdict(dir, LEDGER_VERDICT_DAMAGED);
	cr_assert(eq(int, unlink(data), 0));
	cr_assert(eq(int, symlink("/dev/zero", data), 0));
	expect_verdict(dir, LEDGER_VERDICT_DAMAGED);
	cr_assert(eq(int, unlink(data), 0));
	cr_assert(eq(int, mkfifo(data, 0600), 0));
	expect_verdict(dir, LEDGER_VERDICT_DAMAGED);
}

Test(judge, another_ledger_in_its_place_is_damaged)
{
	char *dir = scratch_make();
	struct id other;

	fill(dir, 1);
	id_random(&other);
	cr_assert(eq(int, marker_write(dir, &other, NULL), 0));
	expect_verdict(dir, LEDGER_VERDICT_DAMAGED);
}

Test(judge, a_marker_that_cannot_be_read_is_damaged)
{
	char *dir = scratch_make();
	_cleanup_(freep) char *marker = path_of(dir, MARKER_FILE);
	static const char *const contents[] = { "", "x", "0123456789abcdef0123456789abcde\n",
						"0123456789ABCDEF0123456789ABCDEF\n" };

	fill(dir, 1);
	for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
		cr_assert(eq(
			int,
			fs_write_file_at(AT_FDCWD, marker, contents[i], strlen(contents[i]), 0600),
			0));
		expect_verdict(dir, LEDGER_VERDICT_DAMAGED);
	}
}

Test(judge, a_missing_marker_is_good_and_opening_writes_it)
{
	char *dir = scratch_make();
	struct id marker;
	struct ledger *l;

	fill(dir, 1);
	remove_at(dir, MARKER_FILE);
	expect_verdict(dir, LEDGER_VERDICT_GOOD);
	cr_assert(eq(int, ledger_open(dir, 0, 1000, &l, NULL), 0));
	cr_assert(eq(int, marker_read(dir, &marker, NULL), 0));
	cr_expect(id_is_equal(&marker, &ledger_generation(l)->generation));
	ledger_close(l);
	expect_verdict(dir, LEDGER_VERDICT_GOOD);
}

static int put_schema(struct ledger *l, MDB_txn *txn, void *arg)
{
	struct generation_record next = l->generation;

	next.schema = *(const uint32_t *)arg;
	return ledger_put_generation(l, txn, &next);
}

static void set_schema(const char *dir, uint32_t schema)
{
	struct ledger *l;

	cr_assert(eq(int, ledger_open(dir, 0, 1000, &l, NULL), 0));
	cr_assert(eq(int, ledger_write(l, put_schema, &schema, NULL), 0));
	ledger_close(l);
}

Test(judge, a_newer_schema_is_newer_and_is_not_opened)
{
	char *dir = scratch_make();
	struct fault f = FAULT_NONE;
	struct ledger *l = NULL;

	fill(dir, 1);
	set_schema(dir, LEDGER_SCHEMA + 1);
	expect_verdict(dir, LEDGER_VERDICT_NEWER);
	cr_expect(eq(int, ledger_open(dir, 0, 1000, &l, &f), -EPROTONOSUPPORT));
	cr_expect(ne(ptr, strstr(f.text, "schema 3, and this slotd knows 2: it was made by a newer one"), NULL),
		  "%s", f.text);
	cr_expect(eq(ptr, l, NULL));
}

Test(judge, a_schema_that_never_existed_is_damaged)
{
	char *dir = scratch_make();

	fill(dir, 1);
	set_schema(dir, 0);
	expect_verdict(dir, LEDGER_VERDICT_DAMAGED);
}

static int put_raw(struct ledger *l, MDB_txn *txn, void *arg)
{
	MDB_val *kv = arg;

	return mdb_put(txn, l->dbi[LEDGER_VERIFIED], &kv[0], &kv[1], 0);
}

Test(judge, a_record_that_does_not_decode_is_damaged_in_any_database)
{
	char *dir = scratch_make();
	MDB_val kv[2] = { { 3, (void *)"abc" }, { 12, (void *)"no checksum!" } };
	struct ledger *l;

	cr_assert(eq(int, ledger_open(dir, 0, 1000, &l, NULL), 0));
	cr_assert(eq(int, ledger_write(l, put_raw, kv, NULL), 0));
	ledger_close(l);
	expect_verdict(dir, LEDGER_VERDICT_DAMAGED);
}

/* --- bit flips --- */

/* all records of a ledger as one number */
static uint64_t mix(uint64_t sum, const void *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum = (sum ^ ((const uint8_t *)data)[i]) * 0x100000001b3ULL;
	return sum;
}

static uint64_t digest(const char *dir)
{
	_cleanup_(ledger_closep) struct ledger *l = NULL;
	uint64_t sum = 0xcbf29ce484222325ULL;
	struct fault f = FAULT_NONE;

	cr_assert(eq(int, ledger_open(dir, 0, 1000, &l, &f), 0), "%s", f.text);
	for (int db = 0; db < LEDGER_DBS; db++) {
		MDB_cursor *cursor;
		MDB_txn *txn;
		MDB_val k, v;

		cr_assert(eq(int, mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn), 0));
		cr_assert(eq(int, mdb_cursor_open(txn, l->dbi[db], &cursor), 0));
		while (mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0) {
			sum = mix(sum, k.mv_data, k.mv_size);
			sum = mix(sum, v.mv_data, v.mv_size);
		}
		mdb_cursor_close(cursor);
		mdb_txn_abort(txn);
	}
	return sum;
}

/* whether the flip is judged good; then it must have changed nothing */
static bool is_judged_good(const char *dir, const char *data, off_t bit, uint64_t whole)
{
	enum ledger_verdict verdict;

	flip_bit(data, bit);
	verdict = judge(dir, NULL);
	cr_assert(verdict == LEDGER_VERDICT_GOOD || verdict == LEDGER_VERDICT_DAMAGED ||
			  verdict == LEDGER_VERDICT_MISSING,
		  "verdict %d for bit %lld", verdict, (long long)bit);
	if (verdict == LEDGER_VERDICT_GOOD)
		cr_assert(eq(u64, digest(dir), whole), "bit %lld was not noticed", (long long)bit);
	flip_bit(data, bit);
	return verdict == LEDGER_VERDICT_GOOD;
}

Test(judge, two_hundred_flipped_bits_are_noticed_or_harmless, .timeout = 120)
{
	char *dir = scratch_make();
	_cleanup_(freep) char *data = path_of(dir, "ledger/data.mdb");
	uint64_t whole;
	off_t bits;
	int flips = is_under_valgrind() ? 20 : 200, good = 0;

	fill(dir, 25);
	whole = digest(dir);
	bits = size_of(dir) * 8;
	srandom(1);
	for (int i = 0; i < flips; i++)
		good += is_judged_good(dir, data, (off_t)((uint64_t)random() % (uint64_t)bits),
				       whole);
	cr_expect(lt(int, good, flips));
	expect_verdict(dir, LEDGER_VERDICT_GOOD);
}

#define META_BYTES 152 /* with the header of its page */

Test(judge, no_flipped_bit_of_a_meta_page_goes_back_to_an_older_state, .timeout = 120)
{
	char *dir = scratch_make();
	_cleanup_(freep) char *data = path_of(dir, "ledger/data.mdb");
	off_t step = is_under_valgrind() ? 61 : 2;
	uint64_t whole;

	fill(dir, 6);
	whole = digest(dir);
	for (int page = 0; page < 2; page++) {
		for (off_t bit = 0; bit < META_BYTES * 8; bit += step)
			is_judged_good(dir, data, page * 4096L * 8 + bit, whole);
	}
	expect_verdict(dir, LEDGER_VERDICT_GOOD);
}

/* --- the child --- */

static int hang(void *arg, void *result, struct fault *f)
{
	for (;;)
		pause();
	return 0;
}

static int spin(void *arg, void *result, struct fault *f)
{
	for (volatile unsigned i = 0;; i++)
		;
	return 0;
}

static int crash(void *arg, void *result, struct fault *f)
{
	*(int *)result = 42;
	raise(SIGSEGV);
	return 0;
}

static int eat_memory(void *arg, void *result, struct fault *f)
{
	for (size_t n = 0; n < 1024; n++) {
		if (mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0) == MAP_FAILED)
			return fault(f, -ENOMEM, "after %zu", n);
	}
	return 0;
}

static int be_killed(void *arg, void *result, struct fault *f)
{
	raise(SIGKILL);
	return 0;
}

static int refuse(void *arg, void *result, struct fault *f)
{
	*(int *)result += *(int *)arg;
	return fault(f, -EUCLEAN, "refused");
}

static const struct child_limits limits = { .time_msec = 300, .memory_bytes = 64 << 20 };

Test(child, its_answer_and_its_sentence_come_back)
{
	struct fault f = FAULT_NONE;
	int one = 1, result = 2;

	cr_expect(eq(int, child_run(refuse, &one, &result, sizeof(result), &limits, &f), -EUCLEAN));
	cr_expect(eq(int, result, 3));
	cr_expect(eq(str, f.text, (char *)"refused"));
}

Test(child, one_that_hangs_or_spins_is_killed_at_its_deadline)
{
	struct fault f = FAULT_NONE;
	int result = 0;

	cr_expect(eq(int, child_run(hang, NULL, &result, sizeof(result), &limits, &f), CHILD_DIED));
	cr_expect(f.text[0] != '\0');
	cr_expect(
		eq(int, child_run(spin, NULL, &result, sizeof(result), &limits, NULL), CHILD_DIED));
}

Test(child, what_it_found_before_it_crashed_is_kept)
{
	int result = 0;

	cr_expect(eq(int, child_run(crash, NULL, &result, sizeof(result), &limits, NULL),
		     CHILD_DIED));
	cr_expect(eq(int, result, 42));
}

Test(child, its_memory_is_limited)
{
	int result = 0;

	if (is_under_valgrind()) {
		cr_skip_test("needs limits that are not valgrind's");
		return;
	}
	cr_expect(eq(int, child_run(eat_memory, NULL, &result, sizeof(result), &limits, NULL),
		     -ENOMEM));
}

Test(child, being_killed_by_somebody_else_is_no_verdict)
{
	int result = 0;

	cr_expect(eq(int, child_run(be_killed, NULL, &result, sizeof(result), &limits, NULL),
		     -EINTR));
}
