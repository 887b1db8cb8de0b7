/**
 * DOC: conf-report - faults of one file, collected
 *
 * Everything that is wrong is reported, so that one look at the list mends the file;
 * only the first 100 are kept. What the file says is shown without control characters.
 */
#ifndef CONFIG_CONF_REPORT_H
#define CONFIG_CONF_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "config/conf.h"

struct conf_report_entry {
	unsigned line, column;
	size_t at; /* in the order of reports, to keep it within a line */
	char *text;
};

struct conf_report {
	const char *file; /* NULL: sentences stand without a place */
	struct conf_report_entry *entries;
	size_t n, total;
	bool failed; /* memory ran out */
};

void conf_report_deinit(struct conf_report *report);

/* @line and @column from 1; line 0: the file as a whole */
__attribute__((format(printf, 4, 5))) void conf_report(struct conf_report *report, unsigned line,
						       unsigned column, const char *fmt, ...);

/**
 * conf_report_finish - 0 when nothing was reported
 * @ret: the faults in the order of lines; NULL: not wanted; set on -EINVAL only
 *
 * Else -EINVAL with the first fault in @f, or -ENOMEM.
 */
int conf_report_finish(struct conf_report *report, struct conf_faults *ret, struct fault *f);

#endif
