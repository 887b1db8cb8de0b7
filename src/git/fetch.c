/* From origin, and from nowhere else. */
#include "git/store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/store-private.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/text.h"

/* in slotd/ while a fetch is under way: what it leaves when killed is told by its age */
#define FETCHING "fetching"

/* a ref's lock that somebody's git holds is gone after this long, or is nobody's */
#define LOCK_GRACE_SEC 10

struct fetch {
	const struct store_remote *remote;
	struct credentials_session session;
	int stopped; /* what the progress callback returned, negative */
	struct fault refused;
};

static int on_transfer(const git_indexer_progress *stats, void *payload)
{
	struct credentials_session *session = payload;
	struct fetch *fetch = (struct fetch *)((char *)session - offsetof(struct fetch, session));
	const struct store_remote *remote = fetch->remote;
	bool received = stats->received_objects >= stats->total_objects;
	int r;

	if (!remote->progress)
		return 0;
	r = received && stats->total_deltas ?
		    remote->progress("resolving", stats->indexed_deltas, stats->total_deltas,
				     remote->userdata) :
		    remote->progress("receiving", stats->received_objects, stats->total_objects,
				     remote->userdata);
	if (r < 0)
		fetch->stopped = r;
	return r;
}

static int on_sideband(const char *text, int len, void *payload)
{
	struct credentials_session *session = payload;
	struct fetch *fetch = (struct fetch *)((char *)session - offsetof(struct fetch, session));
	int r = 0;

	if (fetch->remote->progress)
		r = fetch->remote->progress("connecting", 0, 0, fetch->remote->userdata);
	if (r < 0)
		fetch->stopped = r;
	return r;
}

static bool says(const char *message, const char *what)
{
	return message && strcasestr(message, what);
}

/* what went wrong, in terms of what the operator can do */
static int fetch_fault(const struct fetch *fetch, int rc, struct fault *f)
{
	const char *url = fetch->remote->url;
	const git_error *e = git_error_last();
	const char *message = e ? e->message : NULL;

	if (fetch->stopped)
		return fetch->stopped;
	if (fetch->refused.text[0])
		return fault(f, -EACCES, "%s", fetch->refused.text);
	if (rc == GIT_ENOTFOUND || says(message, "status code: 404") ||
	    says(message, "repository not found") || says(message, "does not appear to be a git") ||
	    says(message, "failed to resolve path"))
		return fault(f, -ENOENT, "there is no repository at %s: %s", url,
			     message ? message : "not found");
	if (rc == GIT_EAUTH || says(message, "status code: 401") ||
	    says(message, "status code: 403") || says(message, "authenticat"))
		return fault(f, -EACCES,
			     "%s does not let us in (%s); set credentials.ssh_key, .token_file or "
			     ".helper of the pool",
			     url, message ? message : "no reason given");
	return git_fault(f, rc, "cannot fetch from %s", url);
}

static void fetch_options_init(git_fetch_options *opts, struct fetch *fetch)
{
	git_fetch_options_init(opts, GIT_FETCH_OPTIONS_VERSION);
	opts->callbacks.credentials = credentials_acquire;
	opts->callbacks.certificate_check = credentials_check_host;
	opts->callbacks.transfer_progress = on_transfer;
	opts->callbacks.sideband_progress = on_sideband;
	opts->callbacks.payload = &fetch->session;
	opts->download_tags = fetch->remote->adopted ? GIT_REMOTE_DOWNLOAD_TAGS_NONE :
						       GIT_REMOTE_DOWNLOAD_TAGS_AUTO;
	opts->update_fetchhead = 0;
	opts->proxy_opts.type = GIT_PROXY_NONE;
}

static bool ref_exists(struct repo *repo, const char *name)
{
	git_oid oid;

	return git_reference_name_to_id(&oid, repo_git(repo), name) == 0;
}

/* a branch of origin that stands for its HEAD when origin does not say */
static int guess_head(struct repo *repo, char **ret, struct fault *f)
{
	static const char *const usual[] = { STORE_REMOTES "main", STORE_REMOTES "master" };
	git_reference_iterator *it = NULL;
	const char *name = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(usual) && !name; i++)
		if (ref_exists(repo, usual[i]))
			name = usual[i];
	if (!name && git_reference_iterator_glob_new(&it, repo_git(repo), STORE_REMOTES "*") == 0)
		while (git_reference_next_name(&name, it) == 0 &&
		       strcmp(name, STORE_ORIGIN_HEAD) == 0)
			name = NULL;
	*ret = strdup(name ? name : usual[0]);
	git_reference_iterator_free(it);
	return *ret ? 0 : fault_oom(f);
}

/* which of our refs is origin's HEAD; only while connected */
static int find_origin_head(struct repo *repo, git_remote *remote, char **ret, struct fault *f)
{
	git_buf branch = GIT_BUF_INIT;
	int rc = git_remote_default_branch(&branch, remote);

	if (rc == 0 && text_has_prefix(branch.ptr, "refs/heads/"))
		*ret = text_printf(STORE_REMOTES "%s", branch.ptr + strlen("refs/heads/"));
	git_buf_dispose(&branch);
	return *ret ? 0 : guess_head(repo, ret, f);
}

/* refs/remotes/origin/HEAD, unless it names a branch that is there */
static int set_origin_head(struct repo *repo, const char *target, struct fault *f)
{
	git_reference *ref = NULL;
	int rc;

	if (ref_exists(repo, STORE_ORIGIN_HEAD))
		return 0;
	rc = git_reference_symbolic_create(&ref, repo_git(repo), STORE_ORIGIN_HEAD, target, 1,
					   "slotd: fetch");
	git_reference_free(ref);
	return rc < 0 ? git_fault(f, rc, "cannot set %s", STORE_ORIGIN_HEAD) : 0;
}

