#include "git/salvage-path.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "git/tree-list.h"
#include "git/tree-name.h"

struct pair {
	const char *plain, *escaped;
};

static const struct pair pairs[] = {
	{ "a", "a" },
	{ "a/b c/\xc3\xa4\xff", "a/b c/\xc3\xa4\xff" },
	{ "\n\t\x01\x7f", "\n\t\x01\x7f" },
	{ "100%", "100%25" },
	{ "%2e", "%252e" },
	{ "%", "%25" },
	{ "a\\b", "a%5cb" },
	{ "\\", "%5c" },
	{ ".git", "%2egit" },
	{ ".GIT/config", "%2eGIT/config" },
	{ "sub/.git/objects/ab/cd", "sub/%2egit/objects/ab/cd" },
	{ ".git ..", "%2egit .." },
	{ ".git:stream", "%2egit:stream" },
	{ "git~1", "%67it~1" },
	{ "GIT~1/x", "%47IT~1/x" },
	{ "git~2", "git~2" },
	{ "x\\.git", "x%5c.git" },
	{ "\\.git", "%5c.git" },
	{ ".git\\x", ".git%5cx" },
	{ ".", "%2e" },
	{ "..", "%2e." },
	{ "../../etc/passwd", "%2e./%2e./etc/passwd" },
	{ "...", "..." },
	{ ".gitmodules", "%2egitmodules" },
	{ "a/.gitmodules", "a/%2egitmodules" },
	{ "gitmod~1", "%67itmod~1" },
	{ "gi7eba~1", "%67i7eba~1" },
	{ ".gitignore", ".gitignore" },
	{ ".git%", ".git%25" },
	{ "HEAD.lock", "HEAD.lock" },
};

Test(salvage_path, each_name_has_one_form_and_comes_back)
{
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		char *escaped = salvage_path_escape(pairs[i].plain);
		char *plain = salvage_path_unescape(pairs[i].escaped);

		cr_assert_not_null(escaped, "%s", pairs[i].plain);
		cr_assert_str_eq(escaped, pairs[i].escaped);
		cr_assert_not_null(plain, "%s", pairs[i].escaped);
		cr_assert_str_eq(plain, pairs[i].plain);
		free(escaped);
		free(plain);
	}
}

/* every name of up to three bytes from those that matter, after some that git looks at */
Test(salvage_path, git_takes_whatever_was_escaped)
{
	static const char *const stems[] = { "",	 ".git",    "git~1", ".gitmodules",
					     "gitmod~1", "gi7eba~", "a" };
	static const char bytes[] = "\x01\t .:%\\~19gG\xff";
	const size_t n = sizeof(bytes); /* the NUL among them: shorter names */
	char name[32];

	for (size_t s = 0; s < sizeof(stems) / sizeof(stems[0]); s++)
		for (size_t i = 0; i < n * n * n; i++) {
			char end[4] = { bytes[i % n], bytes[i / n % n], bytes[i / n / n], '\0' };
			char *escaped, *again;

			strcat(strcpy(name, stems[s]), end);
			if (name[0] == '\0')
				continue;
			escaped = salvage_path_escape(name);
			cr_assert_null(tree_path_objection(escaped, TREE_MODE_LINK),
				       "\"%s\" for \"%s\"", escaped, name);
			cr_assert_null(tree_path_objection(escaped, TREE_MODE_FILE));
			cr_assert(tree_name_is_safe(escaped, strlen(escaped)), "\"%s\"", escaped);
			again = salvage_path_unescape(escaped);
			cr_assert_str_eq(again, name);
			free(escaped);
			free(again);
		}
}

Test(salvage_path, what_no_escaping_makes_is_refused)
{
	static const char *const malformed[] = {
		"%",   "%2",   "a%",   "%zz",  "%2E",	 "%00",		"%2f",	   "a%2fb",
		"%61", "a%20", "..",   ".git", "a/../b", "a\\b",	"git~1",   "",
		"/a",  "a/",   "a//b", "%5C",  "%25%2",	 ".gitmodules", "%2e.git", "%2egitx",
	};

	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		errno = 0;
		cr_assert_null(salvage_path_unescape(malformed[i]), "\"%s\"", malformed[i]);
		cr_assert_eq(errno, EINVAL, "\"%s\"", malformed[i]);
	}
}

Test(salvage_path, a_path_with_an_empty_name_is_refused)
{
	static const char *const paths[] = { "", "/", "/a", "a/", "a//b" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		errno = 0;
		cr_assert_null(salvage_path_escape(paths[i]), "\"%s\"", paths[i]);
		cr_assert_eq(errno, EINVAL);
	}
}
