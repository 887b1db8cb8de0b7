/*
 * Two sorted worlds: what is to be there, and what is.
 *
 * A directory that the list knows is one task; its subdirectories are put into the queue for
 * whoever is free. Untracked directories are looked through at once (tree-untracked.c).
 */
#include "git/tree-walk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "git/tree-walker.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/list.h"
#include "util/text.h"

struct task {
	struct list link; /* queue.tasks */
	char *path;	  /* of the directory, "" for the slot */
	size_t low, high; /* its entries in the list */
	bool ignored;	  /* by the rules; what is tracked in it stays tracked */
};

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct list tasks;
	size_t pending; /* queued or being worked on */
	int r;		/* the first fault; ends it */
	struct fault fault;
};

struct walk_thread {
	struct tree_walker walker;
	struct queue *queue;
	pthread_t thread;
};

/* a name in a directory */
struct name {
	char *name;
	unsigned char type; /* DT_… */
	bool seen;
};

struct names {
	struct name *items;
	size_t n, size;
};

static void names_deinit(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->items[i].name);
	free(names->items);
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

char *tree_walker_path(const char *dir, const char *name)
{
	return *dir ? text_printf("%s/%s", dir, name) : strdup(name);
}

int tree_walker_report(struct tree_walker *w, int change, const char *path, bool is_dir,
		       struct tree_entry *entry)
{
	char *copy;

	if (w->n_found == w->found_size) {
		size_t size = w->found_size ? w->found_size * 2 : 64;
		struct tree_found *more = realloc(w->found, size * sizeof(*more));

		if (!more)
			return fault_oom(&w->fault);
		w->found = more;
		w->found_size = size;
	}
	copy = text_printf("%s%s", path, is_dir ? "/" : "");
	if (!copy)
		return fault_oom(&w->fault);
	w->found[w->n_found++] = (struct tree_found){ change, copy, entry };
	return 0;
}

void tree_walker_forget(struct tree_walker *w, size_t from)
{
	while (w->n_found > from)
		free(w->found[--w->n_found].path);
}

/* gives its owner all rights, through a handle: never through a link that takes its place */
static int make_accessible(int dir_fd, const char *name)
{
	_cleanup_(closep) int fd = fs_open_beneath(dir_fd, name, O_PATH | O_DIRECTORY, 0);
	char link[32];

	if (fd < 0)
		return fd;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return chmod(link, 0700) < 0 ? -errno : 0;
}

static int make_writable(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_mode & 0700) == 0700)
		return 0;
	return fchmod(fd, (st.st_mode & 07777) | 0700) < 0 ? -errno : 0;
}

int tree_walker_open(struct tree_walker *w, int dir_fd, const char *name, DIR **ret)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK;
	int fd = fs_open_beneath(dir_fd, name, flags, 0);
	int r;

	if (fd == -EACCES && w->walk->make_writable) {
		r = make_accessible(dir_fd, name);
		fd = r < 0 ? r : fs_open_beneath(dir_fd, name, flags, 0);
	}
	if (fd < 0)
		return fd;
	if (w->walk->make_writable) {
		r = make_writable(fd);
		if (r < 0) {
			close(fd);
			return r;
		}
	}
	*ret = fdopendir(fd);
	if (*ret)
		return 0;
	r = -errno;
	close(fd);
	return r;
}

static int name_compare(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->name, ((const struct name *)b)->name);
}

static int names_add(struct names *names, const struct dirent *entry)
{
	struct name *item;

	if (names->n == names->size) {
		size_t size = names->size ? names->size * 2 : 32;
		struct name *more = realloc(names->items, size * sizeof(*more));

		if (!more)
			return -ENOMEM;
		names->items = more;
		names->size = size;
	}
	item = &names->items[names->n];
	*item = (struct name){ .name = strdup(entry->d_name), .type = entry->d_type };
	if (!item->name)
		return -ENOMEM;
	names->n++;
	return 0;
}

