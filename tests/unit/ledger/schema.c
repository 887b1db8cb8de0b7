/* A ledger of an older slotd gets what has come since; one of a newer one is left alone (judge.c). */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "ledger/batch.h"
#include "ledger/env.h"
#include "util/cleanup.h"
#include "util/fs.h"

#define LEASES 10

static struct ledger *must_open(const char *dir)
{
	struct ledger *l = NULL;
	struct fault f = FAULT_NONE;

	cr_assert(eq(int, ledger_open(dir, 0, 1000, &l, &f), 0), "%s", f.text);
	return l;
}

#define must_be(dir, wanted)                                                         \
	do {                                                                         \
		enum ledger_verdict got_ = 0;                                        \
		struct fault f_ = FAULT_NONE;                                        \
		cr_assert(eq(int, ledger_judge(dir, &got_, &f_), 0), "%s", f_.text); \
		cr_assert(eq(int, (int)got_, (int)(wanted)), "%s", f_.text);         \
	} while (0)

static struct id make(const char *dir)
{
	struct ledger *l = must_open(dir);
	struct lease_record lease = lease_full();
	struct salvage_record salvage = salvage_full();
	struct batch *b = batch_new(l);
	struct id generation = ledger_generation(l)->generation;

	for (int i = 1; i <= LEASES; i++) {
		memcpy(&lease.id, &i, sizeof(i));
		batch_put_lease(b, &lease);
	}
	batch_put_salvage(b, &salvage);
	cr_assert(eq(int, batch_commit(b, NULL), 0));
	batch_free(b);
	ledger_close(l);
	return generation;
}

/* what is done to make an old one of it */
struct older {
	uint32_t schema;
	int drop[LEDGER_DBS + 1]; /* and 0: meta stays in any case */
};

static int make_older(struct ledger *l, MDB_txn *txn, void *arg)
{
	struct generation_record old = l->generation;
	const struct older *older = arg;
	int rc;

	old.schema = older->schema;
	rc = ledger_put_generation(l, txn, &old);
	for (int i = 0; rc == 0 && older->drop[i]; i++)
		rc = mdb_drop(txn, l->dbi[older->drop[i]], 1);
	return rc;
}

static void age(const char *dir, struct older older)
{
	struct ledger *l = must_open(dir);

	cr_assert(eq(int, ledger_write(l, make_older, &older, NULL), 0));
	ledger_close(l);
}

static int count_lease(const struct lease_record *r, void *userdata)
{
	++*(int *)userdata;
	return 0;
}

static int count_salvage(const struct salvage_record *r, void *userdata)
{
	++*(int *)userdata;
	return 0;
}

static int leases_of(struct ledger *l)
{
	int n = 0;

	cr_assert(eq(int, ledger_each_lease(l, count_lease, &n, NULL), 0));
	return n;
}

static int salvages_of(struct ledger *l)
{
	int n = 0;

	cr_assert(eq(int, ledger_each_salvage(l, count_salvage, &n, NULL), 0));
	return n;
}

static bool has(const char *dir, const char *name)
{
	_cleanup_(freep) char *path = path_of(dir, name);

	return access(path, F_OK) == 0;
}

/* the schema of what was kept, which is a whole ledger with all leases */
static void expect_kept(const char *dir, const char *name, uint32_t schema)
{
	_cleanup_scratch_ char *other = scratch_make();
	_cleanup_(freep) char *from = path_of(dir, name), *to = path_of(other, "ledger");
	struct generation_record generation;
	struct record_key key;
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_val k, v;

	cr_assert(eq(int, rename(from, to), 0));
	must_be(other, LEDGER_VERDICT_GOOD);
	cr_assert(eq(int, env_open(to, 0, MDB_RDONLY, &env), 0));
	cr_assert(eq(int, mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0));
	cr_assert(eq(int, mdb_dbi_open(txn, "meta", 0, &dbi), 0));
	record_key_from_name("generation", &key);
	k = record_key_val(&key);
	cr_assert(eq(int, mdb_get(txn, dbi, &k, &v), 0));
	cr_assert(eq(int,
		     generation_record_decode(k.mv_data, k.mv_size, v.mv_data, v.mv_size,
					      &generation, NULL),
		     0));
	cr_expect(eq(u32, generation.schema, schema));
	mdb_txn_abort(txn);
	mdb_env_close(env);
}

