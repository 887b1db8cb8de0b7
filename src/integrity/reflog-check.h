/**
 * DOC: reflog-check - logs of refs, of any length, line by line
 *
 * Source: git-reflog(1); what git 2.39 passes over silently counts as bad here.
 */
#ifndef INTEGRITY_REFLOG_CHECK_H
#define INTEGRITY_REFLOG_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <git2.h>

#define REFLOG_LINE_BYTES 16384 /* of a line that are looked at; messages may be longer */

/* "<id> <id> <name> <mail> <seconds> <zone>[\t<message>]", without the newline */
bool reflog_line_parse(const char *line, size_t len, git_oid *ret_from, git_oid *ret_to);

struct reflog_scan {
	int (*entry)(const git_oid *from, const git_oid *to, size_t line, void *userdata);
	void *userdata;
	size_t n_lines, n_bad, first_bad;
	size_t len; /* of what is in the buffer */
	bool has_more; /* the line is longer than that */
	char buffer[REFLOG_LINE_BYTES];
};

/* begins with a scan that is zero but for the function; a negative return of it is handed on */
int reflog_scan_feed(struct reflog_scan *scan, const char *data, size_t len);

/* the end of the file: a line without an end is a bad one */
void reflog_scan_end(struct reflog_scan *scan);

#endif
