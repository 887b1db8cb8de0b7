#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "ledger/batch.h"
#include "ledger/env.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"

static struct ledger *must_open(const char *dir)
{
	struct ledger *l = NULL;
	struct fault f = FAULT_NONE;

	cr_assert(eq(int, ledger_open(dir, 0, 1000, &l, &f), 0), "%s", f.text);
	return l;
}

static void must_be(const char *dir, enum ledger_verdict wanted)
{
	enum ledger_verdict verdict;
	struct fault f = FAULT_NONE;

	cr_assert(eq(int, ledger_judge(dir, &verdict, &f), 0), "%s", f.text);
	cr_assert(eq(int, (int)verdict, (int)wanted), "%s", f.text);
}

static void add_slots(struct ledger *l, int from, int to)
{
	struct lease_record lease = lease_full();
	struct pool_record pool = pool_full();
	struct batch *b = batch_new(l);

	batch_put_pool(b, &pool);
	for (int i = from; i <= to; i++) {
		struct slot_record slot = slot_full();
		struct event_record event = event_full();
		struct token_record token = { .token = 1000 + (uint64_t)i };

		snprintf(slot.name, sizeof(slot.name), "api-%d", i);
		slot.token = event.token = lease.token = token.token;
		memcpy(&lease.id, &i, sizeof(i));
		batch_put_slot(b, &slot);
		batch_put_lease(b, &lease);
		batch_put_token(b, slot.name, &token);
		batch_event(b, &event);
	}
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	batch_free(b);
}

static int copy_wait(struct ledger *l)
{
	struct fault f = FAULT_NONE;
	pid_t pid = ledger_copy_start(l, &f);
	int status;

	cr_assert(gt(int, pid, 0), "%s", f.text);
	cr_assert(eq(int, waitpid(pid, &status, 0), pid));
	return status;
}

static int count_slot(const struct slot_record *r, void *userdata)
{
	struct slot_record same = slot_full();

	/* all but name and token as it was written */
	memcpy(same.name, r->name, sizeof(same.name));
	same.token = r->token;
	cr_expect(eq(int, memcmp(&same, r, sizeof(same)), 0));
	(*(int *)userdata)++;
	return 0;
}

static int count_lease(const struct lease_record *r, void *userdata)
{
	(*(int *)userdata)++;
	return 0;
}

static int count_event(const struct event_record *r, void *userdata)
{
	(*(int *)userdata)++;
	return 0;
}

static int slots_of(struct ledger *l)
{
	int n = 0;

	cr_assert(eq(int, ledger_each_slot(l, count_slot, &n, NULL), 0));
	return n;
}

static int leases_of(struct ledger *l)
{
	int n = 0;

	cr_assert(eq(int, ledger_each_lease(l, count_lease, &n, NULL), 0));
	return n;
}

static int events_of(struct ledger *l)
{
	int n = 0;

	cr_assert(eq(int, ledger_read_events(l, 0, UINT64_MAX, count_event, &n, NULL), 0));
	return n;
}

static int count_named(const char *dir, const char *prefix)
{
	struct dirent *entry;
	DIR *d = opendir(dir);
	int n = 0;

	cr_assert(d != NULL);
	while ((entry = readdir(d)))
		n += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	closedir(d);
	return n;
}

static void break_ledger(const char *dir)
{
	_cleanup_(freep) char *data = path_of(dir, "ledger/data.mdb");

	cr_assert(eq(int, truncate(data, 9000), 0));
}

static unsigned must_rebuild(const char *dir)
{
	struct fault f = FAULT_NONE;
	unsigned n = 0;

	cr_assert(eq(int, ledger_rebuild(dir, 1000, &n, &f), 0), "%s", f.text);
	return n;
}

/* a ledger with ten slots, a copy of it, and then ten more */
static void make_with_copy(const char *dir)
{
	struct ledger *l = must_open(dir);

	add_slots(l, 1, 10);
	cr_assert(eq(int, copy_wait(l), 0));
	add_slots(l, 11, 20);
	ledger_close(l);
}

