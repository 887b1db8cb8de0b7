/**
 * DOC: loose - loose objects, read within bounds and written so that they last
 *
 * libgit2's own reader spins for ever on a truncated loose object and overruns the heap on one
 * that lies about its size; this one takes any bytes. Nothing is allocated beyond what the file
 * can inflate to, nothing blocks (no FIFO, no link), and what is returned has the right name.
 */
#ifndef GIT_LOOSE_H
#define GIT_LOOSE_H

#include <stddef.h>
#include <stdint.h>

#include <git2.h>

#include "util/fault.h"

/* larger ones are refused with -EFBIG; a worker's memory is limited anyway */
#define LOOSE_MAX_BYTES (4ULL << 30)

/* a header fits: "commit 18446744073709551615" */
#define LOOSE_HEADER_MAX 32

/* the path of an object below objects/: "ab/cdef…"; @ret holds GIT_OID_HEXSZ + 2 bytes */
void loose_path(const git_oid *oid, char *ret);

/**
 * loose_decode - an object from the bytes of its file
 * @data, @len: the whole file
 * @ret_data: @ret_size bytes and a NUL; the caller frees them with loose_free()
 *
 * -EUCLEAN: not a whole, well-formed loose object (truncated, trailing bytes, wrong size,
 * unknown type); -EFBIG, -ENOMEM. The name is not checked here.
 */
int loose_decode(const uint8_t *data, size_t len, git_object_t *ret_type, void **ret_data,
		 size_t *ret_size, struct fault *f);

/* content comes from libgit2's allocator, so that it can be handed on to it; accepts NULL */
void loose_free(void *data);

/* type and size alone, from the first bytes of a file; the same faults */
int loose_decode_header(const uint8_t *data, size_t len, git_object_t *ret_type, size_t *ret_size,
			struct fault *f);

/**
 * loose_read - an object by name
 * @objects_fd: the "objects" directory
 *
 * As loose_decode(), and the content has that name, else -EUCLEAN. -ENOENT when there is none.
 */
int loose_read(int objects_fd, const git_oid *oid, git_object_t *ret_type, void **ret_data,
	       size_t *ret_size, struct fault *f);

/* type and size of an object by name; -ENOENT, -EUCLEAN */
int loose_read_header(int objects_fd, const git_oid *oid, git_object_t *ret_type, size_t *ret_size,
		      struct fault *f);

/**
 * loose_write - store an object
 * @oid: its name, already known to be right
 *
 * Written beside, synced, renamed; an object that is there is replaced by this good copy.
 */
int loose_write(int objects_fd, const git_oid *oid, git_object_t type, const void *data,
		size_t size, struct fault *f);

#endif
