/* Look before libgit2 leaps. */
#include "git/vet.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define MAX_CONFIG_BYTES  (1 << 20)
#define MAX_INCLUDE_DEPTH 10

enum need {
	NEED_FILE,	  /* must be there */
	NEED_FILE_IF_ANY, /* may be there */
	NEED_DIRECTORY,
	NEED_NOTHING, /* must not be there */
};

static const struct {
	const char *name;
	enum need need;
	long long max_bytes;
} vetted[] = {
	{ "HEAD", NEED_FILE, 4 << 10 },
	{ "config", NEED_FILE_IF_ANY, MAX_CONFIG_BYTES },
	{ "objects", NEED_DIRECTORY, 0 },
	{ "refs", NEED_DIRECTORY, 0 },
	{ "packed-refs", NEED_FILE_IF_ANY, 256 << 20 },
	{ "shallow", NEED_FILE_IF_ANY, 16 << 20 },
	{ "info/attributes", NEED_FILE_IF_ANY, 16 << 20 },
	{ "info/exclude", NEED_FILE_IF_ANY, 16 << 20 },
	{ "commondir", NEED_NOTHING, 0 },
};

static int vet_one(int fd, const char *dir, const char *name, enum need need, long long max_bytes,
		   struct fault *f)
{
	struct stat st;

	if (fstatat(fd, name, &st, 0) < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			return fault_errno(f, -errno, "cannot look at %s/%s", dir, name);
		if (need == NEED_FILE_IF_ANY || need == NEED_NOTHING)
			return 0;
		return fault(f, -EUCLEAN, "%s is not a git directory: no %s", dir, name);
	}
	if (need == NEED_NOTHING)
		return fault(f, -EUCLEAN, "%s is not a common directory: it has a %s", dir, name);
	if (need == NEED_DIRECTORY)
		return S_ISDIR(st.st_mode)
			       ? 0
			       : fault(f, -EUCLEAN, "%s/%s is not a directory", dir, name);
	if (!S_ISREG(st.st_mode))
		return fault(f, -EUCLEAN, "%s/%s is not a regular file", dir, name);
	if (st.st_size > max_bytes)
		return fault(f, -EUCLEAN, "%s/%s is larger than %lld bytes", dir, name, max_bytes);
	return 0;
}

static int vet_config(const char *path, unsigned depth, struct fault *f);

/* relative to the file that includes it; what "~" means is not known here, nor read */
static int vet_included(const char *config, char *value, unsigned depth, struct fault *f)
{
	const char *slash = strrchr(config, '/');
	_cleanup_(freep) char *path = NULL;
	struct stat st;

	if (value[0] == '~')
		return 0;
	path = value[0] == '/' ? strdup(value)
			       : text_printf("%.*s/%s", (int)(slash - config), config, value);
	if (!path)
		return fault_oom(f);
	if (stat(path, &st) < 0)
		return 0;
	if (!S_ISREG(st.st_mode) || st.st_size > MAX_CONFIG_BYTES)
		return fault(f, -EUCLEAN, "%s includes %s, which is not a small regular file",
			     config, path);
	return vet_config(path, depth + 1, f);
}

static bool has_word(const char *at, const char *word)
{
	size_t len = strlen(word);

	return strncasecmp(at, word, len) == 0 && !isalnum((unsigned char)at[len]) &&
	       at[len] != '-';
}

/* the value behind "path =": quotes taken off, comment cut */
static char *value_trim(char *value)
{
	char *out = value;
	bool quoted = false;
	char *p = value;

	while (*p == ' ' || *p == '\t')
		p++;
	for (; *p && (quoted || (*p != '#' && *p != ';')); p++) {
		if (*p == '"')
			quoted = !quoted;
		else if (*p != '\\' || p[1] == '\0')
			*out++ = *p;
		else
			*out++ = *++p;
	}
	while (out > value && isspace((unsigned char)out[-1]))
		out--;
	*out = '\0';
	return value;
}

static int vet_config_line(const char *config, char *line, bool *in_include, unsigned depth,
			   struct fault *f)
{
	char *p = line + strspn(line, " \t\r");

	if (*p == '[') {
		char *end = strchr(p, ']');

		*in_include = has_word(p + 1, "include") || has_word(p + 1, "includeif");
		if (!end)
			return 0;
		p = end + 1 + strspn(end + 1, " \t\r");
	}
	if (!*in_include || !has_word(p, "path"))
		return 0;
	p += strlen("path");
	p += strspn(p, " \t");
	return *p == '=' ? vet_included(config, value_trim(p + 1), depth, f) : 0;
}

/* libgit2 has no way to switch includes off, so what they name is looked at, too */
static int vet_config(const char *path, unsigned depth, struct fault *f)
{
	_cleanup_(freep) char *text = NULL;
	bool in_include = false;
	char *save = NULL;
	int r;

	if (depth > MAX_INCLUDE_DEPTH)
		return fault(f, -EUCLEAN, "%s: includes are nested too deeply", path);
	r = fs_read_file_at(AT_FDCWD, path, MAX_CONFIG_BYTES, &text, NULL);
	if (r == -ENOENT || r == -ELOOP) /* a link is the operator's; nothing is read through it */
		return 0;
	if (r < 0)
		return fault_errno(f, r, "cannot read %s", path);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		r = vet_config_line(path, line, &in_include, depth, f);
		if (r < 0)
			return r;
	}
	return 0;
}

int vet_store(const char *common_dir, struct fault *f)
{
	_cleanup_(closep) int fd = open(common_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(freep) char *config = text_printf("%s/config", common_dir);

	if (!config)
		return fault_oom(f);
	if (fd < 0)
		return fault_errno(f, -errno, "cannot open the store %s", common_dir);
	for (size_t i = 0; i < ARRAY_SIZE(vetted); i++) {
		int r = vet_one(fd, common_dir, vetted[i].name, vetted[i].need, vetted[i].max_bytes,
				f);

		if (r < 0)
			return r;
	}
	return vet_config(config, 0, f);
}
