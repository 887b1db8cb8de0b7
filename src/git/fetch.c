/* From origin, and from nowhere else. */
#include "git/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/maintain.h"
#include "git/pulse.h"
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
	pthread_mutex_t telling; /* how far it is: libgit2 says it, and the pulse repeats it */
	const char *phase;
	uint64_t done, total;
	int stopped; /* what the progress callback returned, negative */
	bool connected;
	struct fault refused;
};

static struct fetch *fetch_of(void *payload)
{
	struct credentials_session *session = payload;

	return (struct fetch *)((char *)session - offsetof(struct fetch, session));
}

static int tell(struct fetch *fetch)
{
	const struct store_remote *remote = fetch->remote;
	int r = 0;

	if (remote->progress)
		r = remote->progress(fetch->phase, fetch->done, fetch->total, remote->userdata);
	if (r < 0)
		fetch->stopped = r;
	return r;
}

static int tell_new(struct fetch *fetch, const char *phase, uint64_t done, uint64_t total)
{
	int r;

	pthread_mutex_lock(&fetch->telling);
	fetch->phase = phase;
	fetch->done = done;
	fetch->total = total;
	r = tell(fetch);
	pthread_mutex_unlock(&fetch->telling);
	return r;
}

/* something has come, and libgit2 has not got a whole packet of it yet */
static void on_pulse(void *userdata)
{
	struct fetch *fetch = userdata;

	pthread_mutex_lock(&fetch->telling);
	(void)tell(fetch); /* who cannot be told any more is noticed by the next packet */
	pthread_mutex_unlock(&fetch->telling);
}

static int on_transfer(const git_indexer_progress *stats, void *payload)
{
	bool received = stats->received_objects >= stats->total_objects;

	return received && stats->total_deltas ?
		       tell_new(fetch_of(payload), "resolving", stats->indexed_deltas,
				stats->total_deltas) :
		       tell_new(fetch_of(payload), "receiving", stats->received_objects,
				stats->total_objects);
}

static int on_sideband(const char *text, int len, void *payload)
{
	return tell_new(fetch_of(payload), "connecting", 0, 0);
}

/* libgit2 has no codes for what happens on the way to a remote: its sentences are read */
static const struct {
	const char *says;
	int code;
} reasons[] = {
	{ "status code: 404", -ENOENT },
	{ "repository not found", -ENOENT },
	{ "does not appear to be a git", -ENOENT },
	{ "failed to resolve path", -ENOENT },
	{ "could not find repository", -ENOENT },
	{ "unsupported url protocol", -ENOENT }, /* a path where there is nothing */
	{ "unknown scheme", -EOPNOTSUPP },
	{ "status code: 401", -EACCES },
	{ "status code: 403", -EACCES },
	{ "authenticat", -EACCES },
	{ "failed to lock file", -EAGAIN },
};

static int code_from_reason(const struct fetch *fetch, int rc, const git_error *e)
{
	if (rc == GIT_EAUTH)
		return -EACCES;
	for (size_t i = 0; e && e->message && i < ARRAY_SIZE(reasons); i++)
		if (strcasestr(e->message, reasons[i].says))
			return reasons[i].code;
	return e && !fetch->connected && e->klass == GIT_ERROR_OS ? -ENETUNREACH : 0;
}

/* what went wrong, in terms of what the operator can do */
static int fetch_fault(const struct fetch *fetch, int rc, struct fault *f)
{
	const git_error *e = git_error_last();
	int code = code_from_reason(fetch, rc, e);
	_cleanup_(freep) char *url = text_redact_url(fetch->remote->url);
	const char *message = e && e->message ? e->message : "no reason given";

	if (!url)
		return fault_oom(f);
	if (fetch->stopped)
		return fetch->stopped;
	if (fetch->refused.text[0])
		return fault(f, -EACCES, "%s", fetch->refused.text);
	if (code == -ENOENT)
		return fault(f, code, "there is no repository at %s (%s)", url, message);
	if (code == -EACCES)
		return fault(f, code,
			     "%s does not let us in (%s): set credentials.ssh_key, .token_file or "
			     ".helper of the pool",
			     url, message);
	rc = git_fault(f, rc, "cannot fetch from %s", url);
	return code ? code : rc;
}

/* does no_proxy, a list of names and their endings, name the host of the url? */
static bool is_excepted(const char *url)
{
	const char *list = getenv("no_proxy");
	const char *host = strstr(url, "://"), *at;
	size_t len;

	if (!list || !host)
		return false;
	host += strlen("://");
	at = memchr(host, '@', strcspn(host, "/"));
	host = at ? at + 1 : host;
	len = strcspn(host, ":/");
	while (*list) {
		size_t n = strcspn(list, ", "), skip = *list == '.';

		if (n > skip && n - skip <= len &&
		    strncasecmp(host + len - (n - skip), list + skip, n - skip) == 0 &&
		    (n - skip == len || host[len - (n - skip) - 1] == '.'))
			return true;
		list += n + strspn(list + n, ", ");
	}
	return false;
}

