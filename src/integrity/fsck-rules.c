/* What is an error for git is one here, unless the repository's owner thinks otherwise. */
#include "integrity/fsck-rules.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "git/oid-set.h"
#include "integrity/config-scan.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define CONFIG_BYTES (16 << 20)
#define SKIP_LIST_BYTES (64 << 20)

/* as it is kept here: what a severity says, or that nothing is told */
enum gravity {
	INFO = FINDING_INFO,
	WARNING = FINDING_WARNING,
	ERROR = FINDING_ERROR,
	IGNORED,
};

static const struct {
	const char *name;
	enum gravity gravity;
	bool is_fatal;	/* no setting makes it less */
	bool is_silent; /* git has it, but always says something else before it comes to this */
} ids[FSCK_IDS] = {
	[FSCK_BAD_DATE] = { "badDate", ERROR },
	[FSCK_BAD_DATE_OVERFLOW] = { "badDateOverflow", ERROR },
	[FSCK_BAD_EMAIL] = { "badEmail", ERROR },
	[FSCK_BAD_FILEMODE] = { "badFilemode", INFO },
	[FSCK_BAD_NAME] = { "badName", ERROR },
	[FSCK_BAD_OBJECT_SHA1] = { "badObjectSha1", ERROR },
	[FSCK_BAD_PARENT_SHA1] = { "badParentSha1", ERROR },
	[FSCK_BAD_TAG_NAME] = { "badTagName", INFO },
	[FSCK_BAD_TIMEZONE] = { "badTimezone", ERROR },
	[FSCK_BAD_TREE] = { "badTree", ERROR },
	[FSCK_BAD_TREE_SHA1] = { "badTreeSha1", ERROR },
	[FSCK_BAD_TYPE] = { "badType", ERROR },
	[FSCK_DUPLICATE_ENTRIES] = { "duplicateEntries", ERROR },
	[FSCK_EMPTY_NAME] = { "emptyName", WARNING, .is_silent = true },
	[FSCK_EXTRA_HEADER_ENTRY] = { "extraHeaderEntry", IGNORED },
	[FSCK_FULL_PATHNAME] = { "fullPathname", WARNING },
	[FSCK_GITATTRIBUTES_BLOB] = { "gitattributesBlob", ERROR },
	[FSCK_GITATTRIBUTES_LARGE] = { "gitattributesLarge", ERROR },
	[FSCK_GITATTRIBUTES_LINE_LENGTH] = { "gitattributesLineLength", ERROR },
	[FSCK_GITATTRIBUTES_MISSING] = { "gitattributesMissing", ERROR },
	[FSCK_GITATTRIBUTES_SYMLINK] = { "gitattributesSymlink", INFO },
	[FSCK_GITIGNORE_SYMLINK] = { "gitignoreSymlink", INFO },
	[FSCK_GITMODULES_BLOB] = { "gitmodulesBlob", ERROR },
	[FSCK_GITMODULES_LARGE] = { "gitmodulesLarge", ERROR },
	[FSCK_GITMODULES_MISSING] = { "gitmodulesMissing", ERROR },
	[FSCK_GITMODULES_NAME] = { "gitmodulesName", ERROR },
	[FSCK_GITMODULES_PARSE] = { "gitmodulesParse", INFO },
	[FSCK_GITMODULES_PATH] = { "gitmodulesPath", ERROR },
	[FSCK_GITMODULES_SYMLINK] = { "gitmodulesSymlink", ERROR },
	[FSCK_GITMODULES_UPDATE] = { "gitmodulesUpdate", ERROR },
	[FSCK_GITMODULES_URL] = { "gitmodulesUrl", ERROR },
	[FSCK_HAS_DOT] = { "hasDot", WARNING },
	[FSCK_HAS_DOTDOT] = { "hasDotdot", WARNING },
	[FSCK_HAS_DOTGIT] = { "hasDotgit", WARNING },
	[FSCK_MAILMAP_SYMLINK] = { "mailmapSymlink", INFO },
	[FSCK_MISSING_AUTHOR] = { "missingAuthor", ERROR },
	[FSCK_MISSING_COMMITTER] = { "missingCommitter", ERROR },
	[FSCK_MISSING_EMAIL] = { "missingEmail", ERROR },
	[FSCK_MISSING_NAME_BEFORE_EMAIL] = { "missingNameBeforeEmail", ERROR },
	[FSCK_MISSING_OBJECT] = { "missingObject", ERROR },
	[FSCK_MISSING_SPACE_BEFORE_DATE] = { "missingSpaceBeforeDate", ERROR },
	[FSCK_MISSING_SPACE_BEFORE_EMAIL] = { "missingSpaceBeforeEmail", ERROR },
	[FSCK_MISSING_TAG] = { "missingTag", ERROR, .is_silent = true },
	[FSCK_MISSING_TAG_ENTRY] = { "missingTagEntry", ERROR },
	[FSCK_MISSING_TAGGER_ENTRY] = { "missingTaggerEntry", INFO },
	[FSCK_MISSING_TREE] = { "missingTree", ERROR },
	[FSCK_MISSING_TYPE] = { "missingType", ERROR, .is_silent = true },
	[FSCK_MISSING_TYPE_ENTRY] = { "missingTypeEntry", ERROR },
	[FSCK_MULTIPLE_AUTHORS] = { "multipleAuthors", ERROR },
	[FSCK_NUL_IN_COMMIT] = { "nulInCommit", WARNING },
	[FSCK_NUL_IN_HEADER] = { "nulInHeader", ERROR, .is_fatal = true },
	[FSCK_NULL_SHA1] = { "nullSha1", WARNING },
	[FSCK_TREE_NOT_SORTED] = { "treeNotSorted", ERROR },
	[FSCK_UNKNOWN_TYPE] = { "unknownType", ERROR, .is_silent = true },
	[FSCK_UNTERMINATED_HEADER] = { "unterminatedHeader", ERROR, .is_fatal = true },
	[FSCK_ZERO_PADDED_DATE] = { "zeroPaddedDate", ERROR },
	[FSCK_ZERO_PADDED_FILEMODE] = { "zeroPaddedFilemode", WARNING },
};

