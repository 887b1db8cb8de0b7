/**
 * DOC: log - one sentence and its fields
 *
 * Goes to the journal when standard error is connected to it (JOURNAL_STREAM),
 * with each field as a journal field of its own too; else to standard error. In a file each line
 * begins with its time, UTC; a journal, a container or a terminal has its own idea of that.
 * Fields are the tail of the sentence: log_info("slot isolated: %s slot=%s", ...).
 */
#ifndef UTIL_LOG_H
#define UTIL_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <syslog.h>

/**
 * log_open - choose where lines go
 * @ident: the program's name; borrowed for ever
 * @max_level: LOG_ERR .. LOG_DEBUG; lines above it are dropped
 *
 * Also reads SLOTD_DEBUG: a comma-separated list of parts ("recovery,lease", or
 * "all") whose log_debug_part() lines are shown at any level.
 */
void log_open(const char *ident, int max_level);

/* -EINVAL for a level that is not one of error, warning, notice, info, debug */
int log_level_from_string(const char *text, int *ret);

#define LOG_FIELD_SIZE 128

/**
 * log_fields - what the journal gets beside the sentence
 * @ret: for "lease ended slot=api-3 uid=1000": "SLOTD_UID=1000", "SLOTD_SLOT=api-3"
 * @max: how many there is room for
 *
 * Returns their number. Words longer than LOG_FIELD_SIZE - 8 end the tail.
 */
size_t log_fields(const char *line, char (*ret)[LOG_FIELD_SIZE], size_t max);

__attribute__((format(printf, 2, 3))) void log_line(int level, const char *fmt, ...);

/* is this part named in SLOTD_DEBUG, or the level debug? */
bool log_part_is_on(const char *part);

#define log_error(...)	 log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)	 log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)	 log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(part, ...)                              \
	do {                                              \
		if (log_part_is_on(part))                 \
			log_line(LOG_DEBUG, __VA_ARGS__); \
	} while (0)

#endif
