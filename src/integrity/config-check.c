/* What the configuration says of the repository itself; the rest is its owner's. */
#include "integrity/refs-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "integrity/config-scan.h"
#include "util/cleanup.h"
#include "util/text.h"

#define CONFIG_BYTES (1 << 20)
#define NAME_BYTES   64

/* that change nothing for what is checked, or are taken care of */
static const char *const known[] = { "noop",	     "noop-v1",		"preciousobjects",
				     "partialclone", "worktreeconfig", "relativeworktrees" };

enum kind {
	KIND_BOOLEAN,
	KIND_NUMBER,
};

/* of the section core: what git 2.39 reads whenever it starts, and dies of when it is something else */
static const struct setting {
	const char *key;
	enum kind kind;
	const char *word; /* that it may be as well */
} settings[] = {
	{ "autocrlf", KIND_BOOLEAN, "input" },
	{ "bare", KIND_BOOLEAN },
	{ "bigfilethreshold", KIND_NUMBER },
	{ "commitgraph", KIND_BOOLEAN },
	{ "compression", KIND_NUMBER },
	{ "deltabasecachelimit", KIND_NUMBER },
	{ "filemode", KIND_BOOLEAN },
	{ "fsyncobjectfiles", KIND_BOOLEAN },
	{ "ignorecase", KIND_BOOLEAN },
	{ "ignorestat", KIND_BOOLEAN },
	{ "logallrefupdates", KIND_BOOLEAN, "always" },
	{ "loosecompression", KIND_NUMBER },
	{ "multipackindex", KIND_BOOLEAN },
	{ "packedgitlimit", KIND_NUMBER },
	{ "packedgitwindowsize", KIND_NUMBER },
	{ "precomposeunicode", KIND_BOOLEAN },
	{ "prefersymlinkrefs", KIND_BOOLEAN },
	{ "preloadindex", KIND_BOOLEAN },
	{ "protecthfs", KIND_BOOLEAN },
	{ "protectntfs", KIND_BOOLEAN },
	{ "quotepath", KIND_BOOLEAN },
	{ "safecrlf", KIND_BOOLEAN, "warn" },
	{ "sparsecheckout", KIND_BOOLEAN },
	{ "sparsecheckoutcone", KIND_BOOLEAN },
	{ "symlinks", KIND_BOOLEAN },
	{ "trustctime", KIND_BOOLEAN },
	{ "usereplacerefs", KIND_BOOLEAN },
	{ "warnambiguousrefs", KIND_BOOLEAN },
};

struct reading {
	const struct check_dir *dir;
	const char *path;
	struct store_format *format;
	long version;		 /* core.repositoryformatversion */
	char hash[NAME_BYTES];	 /* extensions.objectformat; "": not said */
	char refs[NAME_BYTES];	 /* extensions.refstorage */
	char other[NAME_BYTES];	 /* the first that is not known */
	char newer[NAME_BYTES];	 /* one that must not be in a repository of version 0 */
};

static void keep(char *ret, const char *value)
{
	strncpy(ret, value ? value : "", NAME_BYTES - 1);
}

/* of a number: nothing, or a unit */
static bool is_unit(const char *end)
{
	return *end == '\0' || (strchr("kKmMgG", *end) && !end[1]);
}

/* as git: a word, or a number */
static bool boolean_parse(const char *value, bool *ret)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on" };
	char *end;

	*ret = true;
	if (!value)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcasecmp(value, words[i]) == 0) {
			*ret = i % 2;
			return true;
		}
	}
	*ret = strtol(value, &end, 0) != 0;
	return *end == '\0' || (end != value && is_unit(end));
}

static bool is_number(const char *value)
{
	char *end;

	if (!value || !*value)
		return false;
	strtol(value, &end, 0);
	return end != value && is_unit(end);
}

static int tell_value(struct reading *reading, const struct config_entry *e, const char *what)
{
	return check_dir_tell(reading->dir, "bad-config", reading->path, e->line, "%s.%s is no %s",
			      e->section, e->key, what);
}

static int check_setting(struct reading *reading, const struct config_entry *e, const struct setting *setting)
{
	bool is_on;

	if (setting->word && e->value && strcasecmp(e->value, setting->word) == 0)
		return 0;
	if (setting->kind == KIND_BOOLEAN)
		return boolean_parse(e->value, &is_on) ? 0 : tell_value(reading, e, "boolean");
	return is_number(e->value) ? 0 : tell_value(reading, e, "number");
}

