#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"
#include "ledger/batch.h"
#include "ledger/env.h"
#include "util/cleanup.h"
#include "util/fs.h"

static struct ledger *must_open(const char *dir, uint64_t map_bytes, uint64_t events_keep)
{
	struct ledger *l = NULL;
	struct fault f = FAULT_NONE;

	cr_assert(eq(int, ledger_open(dir, map_bytes, events_keep, &l, &f), 0), "%s", f.text);
	return l;
}

static void must_be_good(const char *dir)
{
	enum ledger_verdict verdict;
	struct fault f = FAULT_NONE;

	cr_assert(eq(int, ledger_judge(dir, &verdict, &f), 0), "%s", f.text);
	cr_assert(eq(int, (int)verdict, LEDGER_VERDICT_GOOD), "%s", f.text);
}

static void put_slot(struct batch *b, int n)
{
	struct slot_record slot = slot_full();

	snprintf(slot.name, sizeof(slot.name), "api-%d", n);
	batch_put_slot(b, &slot);
}

static int count_slot(const struct slot_record *r, void *userdata)
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

/* --- the map --- */

Test(durable, a_map_of_one_mebibyte_grows_to_hold_a_hundred, .timeout = 120)
{
	char *dir = scratch_make();
	struct pool_record pool = pool_full();
	struct ledger_info info;
	struct ledger *l = must_open(dir, 1 << 20, 10);
	struct batch *b = batch_new(l);
	int n = 0;

	do {
		struct fault f = FAULT_NONE;

		for (int i = 0; i < 1000; i++) {
			snprintf(pool.name, sizeof(pool.name), "pool-%d", ++n);
			batch_put_pool(b, &pool);
		}
		cr_assert(eq(int, batch_commit(b, &f), 0), "%s", f.text);
		cr_assert(eq(int, ledger_info(l, &info, NULL), 0));
	} while (info.used_bytes < 100 << 20);
	cr_expect(eq(u64, info.records, (uint64_t)n + 1));
	cr_expect(ge(u64, info.map_bytes, 100 << 20));
	batch_free(b);
	ledger_close(l);

	/* a small map asked for later gives way to what is there */
	l = must_open(dir, 1 << 20, 10);
	cr_assert(eq(int, ledger_info(l, &info, NULL), 0));
	cr_expect(eq(u64, info.records, (uint64_t)n + 1));
	b = batch_new(l);
	put_slot(b, 1);
	cr_expect(eq(int, batch_commit(b, NULL), 0));
	batch_free(b);
	ledger_close(l);
	must_be_good(dir);
}

static int told;

static void tell(void *arg, int error, const struct fault *why)
{
	told = error;
	if (arg && why)
		*(struct fault *)arg = *why;
}

static uint64_t address_space(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	cr_assert(file != NULL);
	cr_assert(eq(int, fscanf(file, "%lu", &pages), 1));
	fclose(file);
	return (uint64_t)pages * 4096;
}

Test(durable, a_map_that_cannot_grow_fails_the_batch_and_the_next_one_works)
{
	char *dir = scratch_make();
	struct ledger *l = must_open(dir, 64 << 20, 10);
	struct batch *b = batch_new(l);
	struct fault f = FAULT_NONE;
	struct rlimit old, tight;
	int value = 1, r;

	if (is_under_valgrind()) {
		batch_free(b);
		ledger_close(l);
		cr_skip_test("needs limits that are not valgrind's");
		return;
	}
	for (int i = 1; i <= 40000; i++)
		put_slot(b, i);
	batch_save(b, &value, sizeof(value));
	value = 2;
	batch_after(b, tell, NULL);
	cr_assert(eq(int, getrlimit(RLIMIT_AS, &old), 0));
	tight = old;
	tight.rlim_cur = address_space() + (16 << 20);
	cr_assert(eq(int, setrlimit(RLIMIT_AS, &tight), 0));
	r = batch_commit(b, &f);
	cr_assert(eq(int, setrlimit(RLIMIT_AS, &old), 0));
	cr_expect(eq(int, r, -ENOMEM), "%s", f.text);
	cr_expect(eq(int, told, -ENOMEM));
	cr_expect(eq(int, value, 1));
	cr_expect(eq(int, slots_of(l), 0));

	put_slot(b, 1);
	cr_expect(eq(int, batch_commit(b, NULL), 0));
	cr_expect(eq(int, slots_of(l), 1));
	batch_free(b);
	ledger_close(l);
}

