/*
 * Who has a branch checked out.
 *
 * What cannot be read names no branch here: it is damage, which is for the integrity checks
 * to tell, and must not stop everybody else.
 */
#include "git/branch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "git/admin.h"
#include "git/store.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

struct search {
	struct repo *repo;
	const char *name;   /* "topic" */
	const char *full;   /* "refs/heads/topic" */
	const char *except; /* "slotd-api-1", or NULL */
	char **ret_path;
	struct fault *f;
};

static bool file_says(int fd, const char *file, const char *prefix, const char *what)
{
	_cleanup_(freep) char *text = NULL;

	return admin_read_at(fd, file, &text, NULL) == 0 && text_has_prefix(text, prefix) &&
	       strcmp(text + strlen(prefix), what) == 0;
}

/* rebase --update-refs moves more branches than its own: one is a line of this file */
static bool rebase_updates(int fd, const char *full)
{
	_cleanup_(freep) char *text = NULL;
	char *save = NULL;

	if (fs_read_file_at(fd, "rebase-merge/update-refs", 1024 * 1024, &text, NULL) < 0)
		return false;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strcmp(line, full) == 0)
			return true;
	return false;
}

/* does the worktree with this git directory have the branch? */
static bool admin_uses(const struct search *s, int fd)
{
	return file_says(fd, "HEAD", "ref: ", s->full) ||
	       file_says(fd, "rebase-merge/head-name", "", s->full) ||
	       file_says(fd, "rebase-apply/head-name", "", s->full) ||
	       file_says(fd, "BISECT_START", "", s->name) ||
	       file_says(fd, "BISECT_START", "refs/heads/", s->name) || rebase_updates(fd, s->full);
}

/* one entry of worktrees/ */
static int look_at_linked(int dirfd, const char *name, void *userdata)
{
	struct search *s = userdata;
	_cleanup_(closep) int fd = -1;
	_cleanup_(freep) char *gitdir = NULL;

	if (text_is_equal(s->except, name))
		return 0;
	fd = fs_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0 || !admin_uses(s, fd))
		return 0;
	if (admin_read_at(fd, "gitdir", &gitdir, NULL) < 0)
		gitdir = text_printf("%s/worktrees/%s", repo_common_dir(s->repo), name);
	if (!gitdir)
		return fault_oom(s->f);
	if (text_has_suffix(gitdir, "/.git"))
		gitdir[strlen(gitdir) - strlen("/.git")] = '\0';
	free(*s->ret_path);
	*s->ret_path = TAKE(gitdir);
	return 0;
}

/* the directory of the main worktree, as far as anybody can say */
static char *main_path(struct repo *repo)
{
	const char *common = repo_common_dir(repo);

	if (text_has_suffix(common, "/.git"))
		return strndup(common, strlen(common) - strlen("/.git"));
	return strdup(common);
}

static int look_at_main(struct search *s, int common_fd)
{
	if (store_is_bare(s->repo) || !admin_uses(s, common_fd))
		return 0;
	*s->ret_path = main_path(s->repo);
	return *s->ret_path ? 0 : fault_oom(s->f);
}

int branch_find_user(struct repo *repo, const char *name, const char *except_slot, char **ret_path,
		     struct fault *f)
{
	_cleanup_(freep) char *full = text_printf("refs/heads/%s", name);
	_cleanup_(freep) char *except = text_printf("slotd-%s", except_slot ? except_slot : "");
	_cleanup_(freep) char *path = NULL;
	_cleanup_(closep) int fd = -1;
	struct search s = { repo, name, full, except_slot ? except : NULL, &path, f };
	int r;

	if (!full || !except)
		return fault_oom(f);
	fd = open(repo_common_dir(repo), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fault_errno(f, -errno, "cannot open %s", repo_common_dir(repo));
	r = look_at_main(&s, fd);
	if (r == 0 && !path)
		r = admin_foreach_at(fd, "worktrees", look_at_linked, &s, f);
	if (r < 0 || !path)
		return r;
	*ret_path = TAKE(path);
	return BRANCH_E_IN_USE;
}
