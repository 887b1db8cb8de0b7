/* What git notes down while a merge, a rebase, a bisection is under way. */
#include "integrity/refs-private.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/text.h"

#define OPERATION_BYTES (16 << 20) /* FETCH_HEAD has a line for each ref */
#define MAX_TOLD	10	   /* lines of one file */

enum content {
	CONTENT_ID,	   /* one line with an id */
	CONTENT_ID_OR_NONE, /* the same or nothing */
	CONTENT_IDS,	   /* a line each */
	CONTENT_FETCHED,   /* "<id>\t...", a line each, or nothing */
	CONTENT_WORDS,	   /* anything but nothing */
};

/*
 * ROOT_FETCH_HEAD: git gc does not keep what they name, and nothing is lost when it has gone; after
 * months ORIG_HEAD may well lead nowhere.
 */
static const struct {
	const char *path;
	enum content content;
	git_object_t type;
	enum root_kind kind;
} operations[] = {
	{ "ORIG_HEAD", CONTENT_ID, GIT_OBJECT_ANY, ROOT_FETCH_HEAD },
	{ "FETCH_HEAD", CONTENT_FETCHED, GIT_OBJECT_ANY, ROOT_FETCH_HEAD },
	{ "MERGE_HEAD", CONTENT_IDS, GIT_OBJECT_COMMIT, ROOT_REF },
	{ "MERGE_AUTOSTASH", CONTENT_ID, GIT_OBJECT_COMMIT, ROOT_REF },
	{ "CHERRY_PICK_HEAD", CONTENT_ID, GIT_OBJECT_COMMIT, ROOT_REF },
	{ "REVERT_HEAD", CONTENT_ID, GIT_OBJECT_COMMIT, ROOT_REF },
	{ "REBASE_HEAD", CONTENT_ID, GIT_OBJECT_COMMIT, ROOT_FETCH_HEAD },
	{ "AUTO_MERGE", CONTENT_ID, GIT_OBJECT_TREE, ROOT_FETCH_HEAD },
	{ "BISECT_HEAD", CONTENT_ID, GIT_OBJECT_COMMIT, ROOT_REF },
	{ "BISECT_EXPECTED_REV", CONTENT_ID, GIT_OBJECT_COMMIT, ROOT_FETCH_HEAD },
	{ "BISECT_START", CONTENT_WORDS, GIT_OBJECT_ANY, ROOT_FETCH_HEAD },
	{ "BISECT_TERMS", CONTENT_WORDS, GIT_OBJECT_ANY, ROOT_FETCH_HEAD },
	{ "rebase-merge/orig-head", CONTENT_ID, GIT_OBJECT_COMMIT, ROOT_REF },
	{ "rebase-merge/onto", CONTENT_ID, GIT_OBJECT_COMMIT, ROOT_REF },
	{ "rebase-merge/squash-onto", CONTENT_ID, GIT_OBJECT_COMMIT, ROOT_REF },
	{ "rebase-merge/autostash", CONTENT_ID, GIT_OBJECT_COMMIT, ROOT_REF },
	{ "rebase-merge/amend", CONTENT_ID, GIT_OBJECT_COMMIT, ROOT_FETCH_HEAD },
	{ "rebase-merge/head-name", CONTENT_WORDS, GIT_OBJECT_ANY, ROOT_FETCH_HEAD },
	{ "rebase-apply/orig-head", CONTENT_ID, GIT_OBJECT_COMMIT, ROOT_REF },
	{ "rebase-apply/onto", CONTENT_ID, GIT_OBJECT_COMMIT, ROOT_REF },
	{ "rebase-apply/autostash", CONTENT_ID, GIT_OBJECT_COMMIT, ROOT_REF },
	{ "rebase-apply/abort-safety", CONTENT_ID_OR_NONE, GIT_OBJECT_COMMIT, ROOT_FETCH_HEAD },
	{ "rebase-apply/head-name", CONTENT_WORDS, GIT_OBJECT_ANY, ROOT_FETCH_HEAD },
	{ "sequencer/head", CONTENT_ID, GIT_OBJECT_COMMIT, ROOT_REF },
	{ "sequencer/abort-safety", CONTENT_ID_OR_NONE, GIT_OBJECT_COMMIT, ROOT_FETCH_HEAD },
};

/* one file */
struct operation {
	const struct check_dir *dir;
	size_t i; /* in the table */
	char *where;
	size_t n_told;
};

static int tell(struct operation *op, size_t line, const char *why)
{
	if (op->n_told++ >= MAX_TOLD)
		return 0;
	return check_dir_tell(op->dir, "bad-operation", operations[op->i].path, line, "%s", why);
}

/* on a branch without commits git notes zeros */
static int add_root(struct operation *op, const git_oid *oid)
{
	struct root root = { .oid = *oid,
			     .type = operations[op->i].type,
			     .kind = operations[op->i].kind,
			     .name = op->where,
			     .file = op->where,
			     .slot = op->dir->slot };

	return git_oid_is_zero(oid) ? 0 : roots_add(op->dir->c->roots, &root);
}

static int check_line(struct operation *op, const char *s, size_t len, size_t line)
{
	git_oid oid;

	if (operations[op->i].content == CONTENT_FETCHED) {
		const char *tab = memchr(s, '\t', len);

		len = tab ? (size_t)(tab - s) : 0;
	} else {
		while (len > 0 && isspace((unsigned char)s[len - 1]))
			len--;
	}
	if (!oid_parse(s, len, &oid))
		return tell(op, line, "the line does not begin with the id of an object");
	return add_root(op, &oid);
}

static int check_lines(struct operation *op, const char *data, size_t len)
{
	enum content content = operations[op->i].content;
	const char *end = data + len;
	size_t line = 0;
	int r = 0;

	for (const char *at = data; r == 0 && at < end;) {
		const char *eol = memchr(at, '\n', (size_t)(end - at));

		/* git appends to it while it fetches */
		if (!eol && content == CONTENT_FETCHED)
			break;
		r = check_line(op, at, (size_t)((eol ? eol : end) - at), ++line);
		if (r == 0 && line == 2 && content != CONTENT_IDS && content != CONTENT_FETCHED)
			r = tell(op, line, "there is more than one line");
		at = eol ? eol + 1 : end;
	}
	return r;
}

static bool is_blank(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (data[i] && !isspace((unsigned char)data[i]))
			return false;
	return true;
}

static int check_content(struct operation *op, const char *data, size_t len)
{
	enum content content = operations[op->i].content;

	if (content == CONTENT_FETCHED ? len == 0 : content == CONTENT_ID_OR_NONE && is_blank(data, len))
		return 0;
	if (is_blank(data, len))
		return tell(op, 0, "it is empty, as after a crash of the machine");
	return content == CONTENT_WORDS ? 0 : check_lines(op, data, len);
}

static int check_one(const struct check_dir *dir, size_t i)
{
	struct operation op = { .dir = dir, .i = i };
	_cleanup_(freep) char *where = NULL;
	_cleanup_(freep) char *data = NULL;
	size_t len = 0;
	int r;

	r = check_dir_load_written(dir, operations[i].path, OPERATION_BYTES, &data, &len);
	if (r != 0)
		return r < 0 ? r : 0;
	where = check_dir_name(dir, operations[i].path, 0);
	if (!where)
		return -ENOMEM;
	op.where = where;
	return check_content(&op, data, len);
}

int operations_check(const struct check_dir *dir)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(operations); i++)
		r = check_one(dir, i);
	return r;
}
