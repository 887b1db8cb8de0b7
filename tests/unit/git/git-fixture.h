/**
 * DOC: git-fixture - a scratch directory with git(1) at hand
 *
 * Each test gets a directory of its own (fixture_init / fixture_deinit, for Criterion's .init and
 * .fini); commands run in it through sh with a fixed identity and no outside configuration.
 */
#ifndef TESTS_GIT_FIXTURE_H
#define TESTS_GIT_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>

extern char *fixture_dir; /* absolute path */

void fixture_init(void);
void fixture_deinit(void);

/* runs a shell command in the scratch directory; true when it exits with 0 */
__attribute__((format(printf, 1, 2))) bool sh(const char *fmt, ...);

/* its output, with the last newline cut; "" when it fails; freed by fixture_deinit() */
__attribute__((format(printf, 1, 2))) char *sh_text(const char *fmt, ...);

/* the string is freed by fixture_deinit(); returns it */
char *fixture_keep(char *s);

/* "<fixture_dir>/<name>"; freed by fixture_deinit() */
char *in_dir(const char *name);

#endif
