/* The first rule that says something about an attribute, read from the end, decides it. */
#include "git/attr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "git/pattern.h"
#include "git/rulefile.h"
#include "util/cleanup.h"

#define MAX_LINE_BYTES 2048 /* as git: longer lines are not read */
#define BLANKS	       " \t\r\n"

const char ATTR_TRUE[] = "(true)", ATTR_FALSE[] = "(false)", ATTR_UNSPECIFIED[] = "(unspecified)";

struct setting {
	size_t name; /* index into attr.names */
	const char *value;
};

/* a line: settings for what the pattern matches, or the definition of a macro */
struct rule {
	struct pattern pattern;
	size_t base_len; /* of the file it is from */
	bool is_info;	 /* from info/attributes, which outranks all */
	struct setting *settings;
	size_t n;
};

struct name {
	char *name;
	const struct rule *macro; /* NULL: not one */
};

struct attr {
	struct name *names;
	size_t n_names;
	struct rule **rules; /* in ascending precedence among files of one directory */
	size_t n_rules;
	struct rule **macros; /* definitions, in ascending precedence */
	size_t n_macros;
	char **strings; /* owned: values and bases */
	size_t n_strings;
};

static void rule_free(struct rule *rule)
{
	if (!rule)
		return;
	pattern_deinit(&rule->pattern);
	free(rule->settings);
	free(rule);
}

void attr_free(struct attr *attr)
{
	if (!attr)
		return;
	for (size_t i = 0; i < attr->n_names; i++)
		free(attr->names[i].name);
	for (size_t i = 0; i < attr->n_rules; i++)
		rule_free(attr->rules[i]);
	for (size_t i = 0; i < attr->n_macros; i++)
		rule_free(attr->macros[i]);
	for (size_t i = 0; i < attr->n_strings; i++)
		free(attr->strings[i]);
	free(attr->names);
	free(attr->rules);
	free(attr->macros);
	free(attr->strings);
	free(attr);
}

