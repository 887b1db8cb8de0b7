/* Strings that grow, quote and resemble one another. */
#include "util/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_deinit(struct text *t)
{
	free(t->data);
	memset(t, 0, sizeof(*t));
}

static bool text_reserve(struct text *t, size_t more)
{
	size_t size = t->size ? t->size : 64;
	char *data;

	if (t->failed)
		return false;
	while (size < t->len + more + 1)
		size *= 2;
	if (size == t->size)
		return true;
	data = realloc(t->data, size);
	if (!data) {
		t->failed = true;
		return false;
	}
	t->data = data;
	t->size = size;
	return true;
}

void text_add(struct text *t, const void *data, size_t len)
{
	if (!text_reserve(t, len))
		return;
	if (len)
		memcpy(t->data + t->len, data, len);
	t->len += len;
	t->data[t->len] = '\0';
}

void text_add_string(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

void text_addf(struct text *t, const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0) {
		t->failed = true;
		return;
	}
	text_add(t, s, (size_t)n);
	free(s);
}

char *text_take(struct text *t)
{
	char *data;

	if (!t->data)
		text_add(t, "", 0);
	data = t->failed ? NULL : t->data;
	if (t->failed)
		free(t->data);
	memset(t, 0, sizeof(*t));
	return data;
}

/* length of the valid UTF-8 sequence at s, 0 when there is none */
static size_t utf8_length(const unsigned char *s, size_t len)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3
		   : s[0] < 0xF5 ? 4 : 0;

	if (n == 0 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xC0) != 0x80)
			return 0;
	if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
	    (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
		return 0;
	return n;
}

void text_mend_utf8(char *s)
{
	size_t len = strlen(s);

	for (size_t i = 0; i < len;) {
		size_t n = utf8_length((const unsigned char *)s + i, len - i);

		if (n == 0)
			s[i] = '?';
		i += n ? n : 1;
	}
}

bool text_is_utf8(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;

	for (size_t i = 0; i < len;) {
		size_t n = p[i] ? utf8_length(p + i, len - i) : 0;

		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

/* returns whether anything had to be escaped */
static bool quote_into(struct text *t, const char *path)
{
	static const char named[] = "\aa\bb\tt\nn\vv\ff\rr\"\"\\\\";
	const unsigned char *p = (const unsigned char *)path;
	size_t len = strlen(path);
	bool escaped = false;

	for (size_t i = 0; i < len;) {
		size_t n = utf8_length(p + i, len - i);
		const char *name = NULL;

		for (size_t k = 0; k + 1 < sizeof(named); k += 2)
			if (named[k] == path[i])
				name = named + k + 1;
		if (name) {
			text_addf(t, "\\%c", *name);
			escaped = true;
		} else if (n == 0 || p[i] < 0x20 || p[i] == 0x7F) {
			text_addf(t, "\\%03o", p[i]);
			escaped = true;
			n = 1;
		} else {
			text_add(t, path + i, n);
		}
		i += n ? n : 1;
	}
	return escaped;
}

char *text_quote_path(const char *path)
{
	struct text body = { 0 };
	char *inner, *outer;
	bool escaped;

	escaped = quote_into(&body, path);
	inner = text_take(&body);
	if (!inner || !escaped)
		return inner;
	outer = text_printf("\"%s\"", inner);
	free(inner);
	return outer;
}

char *text_printf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : s;
}

char *text_dup(const char *s)
{
	return s ? strdup(s) : NULL;
}

bool text_is_equal(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

char *text_redact_url(const char *url)
{
	const char *host = strstr(url, "://"), *at, *colon;
	size_t len;

	host = host ? host + strlen("://") : NULL;
	len = host ? strcspn(host, "/") : 0;
	/* a password may hold an "@" of its own: the last one counts */
	at = host ? memrchr(host, '@', len) : NULL;
	colon = at ? memchr(host, ':', (size_t)(at - host)) : NULL;
	if (!colon)
		return strdup(url);
	return text_printf("%.*s:***%s", (int)(colon - url), url, at);
}

bool text_has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool text_has_suffix(const char *s, const char *suffix)
{
	size_t len = strlen(s), n = strlen(suffix);

	return n <= len && strcmp(s + len - n, suffix) == 0;
}

/* Levenshtein with one row; words longer than 63 are not compared */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[64], la = strlen(a), lb = strlen(b);

	if (la > 63 || lb > 63)
		return SIZE_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb];
}

const char *text_nearest(const char *word, const char *const *candidates, size_t n)
{
	const char *best = NULL;
	size_t best_distance = SIZE_MAX;

	for (size_t i = 0; i < n; i++) {
		size_t la = strlen(word), lb = strlen(candidates[i]);
		size_t limit = (la > lb ? la : lb) / 3;
		size_t least = word[0] == candidates[i][0] ? 2 : 1;
		size_t d = edit_distance(word, candidates[i]);

		if (d <= (limit < least ? least : limit) && d < best_distance && d < lb) {
			best = candidates[i];
			best_distance = d;
		}
	}
	return best;
}

char *text_quote_shell(const char *s)
{
	static const char harmless[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789_@%+:,./-";
	struct text t = { 0 };

	if (*s && s[strspn(s, harmless)] == '\0')
		return strdup(s);
	text_add_string(&t, "'");
	for (; *s; s++) {
		if (*s == '\'')
			text_add_string(&t, "'\\''");
		else
			text_add(&t, s, 1);
	}
	text_add_string(&t, "'");
	return text_take(&t);
}