/* the environment's, never that of the repository's configuration */
static const char *find_proxy(const char *url)
{
	const char *proxy = text_has_prefix(url, "https://") ? getenv("https_proxy") :
			    text_has_prefix(url, "http://")  ? getenv("http_proxy") :
							       NULL;

	return proxy && *proxy && !is_excepted(url) ? proxy : NULL;
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
						       GIT_REMOTE_DOWNLOAD_TAGS_ALL;
	opts->proxy_opts.url = find_proxy(fetch->remote->url);
	opts->proxy_opts.type = opts->proxy_opts.url ? GIT_PROXY_SPECIFIED : GIT_PROXY_NONE;
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

static int set_ref(struct repo *repo, const char *name, const git_oid *to, bool force)
{
	git_reference *ref = NULL;
	git_oid is;
	int rc;

	if (git_reference_name_to_id(&is, repo_git(repo), name) == 0 && git_oid_equal(&is, to))
		return 0;
	rc = git_reference_create(&ref, repo_git(repo), name, to, force, "slotd: fetch");
	git_reference_free(ref);
	return rc == GIT_EEXISTS && !force ? 0 : rc;
}

/* a branch of origin moves ours aside; a tag comes once and is never moved: agents tag too */
static int update_tip(struct repo *repo, const git_remote_head *head, bool adopted)
{
	char name[1024];
	bool branch = text_has_prefix(head->name, "refs/heads/");
	bool tag = !adopted && text_has_prefix(head->name, "refs/tags/");
	int valid = 0;

	if (!branch && !tag)
		return 0;
	snprintf(name, sizeof(name), "%s%s", branch ? STORE_REMOTES : "",
		 branch ? head->name + strlen("refs/heads/") : head->name);
	/* "v1^{}" is what v1 points to, and a branch called HEAD would be ours */
	if (git_reference_name_is_valid(&valid, name) < 0 || !valid ||
	    strcmp(name, STORE_ORIGIN_HEAD) == 0 || strlen(head->name) > 1000)
		return 0;
	return set_ref(repo, name, &head->oid, branch);
}

/* not by libgit2, which empties FETCH_HEAD and moves tags */
static int update_tips(struct repo *repo, git_remote *remote, bool adopted)
{
	const git_remote_head **heads = NULL;
	size_t n = 0;
	int rc = git_remote_ls(&heads, &n, remote);

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = update_tip(repo, heads[i], adopted);
	return rc;
}

static int download(git_remote *remote, struct fetch *fetch, git_fetch_options *opts)
{
	char *spec = (char *)STORE_REFSPEC;
	git_strarray specs = { &spec, 1 };
	struct pulse pulse;
	int rc;

	pulse_start(&pulse, on_pulse, fetch);
	rc = git_remote_connect(remote, GIT_DIRECTION_FETCH, &opts->callbacks, &opts->proxy_opts,
				NULL);
	fetch->connected = rc == 0;
	if (rc == 0)
		rc = git_remote_download(remote, &specs, opts);
	pulse_stop(&pulse);
	return rc;
}

/* pruned before tips are moved: "a" may have become "a/b" */
static int transfer(struct repo *repo, git_remote *remote, struct fetch *fetch)
{
	bool adopted = fetch->remote->adopted;
	git_fetch_options opts;
	int rc;

	fetch_options_init(&opts, fetch);
	rc = download(remote, fetch, &opts);
	CRASH_POINT("store.fetch.downloaded");
	if (rc == 0 && !adopted)
		rc = git_remote_prune(remote, &opts.callbacks);
	if (rc == 0)
		rc = update_tips(repo, remote, adopted);
	CRASH_POINT("store.fetch.moved");
	return rc;
}

static int fetch_from(struct repo *repo, git_remote *remote, struct fetch *fetch, struct fault *f)
{
	_cleanup_(freep) char *head = NULL;
	int r, rc = transfer(repo, remote, fetch);

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
			       .telling = PTHREAD_MUTEX_INITIALIZER,
			       .phase = "connecting",
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
	_cleanup_(closep) int lock_fd = -1;
	int r;

	if (common_fd < 0)
		return fault_errno(f, -errno, "cannot open %s", repo_common_dir(repo));
	slotd_fd = admin_open_dir_at(common_fd, "slotd", f);
	if (slotd_fd < 0)
		return slotd_fd;
	/* what is there already is not fetched, and until a ref names it nothing else holds it */
	lock_fd = store_lock_prune(common_fd, f);
	if (lock_fd < 0)
		return lock_fd;
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
