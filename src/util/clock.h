/**
 * DOC: clock - what time it is, for deadlines and for people
 *
 * Deadlines are CLOCK_BOOTTIME together with the boot id: a jump of the wall
 * clock does not move them, and a reboot is told from a long silence. Wall-clock
 * time is for people only. Tests put a clock of their own in with clock_fake().
 */
#ifndef UTIL_CLOCK_H
#define UTIL_CLOCK_H

#include <stdint.h>

#define USEC_PER_MSEC 1000ULL
#define USEC_PER_SEC  1000000ULL
#define USEC_PER_MIN  (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MIN)
#define USEC_PER_DAY  (24 * USEC_PER_HOUR)

/* microseconds since 1970, UTC; for people */
uint64_t clock_wall_usec(void);

/* microseconds since boot, suspends included; for deadlines */
uint64_t clock_boot_usec(void);

/* how much of that the machine was suspended */
uint64_t clock_slept_usec(void);

struct boot_id {
	uint8_t bytes[16]; /* all zero: unknown */
};

/**
 * clock_boot_id - which boot this is
 *
 * Read once from /proc/sys/kernel/random/boot_id and kept. All zero when that
 * file cannot be read; such a boot id equals no other (see boot_id_is_same()).
 */
const struct boot_id *clock_boot_id(void);

/* true when both are known and equal */
int boot_id_is_same(const struct boot_id *a, const struct boot_id *b);

/**
 * clock_fake - for tests: fix all three
 * @wall_usec, @boot_usec: what the clocks say from now on
 * @boot: the boot id; NULL: the real one
 */
void clock_fake(uint64_t wall_usec, uint64_t boot_usec, const struct boot_id *boot);

/* for tests: so long the machine has slept; in a faked time not at all, until this is called */
void clock_fake_sleep(uint64_t usec);

/* for tests: back to the real clocks */
void clock_real(void);

#endif