static void is_raised(struct older older, int salvages)
{
	_cleanup_scratch_ char *dir = scratch_make();
	struct id generation = make(dir);
	struct salvage_record salvage = salvage_full();
	struct ledger *l;
	struct batch *b;

	age(dir, older);
	must_be(dir, LEDGER_VERDICT_GOOD);
	l = must_open(dir);
	cr_expect(eq(u32, ledger_generation(l)->schema, LEDGER_SCHEMA));
	cr_expect(id_is_equal(&ledger_generation(l)->generation, &generation), "it is another one");
	cr_expect(eq(int, leases_of(l), LEASES));
	cr_expect(eq(int, salvages_of(l), salvages));
	b = batch_new(l);
	batch_put_salvage(b, &salvage);
	cr_expect(eq(int, batch_commit(b, NULL), 0), "it is not there to be written to");
	batch_free(b);
	ledger_close(l);
	must_be(dir, LEDGER_VERDICT_GOOD);
	expect_kept(dir, "ledger.schema-1", older.schema);

	l = must_open(dir);
	cr_expect(eq(int, salvages_of(l), 1));
	ledger_close(l);
	cr_expect(not(has(dir, "ledger.schema-1")), "it was raised again");
}

Test(schema, older_ledger_gets_what_came_later_and_keeps_all_that_it_has)
{
	is_raised((struct older){ 1, { LEDGER_SALVAGE, LEDGER_TICKETS, LEDGER_HANDOFFS } }, 0);
	is_raised((struct older){ 1, { LEDGER_SALVAGE } }, 0);
	is_raised((struct older){ 1, { LEDGER_HANDOFFS } }, 1);
	is_raised((struct older){ 1, { 0 } }, 1);
}

Test(schema, every_database_has_its_row)
{
	for (int db = 0; db < LEDGER_DBS; db++) {
		cr_assert(ledger_dbs[db].name != NULL, "%d", db);
		cr_expect(ge(u32, ledger_dbs[db].schema, 1), "%s", ledger_dbs[db].name);
		cr_expect(le(u32, ledger_dbs[db].schema, LEDGER_SCHEMA), "%s", ledger_dbs[db].name);
	}
	cr_expect(eq(u32, ledger_dbs[LEDGER_META].schema, 1));
}

Test(schema, what_a_ledger_of_its_schema_has_to_have_is_missed)
{
	for (int db = LEDGER_META + 1; db < LEDGER_DBS; db++) {
		_cleanup_scratch_ char *dir = scratch_make();

		make(dir);
		age(dir, (struct older){ LEDGER_SCHEMA, { db } });
		must_be(dir, LEDGER_VERDICT_DAMAGED);
	}
	for (int db = LEDGER_META + 1; db < LEDGER_HANDOFFS; db++) {
		_cleanup_scratch_ char *dir = scratch_make();

		make(dir);
		age(dir, (struct older){ 1, { db } });
		must_be(dir, LEDGER_VERDICT_DAMAGED);
	}
}

Test(schema, copy_of_an_older_slotd_is_taken_over)
{
	char *dir = scratch_make();
	_cleanup_(freep) char *from = path_of(dir, "ledger"), *to = path_of(dir, "ledger.copy");
	struct ledger *l;
	unsigned n = 0;

	make(dir);
	age(dir, (struct older){ 1, { LEDGER_SALVAGE } });
	cr_assert(eq(int, rename(from, to), 0));
	must_be(dir, LEDGER_VERDICT_MISSING);
	cr_assert(eq(int, ledger_rebuild(dir, 1000, &n, NULL), 0));
	l = must_open(dir);
	cr_expect(eq(int, leases_of(l), LEASES));
	cr_expect(eq(u32, ledger_generation(l)->schema, LEDGER_SCHEMA));
	ledger_close(l);
}

Test(schema, what_cannot_be_kept_is_not_raised)
{
	char *dir = scratch_make();
	_cleanup_(freep) char *in_the_way = path_of(dir, "ledger.schema-1");
	struct fault f = FAULT_NONE;
	struct ledger *l = NULL;

	make(dir);
	age(dir, (struct older){ 1, { LEDGER_SALVAGE } });
	cr_assert(eq(int, fs_write_file_at(AT_FDCWD, in_the_way, "x", 1, 0600), 0));
	cr_expect(lt(int, ledger_open(dir, 0, 1000, &l, &f), 0));
	cr_expect(ne(ptr, strstr(f.text, "cannot keep the ledger as it is in"), NULL), "%s",
		  f.text);
	cr_expect(eq(ptr, l, NULL));
	must_be(dir, LEDGER_VERDICT_GOOD);
	cr_assert(eq(int, unlink(in_the_way), 0));
	l = must_open(dir);
	cr_expect(eq(int, leases_of(l), LEASES));
	ledger_close(l);
	expect_kept(dir, "ledger.schema-1", 1);
}

Test(schema, what_was_kept_says_that_there_was_a_ledger)
{
	char *dir = scratch_make();

	make_dir_at(dir, "ledger.schema-1");
	must_be(dir, LEDGER_VERDICT_MISSING);
}
