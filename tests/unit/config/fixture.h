/**
 * DOC: fixture - configurations from strings
 */
#ifndef TESTS_CONFIG_FIXTURE_H
#define TESTS_CONFIG_FIXTURE_H

#include "config/conf-internal.h"

/* Criterion compares char * only */
#define S(text) ((char *)(text))

/* the configuration of a text that must be right; the caller unrefs */
struct conf *load(const char *text);

/* all faults of a text that must be wrong, one a line, file "f"; the caller frees */
char *faults_of(const char *text);

/* the name of a key that differs, NULL when all are equal */
const char *first_difference(const struct conf *a, const struct conf *b);

#endif
