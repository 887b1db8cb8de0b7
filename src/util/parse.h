/**
 * DOC: parse - durations, sizes and names, as people write them
 *
 * Every function returns 0, or -EINVAL when the text is not of the kind, or
 * -ERANGE when it does not fit; outputs are written on success only.
 */
#ifndef UTIL_PARSE_H
#define UTIL_PARSE_H

#include <stddef.h>
#include <stdint.h>

/**
 * parse_duration - "90s", "5m", "2h", "14d", "1h30m", "500ms"; a bare number is seconds
 * @ret_usec: microseconds, at most 100 years
 */
int parse_duration(const char *text, uint64_t *ret_usec);

/**
 * parse_size - "64KiB", "10GiB", "4096"; a bare number is bytes; K, M, G, T are powers of 1024
 * @ret_bytes: below 2^53
 */
int parse_size(const char *text, uint64_t *ret_bytes);

/* a decimal integer without anything behind it */
int parse_int(const char *text, int64_t *ret);

/* "0.95", "95%"; finite */
int parse_ratio(const char *text, double *ret);

/* "true", "false", "yes", "no", "on", "off" */
int parse_bool(const char *text, int *ret);

/**
 * parse_name - is this a pool's or a slot's name?
 *
 * [a-z0-9][a-z0-9._-]{0,62}; no "..", not ending in ".", ".lock" or, for a pool, "-<digits>".
 * Returns 0, or -EINVAL with *@ret_why (a static sentence; may be NULL).
 */
int parse_pool_name(const char *name, const char **ret_why);

/**
 * parse_branch_name - would git take this as a branch's name?
 *
 * The rules of git-check-ref-format(1) --branch, without its shorthands. 0 or -EINVAL.
 */
int parse_branch_name(const char *name);

/* a slot's name is a pool's name, "-" and a positive number: splits it; -EINVAL if it is not one */
int parse_slot_name(const char *name, size_t *ret_pool_len, uint64_t *ret_n);

/* beside a slot, with its name behind it: its directory for temporary files. No slot has such a name. */
#define SLOT_TMP_PREFIX ".tmp-"

#define DURATION_TEXT_SIZE 32

/* the shortest exact form, "1h30m"; below a second "250ms"; writes to ret, returns ret */
char *format_duration(uint64_t usec, char *ret);

/* for people, rounded to the nearest: "3 s", "4 min", "2 h", "5 d"; writes to ret, returns ret */
char *format_age(uint64_t usec, char *ret);

#define SIZE_TEXT_SIZE 32

/* for people, rounded down: "512 B", "1.5 KiB", "312 MiB"; writes to ret, returns ret */
char *format_size(uint64_t bytes, char *ret);

#endif
