/* Globs, as git means them. */
#include "git/pattern.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	int (*is)(int c);
} classes[] = {
	{ "alnum", isalnum }, { "alpha", isalpha }, { "blank", isblank }, { "cntrl", iscntrl },
	{ "digit", isdigit }, { "graph", isgraph }, { "lower", islower }, { "print", isprint },
	{ "punct", ispunct }, { "space", isspace }, { "upper", isupper }, { "xdigit", isxdigit },
};

/* one element of a pattern against one byte */
enum match { MATCH_NO, MATCH_YES, MATCH_NEVER /* the pattern itself is broken */ };

/* at the name behind "[:": moves *p to its "]"; MATCH_NEVER for a class that does not exist */
static enum match class_match(const char **p, unsigned char c)
{
	const char *name = *p;
	const char *end = strchr(name, ']');
	size_t len = (size_t)(end - 1 - name);

	*p = end;
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (strlen(classes[i].name) == len && memcmp(classes[i].name, name, len) == 0)
			return classes[i].is(c) ? MATCH_YES : MATCH_NO;
	return MATCH_NEVER;
}

/* is there a ":]" before the set could end? "[[:x]" is no class */
static bool is_class(const char *p)
{
	const char *end;

	if (p[0] != '[' || p[1] != ':')
		return false;
	end = strchr(p + 2, ']');
	return end && end > p + 2 && end[-1] == ':';
}

/* *p stands behind "["; moved behind the closing "]" */
static enum match set_match(const char **p, unsigned char c, bool pathname)
{
	const char *at = *p;
	bool negated = *at == '!' || *at == '^', found = false, first = true;
	unsigned char before = 0; /* where a range may begin; 0: none may */

	at += negated;
	for (; first || *at != ']'; at++, first = false) {
		unsigned char here = (unsigned char)*at;

		if (here == '\0')
			return MATCH_NEVER;
		if (here == '-' && before && at[1] && at[1] != ']') {
			at++;
			if (*at == '\\' && *++at == '\0')
				return MATCH_NEVER;
			found |= c >= before && c <= (unsigned char)*at;
			before = 0;
			continue;
		}
		if (is_class(at)) {
			enum match m;

			at += 2;
			m = class_match(&at, c);
			if (m == MATCH_NEVER)
				return m;
			found |= m == MATCH_YES;
			before = 0;
			continue;
		}
		if (here == '\\' && (here = (unsigned char)*++at) == '\0')
			return MATCH_NEVER;
		found |= here == c;
		before = here;
	}
	*p = at + 1;
	return found != negated && !(pathname && c == '/') ? MATCH_YES : MATCH_NO;
}

/* a backslash at the very end escapes nothing, and matches nothing */
static enum match literal_match(const char **p, unsigned char c)
{
	if (**p == '\0')
		return MATCH_NO;
	return (unsigned char)*(*p)++ == c ? MATCH_YES : MATCH_NO;
}

/* one element that is no star; *p is moved behind it on a match */
static enum match element_match(const char **p, unsigned char c, bool pathname)
{
	switch (**p) {
	case '\0':
		return MATCH_NO;
	case '?':
		++*p;
		return pathname && c == '/' ? MATCH_NO : MATCH_YES;
	case '[':
		++*p;
		return set_match(p, c, pathname);
	case '\\':
		++*p;
		return literal_match(p, c);
	default:
		return literal_match(p, c);
	}
}

/* where to go on when the rest does not match */
struct retry {
	const char *pattern; /* behind the star; NULL: nowhere */
	const char *text;
	bool by_component; /* a double star with a slash behind: only after slashes */
};

/* the star takes one more byte, or one more component; false: it cannot */
static bool retry_shallow(struct retry *star)
{
	if (!star->pattern || *star->text == '\0' || *star->text == '/')
		return false;
	star->text++;
	return true;
}

static bool retry_deep(struct retry *deep)
{
	if (!deep->pattern || *deep->text == '\0')
		return false;
	if (deep->by_component) {
		const char *slash = strchr(deep->text, '/');

		if (!slash)
			return false;
		deep->text = slash;
	}
	deep->text++;
	return true;
}

static bool is_deep_star(const char *begin, const char *star, const char *behind, bool pathname)
{
	if (!pathname)
		return true;
	return behind - star > 1 && (star == begin || star[-1] == '/') &&
	       (*behind == '\0' || *behind == '/' || (behind[0] == '\\' && behind[1] == '/'));
}

/*
 * No recursion: a star that was passed is only ever asked for more when the rest fails, and the
 * newest one is enough to ask, for it stands as far left as it can. A double star swallows what
 * a single one before it could have taken, so it makes that one forgotten.
 */
bool pattern_glob(const char *pattern, const char *text, bool pathname)
{
	const char *begin = pattern;
	struct retry shallow = { 0 }, deep = { 0 };

	for (;;) {
		enum match m;

		if (*pattern == '*') {
			const char *star = pattern;

			pattern += strspn(pattern, "*");
			if (!is_deep_star(begin, star, pattern, pathname)) {
				shallow = (struct retry){ pattern, text, false };
				continue;
			}
			if (*pattern == '\0')
				return true;
			deep = (struct retry){ pattern, text, pathname && *pattern == '/' };
			if (deep.by_component)
				deep.pattern = ++pattern;
			shallow.pattern = NULL;
			continue;
		}
		if (*text == '\0')
			return *pattern == '\0';
		m = element_match(&pattern, (unsigned char)*text, pathname);
		if (m == MATCH_NEVER)
			return false;
		if (m == MATCH_YES) {
			text++;
		} else if (retry_shallow(&shallow)) {
			pattern = shallow.pattern;
			text = shallow.text;
		} else if (retry_deep(&deep)) {
			pattern = deep.pattern;
			text = deep.text;
			shallow.pattern = NULL;
		} else {
			return false;
		}
	}
}

int pattern_parse(const char *line, size_t len, struct pattern *ret)
{
	struct pattern p = { 0 };

	if (len > 0 && line[0] == '!') {
		p.negative = true;
		line++;
		len--;
	}
	if (len > 0 && line[len - 1] == '/') {
		p.dir_only = true;
		len--;
	}
	p.name_only = !memchr(line, '/', len);
	if (len > 0 && line[0] == '/') {
		line++;
		len--;
	}
	p.text = strndup(line, len);
	if (!p.text)
		return -ENOMEM;
	p.literal = strcspn(p.text, "*?[\\");
	*ret = p;
	return 0;
}

void pattern_deinit(struct pattern *p)
{
	free(p->text);
	p->text = NULL;
}

/* text is matched whole; what is literal is compared first, for most patterns end there */
static bool text_match(const struct pattern *p, const char *text, bool pathname)
{
	if (strncmp(p->text, text, p->literal) != 0)
		return false;
	if (p->text[p->literal] == '\0')
		return text[p->literal] == '\0';
	return pattern_glob(p->text + p->literal, text + p->literal, pathname);
}

bool pattern_is_match(const struct pattern *p, const char *path, size_t len, bool is_dir)
{
	const char *slash;

	if (p->dir_only && !is_dir)
		return false;
	if (p->base_len > 0) {
		if (len <= p->base_len || path[p->base_len] != '/' ||
		    memcmp(path, p->base, p->base_len) != 0)
			return false;
		path += p->base_len + 1;
		len -= p->base_len + 1;
	}
	if (!p->name_only)
		return text_match(p, path, true);
	slash = memrchr(path, '/', len);
	return text_match(p, slash ? slash + 1 : path, false);
}