/* --- a full disk --- */

/* a small file system of its own on the directory; false: not allowed here */
static bool mount_small(const char *dir)
{
	return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("slotd-test", dir, "tmpfs", 0, "size=4m") == 0;
}

/* until it is full */
static void eat_disk(const char *dir)
{
	_cleanup_(freep) char *path = path_of(dir, "eaten");
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	static const char zeros[4096];

	cr_assert(ge(int, fd, 0));
	while (fs_write_all(fd, zeros, sizeof(zeros)) == 0)
		;
}

Test(durable, a_full_disk_fails_the_batch_undoes_memory_and_says_where_to_make_room)
{
	char *dir = scratch_make();
	struct fault f = FAULT_NONE, heard = FAULT_NONE;
	struct event_record event = event_empty("tried");
	struct ledger *l;
	struct batch *b;
	int value = 1;
	uint64_t sequence;

	if (!mount_small(dir)) {
		cr_skip_test("needs to mount a file system");
		return;
	}
	l = must_open(dir, 0, 10);
	b = batch_new(l);
	put_slot(b, 1);
	batch_event(b, &event);
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	sequence = ledger_last_sequence(l);
	eat_disk(dir);

	for (int again = 0; again < 3; again++) {
		for (int i = 2; i < 200; i++)
			put_slot(b, i);
		batch_save(b, &value, sizeof(value));
		value = 2;
		cr_expect(eq(u64, batch_event(b, &event), sequence + 1));
		batch_after(b, tell, &heard);
		cr_expect(eq(int, batch_commit(b, &f), -ENOSPC), "%s", f.text);
		cr_expect(eq(int, told, -ENOSPC));
		cr_expect(eq(int, value, 1));
		cr_expect(eq(str, f.text, heard.text));
		cr_expect(ne(ptr, strstr(f.text, dir), NULL));
		cr_expect(ne(ptr, strstr(f.text, "nothing was changed"), NULL));
		cr_expect(eq(int, slots_of(l), 1));
		cr_expect(eq(u64, ledger_last_sequence(l), sequence));
		cr_expect(batch_is_empty(b));
	}

	remove_at(dir, "eaten");
	put_slot(b, 2);
	cr_expect(eq(u64, batch_event(b, &event), sequence + 1));
	cr_expect(eq(int, batch_commit(b, &f), 0), "%s", f.text);
	cr_expect(eq(int, slots_of(l), 2));
	batch_free(b);
	ledger_close(l);
	must_be_good(dir);
	cr_expect(eq(int, umount2(dir, MNT_DETACH), 0));
}

Test(durable, a_first_start_on_a_full_disk_says_so_and_works_later)
{
	char *dir = scratch_make();
	enum ledger_verdict verdict;
	struct fault f = FAULT_NONE;
	struct ledger *l = NULL;

	if (!mount_small(dir)) {
		cr_skip_test("needs to mount a file system");
		return;
	}
	eat_disk(dir);
	cr_expect(eq(int, ledger_open(dir, 0, 10, &l, &f), -ENOSPC), "%s", f.text);
	cr_expect(ne(ptr, strstr(f.text, dir), NULL));
	remove_at(dir, "eaten");
	cr_assert(eq(int, ledger_judge(dir, &verdict, &f), 0), "%s", f.text);
	cr_expect(verdict == LEDGER_VERDICT_FRESH || verdict == LEDGER_VERDICT_DAMAGED);
	if (verdict == LEDGER_VERDICT_FRESH) {
		l = must_open(dir, 0, 10);
		ledger_close(l);
		must_be_good(dir);
	}
	cr_expect(eq(int, umount2(dir, MNT_DETACH), 0));
}

Test(durable, a_rebuild_on_a_full_disk_changes_nothing)
{
	char *dir = scratch_make();
	struct fault f = FAULT_NONE;
	struct ledger *l;
	unsigned n = 7;

	if (!mount_small(dir)) {
		cr_skip_test("needs to mount a file system");
		return;
	}
	l = must_open(dir, 0, 10);
	ledger_close(l);
	eat_disk(dir);
	cr_expect(lt(int, ledger_rebuild(dir, 10, &n, &f), 0));
	cr_expect(f.text[0] != '\0');
	cr_expect(eq(int, (int)n, 7));
	must_be_good(dir);
	cr_expect(eq(int, umount2(dir, MNT_DETACH), 0));
}

