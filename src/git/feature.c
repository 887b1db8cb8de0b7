/* What a repository needs and slots cannot give yet. */
#include "git/feature.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "git/admin.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define FEATURES_MAX	 20
#define ATTRIBUTES_BYTES (1024 * 1024)

struct search {
	struct repo *repo;
	int (*fn)(const struct feature *feature, void *userdata);
	void *userdata;
	struct fault *f;
	unsigned n;
	bool has_gitmodules; /* says about submodules what gitlinks would say again */
	int stopped;	     /* what fn returned, negative */
};

static int tell(struct search *s, const char *what, const char *where, const char *detail)
{
	struct feature feature = { what, where, detail };

	if (s->n++ >= FEATURES_MAX)
		return 0;
	return s->fn(&feature, s->userdata);
}

/* what one attributes file asks for; each driver is told once a file */
struct asks {
	bool lfs;
	bool encoding;
	char filter[64]; /* the first other driver; empty: none */
};

static void read_attribute(struct asks *asks, const char *token, size_t len)
{
	static const char filter[] = "filter=", encoding[] = "working-tree-encoding=";

	if (len > strlen(encoding) && strncmp(token, encoding, strlen(encoding)) == 0)
		asks->encoding = true;
	if (len <= strlen(filter) || strncmp(token, filter, strlen(filter)) != 0)
		return;
	token += strlen(filter);
	len -= strlen(filter);
	if (len == 3 && strncmp(token, "lfs", 3) == 0)
		asks->lfs = true;
	else if (!asks->filter[0] && len < sizeof(asks->filter))
		memcpy(asks->filter, token, len);
}

/* a pattern, quoted if it holds blanks, then attributes */
static const char *skip_pattern(const char *line)
{
	if (*line != '"')
		return line + strcspn(line, " \t\r");
	for (line++; *line && *line != '"'; line++)
		if (*line == '\\' && line[1])
			line++;
	return *line ? line + 1 : line;
}

static void read_line(struct asks *asks, const char *line)
{
	line += strspn(line, " \t");
	if (*line == '#' || *line == '\0')
		return;
	line = skip_pattern(line);
	while (*(line += strspn(line, " \t\r"))) {
		size_t len = strcspn(line, " \t\r");

		read_attribute(asks, line, len);
		line += len;
	}
}

static int read_attributes(struct search *s, char *text, const char *where)
{
	_cleanup_(freep) char *detail = NULL;
	struct asks asks = { 0 };
	char *save = NULL;
	int r = 0;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		read_line(&asks, line);
	if (asks.lfs)
		r = tell(s, "lfs", where,
			 "Git LFS files stay pointers in slots; run git lfs pull there");
	if (r == 0 && asks.encoding)
		r = tell(s, "working-tree-encoding", where,
			 "working-tree-encoding is ignored: such files stay UTF-8 in slots");
	if (r < 0 || !asks.filter[0])
		return r;
	detail = text_printf("the filter driver %s is not run: its files stay as they are stored",
			     asks.filter);
	return detail ? tell(s, "filter", where, detail) : fault_oom(s->f);
}

static int look_at_attributes(struct search *s, const git_oid *id, const char *where)
{
	_cleanup_(freep) char *text = NULL;
	git_blob *blob = NULL;
	git_object_size_t size;

	if (git_blob_lookup(&blob, repo_git(s->repo), id) < 0)
		return fault(s->f, -EUCLEAN, "the content of %s is missing or damaged", where);
	size = git_blob_rawsize(blob);
	/* git ignores larger ones too */
	if (size <= ATTRIBUTES_BYTES)
		text = strndup(git_blob_rawcontent(blob), (size_t)size);
	git_blob_free(blob);
	if (size > ATTRIBUTES_BYTES)
		return 0;
	return text ? read_attributes(s, text, where) : fault_oom(s->f);
}

