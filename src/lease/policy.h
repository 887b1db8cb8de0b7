/**
 * DOC: policy - how long a lease holds, and what becomes of it when it was not renewed
 *
 * Pure functions of settings, record, evidence and time: nothing here reads a clock, a file or a
 * process, so that a day of a thousand agents can be played in a second (tests/bench/lease-simulation)
 * and every sentence of the manual has a line in a table of tests/unit/lease.
 *
 * All times are microseconds; a point in time is CLOCK_BOOTTIME.
 */
#ifndef LEASE_POLICY_H
#define LEASE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "lease/rhythm.h"

/* --- terms: the time that a grant or a renewal gives --- */

enum lease_mode { LEASE_MODE_PHASES, LEASE_MODE_MULTIPLIERS, LEASE_MODE_FIXED };

struct lease_term {
	uint64_t ttl_usec;   /* until the deadline */
	uint64_t grace_usec; /* after it, before anything is asked */
};

/* by what a holder has reported: judged in this order, but "early", which is what is left */
struct lease_phases {
	struct lease_term silent; /* no report yet */
	struct lease_term first;  /* the first report */
	struct lease_term late;	  /* from 75 %: tests, builds, pushes; the longest */
	struct lease_term middle; /* from 25 % */
	struct lease_term early;
};

struct lease_settings {
	enum lease_mode mode;
	struct lease_phases phases;
	uint64_t ttl_usec, grace_usec, min_ttl_usec, max_ttl_usec;
	uint64_t abandon_after_usec; /* 0: never */
	unsigned silence_multiplier; /* 0: by the longest usual silence */
	uint64_t look_again_usec;    /* at one that shows life, though it is late */
};

/* what the time of a lease depends on */
struct lease_course {
	uint64_t asked_ttl_usec; /* the acquire named it: it holds whatever the mode; 0: it did not */
	uint64_t estimate_usec;	 /* of the whole work; 0: none */
	int32_t priority;	 /* "critical" 20, "high" 10, "medium" 0, "low" -10 */
	const char *labels;	 /* separated by commas; "" */
	uint32_t renewals;	 /* the present one included */
	int32_t progress;	 /* per cent; -1: never reported */
};

/* the time that the grant gives */
struct lease_term lease_term_at_grant(const struct lease_settings *s, const struct lease_course *c);

/* the time that a renewal gives; c->renewals counts it */
struct lease_term lease_term_at_renewal(const struct lease_settings *s, const struct lease_course *c);

/* --- inquiry: the deadline and its grace have passed --- */

enum lease_sign {
	LEASE_SIGN_UNKNOWN, /* nobody could find out, or nobody has looked */
	LEASE_SIGN_NO,
	LEASE_SIGN_YES,
};

#define LEASE_EXTENSION_USEC	 (300 * 1000000ULL) /* for one in the middle of a merge */
#define LEASE_EXTENSIONS	 2
#define LEASE_UNKNOWN_TIMES	 4 /* abandon_after, when not everything can be looked at */
#define LEASE_SILENCE_USEC	 (15 * 60 * 1000000ULL) /* allowed while the rhythm is not known */
#define LEASE_SILENCE_MOST_USEC	 (2 * 3600 * 1000000ULL)
#define LEASE_RHYTHM_GAPS	 30 /* so many make a rhythm known */

struct lease_evidence {
	enum lease_sign bound;	   /* what it is bound to lives; UNKNOWN: it is bound to nothing that ends */
	bool other_boot;	   /* it was last heard before the machine was started again */
	enum lease_sign operation; /* a merge, rebase, ... or unmerged paths in the slot */
	enum lease_sign processes; /* one has its working directory or an open file in it */
	bool unread;		   /* not all of the slot could be read: something may have been written later */
	uint64_t seen_usec;	   /* its last sign of life in the slot: written, or a process; 0: not known */
	uint64_t heard_usec;	   /* when the holder last called, whatever it said */
	unsigned extensions;	   /* that it was given already */
};

enum lease_verdict {
	LEASE_KEEP,    /* slow, not silent: look again */
	LEASE_EXTEND,  /* in the middle of something: LEASE_EXTENSION_USEC more */
	LEASE_SUSPECT, /* silent, which proves nothing: it stays, and can still be renewed */
	LEASE_OVER,    /* its holder is dead, or has been silent for abandon_after */
};

enum lease_reason {
	LEASE_REASON_BOUND_DEAD,
	LEASE_REASON_OTHER_BOOT,
	LEASE_REASON_OPERATION,
	LEASE_REASON_BOUND_ALIVE,
	LEASE_REASON_PROCESSES,
	LEASE_REASON_RHYTHM,
	LEASE_REASON_SILENT,
	LEASE_REASON_UNKNOWN, /* silent for long, but a probe could not tell */
	LEASE_REASON_ABANDONED,
};

struct lease_decision {
	enum lease_verdict verdict;
	enum lease_reason reason;
	uint64_t silence_usec; /* since the last sign of life */
	uint64_t again_usec;   /* when to look again, a point in time; 0: not */
};

/* how long a holder of this rhythm may be silent and count as merely slow */
uint64_t lease_silence_allowed(const struct lease_settings *s, const struct rhythm *r);

/**
 * lease_judge - what becomes of a lease whose deadline and grace have passed
 * @now_usec: CLOCK_BOOTTIME
 *
 * Silence is not death: without proof a lease is suspect at most, until abandon_after has passed
 * without any sign and every probe could tell; where one cannot, LEASE_UNKNOWN_TIMES as long, so that a
 * damaged slot does not hold its lease for ever.
 */
struct lease_decision lease_judge(const struct lease_settings *s, const struct rhythm *r,
				  const struct lease_evidence *e, uint64_t now_usec);

#endif
