/**
 * DOC: loose-check - the loose objects of one directory
 *
 * Found and read by ourselves: a stream that ends early, goes on, or is none, a header that lies, content of
 * another name, a file that is no regular file; each is a finding (corrupt-object, empty-object). Other names
 * than those of objects are told as cruft or leftover.
 */
#ifndef INTEGRITY_LOOSE_CHECK_H
#define INTEGRITY_LOOSE_CHECK_H

#include <sys/stat.h>

#include "integrity/check.h"

/* one that is there; @st: of its file */
typedef int (*loose_list_fn)(const git_oid *oid, const struct stat *st, void *userdata);

/**
 * loose_list - the names, in order
 * @objects_fd, @dir: "objects", or an alternate's, and how it is called in findings
 *
 * Files that are no objects are findings (stray-file, leftover, lock-file), and so is a directory that is a link (unreadable-file). What @fn returns below 0 ends it.
 */
int loose_list(struct check *c, int objects_fd, const char *dir, loose_list_fn fn, void *userdata);

/**
 * loose_check_object - read one
 * @ret_data: the caller frees it; NULL for a blob of more than a quarter of the memory, which was hashed piece by piece
 *
 * 0; -EBADMSG: it is damaged, and that was told; -ENOENT: it is gone. 
 */
int loose_check_object(struct check *c, int objects_fd, const char *dir, const git_oid *oid,
		       bool detect_collisions, git_object_t *ret_type, void **ret_data,
		       uint64_t *ret_len);

#endif