static int look_at_entry(const char *root, const git_tree_entry *entry, void *payload)
{
	const char *name = git_tree_entry_name(entry);
	git_filemode_t mode = git_tree_entry_filemode(entry);
	bool attributes = strcmp(name, ".gitattributes") == 0;
	_cleanup_(freep) char *path = NULL;
	struct search *s = payload;
	int r = 0;

	if (!attributes && mode != GIT_FILEMODE_COMMIT)
		return 0;
	path = text_printf("%s%s", root, name);
	if (!path)
		r = fault_oom(s->f);
	else if (mode == GIT_FILEMODE_COMMIT && !s->has_gitmodules)
		r = tell(s, "submodules", path, "a submodule stays an empty directory in slots");
	else if (attributes && (mode == GIT_FILEMODE_BLOB || mode == GIT_FILEMODE_BLOB_EXECUTABLE))
		r = look_at_attributes(s, git_tree_entry_id(entry), path);
	s->stopped = r;
	return r;
}

static int look_at_tree(struct search *s, git_tree *tree)
{
	int r = 0, rc;

	s->has_gitmodules = git_tree_entry_byname(tree, ".gitmodules") != NULL;
	if (s->has_gitmodules)
		r = tell(s, "submodules", ".gitmodules",
			 "submodules stay empty directories in slots; after git submodule update "
			 "--init a slot is given back with --discard only");
	if (r < 0)
		return r;
	rc = git_tree_walk(tree, GIT_TREEWALK_PRE, look_at_entry, s);
	if (s->stopped < 0)
		return s->stopped;
	return rc < 0 ? fault(s->f, -EUCLEAN, "a tree of the commit is missing or damaged") : 0;
}

static int look_at_commit(struct search *s, const git_oid *id)
{
	git_commit *commit = NULL;
	git_tree *tree = NULL;
	int r;

	if (git_commit_lookup(&commit, repo_git(s->repo), id) < 0)
		return fault(s->f, -EUCLEAN, "the commit %s is missing or damaged",
			     git_oid_tostr_s(id));
	if (git_commit_tree(&tree, commit) < 0)
		r = fault(s->f, -EUCLEAN, "the tree of commit %s is missing or damaged",
			  git_oid_tostr_s(id));
	else
		r = look_at_tree(s, tree);
	git_tree_free(tree);
	git_commit_free(commit);
	return r;
}

static int find_promisor(int dirfd, const char *name, void *userdata)
{
	bool *found = userdata;

	*found |= text_has_suffix(name, ".promisor");
	return 0;
}

/* partial clones: the setting, or a pack that says so */
static int look_at_store(struct search *s)
{
	_cleanup_(closep) int fd = open(repo_common_dir(s->repo),
					O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(freep) char *text = NULL;
	git_config *config = NULL;
	const char *value = NULL, *where = NULL;
	bool promisor = false;
	int r = 0;

	if (fd < 0)
		return fault_errno(s->f, -errno, "cannot open %s", repo_common_dir(s->repo));
	if (git_repository_config_snapshot(&config, repo_git(s->repo)) == 0 &&
	    git_config_get_string(&value, config, "extensions.partialclone") == 0)
		where = "extensions.partialClone";
	git_config_free(config);
	if (!where)
		r = admin_foreach_at(fd, "objects/pack", find_promisor, &promisor, s->f);
	if (promisor)
		where = "objects/pack/*.promisor";
	if (r == 0 && where)
		r = tell(s, "partial-clone", where,
			 "objects that were not fetched are not fetched for slots either");
	if (r == 0 && fs_read_file_at(fd, "info/attributes", ATTRIBUTES_BYTES, &text, NULL) == 0)
		r = read_attributes(s, text, "info/attributes");
	return r;
}

int feature_find(struct repo *repo, const git_oid *commit,
		  int (*fn)(const struct feature *feature, void *userdata), void *userdata,
		  struct fault *f)
{
	struct search s = { .repo = repo, .fn = fn, .userdata = userdata, .f = f };
	int r = look_at_store(&s);

	return r == 0 && commit ? look_at_commit(&s, commit) : r;
}
