/**
 * DOC: finding - what a check found, each thing once
 *
 * A finding has an id that stays the same from version to version: of the content of objects git's own
 * (fsck.<id> in git-config(1)), else one of ours, whose severity and meaning are in one table
 * (finding.c; "slotctl help check" and the manual have it). The collector takes any number from any
 * thread, keeps each once, counts all, and gives out the gravest first.
 *
 * Calling sequence
 * ----------------
 * 1. findings_new()
 * 2. finding_add() from anywhere
 * 3. findings_sort(), findings_count(), findings_at()
 * 4. findings_free()
 *
 * Threads
 * -------
 * finding_add() and findings_count() from any; the others when all others have ended.
 */
#ifndef INTEGRITY_FINDING_H
#define INTEGRITY_FINDING_H

#include <stdbool.h>
#include <stddef.h>

#include <git2.h>

/* kept at most; of what comes beyond only errors that displace something lesser */
#define FINDINGS_MAX 1000

enum finding_severity {
	FINDING_INFO,
	FINDING_WARNING,
	FINDING_ERROR,
	FINDING_SEVERITIES,
};

const char *finding_severity_to_string(enum finding_severity severity); /* "error", ... */

/* where something is; every member may be NULL */
struct finding_place {
	const char *where;  /* a file below the common directory, "objects/pack/pack-1.idx", with
			     * ":<line>" where it has lines; or the full name of a ref */
	const char *slot;   /* the one slot that it concerns; NULL: the store, and so all of them */
	const char *object; /* hexadecimal name */
	const char *path;   /* how one gets there: "refs/heads/main:src/a.c"; any bytes */
};

struct finding {
	const char *id; /* borrowed for ever */
	enum finding_severity severity;
	char *where, *slot, *object, *path; /* or NULL */
	char *detail;			    /* one sentence about this case, without a full stop */
};

struct findings;

struct findings *findings_new(void); /* NULL: no memory */
void findings_free(struct findings *all); /* accepts NULL */

/**
 * finding_add - tell of something
 * @id: one of the table in finding.c, whose severity it gets
 * @fmt: the detail; bytes that are not UTF-8 are replaced
 *
 * One with the same id, where, slot, object and path as an earlier one is passed over. 0 or -ENOMEM.
 */
__attribute__((format(printf, 4, 5))) int finding_add(struct findings *all, const char *id,
						      const struct finding_place *place,
						      const char *fmt, ...);

/* the same with a severity of the caller's, for ids that are not in the table (git's) or whose case is graver or lesser */
__attribute__((format(printf, 5, 6))) int finding_add_as(struct findings *all, const char *id,
							 enum finding_severity severity,
							 const struct finding_place *place,
							 const char *fmt, ...);

/* all that came, kept or not, but for repetitions */
size_t findings_count(const struct findings *all, enum finding_severity severity);

/* by severity, where, id, object; then findings_at() counts in that order */
void findings_sort(struct findings *all);
size_t findings_kept(const struct findings *all);
const struct finding *findings_at(const struct findings *all, size_t i);

/* what an id of ours means, for people; NULL: it is none of ours */
const char *finding_meaning(const char *id);

/* each id of ours, for the manual: NULL when @i is beyond the last */
const char *finding_id_at(size_t i, enum finding_severity *ret_severity, const char **ret_meaning);

#endif