struct fsck_rules {
	unsigned char gravity[FSCK_IDS];
	struct oid_set skipped;
};

uint64_t fsck_rules_digest(const struct fsck_rules *rules)
{
	uint64_t digest = oid_set_digest(&rules->skipped);

	for (size_t i = 0; i < FSCK_IDS; i++)
		digest = digest * 31 + rules->gravity[i];
	return digest;
}

const char *fsck_id_name(enum fsck_id id)
{
	return ids[id].name;
}

const char *fsck_id_at(size_t i, enum finding_severity *ret_severity)
{
	for (size_t id = 0; id < FSCK_IDS; id++) {
		if (ids[id].is_silent || ids[id].gravity == IGNORED || i-- > 0)
			continue;
		*ret_severity = (enum finding_severity)ids[id].gravity;
		return ids[id].name;
	}
	return NULL;
}

bool fsck_rules_severity(const struct fsck_rules *rules, enum fsck_id id, enum finding_severity *ret)
{
	unsigned gravity = rules ? rules->gravity[id] : ids[id].gravity;

	if (gravity == IGNORED)
		return false;
	*ret = (enum finding_severity)gravity;
	return true;
}

bool fsck_rules_is_skipped(const struct fsck_rules *rules, const git_oid *oid)
{
	return rules && oid_set_has(&rules->skipped, oid);
}

void fsck_rules_free(struct fsck_rules *rules)
{
	if (!rules)
		return;
	oid_set_deinit(&rules->skipped);
	free(rules);
}

/* one run over the settings of a store */
struct load {
	struct fsck_rules *rules;
	struct findings *all;
	struct text skip_lists; /* of paths, each with its NUL */
	size_t *lines;		/* where they are set */
	size_t n_skip_lists;
	bool is_bare;
};

__attribute__((format(printf, 3, 4))) static int complain(struct load *l, size_t line, const char *fmt, ...)
{
	_cleanup_(freep) char *where = text_printf("config:%zu", line), *detail = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&detail, fmt, ap);
	va_end(ap);
	if (!where || n < 0)
		return -ENOMEM;
	return finding_add(l->all, "bad-config", &(struct finding_place){ .where = where }, "%s", detail);
}

static size_t id_find(const char *key)
{
	size_t id = 0;

	while (id < FSCK_IDS && strcasecmp(ids[id].name, key) != 0)
		id++;
	return id;
}

static int gravity_from_string(const char *s)
{
	static const char *const words[] = {
		[WARNING] = "warn", [ERROR] = "error", [IGNORED] = "ignore"
	};

	for (int i = WARNING; i <= IGNORED; i++)
		if (s && strcmp(words[i], s) == 0)
			return i;
	return -EINVAL;
}

static int note_severity(struct load *l, const struct config_entry *e)
{
	int gravity = gravity_from_string(e->value);
	size_t id = id_find(e->key);

	if (id == FSCK_IDS)
		return complain(l, e->line, "git has no message \"%s\" for fsck.%s", e->key, e->key);
	if (gravity < 0)
		return complain(l, e->line, "fsck.%s is neither \"error\" nor \"warn\" nor \"ignore\"", e->key);
	if (ids[id].is_fatal && gravity != ERROR)
		return complain(l, e->line, "fsck.%s can be nothing but an error", e->key);
	l->rules->gravity[id] = (unsigned char)gravity;
	return 0;
}

