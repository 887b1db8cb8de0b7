/* Deadlines by boot time, dates by wall clock. */
#include "util/clock.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
	bool active;
	uint64_t wall_usec;
	uint64_t boot_usec;
	uint64_t slept_usec;
	bool has_boot;
	struct boot_id boot;
} fake;

static uint64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_wall_usec(void)
{
	return fake.active ? fake.wall_usec : read_clock(CLOCK_REALTIME);
}

uint64_t clock_boot_usec(void)
{
	return fake.active ? fake.boot_usec : read_clock(CLOCK_BOOTTIME);
}

uint64_t clock_slept_usec(void)
{
	/* in this order it is never too little */
	uint64_t awake = fake.active ? 0 : read_clock(CLOCK_MONOTONIC);

	return fake.active ? fake.slept_usec : read_clock(CLOCK_BOOTTIME) - awake;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static void boot_id_read(struct boot_id *ret)
{
	char text[64] = "";
	size_t at = 0;
	ssize_t n;
	int fd;

	fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	for (ssize_t i = 0; i < n && at < 32; i++) {
		int v = hex_value(text[i]);

		if (v < 0)
			continue;
		ret->bytes[at / 2] = (uint8_t)(ret->bytes[at / 2] << 4 | v);
		at++;
	}
	if (at != 32)
		memset(ret, 0, sizeof(*ret));
}

const struct boot_id *clock_boot_id(void)
{
	static struct boot_id id;
	static bool known;

	if (fake.active && fake.has_boot)
		return &fake.boot;
	if (!known) {
		boot_id_read(&id);
		known = true;
	}
	return &id;
}

int boot_id_is_same(const struct boot_id *a, const struct boot_id *b)
{
	static const struct boot_id unknown;

	return memcmp(a, &unknown, sizeof(*a)) != 0 && memcmp(a, b, sizeof(*a)) == 0;
}

void clock_fake(uint64_t wall_usec, uint64_t boot_usec, const struct boot_id *boot)
{
	fake.active = true;
	fake.wall_usec = wall_usec;
	fake.boot_usec = boot_usec;
	fake.has_boot = boot != NULL;
	if (boot)
		fake.boot = *boot;
}

void clock_fake_sleep(uint64_t usec)
{
	fake.slept_usec = usec;
}

void clock_real(void)
{
	memset(&fake, 0, sizeof(fake));
}
