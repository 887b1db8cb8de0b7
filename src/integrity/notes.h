/**
 * DOC: notes - what the notes of a memo say
 *
 * Of each pack and of each of the 256 directories of loose objects: that it was read whole and found in order,
 * what it looked like then, and the few objects in it of which something is told each time. Damage is in no
 * note: what is damaged is read again.
 */
#ifndef INTEGRITY_NOTES_H
#define INTEGRITY_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <git2.h>

#include "integrity/memo.h"

#define NOTE_OBJECTS 300 /* in a note; what has more to tell of is read each time */

struct pack_note {
	bool is_whole;	     /* else it says no more than that there is such a pack */
	uint64_t stamp;	     /* of its files: device, inode, size, and the checksum at the end */
	uint64_t times;	     /* of pack and index: git sets that of a pack anew whenever it would write what is in it */
	uint64_t read_usec;  /* when it had been read whole, since 1970 */
	uint64_t scrub_usec; /* when the reading that is under way began; 0: none is */
	uint64_t scrub_from; /* where that goes on */
	uint32_t n;	     /* objects to be looked at again */
	git_oid again[NOTE_OBJECTS];
};

uint64_t pack_note_times(const struct stat *pack, const struct stat *idx);
uint64_t pack_note_stamp(const struct stat *pack, const struct stat *idx, const git_oid *trailer);
uint64_t pack_note_stamp_also(uint64_t stamp, const struct stat *st); /* one more file that belongs to it */

/* false: there is none that can be understood */
bool pack_note_find(const struct memo *memo, const char *name, struct pack_note *ret);
int pack_note_put(struct memo *memo, const char *name, const struct pack_note *note);

/* a loose object, as it was when it was read */
struct loose_mark {
	uint64_t prefix; /* of its name */
	uint32_t stamp; /* 0: there is one, and it is read each time */
};

/* of one directory; sorted by prefix. { 0 } is empty and valid */
struct loose_note {
	uint64_t read_usec; /* the oldest reading */
	size_t n, size;
	struct loose_mark *marks;
};

void loose_note_deinit(struct loose_note *note);
int loose_note_add(struct loose_note *note, uint64_t prefix, uint32_t stamp); /* in order; 0 or -ENOMEM */

uint64_t loose_prefix(const git_oid *oid);
uint32_t loose_stamp(const struct stat *st);

/* into several notes, if there are many. @ret: the caller deinits it in any case. 1: found, 0: not, -ENOMEM */
int loose_note_find(const struct memo *memo, const char *name, struct loose_note *ret);
int loose_note_put(struct memo *memo, const char *name, const struct loose_note *note);
void loose_note_remove(struct memo *memo, const char *name);
bool loose_note_has(const struct loose_note *note, uint64_t prefix, uint32_t stamp);

#endif
