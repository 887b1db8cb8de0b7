/* What a clone with submodules would do for whoever wrote these files. */
#include "integrity/content-private.h"

#include <errno.h>

#include "integrity/config-scan.h"
#include "util/text.h"

/* bytes of a line that git takes in .gitattributes */
#define ATTRIBUTES_LINE 2048

#define SHOWN 160

static bool is_separator(char c)
{
	return c == '/' || c == '\\';
}

/* ".." would lead out of .git/modules */
static bool is_bad_name(const char *name)
{
	if (!*name)
		return true;
	for (const char *at = name; *at; at++) {
		bool is_start = at == name || is_separator(at[-1]);

		if (is_start && at[0] == '.' && at[1] == '.' && (!at[2] || is_separator(at[2])))
			return true;
	}
	return false;
}

static bool is_option(const char *value)
{
	return value[0] == '-';
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at;

	c = (char)(c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c);
	at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

/* what "%xx" stands for; 0: it is none */
static int percent_byte(const char *s, size_t len)
{
	int high, low;

	if (len < 3 || s[0] != '%')
		return 0;
	high = hex_digit(s[1]);
	low = hex_digit(s[2]);
	return high < 0 || low < 0 ? 0 : high << 4 | low;
}

/* is there a line's end in it, written so or as "%0a"? Before a colon git takes "%" for what it is */
static bool has_newline(const char *s, size_t len)
{
	const char *colon = memchr(s, ':', len);
	size_t i = colon ? (size_t)(colon - s) : 0;

	if (memchr(s, '\n', len))
		return true;
	while (i < len) {
		int byte = percent_byte(s + i, len - i);

		if (byte == '\n')
			return true;
		i += byte ? 3 : 1;
	}
	return false;
}

/* over "./" and "../"; how many of the latter */
static size_t skip_dots(const char **url)
{
	size_t n = 0;

	for (;;) {
		if (text_has_prefix(*url, "./")) {
			*url += 2;
		} else if (text_has_prefix(*url, "../")) {
			*url += 3;
			n++;
		} else {
			return n;
		}
	}
}

/* what is put behind another url: it could replace the host */
static bool is_bad_relative(const char *url)
{
	return has_newline(url, strlen(url)) || (skip_dots(&url) > 0 && (*url == ':' || *url == '/'));
}

/* what git's helpers for http and ftp get; NULL: none of these */
static const char *curl_url(const char *url)
{
	static const char *const schemes[] = { "http", "https", "ftp", "ftps" };

	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		const char *rest;

		if (!text_has_prefix(url, schemes[i]))
			continue;
		rest = url + strlen(schemes[i]);
		if (text_has_prefix(rest, "::"))
			return rest + 2;
		if (text_has_prefix(rest, "://"))
			return url;
	}
	return NULL;
}

static bool has_newline_in_user(const char *user, size_t len)
{
	const char *colon = memchr(user, ':', len);
	size_t name_len = colon ? (size_t)(colon - user) : len;

	return has_newline(user, name_len) || (colon && has_newline(colon + 1, len - name_len - 1));
}

/* "scheme://user:password@host/path", which becomes lines of a question for credentials */
static bool is_bad_for_credentials(const char *url)
{
	const char *scheme_end = strstr(url, "://"), *host, *host_end, *at;

	if (!scheme_end || scheme_end == url || memchr(url, '\n', (size_t)(scheme_end - url)))
		return true;
	host = scheme_end + 3;
	host_end = host + strcspn(host, "/?#");
	at = memchr(host, '@', (size_t)(host_end - host));
	if (at && has_newline_in_user(host, (size_t)(at - host)))
		return true;
	host = at ? at + 1 : host;
	if (host == host_end || has_newline(host, (size_t)(host_end - host)))
		return true;
	host_end += strspn(host_end, "/");
	return has_newline(host_end, strlen(host_end));
}

static bool is_bad_url(const char *url)
{
	const char *curl;

	if (is_option(url))
		return true;
	if (text_has_prefix(url, "./") || text_has_prefix(url, "../") || text_has_prefix(url, "git://"))
		return is_bad_relative(url);
	curl = curl_url(url);
	return curl && is_bad_for_credentials(curl);
}

/* @e: a setting of a submodule; git tells all that is wrong, not the first alone */
static int check_setting(const struct content_pass *p, const struct config_entry *e)
{
	int r = 0;

	if (is_bad_name(e->subsection))
		r = content_tellf(p, FSCK_GITMODULES_NAME, "a submodule must not be called \"%.*s\"", SHOWN,
				  e->subsection);
	if (r < 0 || !e->value)
		return r;
	if (strcmp(e->key, "url") == 0 && is_bad_url(e->value))
		r = content_tellf(p, FSCK_GITMODULES_URL, "a submodule must not have the url \"%.*s\"", SHOWN,
				  e->value);
	else if (strcmp(e->key, "path") == 0 && is_option(e->value))
		r = content_tellf(p, FSCK_GITMODULES_PATH, "a submodule must not have the path \"%.*s\"",
				  SHOWN, e->value);
	else if (strcmp(e->key, "update") == 0 && e->value[0] == '!')
		r = content_tellf(p, FSCK_GITMODULES_UPDATE, "a submodule must not be updated by a command, \"%.*s\"",
				  SHOWN, e->value);
	return r;
}

static int on_entry(const struct config_entry *e, void *userdata)
{
	int r = 0;

	if (e->section && e->subsection && strcmp(e->section, "submodule") == 0)
		r = check_setting(userdata, e);
	return r < 0 ? r : 0;
}

/*
 * Once as git fsck reads it; and where that sees less than who reads the file when it is checked out, as
 * that does.
 */
int content_check_modules(const struct content_pass *p, const char *data, size_t len)
{
	struct content_pass pass = *p;
	size_t line;
	int r = config_scan_blob(data, len, on_entry, &pass, &line);

	if (r == -EBADMSG) {
		r = content_tellf(p, FSCK_GITMODULES_PARSE, "line %zu of .gitmodules cannot be read", line);
		if (r < 0)
			return r;
		r = 0;
	}
	if (r == 0 && len > 0 && (memchr(data, 0xff, len) || (unsigned char)data[0] == 0xef))
		r = config_scan(data, len, on_entry, &pass, &line);
	return r == -EBADMSG ? 0 : r;
}

/* git reads up to a NUL */
int content_check_attributes(const struct content_pass *p, const char *data, size_t len)
{
	struct content_text t = { .at = data, .end = data + strnlen(data, len) };

	while (t.at < t.end) {
		const char *newline = content_line_end(&t);

		if ((newline ? newline : t.end) - t.at >= ATTRIBUTES_LINE)
			return content_tell(p, FSCK_GITATTRIBUTES_LINE_LENGTH,
					    "a line of .gitattributes is too long to be looked at");
		content_next_line(&t);
	}
	return 0;
}
