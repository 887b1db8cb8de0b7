/**
 * DOC: id - 128 random bits that name a lease
 */
#ifndef UTIL_ID_H
#define UTIL_ID_H

#include <stdbool.h>
#include <stdint.h>

#define ID_TEXT_SIZE 33 /* 32 hex digits and the NUL */

struct id {
	uint8_t bytes[16];
};

/* fills an id from the kernel's random numbers; aborts when there are none */
void id_random(struct id *ret);

/* writes 32 lower-case hex digits and a NUL to ret[ID_TEXT_SIZE]; returns ret */
char *id_to_string(const struct id *id, char *ret);

/* 0, or -EINVAL when text is not 32 lower-case hex digits; ret is then untouched */
int id_from_string(const char *text, struct id *ret);

bool id_is_equal(const struct id *a, const struct id *b);
bool id_is_null(const struct id *id);

#endif
