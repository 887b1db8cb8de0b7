/**
 * DOC: pages - is every page of the file used once?
 *
 * Inside the ledger only. LMDB does not look at what it does not need: a flipped bit can
 * make it take the older of its two meta pages, and with it forget the last commit; or
 * count a page as free that holds records, to be overwritten some day. So the file is
 * walked once by its own rules, which are those of LMDB 0.9 (data version 1) on a 64-bit
 * machine; every access is bounded, and the walk ends.
 */
#ifndef LEDGER_PAGES_H
#define LEDGER_PAGES_H

#include "util/fault.h"

/**
 * pages_check - walk meta pages, trees and the list of free pages
 * @dir: of an environment that nobody writes to
 *
 * 0; -EUCLEAN with a sentence; or another errno when the file cannot be read.
 */
int pages_check(const char *dir, struct fault *f);

#endif