Test(rebuild, what_was_in_the_copy_is_there_again)
{
	char *dir = scratch_make();
	struct id before;
	struct ledger *l;

	make_with_copy(dir);
	l = must_open(dir);
	before = ledger_generation(l)->generation;
	ledger_close(l);
	break_ledger(dir);
	must_be(dir, LEDGER_VERDICT_DAMAGED);

	cr_expect(eq(int, (int)must_rebuild(dir), 41)); /* a pool, and four of each slot */
	must_be(dir, LEDGER_VERDICT_GOOD);
	l = must_open(dir);
	cr_expect(eq(int, slots_of(l), 10));
	cr_expect(eq(int, leases_of(l), 10));
	cr_expect(eq(int, events_of(l), 10));
	cr_expect(not(id_is_equal(&ledger_generation(l)->generation, &before)));
	ledger_close(l);
	cr_expect(eq(int, count_named(dir, "ledger.damaged-"), 1));
}

Test(rebuild, tokens_and_sequences_are_higher_than_any_before)
{
	char *dir = scratch_make();
	uint64_t now = clock_wall_usec() / USEC_PER_SEC << 20;
	struct event_record event = event_empty("after");
	struct ledger *l;
	struct batch *b;

	make_with_copy(dir);
	break_ledger(dir);
	must_rebuild(dir);
	l = must_open(dir);
	cr_expect(ge(u64, ledger_generation(l)->token_floor, now));
	cr_expect(gt(u64, ledger_generation(l)->token_floor, 1020));
	cr_expect(ge(u64, ledger_last_sequence(l), now));
	b = batch_new(l);
	cr_expect(gt(u64, batch_event(b, &event), now));
	cr_expect(eq(int, batch_commit(b, NULL), 0));
	batch_free(b);
	ledger_close(l);
}

Test(rebuild, a_clock_that_went_back_does_not_take_the_tokens_with_it)
{
	char *dir = scratch_make();
	_cleanup_(freep) char *marker = path_of(dir, "generation");
	struct ledger *l;
	uint64_t sequence;

	make_with_copy(dir);
	l = must_open(dir);
	sequence = ledger_last_sequence(l);
	ledger_close(l);
	/* intact, but not the one that the marker names: its tokens are still true */
	cr_assert(eq(int, unlink(marker), 0));
	clock_fake(0, 0, NULL);
	must_rebuild(dir);
	clock_real();
	l = must_open(dir);
	cr_expect(eq(u64, ledger_generation(l)->token_floor, 1020));
	cr_expect(ge(u64, ledger_last_sequence(l), sequence));
	ledger_close(l);
}

Test(rebuild, without_a_copy_an_empty_ledger_comes_with_a_high_floor)
{
	char *dir = scratch_make();
	struct ledger *l = must_open(dir);

	add_slots(l, 1, 5);
	ledger_close(l);
	remove_at(dir, "ledger");
	must_be(dir, LEDGER_VERDICT_MISSING);
	cr_expect(eq(int, (int)must_rebuild(dir), 0));
	must_be(dir, LEDGER_VERDICT_GOOD);
	l = must_open(dir);
	cr_expect(eq(int, slots_of(l), 0));
	cr_expect(gt(u64, ledger_generation(l)->token_floor, 1ULL << 40));
	ledger_close(l);
	cr_expect(eq(int, count_named(dir, "ledger.damaged-"), 0));
}

Test(rebuild, twice_within_a_second_keeps_both_damaged_ones)
{
	char *dir = scratch_make();
	uint64_t first, second;
	struct ledger *l;

	make_with_copy(dir);
	must_rebuild(dir);
	l = must_open(dir);
	first = ledger_generation(l)->token_floor;
	ledger_close(l);
	must_rebuild(dir);
	l = must_open(dir);
	second = ledger_generation(l)->token_floor;
	cr_expect(eq(int, slots_of(l), 10));
	ledger_close(l);
	cr_expect(ge(u64, second, first));
	cr_expect(eq(int, count_named(dir, "ledger.damaged-"), 2));
}

Test(rebuild, of_a_damaged_copy_what_decodes_is_taken, .timeout = 60)
{
	char *dir = scratch_make();
	_cleanup_(freep) char *copy = path_of(dir, "ledger.copy/data.mdb");
	struct stat st;

	make_with_copy(dir);
	break_ledger(dir);
	cr_assert(eq(int, stat(copy, &st), 0));
	srandom(3);
	for (int i = 0; i < 40; i++) {
		off_t bit = (off_t)((uint64_t)random() % ((uint64_t)st.st_size * 8));
		struct ledger *l;

		flip_bit(copy, bit);
		must_rebuild(dir);
		must_be(dir, LEDGER_VERDICT_GOOD);
		l = must_open(dir);
		cr_expect(le(int, slots_of(l), 10)); /* and none is not what it was */
		ledger_close(l);
		flip_bit(copy, bit);
	}
	cr_expect(eq(int, (int)must_rebuild(dir), 41));
}