static int note_skip_list(struct load *l, const struct config_entry *e)
{
	size_t *lines;

	if (!e->value || !*e->value)
		return complain(l, e->line, "fsck.skipList names no file");
	lines = reallocarray(l->lines, l->n_skip_lists + 1, sizeof(*lines));
	if (!lines)
		return -ENOMEM;
	l->lines = lines;
	l->lines[l->n_skip_lists++] = e->line;
	text_add(&l->skip_lists, e->value, strlen(e->value) + 1);
	return l->skip_lists.failed ? -ENOMEM : 0;
}

static int note(const struct config_entry *e, void *userdata)
{
	struct load *l = userdata;

	if (!e->section || e->subsection)
		return 0;
	if (strcmp(e->section, "core") == 0 && strcmp(e->key, "bare") == 0)
		l->is_bare = !(e->value && strcasecmp(e->value, "false") == 0);
	if (strcmp(e->section, "fsck") != 0)
		return 0;
	return strcmp(e->key, "skiplist") == 0 ? note_skip_list(l, e) : note_severity(l, e);
}

/* spaces at both ends are cut, and what comes behind a '#' */
static int add_skipped(struct load *l, size_t config_line, const char *name, size_t line, char *text)
{
	char *end;
	git_oid oid;

	text[strcspn(text, "#")] = '\0';
	text += strspn(text, " \t\r\v\f");
	end = text + strlen(text);
	while (end > text && strchr(" \t\r\v\f", end[-1]))
		*--end = '\0';
	if (end == text)
		return 0;
	if (end - text != GIT_OID_HEXSZ || git_oid_fromstr(&oid, text) < 0)
		return complain(l, config_line, "line %zu of fsck.skipList \"%s\" is no object's name", line, name);
	return oid_set_add(&l->rules->skipped, &oid, 0) < 0 ? -ENOMEM : 0;
}

static int add_lines(struct load *l, size_t config_line, const char *name, char *text)
{
	size_t line = 0;
	int r = 0;

	while (text && r == 0)
		r = add_skipped(l, config_line, name, ++line, strsep(&text, "\n"));
	return r;
}

/* what is not absolute is below the worktree, where git starts from, or in a bare repository */
static int read_skip_list(int common_fd, const struct load *l, const char *path, char **ret)
{
	_cleanup_(closep) int base = -1;
	const char *home = getenv("HOME");
	_cleanup_(freep) char *whole = NULL;

	if (text_has_prefix(path, "~/") && home) {
		whole = text_printf("%s%s", home, path + 1);
		return whole ? fs_read_file_at(AT_FDCWD, whole, SKIP_LIST_BYTES, ret, NULL) : -ENOMEM;
	}
	base = openat(common_fd, l->is_bare ? "." : "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (base < 0)
		return -errno;
	return fs_read_file_at(base, path, SKIP_LIST_BYTES, ret, NULL);
}

static int load_skip_list(int common_fd, struct load *l, size_t line, const char *path)
{
	_cleanup_(freep) char *text = NULL;
	int r = read_skip_list(common_fd, l, path, &text);

	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return complain(l, line, "fsck.skipList \"%s\" cannot be read: %s", path, strerror(-r));
	return add_lines(l, line, path, text);
}

static int load_skip_lists(int common_fd, struct load *l)
{
	const char *path = l->skip_lists.data;
	int r = 0;

	for (size_t i = 0; i < l->n_skip_lists && r == 0; i++) {
		r = load_skip_list(common_fd, l, l->lines[i], path);
		path += strlen(path) + 1;
	}
	return r;
}

/* a file that is not there, or cannot be read at all, is told by who checks it for its own sake */
static int load(int common_fd, struct load *l)
{
	_cleanup_(freep) char *config = NULL;
	size_t len;
	int r = fs_read_file_at(common_fd, "config", CONFIG_BYTES, &config, &len);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	r = config_scan(config, len, note, l, NULL);
	if (r < 0 && r != -EBADMSG)
		return r;
	return load_skip_lists(common_fd, l);
}

int fsck_rules_load(int common_fd, struct findings *all, struct fsck_rules **ret, struct fault *f)
{
	struct load l = { .all = all, .is_bare = true };
	int r = -ENOMEM;

	l.rules = calloc(1, sizeof(*l.rules));
	if (l.rules) {
		for (size_t id = 0; id < FSCK_IDS; id++)
			l.rules->gravity[id] = (unsigned char)ids[id].gravity;
		r = load(common_fd, &l);
	}
	text_deinit(&l.skip_lists);
	free(l.lines);
	if (r < 0) {
		fsck_rules_free(l.rules);
		return fault_oom(f);
	}
	*ret = l.rules;
	return 0;
}