/* --- many --- */

static uint64_t now_msec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int count_lease(const struct lease_record *r, void *userdata)
{
	(*(int *)userdata)++;
	return 0;
}

Test(durable, ten_thousand_slots_and_leases_are_loaded_within_a_second, .timeout = 60)
{
	char *dir = scratch_make();
	struct lease_record lease = lease_full();
	struct ledger *l = must_open(dir, 0, 10);
	struct batch *b = batch_new(l);
	uint64_t began;
	int leases = 0;

	for (int i = 1; i <= 10000; i++) {
		put_slot(b, i);
		memcpy(&lease.id, &i, sizeof(i));
		batch_put_lease(b, &lease);
	}
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	batch_free(b);
	ledger_close(l);

	began = now_msec();
	l = must_open(dir, 0, 10);
	cr_expect(eq(int, slots_of(l), 10000));
	cr_assert(eq(int, ledger_each_lease(l, count_lease, &leases, NULL), 0));
	cr_expect(eq(int, leases, 10000));
	cr_expect(is_under_valgrind() || now_msec() - began < 1000);
	ledger_close(l);
}

/* --- events --- */

static int keep_event(const struct event_record *r, void *userdata)
{
	uint64_t *seen = userdata;

	cr_expect(seen[0] == 0 || r->sequence == seen[1] + 1);
	if (seen[0]++ == 0)
		seen[2] = r->sequence;
	seen[1] = r->sequence;
	return 0;
}

static uint64_t events_of(struct ledger *l, uint64_t since, uint64_t limit, uint64_t *seen)
{
	memset(seen, 0, 3 * sizeof(*seen));
	cr_assert(eq(int, ledger_read_events(l, since, limit, keep_event, seen, NULL), 0));
	return seen[0];
}

Test(events, the_oldest_go_in_the_transaction_that_brings_the_newest)
{
	char *dir = scratch_make();
	struct event_record event = event_full();
	struct ledger *l = must_open(dir, 0, 5);
	struct batch *b = batch_new(l);
	uint64_t seen[3];

	for (uint64_t i = 1; i <= 20; i++) {
		cr_expect(eq(u64, batch_event(b, &event), i));
		cr_assert(eq(int, batch_commit(b, NULL), 0));
		cr_expect(eq(u64, events_of(l, 0, 100, seen), i < 5 ? i : 5));
		cr_expect(eq(u64, seen[1], i));
	}
	batch_free(b);
	ledger_close(l);

	l = must_open(dir, 0, 5);
	cr_expect(eq(u64, ledger_last_sequence(l), 20));
	cr_expect(eq(u64, events_of(l, 18, 100, seen), 2));
	cr_expect(eq(u64, events_of(l, 0, 3, seen), 3));
	cr_expect(eq(u64, seen[2], 16));
	cr_expect(eq(u64, events_of(l, 20, 100, seen), 0));
	cr_expect(eq(u64, events_of(l, UINT64_MAX, 100, seen), 0));
	ledger_close(l);
}

Test(events, a_lowered_limit_is_reached_a_thousand_at_a_time)
{
	char *dir = scratch_make();
	struct event_record event = event_empty("tried");
	struct ledger *l = must_open(dir, 0, 10000);
	struct batch *b = batch_new(l);
	uint64_t seen[3];

	for (int i = 0; i < 3000; i++)
		batch_event(b, &event);
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	ledger_set_events_keep(l, 10);
	batch_event(b, &event);
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	cr_expect(eq(u64, events_of(l, 0, 10000, seen), 2000));
	for (int i = 0; i < 3; i++) {
		batch_event(b, &event);
		cr_assert(eq(int, batch_commit(b, NULL), 0));
	}
	cr_expect(eq(u64, events_of(l, 0, 10000, seen), 10));
	batch_free(b);
	ledger_close(l);
}

