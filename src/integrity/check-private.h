/* What the files of check.h share. */
#ifndef INTEGRITY_CHECK_PRIVATE_H
#define INTEGRITY_CHECK_PRIVATE_H

#include <limits.h>
#include <pthread.h>

#include "git/oid-set.h"
#include "integrity/check.h"
#include "integrity/content.h"
#include "integrity/notes.h"
#include "integrity/objects.h"
#include "integrity/pack.h"
#include "integrity/roots.h"
#include "util/text.h"

#define ALTERNATES_DEEP 5 /* as git */

/* --- where objects are (object-dirs.c) --- */

struct object_pack {
	struct pack *pack;
	char stem[NAME_MAX + 1]; /* of X.pack and X.idx: X */
	struct object_dir *dir;
	bool is_promisor; /* what its objects lead to may be at the remote alone */
	bool is_trusted;  /* it is as the note says, and is not read */
	bool is_damaged;  /* something was told of it */
	struct pack_note note;
	char note_name[MEMO_NAME_BYTES]; /* "<tag>-pack-<hex>" */
};

/* "objects" of the store, or of an alternate */
struct object_dir {
	const struct object_dir *named_by; /* the first whose alternates led here; NULL: it is the store's own */
	char *path;  /* absolute */
	char *label; /* in findings: "objects", or the path */
	char tag[9]; /* in names of notes */
	int fd, pack_fd; /* -1: there is no "pack" */
	dev_t dev;
	ino_t ino;
};

struct object_dirs {
	struct object_dir **v;
	size_t n;
	struct object_pack **packs;
	size_t n_packs;
};

/* --- what was found out of links (links.c) --- */

/* something that is led to and cannot be had */
struct gap {
	git_oid oid;
	git_object_t type;  /* that it must be */
	uint32_t from;	    /* the object that led here first; OBJECTS_NONE: a root alone */
	bool is_promised;   /* the remote has it, by the word of an object of its own */
	bool is_wrong_type; /* it is there, as something else */
	bool is_bad;	    /* it is there, and cannot be read */
	bool is_closed;	    /* there is none: it came meanwhile */
	/* by trace.c */
	const struct root *root; /* from which one gets there; NULL: from none */
	char *path;
	const char *slot;	 /* that alone needs it; NULL: the store does, or several */
	struct text users;	 /* the slots that have it checked out */
};

struct gaps {
	pthread_mutex_t lock;
	struct oid_set by_oid; /* the number: where in v */
	struct gap *v;
	size_t n, size;
};

/* --- one run --- */

/* an object that is to be looked at once more when all are known */
struct special {
	git_oid oid;
	enum content_special what;
};

#define SPECIALS_TOLD (MEMO_NOTE_BYTES / GIT_OID_RAWSZ)

struct special_told {
	unsigned char oid[SPECIALS_TOLD][GIT_OID_RAWSZ];
	size_t n;
};

struct check_run {
	struct check c;
	struct object_dirs dirs;
	struct objects *objects;
	struct gaps gaps;
	pthread_mutex_t lock; /* of what follows */
	struct oid_set specials[CONTENT_GITATTRIBUTES + 1];
	size_t n_specials[CONTENT_GITATTRIBUTES + 1]; /* of them that were looked at */
	struct special_told told[CONTENT_GITATTRIBUTES + 1];
	struct oid_set bad;  /* one copy at least cannot be read */
	struct oid_set gone; /* loose, and not there any more when they were to be read */
	uint64_t n_read;
	bool is_known; /* there was a check before: what is new is looked at for attacks on its hash */
	bool has_promisor; /* a remote that may have what is not here */
	bool trusts_nothing; /* the next check has to read all again */
	bool has_trusted;  /* something that was not read */
	bool has_vanished; /* what an earlier check relied on is not there any more */
};