static int take_core(struct reading *reading, const struct config_entry *e)
{
	char *end;

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (strcmp(e->key, settings[i].key) == 0)
			return check_setting(reading, e, &settings[i]);
	if (strcmp(e->key, "repositoryformatversion") != 0)
		return 0;
	if (!e->value || !*e->value)
		return tell_value(reading, e, "number");
	reading->version = strtol(e->value, &end, 0);
	return *end ? tell_value(reading, e, "number") : 0;
}

static bool is_known(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(key, known[i]) == 0)
			return true;
	return false;
}

static int take_extension(struct reading *reading, const struct config_entry *e)
{
	if (strcmp(e->key, "objectformat") == 0 || strcmp(e->key, "noop-v1") == 0)
		keep(reading->newer, e->key);
	if (strcmp(e->key, "objectformat") == 0)
		keep(reading->hash, e->value);
	else if (strcmp(e->key, "refstorage") == 0)
		keep(reading->refs, e->value);
	else if (!is_known(e->key) && !reading->other[0])
		keep(reading->other, e->key);
	else if (strcmp(e->key, "worktreeconfig") == 0 &&
		 !boolean_parse(e->value, &reading->format->has_worktree_config))
		return tell_value(reading, e, "boolean");
	return 0;
}

static int on_entry(const struct config_entry *e, void *userdata)
{
	struct reading *reading = userdata;

	if (!config_entry_is_proper(e))
		return check_dir_tell_as(reading->dir, "bad-config", FINDING_WARNING, reading->path, e->line,
					 "git complains of the line each time");
	if (!e->section || e->subsection)
		return 0;
	if (strcmp(e->section, "core") == 0)
		return take_core(userdata, e);
	return strcmp(e->section, "extensions") == 0 ? take_extension(userdata, e) : 0;
}

/* @extension: NULL: it is the version itself */
static int tell_format(const struct reading *reading, const char *extension, const char *value)
{
	if (!extension)
		return check_dir_tell(reading->dir, "unsupported-format", reading->path, 0,
				      "the repository has format version %ld", reading->version);
	return check_dir_tell(reading->dir, "unsupported-format", reading->path, 0,
			      "the repository has extensions.%s%s%s", extension, *value ? " = " : "",
			      value);
}

static int tell_newer(const struct reading *reading)
{
	return check_dir_tell(reading->dir, "unsupported-format", reading->path, 0,
			      "the repository has extensions.%s and format version 0, which git refuses",
			      reading->newer);
}

/* of version 0 git looks at the extensions that were there before version 1, and refuses two */
static int judge(struct reading *reading)
{
	int r = 0;

	if (reading->version < 0 || reading->version > 1)
		return tell_format(reading, NULL, NULL);
	if (reading->version == 0)
		return reading->newer[0] ? tell_newer(reading) : 0;
	reading->format->is_sha1 = !reading->hash[0] || strcmp(reading->hash, "sha1") == 0;
	reading->format->has_ref_files = !reading->refs[0] || strcmp(reading->refs, "files") == 0;
	if (!reading->format->is_sha1)
		r = tell_format(reading, "objectFormat", reading->hash);
	if (r == 0 && !reading->format->has_ref_files)
		r = tell_format(reading, "refStorage", reading->refs);
	if (r == 0 && reading->other[0])
		r = tell_format(reading, reading->other, "");
	return r;
}

int config_check(const struct check_dir *dir, const char *path, struct store_format *ret)
{
	struct reading reading = { .dir = dir, .path = path, .format = ret };
	_cleanup_(freep) char *data = NULL;
	size_t len = 0, line = 0;
	int r = file_load(dir->fd, path, CONFIG_BYTES, &data, &len);

	if (r == -ENOENT || r == -EISDIR)
		return 0;
	if (r == -ELOOP) /* a link is the operator's; nothing is read through it */
		return check_dir_tell_as(dir, "unreadable-file", FINDING_INFO, path, 0,
					 "it is a link, so what it says is not checked");
	if (r < 0)
		return check_dir_tell_unreadable(dir, path, r);
	r = config_scan(data, len, on_entry, &reading, &line);
	if (r == -EBADMSG)
		r = check_dir_tell(dir, "bad-config", path, line, "git cannot read the line, and refuses the repository");
	return r < 0 ? r : judge(&reading);
}
