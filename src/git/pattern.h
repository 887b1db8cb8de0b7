/**
 * DOC: pattern - the patterns of gitignore(5) and gitattributes(5)
 *
 * Source: gitignore(5), "PATTERN FORMAT". Matching takes time in proportion to pattern and path,
 * whatever they are.
 */
#ifndef GIT_PATTERN_H
#define GIT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

struct pattern {
	char *text;	 /* without "!", leading and trailing slash; owned */
	char *base;	 /* directory whose file it is from, "" for the top; borrowed */
	size_t base_len; /* without slash */
	size_t literal;	 /* so many bytes at the beginning of text match only themselves */
	bool negative;	 /* began with "!" */
	bool dir_only;	 /* ended with a slash */
	bool name_only;	 /* has no other slash: matches the last component, at any depth */
};

/**
 * pattern_parse - one line without its end
 * @ret: text is allocated; the rest is set but for base
 *
 * 0, or -ENOMEM.
 */
int pattern_parse(const char *line, size_t len, struct pattern *ret);
void pattern_deinit(struct pattern *p);

/* @path: relative to the slot, @len bytes and a NUL; the directory part is not judged here */
bool pattern_is_match(const struct pattern *p, const char *path, size_t len, bool is_dir);

/* @pathname: "*", "?" and sets do not match a slash, and "**" between slashes does */
bool pattern_glob(const char *pattern, const char *text, bool pathname);

#endif
