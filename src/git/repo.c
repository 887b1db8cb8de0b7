/* The border to libgit2: what comes in is vetted, what comes out is a fault. */
#include "git/repo.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <git2/sys/repository.h>

#include "git/odb.h"
#include "git/vet.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/text.h"

struct repo {
	git_repository *git;
	git_odb *odb;
	char *common_dir;
};

/* extensions that change nothing for us: git may have set them, or an agent's newer git */
static const char *const extensions[] = {
	"worktreeconfig",
	"relativeworktrees",
	"preciousobjects",
	"partialclone",
};

static bool no_outside_config(void)
{
	static const int levels[] = { GIT_CONFIG_LEVEL_PROGRAMDATA, GIT_CONFIG_LEVEL_SYSTEM,
				      GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL };

	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], "") < 0)
			return false;
	return true;
}

/*
 * Hashes are verified by odb.c, with libcrypto; libgit2's collision-detecting hash would take
 * three quarters of the time of every read. Windows are small, so that a worker's address space
 * can be limited; blobs are not cached, trees and commits are, a little.
 */
static bool set_options(void)
{
	return git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0) == 0 &&
	       git_libgit2_opts(GIT_OPT_SET_EXTENSIONS, extensions, ARRAY_SIZE(extensions)) == 0 &&
	       git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 0) == 0 &&
	       git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1) == 0 &&
	       git_libgit2_opts(GIT_OPT_SET_MWINDOW_SIZE, (size_t)64 << 20) == 0 &&
	       git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, (size_t)1 << 30) == 0 &&
	       git_libgit2_opts(GIT_OPT_SET_MWINDOW_FILE_LIMIT, (size_t)128) == 0 &&
	       git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, (ssize_t)32 << 20) == 0;
}

/* as other programs do: libgit2 itself knows only the places that it was built with */
static void trust_what_the_environment_says(void)
{
	const char *file = getenv("SSL_CERT_FILE"), *dir = getenv("SSL_CERT_DIR");

	if ((file || dir) && git_libgit2_opts(GIT_OPT_SET_SSL_CERT_LOCATIONS, file, dir) < 0)
		log_warning("certificates cannot be read from SSL_CERT_FILE or SSL_CERT_DIR: %s",
			    git_error_last() ? git_error_last()->message : "");
}

int repo_global_init(struct fault *f)
{
	int rc = git_libgit2_init();

	if (rc < 0)
		return git_fault(f, rc, "libgit2 does not start");
	if (!no_outside_config() || !set_options())
		return git_fault(f, GIT_ERROR, "libgit2 refuses an option");
	trust_what_the_environment_says();
	return 0;
}

static int code_from_class(const git_error *e)
{
	if (strstr(e->message, "No space left") || strstr(e->message, "quota exceeded"))
		return -ENOSPC;
	switch (e->klass) {
	case GIT_ERROR_NOMEMORY:
		return -ENOMEM;
	case GIT_ERROR_ZLIB:
	case GIT_ERROR_ODB:
	case GIT_ERROR_INDEX:
	case GIT_ERROR_OBJECT:
	case GIT_ERROR_TAG:
	case GIT_ERROR_TREE:
	case GIT_ERROR_INDEXER:
	case GIT_ERROR_REFERENCE:
	case GIT_ERROR_CONFIG:
		return -EUCLEAN;
	case GIT_ERROR_NET:
	case GIT_ERROR_SSL:
	case GIT_ERROR_SSH:
	case GIT_ERROR_HTTP:
		return -ENETUNREACH;
	default:
		return -EIO;
	}
}

static int code_from_git(int code, const git_error *e)
{
	switch (code) {
	case GIT_ENOTFOUND:
		return -ENOENT;
	case GIT_EEXISTS:
		return -EEXIST;
	case GIT_ELOCKED:
		return -EAGAIN;
	case GIT_EAUTH:
	case GIT_ECERTIFICATE:
		return -EACCES;
	case GIT_EMISMATCH:
	case GIT_EINVALID:
		return -EUCLEAN;
	default:
		return e && e->message ? code_from_class(e) : -EIO;
	}
}

