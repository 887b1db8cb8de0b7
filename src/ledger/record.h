/**
 * DOC: record - what the ledger keeps, and its bytes
 *
 * Records are plain structs of fixed size: copied by assignment, compared as bytes,
 * undone by putting the old bytes back. On disk they are compact: a header (kind,
 * version, CRC-32 over key, kind, version and body) and the fields in order, integers as
 * little-endian, strings with a length. One decode function per record survives any
 * bytes; a newer version of a record is -EPROTONOSUPPORT, damage -EBADMSG.
 *
 * Strings are NUL-terminated; empty means absent. Encoding a string that fills its array
 * without a NUL is an assertion.
 */
#ifndef LEDGER_RECORD_H
#define LEDGER_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/clock.h"
#include "util/fault.h"
#include "util/id.h"

#define NAME_SIZE   80	 /* a pool's or slot's name */
#define OID_SIZE    65	 /* an object id in hex */
#define REF_SIZE    256	 /* a ref or branch */
#define LABEL_SIZE  128	 /* an agent's or task's name */
#define REASON_SIZE 256	 /* a sentence */
#define LINE_SIZE   160	 /* a process and its ancestors: process_line_to_string() */
#define LINE_MOST   10	 /* that have room in it */
#define PATH_SIZE   1024 /* a path or url */
#define META_SIZE   1024 /* JSON object of strings */

/* a point in time on both clocks */
struct moment {
	uint64_t wall_usec; /* since 1970 */
	uint64_t boot_usec; /* CLOCK_BOOTTIME, of that boot */
	struct boot_id boot;
};

/* now, by util/clock */
struct moment moment_now(void);

/* how long ago that was; of another boot: by the wall clock, as far as that can tell */
uint64_t moment_age_usec(const struct moment *m);

/* when it was, or will be, by the wall clock as it is set now; 0 stays 0 */
uint64_t moment_wall_usec(const struct moment *m);

enum pool_state {
	POOL_STATE_OPENING = 1, /* the store is being made or adopted */
	POOL_STATE_ACTIVE,
	POOL_STATE_BROKEN,   /* opening failed; problem says why */
	POOL_STATE_REMOVING,
};

struct pool_record {
	char name[NAME_SIZE];
	char url[PATH_SIZE];  /* one of both */
	char path[PATH_SIZE];
	char ref[REF_SIZE];   /* as asked for; empty: default */
	int32_t ready, max;   /* as asked for at run time; -1: the default or the file's */
	bool from_file;
	bool paused, draining;
	bool delete_store; /* removing: and its store with it */
	uint8_t state; /* enum pool_state */
	char problem[REASON_SIZE];
	char common_dir[PATH_SIZE]; /* of the store; empty until opened */
	char full_ref[REF_SIZE];    /* that the pool follows: "refs/remotes/origin/main" */
	char head[OID_SIZE];	    /* its commit when last looked; empty: unborn or unknown */
	struct moment fetched;	    /* wall_usec 0: never */
	uint64_t created_usec;	    /* wall clock */
	char unsupported[META_SIZE]; /* JSON array; cut to what fits */
};

enum slot_state {
	SLOT_STATE_CREATING = 1,
	SLOT_STATE_READY,
	SLOT_STATE_PREPARING,
	SLOT_STATE_LEASED,
	SLOT_STATE_CLEANING,
	SLOT_STATE_RECOVERING,
	SLOT_STATE_ISOLATED,
	SLOT_STATE_REMOVING,
};
#define SLOT_STATES 9 /* array size for a counter by state */

const char *slot_state_to_string(enum slot_state s);
int slot_state_from_string(const char *text, enum slot_state *ret); /* -EINVAL */

