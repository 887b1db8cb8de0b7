/* Brackets, quotes and backslashes, a byte at a time. */
#include "integrity/config-scan.h"

#include <errno.h>
#include <string.h>

#include "util/text.h"

struct scan {
	const unsigned char *data;
	size_t len, at;
	size_t line;
	bool is_end;	    /* the end was read; it counts as the end of a line */
	bool is_blob;	    /* read as git reads one: see config_scan_blob() */
	struct text name;   /* "section.subsection.key" */
	struct text value;
	size_t section_len; /* of name, with the dot */
	config_scan_fn fn;
	void *userdata;
};

static bool is_space(int c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_alpha(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_key(int c)
{
	return is_alpha(c) || (c >= '0' && c <= '9') || c == '-';
}

static char lower(int c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static int next(struct scan *s)
{
	int c;

	if (s->at == s->len || (s->is_blob && s->data[s->at] == 0xff)) {
		s->at += s->at < s->len;
		s->is_end = true;
		s->line++;
		return '\n';
	}
	c = s->data[s->at++];
	if (c == '\r' && s->at < s->len && s->data[s->at] == '\n')
		c = s->data[s->at++];
	else if (c == '\r' && s->is_blob && s->at < s->len && s->data[s->at] == 0xff)
		s->at++; /* git does not put it back */
	if (c == '\n')
		s->line++;
	return c;
}

static void add(struct text *t, int c)
{
	char byte = (char)c;

	text_add(t, &byte, 1);
}

static void cut(struct text *t, size_t len)
{
	if (t->data) {
		t->len = len;
		t->data[len] = '\0';
	}
}

/* the fault is in the line whose end was just read */
static int unfinished(struct scan *s)
{
	s->line--;
	return -EBADMSG;
}

/* from behind the section's name: blanks, the subsection in quotes, the bracket */
static int read_subsection(struct scan *s, int c)
{
	while (is_space(c)) {
		if (c == '\n')
			return unfinished(s);
		c = next(s);
	}
	if (c != '"')
		return -EBADMSG;
	add(&s->name, '.');
	while ((c = next(s)) != '"') {
		if (c == '\\')
			c = next(s);
		if (c == '\n')
			return unfinished(s);
		add(&s->name, c);
	}
	return next(s) == ']' ? 0 : -EBADMSG;
}

static int read_section_name(struct scan *s)
{
	int c;

	while ((c = next(s)) != ']' && !s->is_end) {
		if (is_space(c))
			return read_subsection(s, c);
		if (!is_key(c) && c != '.')
			return -EBADMSG;
		add(&s->name, lower(c));
	}
	return s->is_end ? -EBADMSG : 0;
}

static int read_section(struct scan *s)
{
	int r;

	cut(&s->name, 0);
	r = read_section_name(s);
	if (r < 0)
		return r;
	if (s->name.len == 0 && !s->name.failed)
		return -EBADMSG;
	add(&s->name, '.');
	s->section_len = s->name.len;
	return 0;
}

/* what comes behind a backslash; the end of a line there is nothing */
static int add_escaped(struct scan *s)
{
	static const char letters[] = "tbn\\\"", meanings[] = "\t\b\n\\\"";
	int c = next(s);
	const char *letter = c ? strchr(letters, c) : NULL;

	if (c == '\n')
		return 0;
	if (!letter)
		return -EBADMSG;
	add(&s->value, meanings[letter - letters]);
	return 0;
}

static void add_blanks(struct text *t, size_t n)
{
	while (n-- > 0)
		add(t, ' ');
}

/* blanks at both ends are none of the value; between, each is a space */
static int read_value(struct scan *s)
{
	bool is_quoted = false, is_comment = false;
	size_t blanks = 0;
	int c;

	cut(&s->value, 0);
	while ((c = next(s)) != '\n') {
		if (is_comment)
			continue;
		if (!is_quoted && is_space(c)) {
			blanks += s->value.len > 0;
			continue;
		}
		is_comment = !is_quoted && (c == ';' || c == '#');
		if (is_comment)
			continue;
		add_blanks(&s->value, blanks);
		blanks = 0;
		if (c == '"')
			is_quoted = !is_quoted;
		else if (c != '\\')
			add(&s->value, c);
		else if (add_escaped(s) < 0)
			return -EBADMSG;
	}
	return is_quoted ? unfinished(s) : 0;
}

/* @value: NULL: none */
static int tell(struct scan *s, const char *value)
{
	struct config_entry e = { .value = value, .line = s->line - 1 };
	char *dot = strrchr(s->name.data, '.'), *first = strchr(s->name.data, '.');
	int r;

	if (!s->fn)
		return 0;
	e.key = dot ? dot + 1 : s->name.data;
	e.section = dot ? s->name.data : NULL;
	e.subsection = first != dot ? first + 1 : NULL;
	if (dot)
		*first = *dot = '\0';
	r = s->fn(&e, s->userdata);
	if (dot)
		*first = *dot = '.';
	if (r < 0)
		s->line--;
	return r < 0 ? r : 0;
}

static int read_entry(struct scan *s, int c)
{
	bool has_value;
	int r;

	cut(&s->name, s->section_len);
	do
		add(&s->name, lower(c));
	while (is_key(c = next(s)) && !s->is_end);
	while (c == ' ' || c == '\t')
		c = next(s);
	has_value = c == '=';
	if (!has_value && c != '\n')
		return -EBADMSG;
	r = has_value ? read_value(s) : 0;
	if (r < 0)
		return r;
	if (s->name.failed || s->value.failed)
		return -ENOMEM;
	return tell(s, has_value ? (s->value.data ? s->value.data : "") : NULL);
}

/* of UTF-8; one that is there in part only is an error */
static int skip_byte_order_mark(struct scan *s)
{
	static const unsigned char mark[] = { 0xef, 0xbb, 0xbf };

	if (s->len == 0 || s->data[0] != mark[0] || s->is_blob)
		return 0;
	for (size_t i = 0; i < sizeof(mark); i++)
		if (next(s) != mark[i])
			return -EBADMSG;
	return 0;
}

static void skip_comment(struct scan *s)
{
	while (next(s) != '\n')
		;
}

static int scan_all(struct scan *s)
{
	int r = skip_byte_order_mark(s);

	while (r == 0) {
		int c = next(s);

		if (c == '#' || c == ';') {
			skip_comment(s);
			c = '\n';
		}
		if (c == '\n' && s->is_end)
			return 0;
		if (c == '[')
			r = read_section(s);
		else if (is_alpha(c))
			r = read_entry(s, c);
		else if (!is_space(c))
			r = -EBADMSG;
	}
	return r;
}

static int scan(struct scan *s, size_t *ret_line)
{
	int r = scan_all(s);

	if (s->name.failed || s->value.failed)
		r = -ENOMEM;
	if (r < 0 && ret_line)
		*ret_line = s->line;
	text_deinit(&s->name);
	text_deinit(&s->value);
	return r;
}

int config_scan(const void *data, size_t len, config_scan_fn fn, void *userdata, size_t *ret_line)
{
	struct scan s = { .data = data, .len = len, .line = 1, .fn = fn, .userdata = userdata };

	return scan(&s, ret_line);
}

int config_scan_blob(const void *data, size_t len, config_scan_fn fn, void *userdata, size_t *ret_line)
{
	struct scan s = { .data = data, .len = len, .line = 1, .is_blob = true, .fn = fn, .userdata = userdata };

	return scan(&s, ret_line);
}

/* the scan lets a name through that a NUL has cut short */
bool config_entry_is_proper(const struct config_entry *entry)
{
	if (!entry->section || !is_alpha((unsigned char)entry->key[0]))
		return false;
	for (const char *c = entry->key; *c; c++)
		if (!is_key((unsigned char)*c))
			return false;
	return !entry->subsection || !strchr(entry->subsection, '\n');
}