/* pruned before tips are moved: "a" may have become "a/b" */
static int transfer(git_remote *remote, struct fetch *fetch)
{
	char *spec = (char *)STORE_REFSPEC;
	git_strarray specs = { &spec, 1 };
	git_fetch_options opts;
	int rc;

	fetch_options_init(&opts, fetch);
	rc = git_remote_connect(remote, GIT_DIRECTION_FETCH, &opts.callbacks, &opts.proxy_opts,
				NULL);
	if (rc == 0)
		rc = git_remote_download(remote, &specs, &opts);
	CRASH_POINT("store.fetch.downloaded");
	if (rc == 0 && !fetch->remote->adopted)
		rc = git_remote_prune(remote, &opts.callbacks);
	if (rc == 0)
		rc = git_remote_update_tips(remote, &opts.callbacks, 0, opts.download_tags,
					    "slotd: fetch");
	CRASH_POINT("store.fetch.moved");
	return rc;
}

static int fetch_from(struct repo *repo, git_remote *remote, struct fetch *fetch, struct fault *f)
{
	_cleanup_(freep) char *head = NULL;
	int r, rc = transfer(remote, fetch);

	if (rc < 0)
		return fetch_fault(fetch, rc, f);
	if (fetch->remote->adopted)
		return 0;
	r = find_origin_head(repo, remote, &head, f);
	return r < 0 ? r : set_origin_head(repo, head, f);
}

static int fetch(struct repo *repo, const struct store_remote *to, struct fault *f)
{
	git_remote_create_options opts = GIT_REMOTE_CREATE_OPTIONS_INIT;
	struct fetch fetch = { .remote = to,
			       .session = { .credentials = &to->credentials, .url = to->url } };
	git_remote *remote = NULL;
	int r, rc;

	fetch.session.fault = &fetch.refused;
	opts.repository = repo_git(repo);
	opts.flags = GIT_REMOTE_CREATE_SKIP_INSTEADOF | GIT_REMOTE_CREATE_SKIP_DEFAULT_FETCHSPEC;
	rc = git_remote_create_with_opts(&remote, to->url, &opts);
	r = rc < 0 ? fetch_fault(&fetch, rc, f) : fetch_from(repo, remote, &fetch, f);
	git_remote_free(remote);
	return r;
}

struct leftovers {
	struct timespec since; /* of the fetch that was killed */
	struct fault *f;
};

static bool is_ours(int dirfd, const char *name, const struct leftovers *l)
{
	struct timespec now;
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return false;
	clock_gettime(CLOCK_REALTIME, &now);
	return (st.st_mtim.tv_sec > l->since.tv_sec ||
		(st.st_mtim.tv_sec == l->since.tv_sec &&
		 st.st_mtim.tv_nsec >= l->since.tv_nsec)) &&
	       now.tv_sec - st.st_mtim.tv_sec >= LOCK_GRACE_SEC;
}

/* refs' locks, at any depth */
static int clear_lock(int dirfd, const char *name, void *userdata)
{
	struct leftovers *l = userdata;

	if (!text_has_suffix(name, ".lock"))
		return admin_foreach_at(dirfd, name, clear_lock, userdata, l->f);
	if (!is_ours(dirfd, name, l))
		return 0;
	log_notice("removing a lock that a killed fetch left: %s", name);
	return admin_remove_at(dirfd, name, l->f);
}

/* half a pack; only libgit2 names them so, and one fetch runs at a time */
static int clear_pack(int dirfd, const char *name, void *userdata)
{
	struct leftovers *l = userdata;

	return strstr(name, "_git2_") ? admin_remove_at(dirfd, name, l->f) : 0;
}

/* the store's lock is ours: if a fetch was under way, it is dead */
static int clear_killed_fetch(int common_fd, int slotd_fd, struct fault *f)
{
	static const char *const dirs[] = { "refs/remotes/origin", "refs/tags" };
	struct leftovers l = { .f = f };
	struct stat st;
	int r = 0;

	if (fstatat(slotd_fd, FETCHING, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fault_errno(f, -errno, "cannot look at %s", FETCHING);
	l.since = st.st_mtim;
	r = admin_foreach_at(common_fd, "objects/pack", clear_pack, &l, f);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(dirs); i++)
		r = admin_foreach_at(common_fd, dirs[i], clear_lock, &l, f);
	if (r == 0 && is_ours(common_fd, "packed-refs.lock", &l))
		r = admin_remove_at(common_fd, "packed-refs.lock", f);
	return r;
}

int store_fetch(struct repo *repo, const struct store_remote *remote, struct fault *f)
{
	_cleanup_(closep) int common_fd = open(repo_common_dir(repo),
					       O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closep) int slotd_fd = -1;
	int r;

	if (common_fd < 0)
		return fault_errno(f, -errno, "cannot open %s", repo_common_dir(repo));
	slotd_fd = admin_open_dir_at(common_fd, "slotd", f);
	if (slotd_fd < 0)
		return slotd_fd;
	r = clear_killed_fetch(common_fd, slotd_fd, f);
	/* the mark of the killed one stays as old as it is: locks too young today go tomorrow */
	if (r == 0 && faccessat(slotd_fd, FETCHING, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		r = admin_write_at(slotd_fd, FETCHING, "", f);
	CRASH_POINT("store.fetch.begun");
	if (r == 0)
		r = fetch(repo, remote, f);
	/* a lock may still be in the way of a fetch that failed */
	return r < 0 ? r : admin_remove_at(slotd_fd, FETCHING, f);
}
