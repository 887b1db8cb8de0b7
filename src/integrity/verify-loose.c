/* Loose objects: those that changed since they were read, by several threads, a directory at a time. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/check-private.h"

#include "git/loose.h"
#include "integrity/loose-check.h"
#include "util/cleanup.h"

#define FANS 256

struct loose_file {
	git_oid oid;
	uint32_t stamp;
	bool is_trusted;
	bool is_good; /* to be remembered */
};

struct loose_dir {
	struct check_run *run;
	struct object_dir *dir;
	struct loose_file *files; /* sorted by name */
	size_t n, size;
	size_t fan[FANS + 1];
	uint64_t read_usec[FANS]; /* when what is trusted was read */
	unsigned next; /* directory; by atomic addition */
	int r;
};

static void note_name(const struct object_dir *dir, unsigned fan, char ret[MEMO_NAME_BYTES])
{
	snprintf(ret, MEMO_NAME_BYTES, "%s-loose-%02x", dir->tag, fan);
}

static int on_file(const git_oid *oid, const struct stat *st, void *userdata)
{
	struct loose_dir *d = userdata;

	if (d->n == d->size) {
		size_t size = d->size ? d->size * 2 : 1024;
		struct loose_file *files = reallocarray(d->files, size, sizeof(*files));

		if (!files)
			return -ENOMEM;
		d->files = files;
		d->size = size;
	}
	d->files[d->n++] = (struct loose_file){ .oid = *oid, .stamp = loose_stamp(st) };
	return 0;
}

static int compare_files(const void *a, const void *b)
{
	return memcmp(((const struct loose_file *)a)->oid.id, ((const struct loose_file *)b)->oid.id, GIT_OID_RAWSZ);
}

static void fill_fan(struct loose_dir *d)
{
	size_t i = 0;

	if (d->n)
		qsort(d->files, d->n, sizeof(*d->files), compare_files);
	for (unsigned fan = 0; fan < FANS; fan++) {
		d->fan[fan] = i;
		while (i < d->n && d->files[i].oid.id[0] == fan)
			i++;
	}
	d->fan[FANS] = i;
}

/* --- what was read before --- */

static int trust_fan(struct loose_dir *d, unsigned fan)
{
	_cleanup_(loose_note_deinit) struct loose_note note = { 0 };
	struct check_run *run = d->run;
	char name[MEMO_NAME_BYTES];
	int r;

	note_name(d->dir, fan, name);
	r = loose_note_find(run->c.spec->memo, name, &note);
	if (r <= 0 || run->has_vanished || run->c.spec->depth == CHECK_FULL)
		return r < 0 ? r : 0;
	/* a scrub begins with those that are overdue: there are few of them, so all of a directory at once */
	if (run->c.spec->scrub_usec && run->c.spec->overdue_usec &&
	    note.read_usec + run->c.spec->overdue_usec < run->c.spec->now_usec)
		return 0;
	d->read_usec[fan] = note.read_usec;
	for (size_t i = d->fan[fan]; i < d->fan[fan + 1]; i++) {
		struct loose_file *file = &d->files[i];

		file->is_good = file->is_trusted = loose_note_has(&note, loose_prefix(&file->oid), file->stamp);
		d->run->has_trusted |= file->is_trusted;
	}
	return 0;
}

static int remember_fan(struct loose_dir *d, unsigned fan)
{
	_cleanup_(loose_note_deinit) struct loose_note note = { 0 };
	struct memo *memo = d->run->c.spec->memo;
	char name[MEMO_NAME_BYTES];
	int r = 0;

	note_name(d->dir, fan, name);
	if (d->fan[fan] == d->fan[fan + 1]) {
		loose_note_remove(memo, name);
		return 0;
	}
	note.read_usec = d->run->c.spec->now_usec;
	for (size_t i = d->fan[fan]; r == 0 && i < d->fan[fan + 1]; i++) {
		if (d->files[i].is_trusted)
			note.read_usec = d->read_usec[fan];
		r = loose_note_add(&note, loose_prefix(&d->files[i].oid),
				   d->files[i].is_good ? d->files[i].stamp : 0);
	}
	return r == 0 ? loose_note_put(memo, name, &note) : r;
}

/* --- what is read --- */

static int add_to(struct check_run *run, struct oid_set *set, const git_oid *oid)
{
	int r;

	pthread_mutex_lock(&run->lock);
	r = oid_set_add(set, oid, 0);
	pthread_mutex_unlock(&run->lock);
	return r < 0 ? r : 0;
}

