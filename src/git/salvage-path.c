/* No name is too odd to be saved. */
#include "git/salvage-path.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "git/tree-list.h"
#include "git/tree-name.h"
#include "util/cleanup.h"
#include "util/text.h"

static void add_byte(struct text *t, char byte)
{
	char hex[4];

	snprintf(hex, sizeof(hex), "%%%02x", (unsigned char)byte);
	text_add_string(t, hex);
}

/* @first: the first byte is escaped whatever it is */
static void add_name(struct text *t, const char *name, size_t len, bool first)
{
	for (size_t i = 0; i < len; i++) {
		if (name[i] == '%' || name[i] == '\\' || (first && i == 0))
			add_byte(t, name[i]);
		else
			text_add(t, &name[i], 1);
	}
}

static void escape_name(struct text *t, const char *name, size_t len)
{
	size_t before = t->len;

	add_name(t, name, len, false);
	if (t->failed || !tree_path_objection(t->data + before, TREE_MODE_LINK))
		return;
	t->len = before;
	add_name(t, name, len, true);
}

char *salvage_path_escape(const char *path)
{
	_cleanup_(text_deinit) struct text t = { 0 };
	char *escaped;

	for (;; path++) {
		size_t len = strcspn(path, "/");

		if (len == 0) {
			errno = EINVAL;
			return NULL;
		}
		escape_name(&t, path, len);
		path += len;
		if (*path == '\0')
			break;
		text_add(&t, "/", 1);
	}
	escaped = text_take(&t);
	if (!escaped)
		errno = ENOMEM;
	return escaped;
}

/* the value of a digit as it is written here; -1: none */
static int digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* NULL: a '%' without two digits, or one that stands for a NUL or a '/' */
static char *decode(const char *path)
{
	char *out = malloc(strlen(path) + 1), *end = out;

	if (!out)
		return NULL;
	for (; *path; path++) {
		int high, low;

		if (*path != '%') {
			*end++ = *path;
			continue;
		}
		high = digit(path[1]);
		low = high < 0 ? -1 : digit(path[2]);
		if (low < 0 || high * 16 + low == 0 || high * 16 + low == '/') {
			free(out);
			errno = EINVAL;
			return NULL;
		}
		*end++ = (char)(high * 16 + low);
		path += 2;
	}
	*end = '\0';
	return out;
}

/* what is not escaped again to the same is not ours: two names would stand for one file */
char *salvage_path_unescape(const char *path)
{
	_cleanup_(freep) char *plain = decode(path);
	_cleanup_(freep) char *again = plain ? salvage_path_escape(plain) : NULL;

	if (!again)
		return NULL;
	if (strcmp(again, path) != 0) {
		errno = EINVAL;
		return NULL;
	}
	return TAKE(plain);
}
