/**
 * DOC: pack-fixture - a repository "r" and a pack that is written into it
 */
#ifndef TESTS_PACK_FIXTURE_H
#define TESTS_PACK_FIXTURE_H

#include <stdint.h>

#include "git/pack-write.h"

extern int objects; /* r/.git/objects */
extern struct fault pack_fault_text;

/* for Criterion's .init and .fini */
void pack_fixture_init(void);
void pack_fixture_deinit(void);

/* a stream of bytes that are the same each time */
struct maker {
	uint64_t given;	      /* bytes so far */
	uint64_t left;	      /* bytes until it ends */
	uint64_t state;	      /* what they are made from; 0: all are NUL */
	int fail;	      /* what it ends with, a negative errno */
	unsigned interrupted; /* how often it returned -EINTR; it does it at first */
};

ssize_t maker_read(void *buf, size_t n, void *userdata);

struct pack_writer *writer_new(void);

/* these assert that it goes well; oids as hex, freed by fixture_deinit() */
char *add(struct pack_writer *w, git_object_t type, const void *data, size_t len);
char *add_text(struct pack_writer *w, const char *text);
char *add_stream(struct pack_writer *w, uint64_t size, uint64_t state);
char *finish(struct pack_writer *w); /* the name; frees @w */

/* the names in objects/pack, sorted, one a line */
char *pack_files(void);

/* git verify-pack, index-pack --verify and fsck --strict say that it is as it should be */
void assert_good(const char *name);

/* from now on, the system call number @nr with (arg & mask) == value fails with @code */
void refuse(int nr, unsigned arg, uint32_t mask, uint32_t value, int code);

#endif
