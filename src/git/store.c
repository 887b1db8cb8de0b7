/* Stores: found, made, made ready. */
#include "git/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/store-private.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/text.h"

static bool exists(const char *dir, const char *name)
{
	_cleanup_(freep) char *path = text_printf("%s/%s", dir, name);

	return path && access(path, F_OK) == 0;
}

/* "a" seen from directory "b" */
static char *join(const char *dir, const char *path)
{
	return path[0] == '/' ? strdup(path) : text_printf("%s/%s", dir, path);
}

/* a git directory's common directory: itself, but for those of linked worktrees */
static int find_common(const char *git_dir, char **ret, struct fault *f)
{
	_cleanup_(closep) int fd = open(git_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(freep) char *to = NULL;
	_cleanup_(freep) char *joined = NULL;
	int r;

	if (fd < 0)
		return fault_errno(f, -errno, "cannot open %s", git_dir);
	r = admin_read_at(fd, "commondir", &to, f);
	if (r < 0 && r != -ENOENT)
		return r;
	joined = r == 0 ? join(git_dir, to) : strdup(git_dir);
	if (!joined)
		return fault_oom(f);
	*ret = realpath(joined, NULL);
	return *ret ? 0 : fault_errno(f, -errno, "cannot find %s", joined);
}

/* what the ".git" file in a worktree's root points to */
static int follow_gitfile(const char *path, char **ret, struct fault *f)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) char *git_dir = NULL;
	int r;

	if (fd < 0)
		return fault_errno(f, -errno, "cannot open %s", path);
	r = admin_read_at(fd, ".git", &text, f);
	if (r < 0)
		return r;
	if (!text_has_prefix(text, "gitdir: "))
		return fault(f, -EUCLEAN, "%s/.git says nothing about a git directory", path);
	git_dir = join(path, text + strlen("gitdir: "));
	return git_dir ? find_common(git_dir, ret, f) : fault_oom(f);
}

static bool is_git_dir(const char *path)
{
	return exists(path, "HEAD") && (exists(path, "objects") || exists(path, "commondir"));
}

int store_find(const char *path, char **ret, struct fault *f)
{
	_cleanup_(freep) char *dot_git = text_printf("%s/.git", path);
	struct stat st;

	if (!dot_git)
		return fault_oom(f);
	if (stat(path, &st) < 0)
		return fault_errno(f, -errno, "cannot look at %s", path);
	if (stat(dot_git, &st) == 0 && S_ISREG(st.st_mode))
		return follow_gitfile(path, ret, f);
	if (is_git_dir(dot_git))
		return find_common(dot_git, ret, f);
	if (is_git_dir(path))
		return find_common(path, ret, f);
	return fault(f, -ENOENT, "%s is not a git repository (neither a worktree nor a git directory)",
		     path);
}

static int remove_entry(int dirfd, const char *name, void *userdata)
{
	return fs_remove_tree_at(dirfd, name, userdata);
}

static int empty_directory(const char *path, struct fault *f)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return fault_errno(f, -errno, "cannot open the store's directory %s", path);
	return admin_foreach_at(fd, ".", remove_entry, f, f);
}

/* all that will ever be written to the shared configuration */
static int configure(git_repository *git, const char *url, struct fault *f)
{
	const char *settings[][2] = {
		{ "gc.auto", "0" },
		{ "push.default", "current" },
		{ "transfer.hideRefs", "refs/slotd" },
		{ "core.lockfilePid", "true" },
		{ "remote.origin.url", url },
		{ "remote.origin.fetch", STORE_REFSPEC },
	};
	git_config *config = NULL;
	int rc = git_repository_config(&config, git);

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(settings); i++)
		rc = git_config_set_string(config, settings[i][0], settings[i][1]);
	git_config_free(config);
	return rc < 0 ? git_fault(f, rc, "cannot write the store's configuration") : 0;
}

static int init_bare(const char *path, const char *url, struct fault *f)
{
	git_repository_init_options opts = GIT_REPOSITORY_INIT_OPTIONS_INIT;
	git_repository *git = NULL;
	int r, rc;

	opts.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_NO_REINIT;
	opts.initial_head = "main";
	rc = git_repository_init_ext(&git, path, &opts);
	if (rc < 0)
		return git_fault(f, rc, "cannot make the store %s", path);
	r = configure(git, url, f);
	git_repository_free(git);
	CRASH_POINT("store.clone.init");
	return r;
}

/* the bare HEAD names origin's default branch, which here is nobody's until an agent makes it */
static int set_bare_head(struct repo *repo, struct fault *f)
{
	_cleanup_(closep) int fd = open(repo_common_dir(repo), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(freep) char *text = NULL;
	git_reference *ref = NULL;
	const char *name = STORE_REMOTES "main";
	int r;

	if (fd < 0)
		return fault_errno(f, -errno, "cannot open %s", repo_common_dir(repo));
	if (git_reference_lookup(&ref, repo_git(repo), STORE_ORIGIN_HEAD) == 0 &&
	    git_reference_symbolic_target(ref))
		name = git_reference_symbolic_target(ref);
	if (text_has_prefix(name, STORE_REMOTES))
		name += strlen(STORE_REMOTES);
	text = text_printf("ref: refs/heads/%s\n", name);
	r = text ? admin_write_at(fd, "HEAD", text, f) : fault_oom(f);
	git_reference_free(ref);
	return r < 0 ? r : admin_sync(fd, f);
}

static int fill(const char *path, const struct store_remote *remote, struct fault *f)
{
	struct repo *repo = NULL;
	int r = repo_open(path, &repo, f);

	if (r == 0)
		r = store_ready(repo, f);
	if (r == 0)
		r = store_fetch(repo, remote, f);
	CRASH_POINT("store.clone.fetched");
	if (r == 0)
		r = set_bare_head(repo, f);
	repo_close(repo);
	return r;
}

int store_clone(const char *path, const struct store_remote *remote, struct fault *f)
{
	int r = empty_directory(path, f);

	CRASH_POINT("store.clone.emptied");
	if (r == 0)
		r = init_bare(path, remote->url, f);
	if (r == 0)
		r = fill(path, remote, f);
	return r;
}

int store_ready(struct repo *repo, struct fault *f)
{
	static const char *const names[] = { "worktrees", "slotd" };
	_cleanup_(closep) int fd = open(repo_common_dir(repo), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fault_errno(f, -errno, "cannot open %s", repo_common_dir(repo));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int dir = admin_open_dir_at(fd, names[i], f);

		if (dir < 0)
			return dir;
		close(dir);
	}
	return admin_sync(fd, f);
}

int store_origin_url(struct repo *repo, char **ret, struct fault *f)
{
	git_config *config = NULL;
	const char *url = NULL;
	int rc = git_repository_config_snapshot(&config, repo_git(repo));

	if (rc == 0)
		rc = git_config_get_string(&url, config, "remote.origin.url");
	if (rc == 0)
		*ret = strdup(url);
	git_config_free(config);
	if (rc < 0)
		return fault(f, -ENOENT, "%s has no remote \"origin\" to fetch from",
			     repo_common_dir(repo));
	return *ret ? 0 : fault_oom(f);
}

bool store_is_bare(struct repo *repo)
{
	git_config *config = NULL;
	int bare = 0, rc;

	rc = git_repository_config_snapshot(&config, repo_git(repo));
	if (rc == 0)
		rc = git_config_get_bool(&bare, config, "core.bare");
	git_config_free(config);
	/* as git guesses */
	if (rc < 0)
		return !text_has_suffix(repo_common_dir(repo), "/.git");
	return bare;
}
