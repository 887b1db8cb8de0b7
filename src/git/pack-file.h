/**
 * DOC: pack-file - a file of objects/pack that has no name until it is whole
 *
 * It is made by O_TMPFILE: what has no name, no crash leaves behind, and no "git gc --prune=now"
 * beside us takes, as it does with everything that is called tmp_*, however young. Where the file
 * system has no such files, it is tmp_*, which git removes after a crash.
 *
 * Errors: 0 or a negative errno, without a sentence; who writes a pack knows it.
 */
#ifndef GIT_PACK_FILE_H
#define GIT_PACK_FILE_H

#include <stddef.h>
#include <stdint.h>

struct pack_file {
	int fd;	       /* for reading and writing; -1: none */
	char name[48]; /* "": it has none yet */
};

#define PACK_FILE_NONE   \
	{                \
		.fd = -1 \
	}

/* @kind: "pack", "idx" or "keep"; mode 0444, as git does */
int pack_file_open(int dir_fd, const char *kind, struct pack_file *ret);

/* closes it, and unlinks it when it was not placed; fine for PACK_FILE_NONE */
void pack_file_close(int dir_fd, struct pack_file *file);

/* all of it, at an offset */
int pack_file_write(const struct pack_file *file, const void *data, size_t len, uint64_t at);

/* all of it, or -EIO when the file ends before */
int pack_file_read(int fd, void *data, size_t len, uint64_t at);

/**
 * pack_file_place - give it its name
 *
 * Once, after it was synced. -EEXIST: the name is taken, and both are as before. -EAGAIN: it was
 * tmp_*, and somebody removed that.
 */
int pack_file_place(int dir_fd, struct pack_file *file, const char *name);

/**
 * pack_file_is - is the file of that name byte for byte this one?
 *
 * 0: yes, and it is synced now; -ENOENT: there is none; -EEXIST: it is another one, or no file.
 */
int pack_file_is(int dir_fd, const struct pack_file *file, const char *name);

#endif
