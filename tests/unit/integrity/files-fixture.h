/**
 * DOC: files-fixture - a repository with a slot, and what the checks of files find in it
 *
 * In the scratch directory: r (a repository with main worktree), slots/a-1 (a slot of it), and shell variables for what
 * is damaged: G (the git directory), A (the slot's administration), S (the slot). git(1) is the witness.
 */
#ifndef TESTS_FILES_FIXTURE_H
#define TESTS_FILES_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "integrity/check.h"
#include "integrity/roots.h"

#define FILES_VARIABLES                                                             \
	"exec 2>&1; G=$PWD/r/.git; A=$G/worktrees/slotd-a-1; S=$PWD/slots/a-1; T=$PWD/slots; " \
	"g() { git -C $PWD/r \"$@\"; }; s() { git -C $PWD/slots/a-1 \"$@\"; }; "

void files_init(void);
void files_deinit(void);

/* the repository as it was at first */
void files_restore(void);

struct files_row {
	const char *does;  /* a shell command */
	const char *finds; /* ids of findings, ascending, with a blank between them */
};

/* one run over the store and the slot; all is freed by files_deinit() or the next one */
struct files_result {
	struct findings *findings;
	struct roots *roots;
	bool is_sha1;
};

const struct files_result *files_check(enum check_depth depth);

/* the ids of what was found, sorted, each once */
char *files_found(const struct files_result *result);

/* logs each finding */
void files_describe(const struct files_result *result);

/* does git fsck, run in the repository and in the slot, say that something is wrong? */
bool files_git_complains(void);

/* roots whose object git does not know: links.h would tell of them */
size_t files_missing(const struct files_result *result);

/**
 * files_flip - each byte of a file changed, one at a time
 * @path: below the scratch directory
 * @mask: the bits of it
 * @step: each so manieth byte
 *
 * Where git complains, something must have been found, or a root be missing. The file is as it was afterwards.
 */
void files_flip(const char *path, unsigned char mask, size_t step);

/* the same, and the checksum at the end of the file (of an index) is made right each time */
void files_flip_sealed(const char *path, unsigned char mask, size_t step);

/* makes the checksum of an index right */
void files_seal(const char *path);

/* each row on a fresh copy; where git complains, something graver than information must have been found */
void files_run(const struct files_row *rows, size_t n);

/* the same for what git takes for an error and we do not */
void files_run_alone(const struct files_row *rows, size_t n);

#endif