int git_fault(struct fault *f, int code, const char *fmt, ...)
{
	const git_error *e = git_error_last();
	char text[192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fault(f, 0, "%s: %s", text, e && e->message ? e->message : "libgit2 does not say why");
	return code_from_git(code, e);
}

/* "/a/b/" is "/a/b" */
static char *path_dup(const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	return strndup(path, len);
}

/* what an extension that libgit2 refuses means for the person who has such a repository */
static const char *extension_to_words(const char *message)
{
	if (strstr(message, "objectformat"))
		return "it has sha256 object ids (extensions.objectFormat), which slotd cannot read yet";
	if (strstr(message, "refstorage"))
		return "it keeps its refs as reftable (extensions.refStorage), which slotd cannot read yet";
	return message;
}

static int open_fault(const char *common_dir, int rc, struct fault *f)
{
	const git_error *e = git_error_last();
	int r;

	if (e && e->message && text_has_prefix(e->message, "unsupported"))
		return fault(f, -EOPNOTSUPP, "%s: %s", common_dir, extension_to_words(e->message));
	r = git_fault(f, rc, "cannot open the store %s", common_dir);
	return r == -ENOMEM || r == -EACCES ? r : -EUCLEAN;
}

static bool is_same_dir(const char *a, const char *b)
{
	struct stat sa, sb;

	return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

/* a repository that says it is somewhere else is not the one that was asked for */
static int check_identity(struct repo *repo, struct fault *f)
{
	if (!is_same_dir(git_repository_path(repo->git), repo->common_dir) ||
	    !is_same_dir(git_repository_commondir(repo->git), repo->common_dir))
		return fault(f, -EUCLEAN, "%s opens as another directory, %s", repo->common_dir,
			     git_repository_commondir(repo->git));
	return 0;
}

static int use_own_odb(struct repo *repo, struct fault *f)
{
	_cleanup_(freep) char *objects = text_printf("%s/objects", repo->common_dir);
	int r;

	if (!objects)
		return fault_oom(f);
	r = odb_open(objects, &repo->odb, f);
	if (r < 0)
		return r;
	r = git_repository_set_odb(repo->git, repo->odb);
	return r < 0 ? git_fault(f, r, "cannot use %s", objects) : 0;
}

static void repo_closep(struct repo **repo)
{
	repo_close(*repo);
}

int repo_open(const char *common_dir, struct repo **ret, struct fault *f)
{
	unsigned flags = GIT_REPOSITORY_OPEN_NO_SEARCH | GIT_REPOSITORY_OPEN_BARE |
			 GIT_REPOSITORY_OPEN_NO_DOTGIT;
	_cleanup_(repo_closep) struct repo *repo = calloc(1, sizeof(*repo));
	int r;

	if (!repo)
		return fault_oom(f);
	repo->common_dir = path_dup(common_dir);
	if (!repo->common_dir)
		return fault_oom(f);
	r = vet_store(repo->common_dir, f);
	if (r < 0)
		return r;
	r = git_repository_open_ext(&repo->git, repo->common_dir, flags, NULL);
	if (r < 0)
		return open_fault(repo->common_dir, r, f);
	r = check_identity(repo, f);
	if (r == 0)
		r = use_own_odb(repo, f);
	if (r < 0)
		return r;
	*ret = TAKE(repo);
	return 0;
}

void repo_close(struct repo *repo)
{
	if (!repo)
		return;
	git_odb_free(repo->odb);
	git_repository_free(repo->git);
	free(repo->common_dir);
	free(repo);
}

git_repository *repo_git(struct repo *repo)
{
	return repo->git;
}

git_odb *repo_odb(struct repo *repo)
{
	return repo->odb;
}

const char *repo_common_dir(struct repo *repo)
{
	return repo->common_dir;
}
