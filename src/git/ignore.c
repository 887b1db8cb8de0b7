/* The last word on a name. */
#include "git/ignore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "git/pattern.h"
#include "git/rulefile.h"
#include "util/cleanup.h"

struct ignore {
	struct pattern *patterns; /* in ascending precedence; a deeper file after a higher one */
	size_t n, size;
	char **bases; /* owned directory names of the patterns */
	size_t n_bases;
};

void ignore_free(struct ignore *ignore)
{
	if (!ignore)
		return;
	for (size_t i = 0; i < ignore->n; i++)
		pattern_deinit(&ignore->patterns[i]);
	for (size_t i = 0; i < ignore->n_bases; i++)
		free(ignore->bases[i]);
	free(ignore->patterns);
	free(ignore->bases);
	free(ignore);
}

/* trailing spaces go, unless a backslash holds them; one CR before the line's end goes first */
static size_t line_trim(const char *line, size_t len)
{
	size_t end = 0;

	if (len > 0 && line[len - 1] == '\r')
		len--;
	for (size_t i = 0; i < len; i++) {
		if (line[i] == '\\' && i + 1 < len)
			end = ++i + 1;
		else if (line[i] != ' ')
			end = i + 1;
	}
	return end;
}

static int pattern_add(struct ignore *ignore, const char *line, size_t len, char *base,
		       size_t base_len)
{
	struct pattern p;

	if (ignore->n == ignore->size) {
		size_t size = ignore->size ? ignore->size * 2 : 32;
		struct pattern *more = realloc(ignore->patterns, size * sizeof(*more));

		if (!more)
			return -ENOMEM;
		ignore->patterns = more;
		ignore->size = size;
	}
	if (pattern_parse(line, len, &p) < 0)
		return -ENOMEM;
	p.base = base;
	p.base_len = base_len;
	ignore->patterns[ignore->n++] = p;
	return 0;
}

static char *base_add(struct ignore *ignore, const char *dir, size_t dir_len)
{
	char **more = realloc(ignore->bases, (ignore->n_bases + 1) * sizeof(*more));
	char *base = strndup(dir, dir_len);

	if (more)
		ignore->bases = more;
	if (!more || !base) {
		free(base);
		return NULL;
	}
	ignore->bases[ignore->n_bases++] = base;
	return base;
}

static int file_add(const char *dir, size_t dir_len, char *text, size_t len, void *userdata)
{
	struct ignore *ignore = userdata;
	char *base = base_add(ignore, dir, dir_len);
	const char *end = text + len;

	if (!base)
		return -ENOMEM;
	if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
		text += 3;
	while (text < end) {
		char *nl = memchr(text, '\n', (size_t)(end - text));
		size_t line_len = (size_t)((nl ? nl : end) - text);
		size_t trimmed = line_trim(text, line_len);
		int r = 0;

		if (trimmed > 0 && text[0] != '#')
			r = pattern_add(ignore, text, trimmed, base, dir_len);
		if (r < 0)
			return r;
		text += line_len + 1;
	}
	return 0;
}

static void ignore_freep(struct ignore **ignore)
{
	ignore_free(*ignore);
}

int ignore_load(struct repo *repo, const struct tree_list *list, struct ignore **ret,
		struct fault *f)
{
	_cleanup_(ignore_freep) struct ignore *ignore = calloc(1, sizeof(*ignore));
	int r;

	if (!ignore)
		return fault_oom(f);
	r = rulefile_of_store(repo, "info/exclude", file_add, ignore, f);
	if (r == 0 && list)
		r = rulefile_foreach(repo, list, ".gitignore", file_add, ignore, f);
	if (r < 0)
		return r;
	*ret = TAKE(ignore);
	return 0;
}

int ignore_from_lines(const char *const *lines, size_t n, struct ignore **ret)
{
	_cleanup_(ignore_freep) struct ignore *ignore = n > 0 ? calloc(1, sizeof(*ignore)) : NULL;

	if (n > 0 && !ignore)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		_cleanup_(freep) char *line = strdup(lines[i]);

		if (!line || file_add("", 0, line, strlen(line), ignore) < 0)
			return -ENOMEM;
	}
	*ret = TAKE(ignore);
	return 0;
}

/* the deepest file's last match wins; patterns of one file are neighbours, in their order */
bool ignore_match(const struct ignore *ignore, const char *path, size_t len, bool is_dir)
{
	const struct pattern *best = NULL;

	for (size_t i = ignore ? ignore->n : 0; i-- > 0;) {
		const struct pattern *p = &ignore->patterns[i];

		if (best && p->base_len <= best->base_len)
			continue;
		if (pattern_is_match(p, path, len, is_dir))
			best = p;
	}
	return best && !best->negative;
}

bool ignore_is_ignored(const struct ignore *ignore, const char *path, bool is_dir)
{
	char above[TREE_MAX_PATH + 1];
	size_t len = strlen(path);

	for (size_t i = 1; i < len && i < sizeof(above); i++) {
		if (path[i] != '/')
			continue;
		memcpy(above, path, i);
		above[i] = '\0';
		if (ignore_match(ignore, above, i, true))
			return true;
	}
	return ignore_match(ignore, path, len, is_dir);
}