Test(events, keeping_none_keeps_the_newest_so_that_no_sequence_comes_twice)
{
	char *dir = scratch_make();
	struct event_record event = event_empty("tried");
	struct ledger *l = must_open(dir, 0, 0);
	struct batch *b = batch_new(l);

	for (int i = 0; i < 3; i++)
		batch_event(b, &event);
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	batch_free(b);
	ledger_close(l);
	l = must_open(dir, 0, 0);
	cr_expect(eq(u64, ledger_last_sequence(l), 3));
	ledger_close(l);
}

Test(events, they_carry_the_time_at_which_they_were_recorded)
{
	char *dir = scratch_make();
	struct event_record event = event_full(), got;
	struct ledger *l = must_open(dir, 0, 10);
	struct batch *b = batch_new(l);
	MDB_txn *txn;
	struct record_key key;
	MDB_val k, v;

	clock_fake(123456, 7, NULL);
	batch_event(b, &event);
	clock_real();
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	record_key_from_sequence(1, &key);
	k = record_key_val(&key);
	cr_assert(eq(int, mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn), 0));
	cr_assert(eq(int, mdb_get(txn, l->dbi[LEDGER_EVENTS], &k, &v), 0));
	cr_assert(eq(int,
		     event_record_decode(k.mv_data, k.mv_size, v.mv_data, v.mv_size, &got, NULL),
		     0));
	mdb_txn_abort(txn);
	event.sequence = 1;
	event.at_usec = 123456;
	cr_expect(eq(int, memcmp(&got, &event, sizeof(got)), 0));
	batch_free(b);
	ledger_close(l);
}

/* --- kill -9 --- */

static _Noreturn void commit_for_ever(const char *dir, int fd)
{
	struct ledger *l;
	struct batch *b;

	if (ledger_open(dir, 1 << 20, 50, &l, NULL) < 0)
		_exit(3);
	b = batch_new(l);
	for (;;) {
		struct event_record event = event_full();
		struct token_record token = { 0 };
		uint64_t n = batch_event(b, &event);

		token.token = n;
		batch_put_token(b, "api", &token);
		put_slot(b, (int)(n % 500) + 1);
		if (batch_commit(b, NULL) < 0 || write(fd, &n, sizeof(n)) != sizeof(n))
			_exit(4);
	}
}

static int read_token(const char *name, const struct token_record *r, void *userdata)
{
	*(uint64_t *)userdata = r->token;
	return 0;
}

/* the last number that came through the pipe */
static uint64_t kill_after(const char *dir, useconds_t wait)
{
	uint64_t n, last = 0;
	int fds[2], status;
	pid_t pid;

	cr_assert(eq(int, pipe2(fds, O_CLOEXEC), 0));
	pid = fork();
	if (pid == 0)
		commit_for_ever(dir, fds[1]);
	close(fds[1]);
	usleep(wait);
	kill(pid, SIGKILL);
	cr_assert(eq(int, waitpid(pid, &status, 0), pid));
	cr_assert(eq(int, status, SIGKILL), "it ended by itself");
	while (read(fds[0], &n, sizeof(n)) == sizeof(n))
		last = n;
	close(fds[0]);
	return last;
}

Test(durable, what_was_acknowledged_survives_kill_at_any_instant, .timeout = 120)
{
	char *dir = scratch_make();
	uint64_t acknowledged = 0;

	srandom(4);
	for (int i = 0; i < 40; i++) {
		uint64_t last = kill_after(dir, 20000 + (useconds_t)(random() % 20000));
		enum ledger_verdict verdict;
		struct ledger *l;
		uint64_t token = 0;

		if (last > 0)
			acknowledged = last;
		cr_assert(eq(int, ledger_judge(dir, &verdict, NULL), 0));
		if (verdict == LEDGER_VERDICT_FRESH && acknowledged == 0)
			continue;
		cr_assert(eq(int, (int)verdict, LEDGER_VERDICT_GOOD));
		l = must_open(dir, 1 << 20, 50);
		cr_assert(eq(int, ledger_each_token(l, read_token, &token, NULL), 0));
		cr_expect(ge(u64, ledger_last_sequence(l), acknowledged));
		cr_expect(eq(u64, token, ledger_last_sequence(l))); /* all of it or nothing */
		ledger_close(l);
	}
	cr_expect(gt(u64, acknowledged, is_under_valgrind() ? 0 : 100));
}