int object_dirs_open(struct check_run *run, struct fault *f);
int object_packs_add(struct check_run *run, struct object_dir *dir); /* object-packs.c: those of one of them */
void object_dirs_close(struct check_run *run);

/* from whichever copy is whole; the caller frees *ret. -ENOENT, -EBADMSG (no copy is whole), -EFBIG, -ENOMEM */
int object_read(struct check_run *run, const git_oid *oid, uint64_t max, git_object_t *ret_type,
		void **ret, size_t *ret_len);

/* of deltas in one pack */
struct base_search {
	struct check_run *run;
	struct pack *pack;
};

/*
 * For struct pack_walker; @userdata: struct base_search. A base that is in the same pack and damaged there is taken from
 * elsewhere, as git does; one that is not in it at all counts as missing, as git cannot read such a delta either.
 */
int object_read_base(const git_oid *oid, git_object_t *ret_type, void **ret, size_t *ret_len, void *userdata);

static inline uint64_t memory_of(const struct check_spec *spec)
{
	return spec->memory_bytes ? spec->memory_bytes : 256 << 20;
}

/* its type alone, as its headers say; the same errors */
int object_type(struct check_run *run, const git_oid *oid, git_object_t *ret_type);

/* verify.c: reads what no note vouches for */
int verify_objects(struct check_run *run, struct fault *f);

/*
 * verify-content.c: what one thread needs to look at the content of objects: what it says of itself, and where it
 * leads. The fields are set by the caller before each call.
 */
struct verify_thread {
	struct check_run *run;
	struct link_cache *cache;
	const char *where; /* the file that the object is in */
	bool is_promisor;
	uint32_t number;  /* of the object */
	const git_oid *special; /* in its place: one that may not be there */
	bool is_shallow;  /* set by verify_content() */
	bool has_told;	  /* set by it: something was told of the object, or will be */
};

int verify_thread_init(struct verify_thread *t, struct check_run *run); /* 0 or -ENOMEM */
void verify_thread_deinit(struct verify_thread *t);
int verify_content(struct verify_thread *t, git_object_t type, const void *data, size_t len);

/*
 * .gitmodules and the like, of what was read so far: before a note vouches for the trees that lead to them. First
 * those of which something was told the last time.
 */
int recall_specials(struct check_run *run);
int verify_specials(struct check_run *run);


/* it is not trusted any more: no more is known than that there is such a pack */
int pack_note_forget(struct check_run *run, struct object_pack *p);

/* verify-loose.c: what there is, into the notes; and then what it is */
int note_loose(struct check_run *run);
int verify_loose(struct check_run *run);

/* verify-pack.c: one pack, or a part of it for a scrub (from, until: 0, 0: all) */
int verify_pack(struct check_run *run, struct object_pack *p, uint64_t from, uint64_t until);

/* gaps.c: the first from any thread while objects are read, the other after that */
int gaps_add(struct check_run *run, const unsigned char *oid, git_object_t type, uint32_t from,
	     bool is_promised);
struct gap *gaps_find(struct check_run *run, const unsigned char *oid); /* or NULL */

/* trace.c: fills what it says it fills in, of every gap that is open */
int trace_gaps(struct check_run *run);

/* is all that roots name there, and of what is not: how one gets there, and whom it concerns */
int links_check(struct check_run *run, struct fault *f);

/* peel-check.c: are the peeled values of packed-refs what the tags lead to? */
int peeled_check(struct check_run *run);

/* scrub.c: reads again what was read longest ago, of the packs that notes vouch for */
int scrub(struct check_run *run);

/* quick.c: CHECK_QUICK */
int check_quick(struct check_run *run, struct fault *f);

/* the hexadecimal name, for finding_place */
static inline const char *oid_hex(const unsigned char *oid, char ret[GIT_OID_HEXSZ + 1])
{
	git_oid copy;

	git_oid_fromraw(&copy, oid);
	return git_oid_tostr(ret, GIT_OID_HEXSZ + 1, &copy);
}

#endif
