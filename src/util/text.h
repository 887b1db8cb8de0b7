/**
 * DOC: text - growing strings, and names shown to people
 */
#ifndef UTIL_TEXT_H
#define UTIL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* a growing byte string; { 0 } is empty and valid */
struct text {
	char *data;  /* NUL-terminated when not NULL; owned */
	size_t len;  /* bytes without the NUL */
	size_t size; /* bytes allocated */
	bool failed; /* memory ran out; everything since was dropped */
};

void text_deinit(struct text *t);

/* appends; on lack of memory sets failed and keeps what is there */
void text_add(struct text *t, const void *data, size_t len);
void text_add_string(struct text *t, const char *s);
__attribute__((format(printf, 2, 3))) void text_addf(struct text *t, const char *fmt, ...);

/**
 * text_take - move the string out
 *
 * Returns an allocated, NUL-terminated string that the caller frees, "" for an
 * empty one, or NULL when memory ran out. @t is empty afterwards.
 */
char *text_take(struct text *t);

/* true when all len bytes are valid UTF-8 without NUL */
bool text_is_utf8(const char *s, size_t len);

/* a text that was cut in the middle of a letter, or is none: what is not valid UTF-8 becomes '?' */
void text_mend_utf8(char *s);

/**
 * text_quote_path - a file name as git shows it
 * @path: bytes, NUL-terminated
 *
 * Returns an allocated copy: unchanged when it is valid UTF-8 without control
 * characters, quotes and backslashes; else C-quoted as git does with
 * core.quotePath=false (octal for bytes that are not UTF-8). NULL: no memory.
 */
char *text_quote_path(const char *path);

/* a copy in single quotes for sh, if quotes are needed; NULL: no memory */
char *text_quote_shell(const char *s);

/* printf into allocated memory; NULL: no memory */
__attribute__((format(printf, 1, 2))) char *text_printf(const char *fmt, ...);

/* strdup() that hands NULL through */
char *text_dup(const char *s);

/* NULL equals only NULL */
bool text_is_equal(const char *a, const char *b);

/* an url with "***" for its password; allocated; NULL: no memory */
char *text_redact_url(const char *url);

/* the word that goes with a number: text_plural(n, "slot", "slots") */
static inline const char *text_plural(unsigned long long n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}

bool text_has_prefix(const char *s, const char *prefix);
bool text_has_suffix(const char *s, const char *suffix);

/**
 * text_nearest - the candidate that a person probably meant
 * @word: what was typed
 * @candidates, @n: names to choose from
 *
 * Returns the candidate with the smallest edit distance, or NULL when none is near: at most
 * a third of the longer word's length, or 2 where both begin alike, or 1.
 */
const char *text_nearest(const char *word, const char *const *candidates, size_t n);

#endif
