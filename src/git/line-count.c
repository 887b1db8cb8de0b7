/* libgit2's xdiff does the comparing; it is only given what it can do in a moment. */
#include "git/line-count.h"

#include <string.h>

#include "git/repo.h"

#define BINARY_LOOK_BYTES 8000

struct counts {
	size_t added, deleted;
};

bool content_is_binary(const struct content *c)
{
	size_t len = c->len < BINARY_LOOK_BYTES ? c->len : BINARY_LOOK_BYTES;

	return len > 0 && memchr(c->data, '\0', len);
}

static size_t count_lines(const struct content *c)
{
	const char *at = c->data, *end = c->data + c->len;
	size_t n = 0;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));

		at = newline ? newline + 1 : end;
		n++;
	}
	return n;
}

/* whole lines that both begin with */
static size_t common_head(const struct content *a, const struct content *b)
{
	size_t limit = a->len < b->len ? a->len : b->len, line = 0;

	for (size_t i = 0; i < limit && a->data[i] == b->data[i]; i++)
		if (a->data[i] == '\n')
			line = i + 1;
	return line;
}

/* whole lines that both end with; what is before them begins at a line's start in both */
static size_t common_tail(const struct content *a, const struct content *b)
{
	size_t limit = a->len < b->len ? a->len : b->len, line = 0;

	for (size_t i = 1; i <= limit && a->data[a->len - i] == b->data[b->len - i]; i++) {
		bool a_starts = i == a->len || a->data[a->len - i - 1] == '\n';
		bool b_starts = i == b->len || b->data[b->len - i - 1] == '\n';

		if (a_starts && b_starts)
			line = i;
	}
	return line;
}

static void trim(struct content *a, struct content *b)
{
	size_t head = common_head(a, b), tail;

	*a = (struct content){ a->data + head, a->len - head };
	*b = (struct content){ b->data + head, b->len - head };
	tail = common_tail(a, b);
	a->len -= tail;
	b->len -= tail;
}

static int on_line(const git_diff_delta *delta, const git_diff_hunk *hunk,
		   const git_diff_line *line, void *userdata)
{
	struct counts *counts = userdata;

	counts->added += line->origin == GIT_DIFF_LINE_ADDITION;
	counts->deleted += line->origin == GIT_DIFF_LINE_DELETION;
	return 0;
}

static int compare(const struct content *old, const struct content *now, struct counts *ret,
		   struct fault *f)
{
	git_diff_options opts = GIT_DIFF_OPTIONS_INIT;
	int rc;

	opts.flags = GIT_DIFF_FORCE_TEXT;
	opts.context_lines = 0;
	rc = git_diff_buffers(old->data, old->len, NULL, now->data, now->len, NULL, &opts, NULL,
			      NULL, NULL, on_line, ret);
	return rc < 0 ? git_fault(f, rc, "lines cannot be compared") : 0;
}

int line_count(const struct content *old, const struct content *now, size_t *work,
	       size_t *ret_added, size_t *ret_deleted, struct fault *f)
{
	size_t limit = *work < LINE_COUNT_MAX_DIFF ? *work : LINE_COUNT_MAX_DIFF;
	struct content a = *old, b = *now;
	struct counts counts = { count_lines(&b), count_lines(&a) };
	int r = 0;

	if (counts.added + counts.deleted > limit) {
		trim(&a, &b);
		counts = (struct counts){ count_lines(&b), count_lines(&a) };
	}
	if (counts.added > 0 && counts.deleted > 0 && counts.added + counts.deleted <= limit) {
		*work -= counts.added + counts.deleted;
		counts = (struct counts){ 0 };
		r = compare(&a, &b, &counts, f);
	}
	if (r < 0)
		return r;
	*ret_added = counts.added;
	*ret_deleted = counts.deleted;
	return 0;
}
