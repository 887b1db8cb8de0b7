/**
 * DOC: pack-write - a new pack, object by object, durable at the end
 *
 * What is to be saved goes into one pack: no object has a file of its own, one sync makes all of
 * them last, and git's maintenance leaves it alone as long as its .keep file is there. Nothing is
 * made a delta of something, and no more than a piece of a streamed file is in memory.
 *
 * Calling sequence
 * ----------------
 * 1. pack_writer_new()
 * 2. pack_writer_add(), pack_writer_add_stream()	as often as wanted
 * 3. pack_writer_finish()	the objects are there for git, synced and kept
 * 4. pack_writer_free()
 * 5. make the ref that holds them, then pack_drop_keep()
 *
 * Until 3 nothing can be seen in objects/pack, and nothing is left there when the process dies.
 * A call that fails leaves the pack as it was before: the next object may be added.
 *
 * Errors
 * ------
 * 0 or a negative errno. -ENOSPC, -EDQUOT, -EFBIG, -EIO and whatever else the file system says
 * come through unchanged; -EAGAIN is named where it can be.
 *
 * Threads: one writer belongs to one thread at a time. Names are plain SHA-1 (see sha1.h).
 */
#ifndef GIT_PACK_WRITE_H
#define GIT_PACK_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <git2.h>

#include "util/fault.h"

struct pack_writer;

#define PACK_NAME_SIZE (sizeof("pack-") + GIT_OID_HEXSZ) /* "pack-<40 hex digits>" and the NUL */

/**
 * pack_read_fn - the next bytes of a stream
 *
 * Returns how many of at most @n bytes it wrote to @buf, 0 at the end, or a negative errno
 * (-EINTR: it is called again).
 */
typedef ssize_t (*pack_read_fn)(void *buf, size_t n, void *userdata);

/**
 * pack_writer_new - begin a pack
 * @objects_fd: the "objects" directory; not needed afterwards. "pack" is made in it when missing
 */
int pack_writer_new(int objects_fd, struct pack_writer **ret, struct fault *f);

/* accepts NULL; what was not finished leaves nothing behind */
void pack_writer_free(struct pack_writer *w);

/**
 * pack_writer_add - an object from memory
 * @type: commit, tree, blob or tag
 * @data, @len: its content, taken as it is; NULL when @len is 0
 * @ret: its name. One that is in the pack already is not written again
 */
int pack_writer_add(struct pack_writer *w, git_object_t type, const void *data, size_t len,
		    git_oid *ret, struct fault *f);

/**
 * pack_writer_add_stream - a blob from wherever it is read
 * @size: how many bytes @read has
 *
 * As pack_writer_add(). -EAGAIN: there were fewer or more of them; what @read fails with is
 * returned as it is.
 */
int pack_writer_add_stream(struct pack_writer *w, uint64_t size, pack_read_fn read, void *userdata,
			   git_oid *ret, struct fault *f);

/* is the object in this pack? */
bool pack_writer_has(const struct pack_writer *w, const git_oid *oid);

/* how many objects the pack has */
size_t pack_writer_count(const struct pack_writer *w);

/**
 * pack_writer_finish - give the pack to git
 * @keep: what the .keep file says; whoever makes the same pack again says the same
 * @ret_name: how its three files begin; "" when there is no object, and then nothing is made
 *
 * Once; after it the writer is only asked and freed. All three files are synced before they are
 * placed in the order .keep, .pack, .idx, and the directory after that. A pack that is there
 * already with the same .keep (a crash came between it and its ref) is checked, synced and used.
 * One that is there without it may be on its way out by a gc; the new one gets another name then.
 *
 * -EAGAIN: the file system has only files with names, and a gc removed ours. On a failure nothing
 * is left behind. Two writers of the same content with the same @keep at the same time are for
 * the caller to prevent.
 */
int pack_writer_finish(struct pack_writer *w, const char *keep, char ret_name[PACK_NAME_SIZE],
		       struct fault *f);

/**
 * pack_drop_keep - let git's maintenance have a pack, now that a ref holds its objects
 * @name: from pack_writer_finish(); "" is fine
 *
 * A .keep that is not there is fine too. -EINVAL: not the name of a pack.
 */
int pack_drop_keep(int objects_fd, const char *name, struct fault *f);

#endif