struct slot_record {
	char name[NAME_SIZE]; /* "<pool>-<n>" */
	char pool[NAME_SIZE];
	uint8_t state; /* enum slot_state */
	bool discard;  /* cleaning or removing: nothing in it is anybody's unsaved work */
	bool forget;   /* cleaning: the holder threw its work away, the log of HEAD goes as well */
	char reason[REASON_SIZE];
	char head[OID_SIZE];   /* where it stood when last looked */
	char branch[REF_SIZE]; /* checked out; empty: detached */
	char target[OID_SIZE]; /* creating, preparing, cleaning: where it is being moved */
	struct id lease;       /* null: none */
	uint64_t token;	       /* of the last grant */
	uint64_t dev, ino;     /* of its directory; 0: not known */
	uint64_t since_usec;   /* in this state; wall clock */
	uint64_t created_usec; /* wall clock */
	uint64_t released_usec; /* last end of a lease; wall clock */
	uint64_t allocations;
	uint64_t used_usec;
	uint64_t disk_bytes; /* 0: not known */
	uint64_t isolated_usec;
	char isolated_by[NAME_SIZE]; /* "slotd", "uid 1000" */
	char last_agent[LABEL_SIZE];
	char last_branch[REF_SIZE];
	uint32_t attempts; /* of the job in hand */
	struct boot_id boot; /* in which it was last proved clean */
	/* whose work may be in it, from the end of a lease until it is clean again */
	struct id left_lease; /* of last_agent and last_branch; null: nobody's that is known */
	uint32_t left_uid;
	char left_task[LABEL_SIZE];
	char left_base[OID_SIZE]; /* the commit it was granted at */
	uint64_t left_since_usec; /* it was granted then; wall clock */
	uint64_t left_usec; /* nobody works in it since; wall clock, and never changed, as what is saved bears it; 0: not left */
	bool unsure; /* whoever had it is not known, and may still be at work */
	char left_by[LINE_SIZE]; /* who gave it back or has it removed, and that one's ancestors, to whom it is done with; empty: not known */
	char warmed[OID_SIZE]; /* of the files that it was warmed up for; empty: it is not warm */
	uint32_t port_base, port_count; /* its block of ports; 0: none */
	bool hook_due; /* cleaning: release.run is to be run first */
};

enum lease_end { LEASE_END_NONE, LEASE_END_RELEASED, LEASE_END_FINISHED, LEASE_END_EXPIRED,
		 LEASE_END_FORCED };

enum lease_bind { LEASE_BIND_TTL = 1, LEASE_BIND_PROCESS = 2, LEASE_BIND_CONNECTION = 4,
		  LEASE_BIND_MANUAL = 8 };

/* of struct rhythm, which is opaque here */
#define RHYTHM_SIZE 112

struct lease_record {
	struct id id;
	char slot[NAME_SIZE];
	char pool[NAME_SIZE];
	uint64_t token;
	uint64_t sequence; /* of the event of its grant */
	uint32_t uid;
	uint32_t pid; /* of the process that asked; 0: not known */
	uint64_t pid_start; /* its start time in clock ticks since boot */
	char agent[LABEL_SIZE];
	char task[LABEL_SIZE];
	char branch[REF_SIZE]; /* reserved for this lease; empty: detached */
	char ref[REF_SIZE];    /* as asked for */
	char base[OID_SIZE];   /* the commit it was granted at */
	char meta[META_SIZE];  /* JSON object; empty: none */
	uint8_t bind;	       /* enum lease_bind, or-ed */
	uint32_t bound_pid;	/* LEASE_BIND_PROCESS: which */
	uint64_t bound_start;	/* its start time in clock ticks since boot */
	struct moment bound_end; /* what it is bound to ended then; wall_usec 0: it has not */
	int32_t priority;
	char labels[LABEL_SIZE]; /* as asked for, separated by commas */
	uint64_t estimate_usec;	 /* of the whole work; 0: none */
	uint64_t asked_ttl_usec; /* 0: as the pool says */
	struct moment acquired;
	struct moment renewed; /* wall_usec 0: never */
	struct moment heard; /* the holder's last call */
	uint64_t heard_slept_usec; /* how much the machine had slept by then, in that boot */
	struct moment seen;  /* its last sign of life in the slot, as an inquiry found; wall_usec 0: none */
	uint64_t seen_slept_usec; /* likewise */
	struct moment deadline; /* of the ttl; wall_usec 0: none */
	uint64_t ttl_usec; /* the term under way: of the grant, or of the last renewal */
	uint64_t grace_usec;
	uint8_t rhythm[RHYTHM_SIZE]; /* struct rhythm: the gaps between its reports */
	uint32_t renewals;
	uint32_t without_progress; /* renewals in a row */
	bool stuck; /* that was said */
	int32_t progress; /* 0..100; -1: never reported */
	char message[REASON_SIZE];
	bool warned; /* expiring soon was said this term */
	uint8_t verdict; /* enum lease_verdict of the last inquiry of this term, plus one; 0: none */
	uint8_t reason;	 /* and its enum lease_reason */
	uint32_t extensions; /* given for an operation in progress */
	struct moment suspect; /* since when; wall_usec 0: it is not */
	struct id handoff;     /* the lease whose hand-off it was given; null: none */
	uint64_t told_age_usec; /* at which its age was told last; 0: never */
};