static int verify_file(struct loose_dir *d, struct verify_thread *t, struct loose_file *file)
{
	_cleanup_(freep) char *where = NULL;
	_cleanup_(freep) void *data = NULL;
	char path[GIT_OID_HEXSZ + 2];
	git_object_t type;
	uint64_t len;
	int r;

	r = loose_check_object(&d->run->c, d->dir->fd, d->dir->label, &file->oid, d->run->is_known, &type, &data,
			       &len);
	if (r == -EBADMSG || r == -ENOENT)
		return add_to(d->run, r == -ENOENT ? &d->run->gone : &d->run->bad, &file->oid);
	if (r < 0)
		return r;
	loose_path(&file->oid, path);
	where = text_printf("%s/%s", d->dir->label, path);
	t->number = objects_find(d->run->objects, file->oid.id);
	if (!where || t->number == OBJECTS_NONE)
		return where ? 0 : -ENOMEM;
	t->where = where;
	r = verify_content(t, type, data, (size_t)len);
	file->is_good = !t->has_told;
	return r;
}

static int verify_fan(struct loose_dir *d, struct verify_thread *t, unsigned fan)
{
	int r = 0;

	for (size_t i = d->fan[fan]; r == 0 && i < d->fan[fan + 1]; i++) {
		if (check_is_stopped(&d->run->c))
			return d->run->c.stop;
		if (d->files[i].is_trusted)
			continue;
		r = verify_file(d, t, &d->files[i]);
		__atomic_add_fetch(&d->run->c.done, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&d->run->n_read, 1, __ATOMIC_RELAXED);
	}
	return r;
}

static void *work(void *userdata)
{
	struct loose_dir *d = userdata;
	struct verify_thread t;
	unsigned fan;
	int r = verify_thread_init(&t, d->run);

	while (r == 0 && (fan = __atomic_fetch_add(&d->next, 1, __ATOMIC_RELAXED)) < FANS)
		r = verify_fan(d, &t, fan);
	if (r < 0)
		check_stop(&d->run->c, r);
	verify_thread_deinit(&t);
	return NULL;
}

/* the caller's thread works too, and tells how far all are */
static int work_and_tell(struct loose_dir *d)
{
	struct verify_thread t;
	unsigned fan;
	int r = verify_thread_init(&t, d->run);

	while (r == 0 && (fan = __atomic_fetch_add(&d->next, 1, __ATOMIC_RELAXED)) < FANS) {
		r = verify_fan(d, &t, fan);
		if (r == 0)
			r = check_tell(&d->run->c);
	}
	if (r < 0)
		check_stop(&d->run->c, r);
	verify_thread_deinit(&t);
	return r;
}

static int verify_files(struct loose_dir *d)
{
	unsigned n = 0, wanted = d->run->c.spec->threads - 1;
	pthread_t *threads = calloc(wanted + 1, sizeof(*threads));
	int r;

	if (!threads)
		return -ENOMEM;
	while (n < wanted && d->n > FANS && pthread_create(&threads[n], NULL, work, d) == 0)
		n++; /* fewer do as well */
	r = work_and_tell(d);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	free(threads);
	return check_is_stopped(&d->run->c) ? d->run->c.stop : r;
}

/* what there is, and what of it is trusted */
static int load_dir(struct loose_dir *d)
{
	int r = loose_list(&d->run->c, d->dir->fd, d->dir->label, on_file, d);

	if (r == 0)
		fill_fan(d);
	for (unsigned fan = 0; r == 0 && fan < FANS; fan++)
		r = trust_fan(d, fan);
	return r;
}

static int remember_dir(struct loose_dir *d)
{
	int r = 0;

	for (unsigned fan = 0; r == 0 && fan < FANS; fan++)
		r = remember_fan(d, fan);
	return r;
}

static int verify_dir(struct check_run *run, struct object_dir *dir)
{
	struct loose_dir d = { .run = run, .dir = dir };
	int r = load_dir(&d);

	for (size_t i = 0; r == 0 && i < d.n; i++)
		run->c.total += !d.files[i].is_trusted;
	if (r == 0)
		r = verify_files(&d);
	if (r == 0)
		r = verify_specials(run);
	if (r == 0 && run->c.spec->memo)
		r = remember_dir(&d);
	free(d.files);
	return r;
}

static int note_dir(struct check_run *run, struct object_dir *dir)
{
	struct loose_dir d = { .run = run, .dir = dir };
	int r = load_dir(&d);

	if (r == 0)
		r = remember_dir(&d);
	free(d.files);
	return r;
}

int note_loose(struct check_run *run)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < run->dirs.n; i++)
		r = note_dir(run, run->dirs.v[i]);
	return r;
}

int verify_loose(struct check_run *run)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < run->dirs.n; i++)
		r = verify_dir(run, run->dirs.v[i]);
	return r;
}
