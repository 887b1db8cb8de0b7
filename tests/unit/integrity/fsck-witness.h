/**
 * DOC: fsck-witness - what git fsck says of objects, and what content_check() does
 *
 * Objects of any bytes are put into a repository "r" below fixture_dir; one run of git fsck over all of them is
 * held against ours. They must agree in each message's id and severity: of a commit or tag git tells the first
 * error, and so do we; of a tree and of .gitmodules all. Only where git fails to parse an object, before it
 * looks at it, it names no id: there we have to tell an error of our own choice. And git fsck overlooks what is
 * in a .gitmodules behind a byte 0xff or a byte order mark, though git submodule reads it: of such a blob we
 * may tell more.
 */
#ifndef TESTS_FSCK_WITNESS_H
#define TESTS_FSCK_WITNESS_H

#include <git2.h>

#include "integrity/content.h"

/* for Criterion's .init and .fini; they call those of git-fixture.h */
void witness_init(void);
void witness_deinit(void);

/* writes it; the index of it. One that is there already keeps its number */
size_t witness_add(git_object_t type, const void *data, size_t len);
size_t witness_add_text(git_object_t type, const char *text);
const char *witness_hex(size_t i); /* its name */
size_t witness_count(void);

/* what we say of all that was added: "error badDate\nwarning hasDot\n", sorted, each once */
const char *witness_ours(size_t i);

/* does one of these lines end in this id? */
bool witness_has(const char *lines, const char *id);

/* @options: of git fsck, @config: of git itself ("-c a=b"); the rules are loaded from the repository */
void witness_compare(const char *config, const char *options);

#endif
