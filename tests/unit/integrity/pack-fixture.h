/**
 * DOC: pack-fixture - packs for tests, as git makes them and as nobody should
 */
#ifndef TESTS_PACK_FIXTURE_H
#define TESTS_PACK_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "integrity/pack.h"

/* a run of the check without the rest of it */
struct check_fixture {
	struct check_spec spec;
	struct check check;
};

void check_fixture_init(struct check_fixture *f);
void check_fixture_deinit(struct check_fixture *f);

/* findings of that id so far */
size_t findings_of(const struct check_fixture *f, const char *id);

/* all findings, on stderr, to see why a test failed */
void findings_show(const struct check_fixture *f);

/* opens fixture_dir/<dir>/<stem>.pack; the descriptor of the directory stays open until the end of the test */
int pack_open_in(struct check_fixture *f, const char *dir, const char *stem, struct pack **ret);

/* what a walk told, by position: the type, or -1 for a bad one, or 0: nothing */
struct told {
	int *v;
	uint32_t n, good, bad, repeated, in_pieces;
	uint64_t bytes;
	int stop_after; /* on_object returns -EINTR then; 0: never */
	struct pack_walker walker;
};

int told_walk(struct check_fixture *f, struct pack *p, struct told *told); /* fills all but walker and stop_after */
void told_deinit(struct told *told);

/* a pack that is built byte by byte */
struct pack_builder {
	unsigned char *data;
	size_t len;
	uint32_t n;
	git_oid names[64];
	uint64_t offsets[65];
};

void builder_init(struct pack_builder *b);
void builder_deinit(struct pack_builder *b);

/* @claims: the length in the header, if it shall not be @len; UINT64_MAX: that one */
void builder_add(struct pack_builder *b, const git_oid *name, int type, const void *data, size_t len,
		 uint64_t claims);
void builder_add_blob(struct pack_builder *b, const void *data, size_t len);
void builder_add_ofs(struct pack_builder *b, const git_oid *name, uint32_t base, const void *delta,
		     size_t len);
void builder_add_ref(struct pack_builder *b, const git_oid *name, const git_oid *base, const void *delta,
		     size_t len);

/* a delta that copies all of a base of @base_len < 128 bytes and adds @more < 128: its length; @ret holds 256 */
size_t delta_append(size_t base_len, const char *more, unsigned char *ret);

/* writes fixture_dir/<dir>/<stem>.pack and .idx */
void builder_write(const struct pack_builder *b, const char *dir, const char *stem);

/* reads and writes whole files below fixture_dir */
unsigned char *bytes_load(const char *name, size_t *ret_len);
void bytes_store(const char *name, const void *data, size_t len);

#endif