Test(rebuild, one_record_that_is_damaged_costs_only_itself)
{
	char *dir = scratch_make();
	_cleanup_(freep) char *copy = path_of(dir, "ledger.copy/data.mdb");
	_cleanup_(freep) char *bytes = NULL;
	char *found;
	size_t len;

	make_with_copy(dir);
	cr_assert(eq(int, fs_read_file_at(AT_FDCWD, copy, 1 << 24, &bytes, &len), 0));
	/* the name within the record of the slot, behind its header and two bytes of length */
	found = memmem(bytes, len, "\x05\0api-7", 7);
	cr_assert(found != NULL);
	flip_bit(copy, (found + 3 - bytes) * 8);
	cr_expect(eq(int, (int)must_rebuild(dir), 40));
}

Test(rebuild, events_are_bounded_in_the_new_one)
{
	char *dir = scratch_make();
	unsigned n;
	struct ledger *l;

	make_with_copy(dir);
	cr_assert(eq(int, ledger_rebuild(dir, 3, &n, NULL), 0));
	l = must_open(dir);
	cr_expect(eq(int, events_of(l), 3));
	ledger_close(l);
}

static int put_newer(struct ledger *l, MDB_txn *txn, void *arg)
{
	struct generation_record next = l->generation;

	next.schema = LEDGER_SCHEMA + 1;
	return ledger_put_generation(l, txn, &next);
}

Test(rebuild, a_copy_of_a_newer_slotd_is_refused_and_left_alone)
{
	char *dir = scratch_make();
	_cleanup_(freep) char *from = path_of(dir, "ledger"), *to = path_of(dir, "ledger.copy");
	struct fault f = FAULT_NONE;
	struct ledger *l = must_open(dir);
	unsigned n = 77;

	cr_assert(eq(int, ledger_write(l, put_newer, NULL, NULL), 0));
	ledger_close(l);
	cr_assert(eq(int, rename(from, to), 0));
	cr_expect(eq(int, ledger_rebuild(dir, 10, &n, &f), -EPROTONOSUPPORT));
	cr_expect(f.text[0] != '\0');
	cr_expect(eq(int, (int)n, 77));
	must_be(dir, LEDGER_VERDICT_MISSING);
}

/* --- the copy --- */

Test(copy, it_can_be_made_again_and_holds_what_was_committed_before_it)
{
	char *dir = scratch_make();
	struct ledger *l = must_open(dir);

	cr_assert(eq(int, copy_wait(l), 0));
	add_slots(l, 1, 10);
	cr_assert(eq(int, copy_wait(l), 0));
	add_slots(l, 11, 12); /* the environment of the parent works as before */
	cr_assert(eq(int, copy_wait(l), 0));
	ledger_close(l);
	cr_expect(eq(int, count_named(dir, "ledger.copy"), 1));
	remove_at(dir, "ledger");
	cr_expect(eq(int, (int)must_rebuild(dir), 1 + 4 * 12));
}

Test(copy, one_that_was_killed_leaves_the_older_copy_and_the_next_one_cleans_up)
{
	char *dir = scratch_make();
	struct ledger *l = must_open(dir);
	int status;

	add_slots(l, 1, 10);
	cr_assert(eq(int, copy_wait(l), 0));
	for (useconds_t wait = 0; wait < 20000; wait += 1000) {
		pid_t pid = ledger_copy_start(l, NULL);

		cr_assert(gt(int, pid, 0));
		usleep(wait); /* a later instant each time */
		kill(pid, SIGKILL);
		cr_assert(eq(int, waitpid(pid, &status, 0), pid));
	}
	add_slots(l, 11, 11);
	cr_assert(eq(int, copy_wait(l), 0));
	ledger_close(l);
	cr_expect(eq(int, count_named(dir, "ledger.copy"), 1));
	remove_at(dir, "ledger");
	cr_expect(eq(int, (int)must_rebuild(dir), 1 + 4 * 11));
}

