/**
 * DOC: index-check - an index, whatever git 2.39 can write
 *
 * Versions 2 to 4; the extensions TREE, REUC, link, UNTR, FSMN, EOIE, IEOT and sdir; split (the shared index is
 * read, too) and sparse. Any bytes are taken. Entries, cache-tree and resolve-undo become roots.
 *
 * Source: gitformat-index(5).
 */
#ifndef INTEGRITY_INDEX_CHECK_H
#define INTEGRITY_INDEX_CHECK_H

#include "integrity/check.h"

/**
 * index_check - the file "index" of an administration
 * @admin_fd: worktrees/<id>, or the git directory itself; @where: how that is called; @slot: or NULL
 *
 * No index is fine. Damage is a finding (bad-index, unsupported-index). 0, -ENOMEM.
 */
int index_check(struct check *c, int admin_fd, const char *where, const char *slot);

#endif
