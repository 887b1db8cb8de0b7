/**
 * DOC: tree-summary - what changed between two trees, as people read it
 *
 * The words of "git diff --stat --compact-summary --no-renames" in 80 columns, by git's own rules of
 * layout. No attribute and no configuration is looked at; memory and time are bounded, whatever is in
 * the trees.
 */
#ifndef GIT_TREE_SUMMARY_H
#define GIT_TREE_SUMMARY_H

#include "git/repo.h"
#include "util/text.h"

#define TREE_SUMMARY_MAX_FILE_BYTES  (8 << 20)	 /* larger ones count as binary */
#define TREE_SUMMARY_MAX_TOTAL_BYTES (256 << 20) /* and all that come after these */
#define TREE_SUMMARY_MAX_FILES	     200000	 /* directories count as well */

/**
 * tree_summary - one line a file, and one with the sums
 * @from, @to: trees; NULL or all zero: the empty one
 * @max_lines: so many files are named, the first by path; 0: none, only the last line
 * @ret: lines are appended, each with its newline
 *
 *	 src/a.c          | 12 +++++-----
 *	 logo.png (new)   | Bin 0 -> 123 bytes
 *	 ... and 27 files more
 *	 29 files changed, 5 insertions(+), 7 deletions(-)
 *
 * Names are quoted as git does it with core.quotePath=false. A file that cannot be read is named as
 * "Unreadable". Where hundreds of thousands of lines differ, all of them count as replaced. At
 * TREE_SUMMARY_MAX_FILES the counting stops, and the last line says so.
 *
 * -EUCLEAN: a tree is missing or damaged, by id and path.
 */
int tree_summary(struct repo *repo, const git_oid *from, const git_oid *to, unsigned max_lines,
		 struct text *ret, struct fault *f);

#endif
