/* Lease a slot, work in it for as long as the lease may be believed, give it back. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <slotd/slot.h>

static uint64_t now_usec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* one short step of the work: here, reading the top directory */
static int do_step(const char *directory)
{
	DIR *dir = opendir(directory);
	int n = 0;

	if (!dir)
		return -errno;
	while (readdir(dir))
		n++;
	closedir(dir);
	printf("%d names in %s\n", n - 2, directory);
	return 0;
}

static int work(struct slot_client *client, struct slot_lease *lease)
{
	for (int percent = 25; percent <= 100; percent += 25) {
		int r;

		/* past this moment the slot may be somebody else's */
		if (now_usec() >= slot_lease_valid_until_usec(lease))
			return -ETIME;
		r = do_step(slot_lease_path(lease));
		if (r < 0)
			return r;
		r = slot_renew(client, lease, percent, "reading");
		if (r == -ESTALE)
			return r; /* the lease is gone: stop writing */
		if (r < 0)
			fprintf(stderr, "not renewed: %s\n", slot_client_error_message(client));
	}
	return 0;
}

static int acquire(struct slot_client *client, const char *pool, struct slot_lease **ret)
{
	__attribute__((cleanup(slot_request_freep))) struct slot_request *request = NULL;
	int r;

	r = slot_request_new(&request);
	if (r < 0)
		return r;
	slot_request_set_pool(request, pool);
	slot_request_set_agent(request, "example");
	slot_request_set_wait_usec(request, 60 * 1000000);
	return slot_acquire(client, request, ret);
}

int main(int argc, char **argv)
{
	__attribute__((cleanup(slot_client_unrefp))) struct slot_client *client = NULL;
	__attribute__((cleanup(slot_lease_releasep))) struct slot_lease *lease = NULL;
	int r;

	if (argc != 2) {
		fprintf(stderr, "usage: %s POOL\n", argv[0]);
		return 2;
	}
	r = slot_client_new(NULL, &client);
	if (r < 0) {
		fprintf(stderr, "no client: %s\n", strerror(-r));
		return 1;
	}
	r = acquire(client, argv[1], &lease);
	if (r < 0) {
		fprintf(stderr, "no slot: %s\n", slot_client_error_message(client));
		return r == -EBUSY ? 3 : 1;
	}
	printf("%s, token %llu\n", slot_lease_slot(lease),
	       (unsigned long long)slot_lease_token(lease));

	r = work(client, lease);
	if (r < 0) {
		fprintf(stderr, "the work stopped: %s\n", strerror(-r));
		return 1; /* slot_lease_releasep() gives the slot back */
	}
	r = slot_release(client, lease, 0);
	if (r < 0) {
		fprintf(stderr, "not released: %s\n", slot_client_error_message(client));
		return 1;
	}
	printf("released: %s\n", slot_client_reply_json(client));
	return 0;
}