/* idempotency: found by uid and key */
struct key_record {
	uint32_t uid;
	char key[LABEL_SIZE];
	uint8_t request[32]; /* hash of what was asked */
	struct id lease;
	char slot[NAME_SIZE];
	uint8_t end; /* enum lease_end; NONE: the lease lives */
	uint64_t created_usec, ended_usec; /* wall clock */
};

/* how a holder said that its work ended */
enum lease_declared { LEASE_DECLARED_NONE, LEASE_DECLARED_DONE, LEASE_DECLARED_FAILED, LEASE_DECLARED_BLOCKED };

const char *lease_declared_to_string(enum lease_declared d); /* NONE: "" */
int lease_declared_from_string(const char *text, enum lease_declared *ret); /* -EINVAL */

/* what a lease that has ended leaves to whoever goes on with its work; found by the lease's id */
struct handoff_record {
	struct id lease;
	char slot[NAME_SIZE];
	char pool[NAME_SIZE];
	uint32_t uid;
	char agent[LABEL_SIZE];
	char task[LABEL_SIZE];
	char branch[REF_SIZE]; /* empty: HEAD was detached */
	char base[OID_SIZE];   /* the commit it was granted at */
	uint8_t end;	       /* enum lease_end */
	uint8_t declared;      /* enum lease_declared */
	bool discarded;	       /* what was not saved was thrown away, as asked */
	char reason[REASON_SIZE];
	int32_t progress; /* 0..100; -1: never reported */
	char message[REASON_SIZE];
	uint64_t held_usec;
	struct moment ended;
};

/* what was saved of a slot before it was cleaned: refs/slotd/salvage/<slot>/<lease>/<n> of the store */
struct salvage_record {
	char slot[NAME_SIZE];
	struct id lease; /* null: no lease had it */
	uint64_t n;
	char pool[NAME_SIZE];
	char agent[LABEL_SIZE];
	char task[LABEL_SIZE];
	uint32_t uid; /* who held the lease; UINT32_MAX: not known */
	char commit[OID_SIZE];
	uint64_t taken_usec; /* wall clock; as the commit has it */
	struct moment known; /* when it was recorded; what was found in the store: when it was taken */
	char summary[REASON_SIZE];
	uint64_t bytes;
	char dropping[REASON_SIZE]; /* its ref is to go: why; empty: it stays */
	uint32_t drop_uid;	    /* who has asked for that; UINT32_MAX: slotd itself */
};

/* the place in the line of an acquire with a key, which outlives its connection and slotd itself */
struct ticket_record {
	uint32_t uid;
	char key[LABEL_SIZE];
	uint8_t request[32]; /* hash of what was asked */
	char pool[NAME_SIZE];
	char agent[LABEL_SIZE];
	char task[LABEL_SIZE];
	char branch[REF_SIZE];
	uint64_t number; /* the lower was first */
	int32_t priority;
	struct moment since;
	uint64_t wait_usec;
};

#define NOTE_NAME_SIZE 64
#define NOTE_BYTES     7000

/* what a check of a pool's store has verified, as it notes it for the next one; found by pool and name */
struct note_record {
	char pool[NAME_SIZE];
	char name[NOTE_NAME_SIZE];
	struct {
		uint32_t len;
		uint8_t data[NOTE_BYTES];
	} note;
};

enum verified_depth { VERIFIED_PLAIN = 1, VERIFIED_FULL };

/* the last check of a pool's store that came to its end */
struct check_record {
	char pool[NAME_SIZE];
	uint8_t depth; /* enum verified_depth */
	struct moment at;
	struct moment scrubbed; /* the last one that also read anew; wall_usec 0: there was none */
	uint64_t errors, warnings, infos; /* that it found, kept or not */
	uint64_t objects, packs, objects_read, elapsed_usec;
	bool truncated; /* it found more than was kept */
};

#define FINDING_KEY_SIZE 41

/* what that check found: enough to know it again, and to say that it is gone */
struct finding_record {
	char pool[NAME_SIZE];
	char key[FINDING_KEY_SIZE]; /* in hex: a digest of all that tells it from others */
	uint8_t severity;	    /* 0: info, 1: warning, 2: error */
	char id[40];
	char where[REF_SIZE]; /* this and the next three cut to what fits; empty: none */
	char slot[NAME_SIZE];
	char object[OID_SIZE];
	char path[PATH_SIZE]; /* quoted */
	uint64_t since_usec;  /* found first; wall clock */
};

