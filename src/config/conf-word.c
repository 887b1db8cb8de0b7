/* What a string may be. */
#include "config/conf-word.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/text.h"

bool conf_word_is_variable(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > 255 || isdigit((unsigned char)text[0]))
		return false;
	for (const char *p = text; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '_')
			return false;
	return true;
}

static bool has_control_character(const char *text)
{
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7F)
			return true;
	return false;
}

char *conf_word_clean_path(const char *path)
{
	struct text t = { 0 };

	while (*path) {
		size_t len = strcspn(path, "/");

		if (len > 0 && !(len == 1 && path[0] == '.'))
			text_addf(&t, "/%.*s", (int)len, path);
		path += len + (path[len] == '/');
	}
	if (t.len == 0)
		text_add_string(&t, "/");
	return text_take(&t);
}

bool conf_word_is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (strcmp(dir, "/") == 0)
		return true;
	return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static const char *path_objection(const char *path)
{
	if (path[0] == '~')
		return "write the whole path, beginning with \"/\"; \"~\" is not replaced";
	if (path[0] != '/')
		return "write the whole path, beginning with \"/\"";
	if (has_control_character(path))
		return "a path here has no control characters";
	for (const char *p = path; *p; p += strcspn(p, "/")) {
		p += strspn(p, "/");
		if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || p[2] == '\0'))
			return "write the path without \"..\"";
	}
	return NULL;
}

/* git-check-ref-format(1), for one name that may have slashes */
static const char *ref_objection(const char *ref)
{
	if (ref[0] == '-' || ref[0] == '/' || text_has_suffix(ref, "/"))
		return "git allows no name that begins with \"-\" or \"/\" or ends in \"/\"";
	if (text_has_suffix(ref, ".") || strstr(ref, "..") || strstr(ref, "@{") ||
	    strcmp(ref, "@") == 0)
		return "git allows no \"..\", no \"@{\", no \"@\" alone and no \".\" at the end";
	if (strstr(ref, "//") || strpbrk(ref, " ~^:?*[\\") || has_control_character(ref))
		return "git allows no spaces, none of ~^:?*[\\ and no \"//\" in it";
	for (const char *p = ref; *p; p += strcspn(p, "/")) {
		size_t len;

		p += strspn(p, "/");
		len = strcspn(p, "/");
		if (p[0] == '.' || (len >= 5 && strncmp(p + len - 5, ".lock", 5) == 0))
			return "git allows no part that begins with \".\" or ends in \".lock\"";
	}
	return NULL;
}

/* "{agent}" and "{task}" become names that are fine wherever they stand */
static const char *branch_objection(const char *branch, bool *ret_oom)
{
	struct text t = { 0 };
	_cleanup_(freep) char *filled = NULL;

	while (*branch) {
		size_t len = strcspn(branch, "{}");

		text_add(&t, branch, len);
		branch += len;
		if (*branch == '\0')
			break;
		len = text_has_prefix(branch, "{agent}")  ? 7
		      : text_has_prefix(branch, "{task}") ? 6
							  : 0;
		if (len == 0) {
			text_deinit(&t);
			return "only {agent} and {task} can stand in braces";
		}
		text_add_string(&t, "x");
		branch += len;
	}
	filled = text_take(&t);
	*ret_oom = filled == NULL;
	return filled ? ref_objection(filled) : NULL;
}

/* "process:4711", where a process can be named: how much of it is the word */
static size_t word_length(const char *p, size_t len, bool with_pid)
{
	size_t word = strlen("process"), digits;

	if (!with_pid || !text_has_prefix(p, "process:"))
		return len;
	digits = strspn(p + word + 1, "0123456789");
	return digits > 0 && word + 1 + digits == len ? word : len;
}

static const char *binding_objection(const char *values, const char *text, bool with_pid)
{
	unsigned seen = 0;

	for (const char *p = text;; p++) {
		size_t len = strcspn(p, "+"), n = word_length(p, len, with_pid);
		char word[16] = "";
		int value;

		if (n < sizeof(word))
			memcpy(word, p, n);
		value = conf_values_find(values, word);
		if (value < 0)
			return "a binding is one of ttl, process, connection and manual, or "
			       "several joined by \"+\"";
		if (seen & 1u << value)
			return "one binding stands in it twice";
		seen |= 1u << value;
		p += len;
		if (*p == '\0')
			break;
	}
	if ((seen & 1u << conf_values_find(values, "manual")) && (seen & (seen - 1)))
		return "\"manual\" stands alone: nothing but a release ends such a lease";
	return NULL;
}