static int names_read(struct names *names, DIR *dir)
{
	struct dirent *entry;

	while ((errno = 0, entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (names_add(names, entry) < 0)
			return -ENOMEM;
	}
	if (errno)
		return -errno;
	if (names->n > 0)
		qsort(names->items, names->n, sizeof(*names->items), name_compare);
	return 0;
}

static struct name *names_find(struct names *names, const char *name)
{
	struct name key = { .name = (char *)name };

	return names->n == 0 ? NULL :
			       bsearch(&key, names->items, names->n, sizeof(key), name_compare);
}

/* a directory being compared */
struct place {
	struct tree_walker *w;
	struct queue *queue;
	const struct task *task;
	int fd;
	struct names names;
};

static int queue_push(struct queue *q, const char *path, size_t low, size_t high, bool ignored)
{
	struct task *task = calloc(1, sizeof(*task));

	if (!task || !(task->path = strdup(path))) {
		free(task);
		return -ENOMEM;
	}
	task->low = low;
	task->high = high;
	task->ignored = ignored;
	pthread_mutex_lock(&q->lock);
	list_append(&q->tasks, &task->link);
	q->pending++;
	pthread_cond_signal(&q->more);
	pthread_mutex_unlock(&q->lock);
	return 0;
}

static bool is_hidden(const struct tree_entry *e)
{
	return e->flags & (TREE_ENTRY_ASSUME_VALID | TREE_ENTRY_SKIP_WORKTREE);
}

static int report_entry(struct tree_walker *w, int change, struct tree_entry *e)
{
	if (is_hidden(e) && (change == TREE_CHANGE_MODIFIED || change == TREE_CHANGE_DELETED))
		change = TREE_CHANGE_HIDDEN;
	return tree_walker_report(w, change, e->path, false, e);
}

/* all entries of a range are not there */
static int report_deleted(struct tree_walker *w, size_t low, size_t high)
{
	int r = 0;

	for (size_t i = low; i < high && r == 0; i++) {
		struct tree_entry *e = &w->walk->list->entries[i];

		if (!(e->flags & TREE_ENTRY_GONE) && (e->flags & TREE_ENTRY_STAGE) == 0)
			r = report_entry(w, TREE_CHANGE_DELETED, e);
	}
	return r;
}

/* a submodule's directory is to be there and empty */
static int check_gitlink(struct place *p, const char *name, struct tree_entry *e)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	struct dirent *entry;
	int r;

	r = tree_walker_open(p->w, p->fd, name, &dir);
	if (r == -ENOENT)
		return report_entry(p->w, TREE_CHANGE_DELETED, e);
	if (r == -ELOOP || r == -ENOTDIR)
		return report_entry(p->w, TREE_CHANGE_MODIFIED, e);
	if (r == -EXDEV)
		return tree_walker_report(p->w, TREE_CHANGE_MOUNT, e->path, true, e);
	if (r == -EACCES)
		return tree_walker_report(p->w, TREE_CHANGE_UNREADABLE, e->path, true, e);
	if (r < 0)
		return fault_errno(&p->w->fault, r, "cannot open %s", e->path);
	if (faccessat(dirfd(dir), ".git", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return tree_walker_report(p->w, TREE_CHANGE_NESTED, e->path, true, e);
	while ((entry = readdir(dir)) && r == 0)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = tree_untracked(p->w, e->path, dirfd(dir), entry->d_name, false, true);
	return r;
}

static int check_file(struct place *p, const char *name, struct tree_entry *e)
{
	struct tree_walker *w = p->w;
	struct stat st = { 0 };
	int r = tree_check(&w->worker, &w->walk->checker, p->fd, name, e, &st);

	if (r != TREE_CHECK_DIRECTORY)
		w->disk_bytes += (uint64_t)st.st_blocks * 512;
	switch (r) {
	case TREE_CHECK_SAME:
		return 0;
	case TREE_CHECK_MODIFIED:
		return report_entry(w, TREE_CHANGE_MODIFIED, e);
	case TREE_CHECK_ABSENT:
		return report_entry(w, TREE_CHANGE_DELETED, e);
	case TREE_CHECK_SPECIAL:
		return tree_walker_report(w, TREE_CHANGE_SPECIAL, e->path, false, e);
	case TREE_CHECK_MOUNT:
		return tree_walker_report(w, TREE_CHANGE_MOUNT, e->path, false, e);
	case TREE_CHECK_UNREADABLE:
		return tree_walker_report(w, TREE_CHANGE_UNREADABLE, e->path, false, e);
	case TREE_CHECK_DIRECTORY:
		r = report_entry(w, TREE_CHANGE_DELETED, e);
		return r < 0 ? r : tree_untracked(w, p->task->path, p->fd, name, false, true);
	default:
		return r;
	}
}

/* what is to be gone counts as untracked, even where it would be ignored */
static int check_gone(struct place *p, struct name *name, struct tree_entry *e)
{
	struct stat st;

	if (fstatat(p->fd, name->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (S_ISDIR(st.st_mode)) {
		name->seen = false;
		return 0;
	}
	return tree_walker_report(p->w, TREE_CHANGE_UNTRACKED, e->path, false, NULL);
}

static int place_file(struct place *p, const char *name, struct tree_entry *e)
{
	struct name *found = names_find(&p->names, name);

	if (found)
		found->seen = true;
	if (e->flags & TREE_ENTRY_STAGE)
		return tree_walker_report(p->w, TREE_CHANGE_CONFLICT, e->path, false, e);
	if (e->flags & TREE_ENTRY_GONE)
		return found ? check_gone(p, found, e) : 0;
	if (!found)
		return report_entry(p->w, TREE_CHANGE_DELETED, e);
	return e->mode == TREE_MODE_GITLINK ? check_gitlink(p, name, e) : check_file(p, name, e);
}

static bool is_directory(struct place *p, const struct name *name)
{
	struct stat st;

	if (name->type != DT_UNKNOWN)
		return name->type == DT_DIR;
	return fstatat(p->fd, name->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* are there entries in the range that are to be there? */
static bool any_wanted(const struct tree_list *list, size_t low, size_t high)
{
	for (size_t i = low; i < high; i++)
		if (!(list->entries[i].flags & TREE_ENTRY_GONE))
			return true;
	return false;
}

/* a subdirectory that the list knows: entries low to high are in it */
static int place_dir(struct place *p, const char *path, const char *name, size_t low, size_t high)
{
	struct name *found = names_find(&p->names, name);
	bool ignored, wanted = any_wanted(p->w->walk->list, low, high);
	int r;

	if (found && found->seen && !wanted)
		return 0; /* a file belongs here, and what is there was reported with it */
	if (found && is_directory(p, found)) {
		found->seen = true;
		ignored = p->task->ignored ||
			  ignore_match(p->w->walk->ignore, path, strlen(path), true);
		return queue_push(p->queue, path, low, high, ignored);
	}
	r = report_deleted(p->w, low, high);
	if (r < 0 || !found || found->seen || !wanted)
		return r;
	found->seen = true; /* a link or a file where a directory belongs */
	return tree_untracked(p->w, p->task->path, p->fd, name, false, true);
}

/* the entries below one name; moves *i behind them */
static int place_component(struct place *p, size_t *i)
{
	struct tree_list *list = p->w->walk->list;
	struct tree_entry *e = &list->entries[*i];
	size_t prefix = strlen(p->task->path);
	const char *begin = e->path + prefix + (prefix > 0);
	const char *slash = strchr(begin, '/');
	_cleanup_(freep) char *path = NULL;
	size_t low = *i;

	if (!slash) {
		while (++*i < p->task->high && list->entries[*i].path_len == e->path_len &&
		       memcmp(list->entries[*i].path, e->path, e->path_len) == 0)
			; /* the other stages of a conflict */
		return place_file(p, begin, e);
	}
	path = strndup(e->path, (size_t)(slash - e->path) + 1);
	if (!path)
		return fault_oom(&p->w->fault);
	path[slash - e->path] = '/' + 1;
	*i = tree_list_lower(list, path, (size_t)(slash - e->path) + 1);
	path[slash - e->path] = '\0';
	return place_dir(p, path, path + (begin - e->path), low, *i);
}

static int place_untracked(struct place *p)
{
	for (size_t i = 0; i < p->names.n; i++) {
		const struct name *name = &p->names.items[i];
		bool is_git = strcmp(name->name, ".git") == 0;
		int r;

		if (name->seen || (is_git && !*p->task->path))
			continue;
		r = is_git ? tree_walker_report(p->w, TREE_CHANGE_NESTED, p->task->path, true, NULL) :
			     tree_untracked(p->w, p->task->path, p->fd, name->name,
					    p->task->ignored, false);
		if (r < 0)
			return r;
	}
	return 0;
}

static int place_compare(struct place *p)
{
	size_t i = p->task->low;
	int r = 0;

	while (i < p->task->high && r == 0)
		r = place_component(p, &i);
	return r < 0 ? r : place_untracked(p);
}

static int dir_compare(struct tree_walker *w, struct queue *q, const struct task *task)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	struct place place = { .w = w, .queue = q, .task = task };
	const char *path = *task->path ? task->path : ".";
	struct stat st;
	int r;

	r = tree_walker_open(w, w->walk->slot->slot_fd, path, &dir);
	if (r == -EXDEV)
		return tree_walker_report(w, TREE_CHANGE_MOUNT, task->path, true, NULL);
	if (r == -EACCES)
		return tree_walker_report(w, TREE_CHANGE_UNREADABLE, task->path, true, NULL);
	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP) /* swapped under our eyes */
		return report_deleted(w, task->low, task->high);
	if (r < 0)
		return fault_errno(&w->fault, r, "cannot open %s", path);
	place.fd = dirfd(dir);
	if (fstat(place.fd, &st) == 0)
		w->disk_bytes += (uint64_t)st.st_blocks * 512;
	r = names_read(&place.names, dir);
	if (r < 0)
		r = fault_errno(&w->fault, r, "cannot list %s", path);
	else if (place.names.n == 0 && *task->path &&
		 !any_wanted(w->walk->list, task->low, task->high))
		r = tree_walker_report(w, TREE_FOUND_EMPTY_DIR, task->path, true, NULL);
	else
		r = place_compare(&place);
	names_deinit(&place.names);
	return r;
}

static void task_free(struct task *task)
{
	free(task->path);
	free(task);
}

/* the next directory; NULL when all is done, or something failed */
static struct task *queue_pop(struct queue *q)
{
	struct task *task;

	pthread_mutex_lock(&q->lock);
	while (list_is_empty(&q->tasks) && q->pending > 0 && q->r == 0)
		pthread_cond_wait(&q->more, &q->lock);
	task = q->r == 0 ? list_first(&q->tasks, struct task, link) : NULL;
	if (task)
		list_del(&task->link);
	pthread_mutex_unlock(&q->lock);
	return task;
}

static void queue_done(struct queue *q, int r, const struct fault *f)
{
	pthread_mutex_lock(&q->lock);
	q->pending--;
	if (r < 0 && q->r == 0) {
		q->r = r;
		q->fault = *f;
	}
	if (q->pending == 0 || q->r < 0)
		pthread_cond_broadcast(&q->more);
	pthread_mutex_unlock(&q->lock);
}

static void *walk_thread_run(void *userdata)
{
	struct walk_thread *t = userdata;
	struct task *task;

	while ((task = queue_pop(t->queue))) {
		int r = dir_compare(&t->walker, t->queue, task);

		if (r == -ENOMEM)
			fault_oom(&t->walker.fault);
		task_free(task);
		queue_done(t->queue, r, &t->walker.fault);
	}
	return NULL;
}

static int found_compare(const void *a, const void *b)
{
	const struct tree_found *x = a, *y = b;
	int c = strcmp(x->path, y->path);

	return c ? c : (x->change > y->change) - (x->change < y->change);
}

/* what a thread found becomes the walk's */
static int found_join(struct tree_walk *walk, struct tree_walker *w)
{
	struct tree_found *more;

	walk->disk_bytes += w->disk_bytes;
	if (w->n_found == 0)
		return 0;
	more = realloc(walk->found, (walk->n_found + w->n_found) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	walk->found = more;
	memcpy(more + walk->n_found, w->found, w->n_found * sizeof(*more));
	walk->n_found += w->n_found;
	w->n_found = 0;
	return 0;
}

static void walk_thread_init(struct walk_thread *t, struct tree_walk *walk, struct queue *q,
			     struct repo *repo)
{
	*t = (struct walk_thread){ .queue = q };
	t->walker.walk = walk;
	tree_worker_init(&t->walker.worker, walk->slot, repo, &t->walker.fault);
}

static void walk_thread_deinit(struct walk_thread *t)
{
	tree_walker_forget(&t->walker, 0);
	free(t->walker.found);
	tree_worker_deinit(&t->walker.worker);
}

static int run_threads(struct tree_walk *walk, struct queue *q, unsigned threads)
{
	struct walk_thread t[TREE_MAX_THREADS];
	unsigned started = 1;
	int r = 0;

	walk_thread_init(&t[0], walk, q, walk->repo);
	while (started < threads && started < TREE_MAX_THREADS) {
		walk_thread_init(&t[started], walk, q, NULL);
		if (pthread_create(&t[started].thread, NULL, walk_thread_run, &t[started]) != 0)
			break;
		started++;
	}
	walk_thread_run(&t[0]);
	for (unsigned i = 0; i < started; i++) {
		if (i > 0)
			pthread_join(t[i].thread, NULL);
		if (found_join(walk, &t[i].walker) < 0)
			r = -ENOMEM;
		walk_thread_deinit(&t[i]);
	}
	return r;
}

int tree_walk_run(struct tree_walk *walk, struct fault *f)
{
	struct queue q = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER };
	struct task *task;
	struct stat st;
	int r;

	list_init(&q.tasks);
	r = tree_stat_at(walk->slot->slot_fd, ".", &st, &walk->checker.mount_id);
	if (r < 0)
		return fault_errno(f, r, "cannot look at the slot");
	if (queue_push(&q, "", 0, walk->list->n, false) < 0)
		return fault_oom(f);
	r = run_threads(walk, &q, walk->threads);
	while ((task = list_first(&q.tasks, struct task, link))) {
		list_del(&task->link);
		task_free(task);
	}
	if (q.r < 0)
		return fault(f, q.r, "%s", q.fault.text);
	if (r < 0)
		return fault_oom(f);
	if (walk->n_found > 0)
		qsort(walk->found, walk->n_found, sizeof(*walk->found), found_compare);
	return 0;
}

void tree_walk_deinit(struct tree_walk *walk)
{
	for (size_t i = 0; i < walk->n_found; i++)
		free(walk->found[i].path);
	free(walk->found);
	walk->found = NULL;
	walk->n_found = 0;
}

bool tree_trust_filemode(struct repo *repo)
{
	git_config *config = NULL;
	int yes = 1;

	if (git_repository_config_snapshot(&config, repo_git(repo)) < 0)
		return true;
	if (git_config_get_bool(&yes, config, "core.filemode") < 0)
		yes = 1;
	git_config_free(config);
	return yes;
}
