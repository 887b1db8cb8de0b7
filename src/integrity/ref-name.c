/* What may be called a ref, and what one says. */
#include "integrity/ref-name.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "integrity/check-dir.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

/* between two slashes */
static bool component_is_valid(const char *s, size_t len)
{
	if (len == 0 || s[0] == '.' || s[len - 1] == '.')
		return false;
	if (len >= 5 && memcmp(s + len - 5, ".lock", 5) == 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c < 0x20 || c == 0x7f || strchr(" ~^:?*[\\", c))
			return false;
		if (i > 0 && ((c == '.' && s[i - 1] == '.') || (c == '{' && s[i - 1] == '@')))
			return false;
	}
	return true;
}

bool ref_name_is_valid(const char *name, bool allow_one_level)
{
	const char *at = name;
	size_t n = 0;

	if (strcmp(name, "@") == 0 || strlen(name) > REF_NAME_BYTES)
		return false;
	for (;; n++) {
		size_t len = strcspn(at, "/");
		/* "a./b" is fine for git, "a." is not */
		bool is_last = at[len] == '\0';
		bool has_dot = len > 0 && at[len - 1] == '.' && !is_last;

		if (!component_is_valid(at, has_dot ? len - 1 : len) ||
		    (has_dot && len > 1 && at[len - 2] == '.'))
			return false;
		if (is_last)
			return n > 0 || allow_one_level;
		at += len + 1;
	}
}

bool ref_name_is_own(const char *name)
{
	return !strchr(name, '/') || text_has_prefix(name, "refs/bisect/") ||
	       text_has_prefix(name, "refs/worktree/") || text_has_prefix(name, "refs/rewritten/");
}

bool oid_parse(const char *text, size_t len, git_oid *ret)
{
	if (len != GIT_OID_HEXSZ)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isxdigit((unsigned char)text[i]))
			return false;
	return git_oid_fromstrn(ret, text, GIT_OID_HEXSZ) == 0;
}

/* of what was nothing but white space and NULs: ext4 leaves such files after a loss of power */
static bool is_blank(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (data[i] && !is_git_space(data[i]))
			return false;
	return true;
}

void ref_value_parse(char *data, size_t len, struct ref_value *ret)
{
	*ret = (struct ref_value){ .kind = REF_KIND_BROKEN };
	if (is_blank(data, len)) {
		ret->kind = REF_KIND_EMPTY;
		return;
	}
	while (len > 0 && is_git_space(data[len - 1]))
		data[--len] = '\0';
	if (text_has_prefix(data, "ref:")) {
		ret->target = data + strlen("ref:");
		while (is_git_space(*ret->target))
			ret->target++;
		ret->kind = REF_KIND_SYMBOLIC;
		ret->has_junk = strlen(data) != len;
		return;
	}
	if (len < GIT_OID_HEXSZ || !oid_parse(data, GIT_OID_HEXSZ, &ret->oid))
		return;
	ret->has_junk = len > GIT_OID_HEXSZ;
	if (ret->has_junk && data[GIT_OID_HEXSZ] && !is_git_space(data[GIT_OID_HEXSZ]))
		return;
	ret->kind = REF_KIND_OID;
}

/* git made symbolic refs as links once, and can still be told to (core.preferSymlinkRefs) */
static int load_link(int dirfd, const char *path, char **ret_data, struct ref_value *ret)
{
	_cleanup_(closep) int fd = fs_open_beneath(dirfd, path, O_PATH | O_NOFOLLOW, 0);
	_cleanup_(freep) char *target = malloc(REF_NAME_BYTES + 1);
	ssize_t n;

	if (!target)
		return -ENOMEM;
	n = fd < 0 ? -1 : readlinkat(fd, "", target, REF_NAME_BYTES);
	if (n < 0)
		return -ELOOP;
	target[n] = '\0';
	if (!text_has_prefix(target, "refs/") || !ref_name_is_valid(target, false))
		return -ELOOP;
	*ret = (struct ref_value){ .kind = REF_KIND_SYMBOLIC, .target = target };
	*ret_data = TAKE(target);
	return 0;
}

int ref_load(int dirfd, const char *path, char **ret_data, struct ref_value *ret)
{
	size_t len = 0;
	int r = file_load(dirfd, path, REF_FILE_BYTES, ret_data, &len);

	if (r == -ELOOP)
		return load_link(dirfd, path, ret_data, ret);
	if (r == 0)
		ref_value_parse(*ret_data, len, ret);
	return r;
}
