/**
 * DOC: diffstat - the lines of "git diff --stat", from names and numbers
 *
 * Calling sequence
 * ----------------
 *	struct diffstat stat = { .max_files = 20 };
 *	diffstat_add() for each file, in the order of their paths; diffstat_print(); diffstat_deinit()
 */
#ifndef GIT_DIFFSTAT_H
#define GIT_DIFFSTAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/fault.h"
#include "util/text.h"

enum diffstat_kind {
	DIFFSTAT_TEXT,	 /* added and deleted are lines */
	DIFFSTAT_BINARY, /* added is the new size in bytes, deleted the old one */
	DIFFSTAT_UNREADABLE,
};

struct diffstat_file {
	char *name; /* owned */
	enum diffstat_kind kind;
	uint64_t added, deleted;
};

struct diffstat {
	unsigned max_files; /* more are counted, but not kept */
	bool incomplete;    /* not all that changed was added */
	struct diffstat_file *files;
	size_t n, size;
	size_t n_all;
	uint64_t added, deleted; /* lines */
};

/**
 * diffstat_add - one changed file
 * @path: NUL-terminated; quoted here
 * @note: NULL, or what is shown in brackets behind the name
 * @file: kind and numbers; its name is not looked at
 *
 * 0 or -ENOMEM.
 */
int diffstat_add(struct diffstat *stat, const char *path, const char *note,
		 const struct diffstat_file *file, struct fault *f);

/* in 80 columns; a lack of memory shows in ret->failed */
void diffstat_print(const struct diffstat *stat, struct text *ret);

void diffstat_deinit(struct diffstat *stat);

#endif
