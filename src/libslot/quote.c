/* Names of any bytes, back from JSON. */
#include "libslot/quote.h"

#include <stdbool.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/text.h"

/* one escape behind its backslash; returns its length, 0 when there is no such escape */
static size_t unescape(const char *s, char *ret)
{
	static const char letters[] = "abfnrtv\"\\";
	static const char meanings[] = "\a\b\f\n\r\t\v\"\\";
	const char *letter = s[0] ? strchr(letters, s[0]) : NULL;
	unsigned value = 0;

	if (letter) {
		*ret = meanings[letter - letters];
		return 1;
	}
	for (size_t i = 0; i < 3; i++) {
		if (s[i] < '0' || s[i] > '7')
			return 0;
		value = value * 8 + (unsigned)(s[i] - '0');
	}
	if (value == 0 || value > 255)
		return 0;
	*ret = (char)value;
	return 3;
}

/* false when @s is not the inside of a quotation and its closing quote */
static bool unquote(const char *s, struct text *ret)
{
	for (; *s && *s != '"'; s++) {
		char c = *s;

		if (c == '\\') {
			size_t len = unescape(s + 1, &c);

			if (len == 0)
				return false;
			s += len;
		}
		text_add(ret, &c, 1);
	}
	return s[0] == '"' && s[1] == '\0';
}

char *unquote_path(const char *text)
{
	_cleanup_(text_deinit) struct text t = { 0 };

	if (text[0] != '"' || !unquote(text + 1, &t))
		return text_dup(text);
	return text_take(&t);
}
