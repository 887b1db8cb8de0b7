/* What the files of pack.h share. */
#ifndef INTEGRITY_PACK_PRIVATE_H
#define INTEGRITY_PACK_PRIVATE_H

#include <zlib.h>

#include "integrity/hash.h"
#include "integrity/pack.h"

#define PACK_HEADER_BYTES  12
#define PACK_NO_OFFSET	   UINT64_MAX
#define PACK_NONE	   UINT32_MAX
#define PACK_COUNT_MAX	   (UINT32_MAX - 16)
/* what is a base, or a part of a chain, may have so many bytes; others any number */
#define PACK_BASE_MAX	   (2ULL << 30)
/* deflate cannot do better than this; a header that claims more is a lie */
#define DEFLATE_RATIO	   1032

enum entry_kind {
	ENTRY_OFS_DELTA = 6,
	ENTRY_REF_DELTA = 7,
};

struct pack {
	char *where, *where_idx; /* as findings call them */
	const char *stem;	 /* the end of where */
	int dir_fd; /* borrowed */
	int fd;
	struct stat st, idx_st;
	unsigned char *idx;
	size_t idx_len;
	unsigned idx_version;
	uint32_t n, n_large;
	const unsigned char *names; /* into idx */
	size_t stride;
	const unsigned char *crcs;    /* NULL: version 1 */
	const unsigned char *offsets; /* stride apart in version 1, else 4 bytes */
	const unsigned char *large;   /* n_large of 8 bytes */
	uint64_t end;		      /* where the trailer begins */
	git_oid trailer;
	struct pack_order *order; /* or NULL, see pack_order() */
};

/* entries as they lie in the pack; those whose offset cannot be are left out */
struct pack_order {
	uint32_t n;
	uint64_t *starts; /* n + 1 of them: an entry ends where the next one begins */
	uint32_t *pos;	  /* in the index */
};

static inline const unsigned char *pack_name(const struct pack *p, uint32_t pos)
{
	return p->names + pos * p->stride;
}

static inline bool entry_is_delta(int kind)
{
	return kind == ENTRY_OFS_DELTA || kind == ENTRY_REF_DELTA;
}

uint32_t pack_be32(const void *p);
uint64_t pack_be64(const void *p);

/* where an object begins, or PACK_NO_OFFSET: outside of the pack */
uint64_t pack_offset(const struct pack *p, uint32_t pos);

/* made when it is first asked for; p->order until it is dropped. 0, -ENOMEM */
int pack_order_make(struct pack *p);
void pack_order_drop(struct pack *p); /* and when there is none */

/* where the entry after one begins */
uint64_t pack_order_end(const struct pack_order *o, uint32_t i);

/* the entry that begins at an offset, or PACK_NONE; @below: it is known to be before that one */
uint32_t pack_order_find(const struct pack_order *o, uint64_t start, uint32_t below);

/* reads at most len bytes of a file at an offset; fewer at its end; or a negative errno */
ssize_t pack_pread(int fd, void *data, size_t len, uint64_t at);

/**
 * struct pack_reader - the bytes of a pack, one stretch at a time
 *
 * Read, not mapped: a file that is cut meanwhile is short, and no signal.
 */
struct pack_reader {
	const struct pack *pack;
	unsigned char *bytes;
	size_t size;	/* of bytes */
	uint64_t start; /* where bytes is in the pack */
	size_t len;	/* that are valid */
};

int pack_reader_init(struct pack_reader *r, const struct pack *p, size_t size);
void pack_reader_deinit(struct pack_reader *r);

/**
 * pack_reader_at - what is at an offset
 * @want: bytes that must be there if the pack has them before its trailer; at most the reader's size
 * @ret_len: how many there are: at least @want, or up to the trailer
 *
 * Until the next call. 0; -EIO: not to be read, also because the file has become shorter.
 */
int pack_reader_at(struct pack_reader *r, uint64_t at, size_t want, const unsigned char **ret,
		   size_t *ret_len);

/* an object in a pack: its header */
struct entry {
	int kind;	  /* a git_object_t, or enum entry_kind */
	uint64_t at;
	uint64_t data_at; /* where its stream begins */
	uint64_t bytes;	  /* of the stream, as far as the index is right; it is read on if it goes on */
	uint64_t len;	  /* inflated; of a delta: of the delta */
	uint64_t base_at; /* of ENTRY_OFS_DELTA */
	git_oid base;	  /* of ENTRY_REF_DELTA */
};

