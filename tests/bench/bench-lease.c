/*
 * bench-lease SOCKET POOL ROUNDS AGENTS HOLD
 *
 * AGENTS threads with a connection each acquire at the same instant, HOLD slots each, one after the
 * other; each acquire is timed at its caller. Then all are given back and have become ready, and
 * the disk is quiet again, before the next of ROUNDS.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "samples.h"
#include "slotd/slot.h"

#define MAX_HOLD 256

struct agent {
	pthread_t thread;
	const char *socket, *pool;
	size_t rounds, hold;
	pthread_barrier_t *barrier;
	double *samples;
};

static void die(struct slot_client *client, const char *what, int r)
{
	fprintf(stderr, "bench-lease: %s: %d %s\n", what, r,
		client ? slot_client_error_message(client) : "");
	exit(EXIT_FAILURE);
}

static void one_round(struct agent *a, struct slot_client *client, struct slot_request *request,
		      double *samples)
{
	struct slot_lease *leases[MAX_HOLD];
	int r;

	sync();
	pthread_barrier_wait(a->barrier);
	for (size_t i = 0; i < a->hold; i++) {
		double before = now_usec();

		r = slot_acquire(client, request, &leases[i]);
		samples[i] = now_usec() - before;
		if (r < 0)
			die(client, "acquire", r);
	}
	pthread_barrier_wait(a->barrier);
	for (size_t i = 0; i < a->hold; i++) {
		r = slot_release(client, leases[i], 0);
		if (r < 0)
			die(client, "release", r);
		slot_lease_free(leases[i]);
	}
}

static void *work(void *arg)
{
	struct agent *a = arg;
	struct slot_request *request;
	struct slot_client *client;
	int r;

	r = slot_connect(a->socket, &client);
	if (r < 0)
		die(NULL, "connect", r);
	r = slot_request_new(&request);
	if (r < 0)
		die(client, "request", r);
	slot_request_set_pool(request, a->pool);
	for (size_t i = 0; i < a->rounds; i++)
		one_round(a, client, request, a->samples + i * a->hold);
	slot_request_free(request);
	slot_client_unref(client);
	return NULL;
}

int main(int argc, char **argv)
{
	size_t rounds, n, hold;
	struct agent *agents;
	pthread_barrier_t barrier;
	double *samples;

	if (argc != 6) {
		fputs("usage: bench-lease SOCKET POOL ROUNDS AGENTS HOLD\n", stderr);
		return 2;
	}
	rounds = strtoul(argv[3], NULL, 10);
	n = strtoul(argv[4], NULL, 10);
	hold = strtoul(argv[5], NULL, 10);
	agents = calloc(n, sizeof(*agents));
	samples = calloc(n * rounds * hold, sizeof(*samples));
	if (!agents || !samples || !n || !rounds || !hold || hold > MAX_HOLD)
		return 2;
	pthread_barrier_init(&barrier, NULL, (unsigned)n);
	for (size_t i = 0; i < n; i++) {
		agents[i] = (struct agent){ .socket = argv[1], .pool = argv[2], .rounds = rounds,
					    .barrier = &barrier, .hold = hold, .samples = samples + i * rounds * hold };
		if (pthread_create(&agents[i].thread, NULL, work, &agents[i]) != 0)
			die(NULL, "thread", 0);
	}
	for (size_t i = 0; i < n; i++)
		pthread_join(agents[i].thread, NULL);
	samples_print("acquire", samples, n * rounds * hold);
	free(samples);
	free(agents);
	return 0;
}
