/**
 * DOC: dotgit - ".git" and other special names, in all spellings
 *
 * HFS+ leaves out some characters of Unicode and does not tell capitals from small letters; NTFS cuts dots,
 * spaces and the name of a stream off at the end, and has short names. What is a harmless name here may be
 * a special one there, where the commit is checked out.
 *
 * Any bytes up to a NUL. Source: what git 2.39 takes for them; gitattributes(5), gitmodules(5), gitignore(5) and
 * gitmailmap(5), which may not be links.
 */
#ifndef INTEGRITY_DOTGIT_H
#define INTEGRITY_DOTGIT_H

#include <stdbool.h>

enum dotgit_file {
	DOTGIT_MODULES,
	DOTGIT_ATTRIBUTES,
	DOTGIT_IGNORE,
	DOTGIT_MAILMAP,
};

/* ".git" in a spelling of either; of NTFS alone, for what comes behind a backslash */
bool dotgit_is_git(const char *name);
bool dotgit_is_git_on_ntfs(const char *name);

/* ".gitmodules" and so on */
bool dotgit_is_file(const char *name, enum dotgit_file file);
bool dotgit_is_file_on_ntfs(const char *name, enum dotgit_file file);

/**
 * dotgit_is_possible - can a name be one of these at all?
 * @first: the first byte of a name that is not empty
 *
 * False for nearly all names. For who looks at millions.
 */
static inline bool dotgit_is_possible(unsigned char first)
{
	switch (first) {
	case '.':
	case '~': /* a short name with nothing before its number */
	case 'g':
	case 'G':
	case 'm':
	case 'M':
	case 0xe2: /* what HFS+ leaves out, in UTF-8 */
	case 0xef:
		return true;
	default:
		return false;
	}
}

#endif
