/*
 * bench-commit DIRECTORY ROUNDS COMMITS
 *
 * The rival of an acquire: as many puts of like size in as many databases of a bare LMDB
 * environment, one durable commit each; COMMITS in a row on a disk that is quiet before each of
 * ROUNDS, as bench-lease does it.
 */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "samples.h"

/* what an acquire writes: slot, token, lease, key, event */
static const struct {
	const char *name;
	size_t bytes;
} writes[] = { { "slots", 420 }, { "tokens", 40 }, { "leases", 330 }, { "keys", 160 },
	     { "events", 170 } };
#define PUTS (sizeof(writes) / sizeof(writes[0]))

static void check(int rc, const char *what)
{
	if (!rc)
		return;
	fprintf(stderr, "bench-commit: %s: %s\n", what, mdb_strerror(rc));
	exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
	static unsigned char value[512];
	size_t rounds, in_a_row, total;
	MDB_dbi dbi[PUTS];
	double *samples;
	MDB_env *env;
	MDB_txn *txn;

	if (argc != 4) {
		fputs("usage: bench-commit DIRECTORY ROUNDS COMMITS\n", stderr);
		return 2;
	}
	rounds = strtoul(argv[2], NULL, 10);
	in_a_row = strtoul(argv[3], NULL, 10);
	total = rounds * in_a_row;
	samples = calloc(total, sizeof(*samples));
	if (!samples || !total)
		return 2;
	check(mdb_env_create(&env), "create");
	check(mdb_env_set_mapsize(env, 64u << 20), "mapsize");
	check(mdb_env_set_maxdbs(env, PUTS), "maxdbs");
	check(mdb_env_open(env, argv[1], MDB_NOTLS, 0600), "open");
	check(mdb_txn_begin(env, NULL, 0, &txn), "begin");
	for (size_t i = 0; i < PUTS; i++)
		check(mdb_dbi_open(txn, writes[i].name, MDB_CREATE, &dbi[i]), "dbi");
	check(mdb_txn_commit(txn), "commit");
	for (size_t n = 0; n < total; n++) {
		double before;

		if (n % in_a_row == 0)
			sync();
		before = now_usec();
		check(mdb_txn_begin(env, NULL, 0, &txn), "begin");
		for (size_t i = 0; i < PUTS; i++) {
			char name[32];
			MDB_val k = { .mv_data = name }, v = { writes[i].bytes, value };

			/* slots and tokens are written again and again, the others are new */
			k.mv_size = (size_t)snprintf(name, sizeof(name), "%08zu",
						     i < 2 ? n % 32 : n);
			check(mdb_put(txn, dbi[i], &k, &v, 0), "put");
		}
		check(mdb_txn_commit(txn), "commit");
		samples[n] = now_usec() - before;
	}
	samples_print("commit", samples, total);
	mdb_env_close(env);
	free(samples);
	return 0;
}
