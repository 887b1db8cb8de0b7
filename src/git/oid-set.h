/**
 * DOC: oid-set - names of objects, each once
 *
 * In the order in which they came; each with a number of the caller's.
 *
 * Errors: 0 or -ENOMEM.
 */
#ifndef GIT_OID_SET_H
#define GIT_OID_SET_H

#include <stdbool.h>

#include "git/pack-index.h"

/* { 0 } is empty and valid */
struct oid_set {
	struct pack_table table;
};

void oid_set_deinit(struct oid_set *set);

/* 1: it is new; 0: it was there already, with the number that it has */
int oid_set_add(struct oid_set *set, const git_oid *oid, uint64_t number);

bool oid_set_has(const struct oid_set *set, const git_oid *oid);
bool oid_set_find(const struct oid_set *set, const git_oid *oid, uint64_t *ret_number); /* false: not there */
size_t oid_set_count(const struct oid_set *set);

/* of what is in it, whatever the order; 0: nothing */
uint64_t oid_set_digest(const struct oid_set *set);

/* the i-th that came; @ret_number may be NULL. Borrowed until the next one is added */
const git_oid *oid_set_at(const struct oid_set *set, size_t i, uint64_t *ret_number);

#endif
