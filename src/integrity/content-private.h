/**
 * DOC: content-private - what the content*.c share
 *
 * The checks return 0, below 0 what a function of the sink returned, or CONTENT_STOP where git stops, too: it
 * tells the first error of a commit or tag, but all of a tree.
 */
#ifndef INTEGRITY_CONTENT_PRIVATE_H
#define INTEGRITY_CONTENT_PRIVATE_H

#include <string.h>

#include "integrity/fsck-rules.h"

#define CONTENT_STOP 1

/* one look at one object */
struct content_pass {
	const struct fsck_rules *rules;
	const git_oid *oid;
	const struct content_sink *sink;
};

/* 0 for what is less than an error, or is not to be told of this object; else CONTENT_STOP */
int content_tell(const struct content_pass *p, enum fsck_id id, const char *detail);
__attribute__((format(printf, 3, 4))) int content_tellf(const struct content_pass *p, enum fsck_id id,
							const char *fmt, ...);

/* the same where git stops in any case, since nothing behind it can be read */
static inline int content_refuse(const struct content_pass *p, enum fsck_id id, const char *detail)
{
	int r = content_tell(p, id, detail);

	return r < 0 ? r : CONTENT_STOP;
}

int content_link(const struct content_pass *p, const struct content_link *link);

/* what is left of an object to read; a NUL is what one finds beyond its end */
struct content_text {
	const char *at, *end;
};

static inline char content_peek(const struct content_text *t, size_t i)
{
	return i < (size_t)(t->end - t->at) ? t->at[i] : '\0';
}

/* over @word, when it comes next */
static inline bool content_skip(struct content_text *t, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(t->end - t->at) < len || memcmp(t->at, word, len) != 0)
		return false;
	t->at += len;
	return true;
}

/* the newline, or NULL */
static inline const char *content_line_end(const struct content_text *t)
{
	return t->at < t->end ? memchr(t->at, '\n', (size_t)(t->end - t->at)) : NULL;
}

static inline void content_next_line(struct content_text *t)
{
	const char *newline = content_line_end(t);

	t->at = newline ? newline + 1 : t->end;
}

/* an object's name and the newline behind it; to the next line in any case */
bool content_take_oid(struct content_text *t, git_oid *ret);

/* headers of commits and tags: lines without NUL up to an empty one or the end */
int content_check_headers(const struct content_pass *p, const char *data, size_t len);

/* "name <address> time zone" up to the end of the line; moves on to the next in any case */
int content_check_ident(const struct content_pass *p, struct content_text *t);

int content_check_commit(const struct content_pass *p, const char *data, size_t len);
int content_check_tag(const struct content_pass *p, const char *data, size_t len);
int content_check_tree(const struct content_pass *p, const unsigned char *data, size_t len);

/* these may return -ENOMEM, too */
int content_check_modules(const struct content_pass *p, const char *data, size_t len);
int content_check_attributes(const struct content_pass *p, const char *data, size_t len);

#endif