const char *conf_word_bind_objection(const char *bind)
{
	return binding_objection(conf_table_find(&conf_pool_keys, "lease.bind")->values, bind,
				 true);
}

const char *conf_word_branch_objection(const char *branch)
{
	if (branch[0] == '\0')
		return "it cannot be empty";
	if (strcmp(branch, "HEAD") == 0)
		return "git allows no branch that is called HEAD";
	return ref_objection(branch);
}

const char *conf_word_url_objection(const char *url)
{
	static const char *const schemes[] = { "file:///", "https://", "http://", "ssh://" };
	const char *colon = strchr(url, ':'), *slash = strchr(url, '/');

	if (url[0] == '-' || has_control_character(url) || strchr(url, ' '))
		return "a URL neither begins with \"-\" nor holds spaces";
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
		if (text_has_prefix(url, schemes[i]))
			return url[strlen(schemes[i])] ? NULL : "the URL ends too early";
	if (url[0] == '/')
		return NULL;
	/* as scp has it: user@host:path */
	if (colon && colon != url && colon[1] && colon[1] != ':' && !strstr(url, "://") &&
	    (!slash || slash > colon))
		return NULL;
	return "write https://, http://, ssh://, file:///, git@HOST:PATH, or an absolute path";
}

/* a file of the repository, or beside its files */
static const char *file_objection(const char *path)
{
	if (path[0] == '/')
		return "write the path in the slot, without \"/\" in front";
	if (has_control_character(path))
		return "a path here has no control characters";
	for (const char *p = path;; p++) {
		size_t len = strcspn(p, "/");

		if (len == 0 || (len == 1 && p[0] == '.') || strncmp(p, "..", len < 2 ? 2 : len) == 0)
			return "write the path of a file without \".\", \"..\" and empty parts";
		if (len == 4 && strncasecmp(p, ".git", 4) == 0)
			return "\".git\" is git's own";
		p += len;
		if (*p == '\0')
			return NULL;
	}
}

static const char *objection(const struct conf_key *key, const char *text, bool *ret_oom)
{
	bool is_branch = strcmp(key->name, "branch") == 0;

	if (text[0] == '\0' && (key->flags & CONF_POOL_ONLY))
		return "it cannot be empty; take it out";
	if (text[0] == '\0')
		return key->type == CONF_WORD || key->flags & CONF_IN_SLOT ? "it cannot be empty" : NULL;
	if (key->flags & CONF_IN_SLOT)
		return file_objection(text);
	if (key->flags & CONF_ABSOLUTE)
		return path_objection(text);
	if (key->flags & CONF_REF_NAME)
		return is_branch ? branch_objection(text, ret_oom) : ref_objection(text);
	if (key->flags & CONF_BINDING)
		return binding_objection(key->values, text, false);
	if (strcmp(key->name, "url") == 0)
		return conf_word_url_objection(text);
	return NULL;
}

/* "it is one of any, suspect, dead" */
static char *values_sentence(const char *values)
{
	struct text t = { 0 };
	const char *word;
	size_t len;

	text_add_string(&t, "it is one of");
	for (int i = 0; (word = conf_values_get(values, i, &len)); i++)
		text_addf(&t, "%s %.*s", i ? "," : "", (int)len, word);
	return text_take(&t);
}

int conf_word_take(const struct conf_key *key, const char *text, char **ret, char **ret_why)
{
	bool is_path = (key->flags & CONF_ABSOLUTE) && text[0];
	bool oom = false;
	const char *why = objection(key, text, &oom);
	char *value;

	if (oom)
		return -ENOMEM;
	if (why)
		*ret_why = strdup(why);
	else if (key->values && !(key->flags & CONF_BINDING) &&
		 conf_values_find(key->values, text) < 0)
		*ret_why = values_sentence(key->values);
	else {
		value = is_path ? conf_word_clean_path(text) : strdup(text);
		if (!value)
			return -ENOMEM;
		*ret = value;
		return 0;
	}
	return *ret_why ? -EINVAL : -ENOMEM;
}
