/**
 * DOC: marker - a file beside the ledger that remembers which one it was
 *
 * <state_dir>/generation holds the generation's id as text. An LMDB file that is
 * lost opens as an empty one without a word; the marker tells.
 */
#ifndef LEDGER_MARKER_H
#define LEDGER_MARKER_H

#include <stdbool.h>

#include "util/fault.h"
#include "util/id.h"

#define MARKER_FILE "generation"

enum { MARKER_ABSENT = 1 };

/* 0, MARKER_ABSENT, -EUCLEAN when there is something else in it, or another errno */
int marker_read(const char *state_dir, struct id *ret, struct fault *f);

/* replaces it atomically */
int marker_write(const char *state_dir, const struct id *generation, struct fault *f);

/* writes it when it is absent; -EUCLEAN when it names another ledger */
int marker_ensure(const char *state_dir, const struct id *generation, struct fault *f);

#endif