Test(copy, a_damaged_ledger_does_not_replace_a_good_copy)
{
	char *dir = scratch_make();
	_cleanup_(freep) char *data = path_of(dir, "ledger/data.mdb");
	_cleanup_(freep) char *bytes = NULL;
	struct ledger *l = must_open(dir);
	int devnull = open("/dev/null", O_WRONLY | O_CLOEXEC);
	char *found;
	size_t len;

	add_slots(l, 1, 10);
	cr_assert(eq(int, copy_wait(l), 0));
	cr_assert(eq(int, fs_read_file_at(AT_FDCWD, data, 1 << 24, &bytes, &len), 0));
	for (found = bytes;
	     (found = memmem(found, len - (size_t)(found - bytes), "\x05\0api-7", 7)); found++)
		flip_bit(data, (found + 3 - bytes) * 8);
	dup2(devnull, STDERR_FILENO); /* it says why */
	cr_expect(ne(int, copy_wait(l), 0));
	close(devnull);
	ledger_close(l);
	remove_at(dir, "ledger");
	cr_expect(eq(int, (int)must_rebuild(dir), 41));
}

/* --- killed anywhere --- */

#ifdef SLOTD_CRASHPOINTS
#include <sys/mman.h>

static struct crash_cell *cells_map(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	size_t size = CRASH_CELLS * sizeof(struct crash_cell);
	void *map;

	cr_assert(ge(int, fd, 0));
	cr_assert(eq(int, ftruncate(fd, (off_t)size), 0));
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	cr_assert(ne(ptr, map, MAP_FAILED));
	return map;
}

/* as slotd starts */
static int start(const char *dir, bool copy)
{
	enum ledger_verdict verdict;
	struct fault f = FAULT_NONE;
	struct ledger *l;
	unsigned n;
	int r = ledger_judge(dir, &verdict, &f);

	if (r == 0 && (verdict == LEDGER_VERDICT_DAMAGED || verdict == LEDGER_VERDICT_MISSING))
		r = ledger_rebuild(dir, 1000, &n, &f);
	if (r == 0)
		r = ledger_open(dir, 0, 1000, &l, &f);
	if (r < 0) {
		fprintf(stderr, "%s\n", f.text);
		return 1;
	}
	if (copy)
		r = copy_wait(l);
	ledger_close(l);
	return r == 0 ? 0 : 2;
}

static int start_in_child(const char *dir, bool copy)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(start(dir, copy));
	cr_assert(eq(int, waitpid(pid, &status, 0), pid));
	return status;
}

static void clear_hits(struct crash_cell *cells)
{
	for (int i = 0; i < CRASH_CELLS; i++)
		cells[i].hits = cells[i].kill_at = 0;
}

static void start_is_killed_at(struct crash_cell *cells, const char *name, uint32_t hit, bool copy)
{
	_cleanup_scratch_ char *dir = scratch_make();
	struct ledger *l;

	make_with_copy(dir);
	break_ledger(dir);
	clear_hits(cells);
	for (int i = 0; i < CRASH_CELLS; i++) {
		if (strcmp(cells[i].name, name) == 0)
			cells[i].kill_at = hit;
	}
	cr_assert(ne(int, start_in_child(dir, copy), 0), "%s was not passed", name);
	clear_hits(cells);
	cr_assert(eq(int, start_in_child(dir, copy), 0), "%s", name);
	must_be(dir, LEDGER_VERDICT_GOOD);
	/* whoever was killed had not looked at what is on disk */
	cr_expect(eq(int, ledger_is_unproved(dir, NULL), 1), "%s", name);
	cr_expect(eq(int, ledger_set_proved(dir, NULL), 0));
	cr_expect(eq(int, ledger_is_unproved(dir, NULL), 0));
	l = must_open(dir);
	cr_expect(eq(int, slots_of(l), 10), "%s", name);
	cr_expect(gt(u64, ledger_generation(l)->token_floor, 1ULL << 40), "%s", name);
	ledger_close(l);
}

Test(rebuild, killed_at_any_point_it_is_done_again_by_the_next_start, .timeout = 300)
{
	char *dir = scratch_make();
	_cleanup_(freep) char *file = path_of(dir, "cells");
	struct crash_cell list[64] = { 0 };
	struct crash_cell *cells;
	int n = 0;

	setenv("SLOTD_CRASH_FILE", file, 1);
	cells = cells_map(file);
	make_with_copy(dir);
	break_ledger(dir);
	clear_hits(cells);
	cr_assert(eq(int, start_in_child(dir, true), 0));
	for (int i = 0; i < CRASH_CELLS && n < 64; i++) {
		if (cells[i].hits > 0)
			list[n++] = cells[i];
	}
	cr_assert(ge(int, n, 14));
	for (int i = 0; i < n; i++) {
		start_is_killed_at(cells, list[i].name, 1, true);
		if (list[i].hits > 1)
			start_is_killed_at(cells, list[i].name, list[i].hits, true);
	}
}
#endif
