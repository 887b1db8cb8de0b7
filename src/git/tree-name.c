/* What is a harmless name here may be ".git" where the commit is checked out. */
#include "git/tree-name.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "git/tree-list.h"

#define LINKED_GITMODULES "is a link in the place of .gitmodules"

/* only dots and spaces up to the end, or up to a stream's name: NTFS does not see them */
static bool ntfs_ends(const char *rest, const char *ends)
{
	rest += strspn(rest, ". ");
	return *rest == '\0' || strchr(ends, *rest);
}

/* ".git", or "git~1", its short name there */
static bool is_ntfs_dotgit(const char *name)
{
	if (strncasecmp(name, ".git", 4) == 0)
		return ntfs_ends(name + 4, "\\/:");
	return strncasecmp(name, "git~1", 5) == 0 && ntfs_ends(name + 5, "\\/:");
}

/* the short name that is made of a hash when four others are taken: "gi7eb~12", eight letters */
static bool is_ntfs_hashed_gitmodules(const char *name)
{
	size_t letters = strcspn(name, "~");

	if (letters > 6 || strncasecmp(name, "gi7eba", letters) != 0)
		return false;
	if (name[letters] != '~' || name[letters + 1] < '1' || name[letters + 1] > '9')
		return false;
	for (size_t i = letters + 2; i < 8; i++)
		if (name[i] < '0' || name[i] > '9')
			return false;
	return ntfs_ends(name + 8, ":");
}

static bool is_ntfs_gitmodules(const char *name)
{
	if (strncasecmp(name, ".gitmodules", 11) == 0)
		return ntfs_ends(name + 11, ":");
	if (strncasecmp(name, "gitmod~", 7) == 0 && name[7] >= '1' && name[7] <= '4')
		return ntfs_ends(name + 8, ":");
	return is_ntfs_hashed_gitmodules(name);
}

static const char *component_objection(const char *name, uint32_t mode)
{
	size_t len = strcspn(name, "/");

	if (len == 0)
		return "has an empty name in it";
	if (len == 1 && name[0] == '.')
		return "has \".\" in it";
	if (len == 2 && name[0] == '.' && name[1] == '.')
		return "has \"..\" in it";
	if (len == 4 && strncasecmp(name, ".git", 4) == 0)
		return "has \".git\" in it";
	if (len == 11 && mode == TREE_MODE_LINK && strncasecmp(name, ".gitmodules", 11) == 0)
		return LINKED_GITMODULES;
	return NULL;
}

/* a name, or what comes after a backslash, which divides names there */
static const char *ntfs_objection(const char *name, uint32_t mode)
{
	if (is_ntfs_dotgit(name))
		return "has a name in it that is \".git\" on Windows";
	if (mode == TREE_MODE_LINK && is_ntfs_gitmodules(name))
		return LINKED_GITMODULES;
	return NULL;
}

static const char *name_objection(const char *name, uint32_t mode)
{
	const char *why = component_objection(name, mode);

	return why ? why : ntfs_objection(name, mode);
}

/* git does not see a backslash at the start of a name, and so it divides nothing here either */
const char *tree_path_objection(const char *path, uint32_t mode)
{
	const char *why = name_objection(path++, mode);

	while (!why && *(path += strcspn(path, "/\\"))) {
		if (*path++ == '/')
			why = name_objection(path++, mode);
		else
			why = ntfs_objection(path, mode);
	}
	return why;
}
