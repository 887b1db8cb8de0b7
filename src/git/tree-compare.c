/* Two worlds: what is to be there, and what is. */
#include "git/tree-walker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

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

	return names->n == 0 ? NULL
			     : bsearch(&key, names->items, names->n, sizeof(key), name_compare);
}

/* a directory being compared */
struct place {
	struct tree_walker *w;
	const struct tree_task *task;
	int fd;
	struct names names;
};

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
			r = tree_untracked(p->w, e->path, dirfd(dir), entry->d_name, 0, true);
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
		return r < 0 ? r : tree_untracked(w, p->task->path, p->fd, name, 0, true);
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

static bool is_directory(struct place *p, const struct name *name);

/* an unmerged path; whoever solves it may have made a directory of it. Entries below are looked at by themselves */
static int place_conflict(struct place *p, struct name *found, struct tree_entry *e)
{
	int r = tree_walker_report(p->w, TREE_CHANGE_CONFLICT, e->path, false, e);

	if (r < 0 || !found || !is_directory(p, found) || tree_list_has_below(p->w->walk->list, e))
		return r;
	return tree_untracked(p->w, p->task->path, p->fd, found->name, false, true);
}

static int place_file(struct place *p, const char *name, struct tree_entry *e)
{
	struct name *found = names_find(&p->names, name);

	if (found)
		found->seen = true;
	if (e->flags & TREE_ENTRY_STAGE)
		return place_conflict(p, found, e);
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
	bool wanted = any_wanted(p->w->walk->list, low, high);
	int r;

	if (found && found->seen && !wanted)
		return 0; /* a file belongs here, and what is there was reported with it */
	if (found && is_directory(p, found)) {
		found->seen = true;
		return tree_walker_push(p->w, path, low, high,
					p->task->fate | tree_fate(p->w->walk, path, true));
	}
	r = report_deleted(p->w, low, high);
	if (r < 0 || !found || found->seen || !wanted)
		return r;
	found->seen = true; /* a link or a file where a directory belongs */
	return tree_untracked(p->w, p->task->path, p->fd, name, 0, true);
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
		r = is_git ? tree_walker_report(p->w, TREE_CHANGE_NESTED, p->task->path, true, NULL)
			   : tree_untracked(p->w, p->task->path, p->fd, name->name,
					    p->task->fate, false);
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

int tree_compare(struct tree_walker *w, const struct tree_task *task)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	struct place place = { .w = w, .task = task };
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
