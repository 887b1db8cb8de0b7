/* Names that are ".git" to somebody. */
#include "integrity/dotgit.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *name; /* without the dot */
	const char *hash; /* what a short name begins with when four others are taken */
} files[] = {
	[DOTGIT_MODULES] = { "gitmodules", "gi7eba" },
	[DOTGIT_ATTRIBUTES] = { "gitattributes", "gi7d29" },
	[DOTGIT_IGNORE] = { "gitignore", "gi250a" },
	[DOTGIT_MAILMAP] = { "mailmap", "maba30" },
};

static bool is_more(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* of three bytes: too long for what it is, a surrogate, or U+FFFE and U+FFFF, which are none */
static bool is_wrong_three(const unsigned char *s)
{
	return (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) ||
	       (s[0] == 0xef && s[1] == 0xbf && s[2] >= 0xbe);
}

static bool is_wrong_four(const unsigned char *s)
{
	return (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90) || s[0] > 0xf4;
}

/* a character of UTF-8; 0: none, or the end, behind which nothing is to be read. A NUL is no second byte */
static uint32_t next_char(const unsigned char **at)
{
	const unsigned char *s = *at;

	if (s[0] < 0x80) {
		*at += 1;
		return s[0];
	}
	if (s[0] >= 0xc2 && s[0] < 0xe0 && is_more(s[1])) {
		*at += 2;
		return (uint32_t)(s[0] & 0x1f) << 6 | (s[1] & 0x3f);
	}
	if ((s[0] & 0xf0) == 0xe0 && is_more(s[1]) && is_more(s[2]) && !is_wrong_three(s)) {
		*at += 3;
		return (uint32_t)(s[0] & 0x0f) << 12 | (uint32_t)(s[1] & 0x3f) << 6 | (s[2] & 0x3f);
	}
	if ((s[0] & 0xf8) == 0xf0 && is_more(s[1]) && is_more(s[2]) && is_more(s[3]) && !is_wrong_four(s)) {
		*at += 4;
		return (uint32_t)(s[0] & 0x07) << 18 | (uint32_t)(s[1] & 0x3f) << 12 |
		       (uint32_t)(s[2] & 0x3f) << 6 | (s[3] & 0x3f);
	}
	return 0;
}

/* joiners, marks of direction, and the byte order mark */
static bool is_left_out_by_hfs(uint32_t c)
{
	return (c >= 0x200c && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x206a && c <= 0x206f) || c == 0xfeff;
}

static uint32_t next_hfs_char(const unsigned char **at)
{
	uint32_t c;

	do
		c = next_char(at);
	while (is_left_out_by_hfs(c));
	return c;
}

static bool is_same_letter(uint32_t c, char small)
{
	return c == (unsigned char)small || (c >= 'A' && c <= 'Z' && c + ('a' - 'A') == (unsigned char)small);
}

/* @word: small letters; what is no UTF-8 counts as the end of the name */
static bool is_on_hfs(const char *name, const char *word)
{
	const unsigned char *at = (const unsigned char *)name;
	uint32_t c;

	if (next_hfs_char(&at) != '.')
		return false;
	for (; *word; word++)
		if (!is_same_letter(next_hfs_char(&at), *word))
			return false;
	c = next_hfs_char(&at);
	return c == 0 || c == '/';
}

/* only dots and spaces up to the end, or up to one of @ends: NTFS does not see them */
static bool ends_on_ntfs(const char *rest, const char *ends)
{
	rest += strspn(rest, ". ");
	return *rest == '\0' || strchr(ends, *rest);
}

bool dotgit_is_git_on_ntfs(const char *name)
{
	if (strncasecmp(name, ".git", 4) == 0)
		return ends_on_ntfs(name + 4, "\\/:");
	return strncasecmp(name, "git~1", 5) == 0 && ends_on_ntfs(name + 5, "\\/:");
}

bool dotgit_is_git(const char *name)
{
	return dotgit_is_git_on_ntfs(name) || is_on_hfs(name, "git");
}

/* any number of letters of the hash, a tilde, a number; eight characters together */
static bool is_hashed(const char *name, const char *hash)
{
	size_t letters = strcspn(name, "~");

	if (letters > 6 || strncasecmp(name, hash, letters) != 0)
		return false;
	if (name[letters] != '~' || name[letters + 1] < '1' || name[letters + 1] > '9')
		return false;
	for (size_t i = letters + 2; i < 8; i++)
		if (name[i] < '0' || name[i] > '9')
			return false;
	return ends_on_ntfs(name + 8, ":");
}

bool dotgit_is_file_on_ntfs(const char *name, enum dotgit_file file)
{
	const char *word = files[file].name;
	size_t len = strlen(word);

	if (name[0] == '.' && strncasecmp(name + 1, word, len) == 0 && ends_on_ntfs(name + 1 + len, ":"))
		return true;
	if (strncasecmp(name, word, 6) == 0 && name[6] == '~' && name[7] >= '1' && name[7] <= '4')
		return ends_on_ntfs(name + 8, ":");
	return is_hashed(name, files[file].hash);
}

bool dotgit_is_file(const char *name, enum dotgit_file file)
{
	return dotgit_is_file_on_ntfs(name, file) || is_on_hfs(name, files[file].name);
}