/* what has happened to leases, ever since the ledger was made */
struct lease_stats_record {
	uint64_t renewals;
	uint64_t extensions;
	uint64_t recoveries;  /* ended without their holder */
	uint64_t stopped;     /* inquiries that found life or an operation, so nothing was taken back */
	uint64_t suspected;
	uint64_t late_reports;
	uint64_t terminal;    /* recoveries that were due when the holder declared its end */
	uint64_t handoffs;    /* given to who went on */
};

struct token_record {
	uint64_t token;	 /* highest given for this slot */
	uint64_t next_n; /* under a pool's name: number of the next slot */
};

struct event_record {
	uint64_t sequence;
	uint64_t at_usec; /* wall clock */
	char kind[40];	  /* "acquired", "released", "slot_ready", ... */
	char pool[NAME_SIZE];
	char slot[NAME_SIZE];
	char lease[ID_TEXT_SIZE];
	uint32_t uid; /* UINT32_MAX: slotd itself */
	uint64_t token;
	char detail[512];
};

struct generation_record {
	uint32_t schema;
	struct id generation;	/* names this ledger */
	uint64_t created_usec;
	uint64_t token_floor;	/* every new token is above it */
	uint64_t next_sequence; /* a lower bound: events may have gone further */
	struct boot_id boot;	/* in which slotd last started */
};

#define RECORD_MAX 8192 /* bytes that any record needs at most */

/* each writes at most RECORD_MAX bytes to @buf and returns how many; @key is part of the checksum */
size_t pool_record_encode(const struct pool_record *r, uint8_t *buf);
size_t slot_record_encode(const struct slot_record *r, uint8_t *buf);
size_t lease_record_encode(const struct lease_record *r, uint8_t *buf);
size_t key_record_encode(const struct key_record *r, uint8_t *buf);
size_t handoff_record_encode(const struct handoff_record *r, uint8_t *buf);
size_t salvage_record_encode(const struct salvage_record *r, uint8_t *buf);
size_t ticket_record_encode(const struct ticket_record *r, uint8_t *buf);
size_t lease_stats_record_encode(const struct lease_stats_record *r, uint8_t *buf);
size_t note_record_encode(const struct note_record *r, uint8_t *buf);
size_t check_record_encode(const struct check_record *r, uint8_t *buf);
size_t finding_record_encode(const struct finding_record *r, uint8_t *buf);
size_t token_record_encode(const struct token_record *r, const char *name, uint8_t *buf);
size_t event_record_encode(const struct event_record *r, uint8_t *buf);
size_t generation_record_encode(const struct generation_record *r, uint8_t *buf);

/*
 * 0, -EBADMSG (damaged: checksum, length, a value out of range, or filed under another key) or
 * -EPROTONOSUPPORT; @ret is written on success only.
 */
int pool_record_decode(const void *key, size_t key_len, const void *data, size_t len,
		       struct pool_record *ret, struct fault *f);
int slot_record_decode(const void *key, size_t key_len, const void *data, size_t len,
		       struct slot_record *ret, struct fault *f);
int lease_record_decode(const void *key, size_t key_len, const void *data, size_t len,
			struct lease_record *ret, struct fault *f);
int key_record_decode(const void *key, size_t key_len, const void *data, size_t len,
		      struct key_record *ret, struct fault *f);
int handoff_record_decode(const void *key, size_t key_len, const void *data, size_t len,
			  struct handoff_record *ret, struct fault *f);
int salvage_record_decode(const void *key, size_t key_len, const void *data, size_t len,
			  struct salvage_record *ret, struct fault *f);
int ticket_record_decode(const void *key, size_t key_len, const void *data, size_t len,
			 struct ticket_record *ret, struct fault *f);
int lease_stats_record_decode(const void *key, size_t key_len, const void *data, size_t len,
			      struct lease_stats_record *ret, struct fault *f);
int note_record_decode(const void *key, size_t key_len, const void *data, size_t len,
		       struct note_record *ret, struct fault *f);
int check_record_decode(const void *key, size_t key_len, const void *data, size_t len,
			struct check_record *ret, struct fault *f);
int finding_record_decode(const void *key, size_t key_len, const void *data, size_t len,
			  struct finding_record *ret, struct fault *f);
int token_record_decode(const void *key, size_t key_len, const void *data, size_t len,
			struct token_record *ret, struct fault *f);
int event_record_decode(const void *key, size_t key_len, const void *data, size_t len,
			struct event_record *ret, struct fault *f);
int generation_record_decode(const void *key, size_t key_len, const void *data, size_t len,
			     struct generation_record *ret, struct fault *f);

#endif