/* a slot more in an array of pointers; 0 or -ENOMEM */
static int push(void *array, size_t *n, void *item)
{
	void ***at = array;
	void **more = realloc(*at, (*n + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	*at = more;
	more[(*n)++] = item;
	return 0;
}

static char *string_add(struct attr *attr, const char *s, size_t len)
{
	char *copy = strndup(s, len);

	if (copy && push(&attr->strings, &attr->n_strings, copy) < 0) {
		free(copy);
		copy = NULL;
	}
	return copy;
}

static int name_find_or_add(struct attr *attr, const char *name, size_t len, size_t *ret)
{
	struct name *more;

	for (size_t i = 0; i < attr->n_names; i++) {
		if (strlen(attr->names[i].name) == len &&
		    memcmp(attr->names[i].name, name, len) == 0) {
			*ret = i;
			return 0;
		}
	}
	more = realloc(attr->names, (attr->n_names + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	attr->names = more;
	more[attr->n_names] = (struct name){ .name = strndup(name, len) };
	if (!more[attr->n_names].name)
		return -ENOMEM;
	*ret = attr->n_names++;
	return 0;
}

static bool name_is_valid(const char *name, size_t len)
{
	if (len == 0 || name[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = name[i];

		if (!(c == '-' || c == '.' || c == '_' || (c >= '0' && c <= '9') ||
		      (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')))
			return false;
	}
	return true;
}

/* "text", "-text", "!text", "eol=lf"; a word that is none of these is left out */
static int setting_add(struct attr *attr, struct rule *rule, const char *word, size_t len)
{
	const char *value = ATTR_TRUE;
	const char *equals = memchr(word, '=', len);
	struct setting *more;
	size_t name;

	if (*word == '-' || *word == '!') {
		value = *word == '-' ? ATTR_FALSE : ATTR_UNSPECIFIED;
		word++;
		len--;
		equals = NULL;
	}
	if (equals) {
		value = string_add(attr, equals + 1, len - (size_t)(equals + 1 - word));
		if (!value)
			return -ENOMEM;
		len = (size_t)(equals - word);
	}
	if (!name_is_valid(word, len))
		return 0;
	if (name_find_or_add(attr, word, len, &name) < 0)
		return -ENOMEM;
	more = realloc(rule->settings, (rule->n + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	rule->settings = more;
	more[rule->n++] = (struct setting){ name, value };
	return 0;
}

static int settings_parse(struct attr *attr, struct rule *rule, const char *words)
{
	for (words += strspn(words, BLANKS); *words; words += strspn(words, BLANKS)) {
		size_t len = strcspn(words, BLANKS);

		if (setting_add(attr, rule, words, len) < 0)
			return -ENOMEM;
		words += len;
	}
	return 0;
}

/* \" \\ \n \t … and \ooo, in place; returns what follows the closing quote, or NULL */
static char *unquote(char *text, size_t *ret_len)
{
	static const char names[] = "abfnrtv\"\\";
	static const char bytes[] = "\a\b\f\n\r\t\v\"\\";
	char *out = text, *p = text + 1;

	while (*p && *p != '"') {
		const char *name;

		if (*p != '\\') {
			*out++ = *p++;
			continue;
		}
		p++;
		name = *p ? strchr(names, *p) : NULL;
		if (name) {
			*out++ = bytes[name - names];
			p++;
		} else if (p[0] >= '0' && p[0] <= '3' && p[1] >= '0' && p[1] <= '7' &&
			   p[2] >= '0' && p[2] <= '7') {
			*out++ = (char)((p[0] - '0') * 64 + (p[1] - '0') * 8 + (p[2] - '0'));
			p += 3;
		} else {
			return NULL;
		}
	}
	if (*p != '"')
		return NULL;
	*ret_len = (size_t)(out - text);
	return p + 1;
}

/* the pattern at the beginning of a line; returns the words behind it, NULL: no such line */
static char *pattern_split(char *line, size_t *ret_len)
{
	char *words = NULL;

	if (*line == '"')
		words = unquote(line, ret_len);
	if (words)
		return words;
	*ret_len = strcspn(line, BLANKS);
	return line + *ret_len;
}

/* what is being read */
struct file {
	struct attr *attr;
	const char *base;
	size_t base_len;
	bool is_info;
	bool may_define; /* macros: only at the top */
};

static int rule_finish(struct file *file, struct rule *rule, const char *words, bool is_macro)
{
	struct attr *attr = file->attr;
	int r = settings_parse(attr, rule, words);

	if (r == 0)
		r = is_macro ? push(&attr->macros, &attr->n_macros, rule)
			     : push(&attr->rules, &attr->n_rules, rule);
	if (r < 0)
		rule_free(rule);
	return r;
}

static int macro_add(struct file *file, char *line)
{
	struct rule *rule;
	size_t len;

	line += strspn(line, BLANKS);
	len = strcspn(line, BLANKS);
	if (!file->may_define || !name_is_valid(line, len))
		return 0;
	rule = calloc(1, sizeof(*rule));
	/* the macro's name stands where the pattern would */
	if (!rule || !(rule->pattern.text = strndup(line, len))) {
		free(rule);
		return -ENOMEM;
	}
	rule->is_info = file->is_info;
	return rule_finish(file, rule, line + len, true);
}

static int line_add(struct file *file, char *line)
{
	struct rule *rule;
	char *words;
	size_t len;

	line += strspn(line, BLANKS);
	if (*line == '\0' || *line == '#' || strlen(line) >= MAX_LINE_BYTES)
		return 0;
	if (strncmp(line, "[attr]", 6) == 0)
		return macro_add(file, line + 6);
	words = pattern_split(line, &len);
	if (*line == '!' || len == 0)
		return 0;
	rule = calloc(1, sizeof(*rule));
	if (!rule || pattern_parse(line, len, &rule->pattern) < 0) {
		free(rule);
		return -ENOMEM;
	}
	rule->pattern.base = (char *)file->base;
	rule->pattern.base_len = file->base_len;
	rule->base_len = file->base_len;
	rule->is_info = file->is_info;
	return rule_finish(file, rule, words, false);
}

static int file_parse(struct file *file, char *text, size_t len)
{
	char *end = text + len;

	if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
		text += 3;
	while (text < end) {
		char *nl = memchr(text, '\n', (size_t)(end - text));
		int r;

		if (nl)
			*nl = '\0';
		r = line_add(file, text);
		if (r < 0)
			return r;
		text = nl ? nl + 1 : end;
	}
	return 0;
}

static int commit_file_add(const char *dir, size_t dir_len, char *text, size_t len, void *userdata)
{
	struct file file = { .attr = userdata, .base_len = dir_len, .may_define = dir_len == 0 };

	file.base = string_add(file.attr, dir, dir_len);
	return file.base ? file_parse(&file, text, len) : -ENOMEM;
}

static int info_file_add(const char *dir, size_t dir_len, char *text, size_t len, void *userdata)
{
	struct file file = { userdata, "", 0, true, true };

	return file_parse(&file, text, len);
}

static int names_init(struct attr *attr)
{
	static const char *const known[ATTR_N] = { "text", "crlf", "eol", "ident" };
	char binary[] = "[attr]binary -diff -merge -text";
	struct file builtin = { attr, "", 0, false, true };
	size_t at;

	for (size_t i = 0; i < ATTR_N; i++)
		if (name_find_or_add(attr, known[i], strlen(known[i]), &at) < 0)
			return -ENOMEM;
	return line_add(&builtin, binary);
}

/* the last definition of a macro holds; it may expand itself through others, but not for ever */
static void macros_resolve(struct attr *attr)
{
	for (size_t m = 0; m < attr->n_macros; m++) {
		const struct rule *macro = attr->macros[m];

		for (size_t i = 0; i < attr->n_names; i++)
			if (strcmp(attr->names[i].name, macro->pattern.text) == 0)
				attr->names[i].macro = macro;
	}
}

static void attr_freep(struct attr **attr)
{
	attr_free(*attr);
}

int attr_load(struct repo *repo, const struct tree_list *list, struct attr **ret, struct fault *f)
{
	_cleanup_(attr_freep) struct attr *attr = calloc(1, sizeof(*attr));
	int r;

	if (!attr || names_init(attr) < 0)
		return fault_oom(f);
	r = rulefile_foreach(repo, list, ".gitattributes", commit_file_add, attr, f);
	if (r == 0)
		r = rulefile_of_store(repo, "info/attributes", info_file_add, attr, f);
	if (r < 0)
		return r;
	macros_resolve(attr);
	*ret = TAKE(attr);
	return 0;
}

bool attr_is_empty(const struct attr *attr)
{
	return attr->n_rules == 0;
}

/* sets what is not decided yet; a macro that is set decides for its members, right there */
static void decide(const struct attr *attr, const struct rule *rule, const char **values)
{
	for (size_t i = rule->n; i-- > 0;) {
		const struct setting *s = &rule->settings[i];

		if (values[s->name])
			continue;
		values[s->name] = s->value;
		if (s->value == ATTR_TRUE && attr->names[s->name].macro)
			decide(attr, attr->names[s->name].macro, values);
	}
}

/* of the rules that match and are not tried yet: info first, then the deepest, then the last */
static bool outranks(const struct rule *a, const struct rule *b)
{
	if (a->is_info != b->is_info)
		return a->is_info;
	return a->base_len > b->base_len;
}

int attr_get(const struct attr *attr, const char *path, const char *ret[ATTR_N])
{
	_cleanup_(freep) const char **values = calloc(attr->n_names, sizeof(*values));
	_cleanup_(freep) const struct rule **matches = calloc(attr->n_rules + 1, sizeof(*matches));
	size_t len = strlen(path), n = 0;

	if (!values || !matches)
		return -ENOMEM;
	for (size_t i = attr->n_rules; i-- > 0;) {
		const struct rule *rule = attr->rules[i];
		size_t at = n;

		if (!pattern_is_match(&rule->pattern, path, len, false))
			continue;
		for (; at > 0 && outranks(rule, matches[at - 1]); at--)
			matches[at] = matches[at - 1];
		matches[at] = rule;
		n++;
	}
	for (size_t i = 0; i < n; i++)
		decide(attr, matches[i], values);
	for (size_t i = 0; i < ATTR_N; i++)
		ret[i] = values[i] ? values[i] : ATTR_UNSPECIFIED;
	return 0;
}