/* @end: where the next one begins, or 0. 0; -EBADMSG: it is none, and *ret_why says so */
int entry_read(struct pack_reader *r, uint64_t at, uint64_t end, struct entry *ret, const char **ret_why);

/* what takes the bytes of an entry to content; one for each thread */
struct unpacker {
	struct pack_reader reader;
	z_stream z;
	bool has_z;
	unsigned char *delta; /* instructions of the last delta */
	size_t delta_size;
	const char *why; /* of the last -EBADMSG */
};

int unpacker_init(struct unpacker *u, const struct pack *p);
void unpacker_deinit(struct unpacker *u);

/* exactly e->len bytes and a NUL into @out. 0; -EBADMSG with u->why; -ENOMEM */
int unpack_data(struct unpacker *u, const struct entry *e, void *out);

/* the same in pieces; below 0 from @fn ends it */
typedef int (*unpack_piece_fn)(const void *data, size_t len, void *userdata);
int unpack_pieces(struct unpacker *u, const struct entry *e, unpack_piece_fn fn, void *userdata);

/* what an entry, if it is a delta, makes of its base */
struct delta {
	uint64_t base_len, len;
	const unsigned char *ops, *end;
};

/* into u->delta, and looked through: it fits a base of that length, and makes what it says */
int unpack_delta(struct unpacker *u, const struct entry *e, uint64_t base_len, struct delta *ret);

/* lengths alone, from the first bytes of the delta */
int unpack_delta_header(struct unpacker *u, const struct entry *e, struct delta *ret);

/* -EBADMSG: it is no delta for a base of that length; *ret_why says so */
int delta_parse(const unsigned char *data, size_t len, uint64_t base_len, struct delta *ret,
		const char **ret_why);
int delta_parse_lengths(const unsigned char *data, size_t len, struct delta *ret, const char **ret_why);

/* of a delta that was parsed for that base: delta->len bytes to @out */
void delta_apply(const struct delta *delta, const unsigned char *base, unsigned char *out);
int delta_apply_pieces(const struct delta *delta, const unsigned char *base, unpack_piece_fn fn,
		       void *userdata);

/**
 * pack_make - the object at an offset, along its chain
 * @bases: for bases that are not in this pack; may be NULL
 * @max: bytes of the object
 *
 * Not hashed. The caller frees *ret, which has a NUL behind it. -EFBIG; -EBADMSG with u->why.
 */
int pack_make(struct unpacker *u, uint64_t at, const struct pack_walker *bases, uint64_t max,
	      git_object_t *ret_type, void **ret, size_t *ret_len);

/* which entry is made from which; numbers are those of pack_order */
struct pack_tree {
	uint32_t *base;	 /* or one of these: */
#define TREE_ROOT  (UINT32_MAX - 1) /* no delta; or one whose base is no entry */
#define TREE_CYCLE (UINT32_MAX - 2) /* a delta, made of itself at last: the cycle is cut open here */
	uint32_t *first; /* n + 1: where in kids its own begin */
	uint32_t *kids;
};

/* reads all headers. 0, -ENOMEM */
int pack_tree_make(const struct pack *p, struct pack_tree *ret);
void pack_tree_deinit(struct pack_tree *tree);

/* a pack, or a multi-pack-index, that may have .rev, .bitmap and .mtimes beside it */
struct side_owner {
	const char *stem; /* as findings call it, without the suffix */
	int dir_fd;
	uint32_t n;		  /* objects */
	const unsigned char *sum; /* its checksum, which those files repeat */
	const uint32_t *order;	  /* what .rev must have; NULL: that is not known */
};

/* those that are there */
int side_files_check(struct check *c, const struct side_owner *owner);

/* tells "<id>" of an object in a pack, or of all of it (@pos is PACK_NONE) */
__attribute__((format(printf, 5, 6))) int pack_tell(struct check *c, const struct pack *p, uint32_t pos,
						    const char *id, const char *fmt, ...);

/* the same of the index */
__attribute__((format(printf, 5, 6))) int pack_tell_index(struct check *c, const struct pack *p, uint32_t pos,
							  const char *id, const char *fmt, ...);

#endif
