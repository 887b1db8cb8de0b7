/**
 * DOC: pack - a pack, read by ourselves
 *
 * The index in memory, the pack read piece by piece, nothing mapped, everything bounded: any bytes are taken, and a
 * file that is cut while it is read makes objects that cannot be read, and no signal. Two descriptors are kept.
 *
 * Calling sequence
 * ----------------
 * 1. pack_open()
 * 2. pack_check_files(): trailers, order, CRC-32, .rev
 * 3. pack_walk(): every object, inflated once along the tree of deltas, by several threads
 * 4. pack_read() for single objects, any time after 1
 * 5. pack_close()
 */
#ifndef INTEGRITY_PACK_H
#define INTEGRITY_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <git2.h>

#include "integrity/check.h"

struct pack;

/**
 * pack_open - open a pack and load its index
 * @dir_fd: objects/pack, of the store or of an alternate; not needed any more afterwards
 * @dir: how that is called in findings, "objects/pack"
 * @stem: the name of both files without its end, as a rule "pack-<hex>"
 *
 * 0; -EBADMSG: it cannot be used at all, and there are findings that say why (corrupt-pack, corrupt-pack-index,
 * missing-pack, missing-pack-index, unsupported-pack); -ENOENT: both are gone, as after a repack;
 * -ENOMEM, -EMFILE. Alien versions are refused by name. What is told is in c->findings.
 */
int pack_open(struct check *c, int dir_fd, const char *dir, const char *stem, struct pack **ret);

/* the same, but -EAGAIN and no finding where one of the two is missing: it may come yet, or the other go */
int pack_open_whole(struct check *c, int dir_fd, const char *dir, const char *stem, struct pack **ret);

void pack_close(struct pack *p); /* accepts NULL */

const char *pack_where(const struct pack *p); /* "objects/pack/pack-1.pack" */
uint32_t pack_count(const struct pack *p);
const unsigned char *pack_names(const struct pack *p, size_t *ret_stride); /* for objects_add_pack() */
const struct stat *pack_stat(const struct pack *p, struct stat *ret_idx);
void pack_trailer(const struct pack *p, git_oid *ret);

/* the position of a name in the index, or -ENOENT */
int64_t pack_find(const struct pack *p, const unsigned char *oid);

/**
 * pack_check_files - what can be said without inflating
 *
 * The checksums of both files, order and fan-out of names, offsets within
 * bounds and none twice, CRC-32 of each entry, .rev, .bitmap and .mtimes where there are such. 0, -ECANCELED, ...; damage
 * is a finding (corrupt-pack, corrupt-pack-index, corrupt-pack-entry, corrupt-rev-index, corrupt-bitmap).
 */
int pack_check_files(struct check *c, struct pack *p);

/* an object that came out right; @data: its content during the call, NULL for a large blob */
struct pack_object {
	uint32_t pos; /* in the index */
	git_object_t type;
	const void *data;
	uint64_t len;
};

struct pack_walker {
	/* from any thread, @thread counts from 0; below 0 ends the walk and is returned */
	int (*on_object)(unsigned thread, const struct pack_object *object, void *userdata);
	/* the object cannot be made, or has another name; the finding (corrupt-object) was told */
	int (*on_bad)(unsigned thread, uint32_t pos, void *userdata);
	/* a base that is in another pack, or loose: content that free() frees; NULL: there is none */
	int (*read_base)(const git_oid *oid, git_object_t *ret_type, void **ret, size_t *ret_len,
			 void *userdata);
	void *userdata;
	bool detect_collisions;	   /* hash so that an attack on SHA-1 shows; some four times as slow */
	uint64_t from, until;	   /* only objects whose base, at the end of the chain, begins in [from, until); 0, 0: all */
};

/**
 * pack_walk - inflate and hash all objects
 *
 * By c->spec->threads threads, within c->spec->memory_bytes, or what a single object and its bases need, if that is
 * more: but for blobs of which nothing is made, which are hashed in pieces. Every object of the index is told once, on_object or
 * on_bad. 0 or what ended it.
 */
int pack_walk(struct check *c, struct pack *p, const struct pack_walker *w);

/**
 * pack_read - one object, whatever its base; hashed
 * @ret: the caller frees it
 *
 * -EBADMSG: it cannot be read, without a finding; -EFBIG: larger than @max; -ENOMEM.
 */
int pack_read(struct pack *p, uint32_t pos, const struct pack_walker *bases, uint64_t max,
	      git_object_t *ret_type, void **ret, size_t *ret_len);

/* type and size, by the chain of headers alone; not hashed */
int pack_read_header(struct pack *p, uint32_t pos, git_object_t *ret_type, uint64_t *ret_len);

#endif
