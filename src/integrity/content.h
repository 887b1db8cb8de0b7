/**
 * DOC: content - is an object well-formed, and where does it lead?
 *
 * What "git fsck" says of commits, trees, tags and the special files .gitmodules and .gitattributes, with its
 * ids and severities (git 2.39), in one pass over the bytes that also names every object that is
 * led to. No I/O; any bytes are taken. Memory is taken for what is rare alone: .gitmodules, and trees where more
 * than 64 names go on in others ("a" and "a.c"). For any number of threads.
 *
 * Source: git-config(1), fsck.<msg-id>; git's documentation of its messages (git-fsck(1), fsck-msgids).
 */
#ifndef INTEGRITY_CONTENT_H
#define INTEGRITY_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <git2.h>

#include "integrity/finding.h"
#include "util/fault.h"

struct fsck_rules;

/* what the bytes of an object lead to */
struct content_link {
	const unsigned char *oid; /* GIT_OID_RAWSZ bytes; valid during the call */
	git_object_t type;	  /* that it must be; GIT_OBJECT_ANY */
	const char *name;	  /* of a tree's entry, with a NUL behind it; else NULL */
	size_t name_len;
};

enum content_special {
	CONTENT_GITMODULES = 1,
	CONTENT_GITATTRIBUTES,
};

/* who is told; all with the same userdata. A function that is NULL is not called */
struct content_sink {
	/* @id: git's, for ever; severity as fsck.<id> and the skip list say; @detail: a clause of any bytes */
	int (*on_problem)(const char *id, enum finding_severity severity, const char *detail,
			  void *userdata);
	int (*on_link)(const struct content_link *link, void *userdata);
	/* a tree has something under such a name: its blob is to go through content_check_special() */
	int (*on_special)(enum content_special what, const unsigned char *oid, void *userdata);
	void *userdata;
};

/**
 * content_check - look at an object of known type
 * @rules: NULL: git's own
 * @oid: its name, for the skip list
 * @data, @len: its content, without the header; NULL when it is empty
 *
 * Links are told even of what is malformed, as far as it can be read; submodules' commits are none. What a
 * function of @sink returns below 0 ends it and is returned; else 0, or -ENOMEM. Blobs are fine.
 */
int content_check(const struct fsck_rules *rules, git_object_t type, const git_oid *oid,
		  const void *data, size_t len, const struct content_sink *sink);

/**
 * content_check_special - the same for the blob of a special file
 * @data: NULL, and @len not 0: it is too large to be read. git says so of what is beyond core.bigFileThreshold (512 MiB), and of
 *	gitattributes from 100 MiB on; it is an error, and nobody has such a file
 */
int content_check_special(const struct fsck_rules *rules, enum content_special what,
			  const git_oid *oid, const void *data, size_t len,
			  const struct content_sink *sink);

/* what on_special() told of is not there (but for what was promised, git tells), or is no blob */
int content_tell_special(const struct fsck_rules *rules, enum content_special what, const git_oid *oid,
			 bool is_missing, const struct content_sink *sink);

/**
 * fsck_rules_load - severities as a store wants them
 * @common_fd: its directory: fsck.<id> and fsck.skipList of its config file, read bounded, includes not followed.
 *	A list whose path is not absolute is below the worktree, where git starts from; of a bare repository in it
 * @ret: the caller frees it
 *
 * What is wrong in these settings is told as a finding (bad-config), and passed over. 0 or -ENOMEM.
 */
int fsck_rules_load(int common_fd, struct findings *all, struct fsck_rules **ret, struct fault *f);
void fsck_rules_free(struct fsck_rules *rules); /* accepts NULL */

/* another one: an object that was fine need not be any more */
uint64_t fsck_rules_digest(const struct fsck_rules *rules);

bool fsck_rules_is_skipped(const struct fsck_rules *rules, const git_oid *oid);

/* each of git's ids that it tells unless a store says otherwise, with its severity; NULL beyond the last */
const char *fsck_id_at(size_t i, enum finding_severity *ret_severity);

#endif
