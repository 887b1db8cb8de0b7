/* One check, from the first file to the last link. */
#include "integrity/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "integrity/check-private.h"

#include "integrity/config-scan.h"
#include "integrity/graph-check.h"
#include "integrity/refs-check.h"
#include "integrity/worktrees-check.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fs.h"

#define CONFIG_BYTES (16 << 20)
#define GRAPH_TRIES  5 /* while packs come and go */

int check_tell(struct check *c)
{
	int r = 0;

	if (c->spec->progress && !check_is_stopped(c))
		r = c->spec->progress(c->phase, __atomic_load_n(&c->done, __ATOMIC_RELAXED), c->total, c->spec->userdata);
	if (r < 0)
		check_stop(c, r);
	return __atomic_load_n(&c->stop, __ATOMIC_RELAXED);
}

void check_stop(struct check *c, int r)
{
	int none = 0;

	__atomic_compare_exchange_n(&c->stop, &none, r, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* --- what graph-check.h asks for --- */

static int read_commit(const git_oid *oid, void **ret, size_t *ret_len, void *userdata)
{
	struct check_run *run = userdata;
	git_object_t type;
	int r = object_read(run, oid, memory_of(run->c.spec), &type, ret, ret_len);

	if (r == 0 && type != GIT_OBJECT_COMMIT) {
		free(*ret);
		*ret = NULL;
		return -EBADMSG;
	}
	return r;
}

static struct pack *find_pack(const char *idx_name, void *userdata)
{
	struct check_run *run = userdata;
	size_t len = strlen(idx_name);

	for (size_t i = 0; i < run->dirs.n_packs; i++)
		if (len > 4 && strlen(run->dirs.packs[i]->stem) == len - 4 &&
		    strncmp(run->dirs.packs[i]->stem, idx_name, len - 4) == 0)
			return run->dirs.packs[i]->pack;
	return NULL;
}

/* what changes when packs come and go, and commit-graphs with them */
static uint64_t graphs_stamp(const struct check_run *run)
{
	static const char *const places[] = { "pack", "pack/multi-pack-index", "info", "info/commit-graph",
					      "info/commit-graphs", "info/commit-graphs/commit-graph-chain" };
	uint64_t stamp = 0;
	struct stat st;

	for (size_t i = 0; i < run->dirs.n; i++)
		for (size_t k = 0; k < ARRAY_SIZE(places); k++)
			if (fstatat(run->dirs.v[i]->fd, places[k], &st, 0) == 0)
				stamp = pack_note_stamp_also(stamp + k, &st);
	return stamp;
}

static int check_graphs_of(struct check_run *run)
{
	struct graph_reader reader = { read_commit, find_pack, run };
	int r = 0;

	for (size_t i = 0; r == 0 && i < run->dirs.n; i++) {
		r = multi_pack_index_check(&run->c, run->dirs.v[i]->fd, run->dirs.v[i]->label, &reader);
		if (r == 0)
			r = commit_graph_check(&run->c, run->dirs.v[i]->fd, run->dirs.v[i]->label, &reader);
	}
	return r;
}

static int tell_all(struct findings *all, const struct findings *some)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < findings_kept(some); i++) {
		const struct finding *f = findings_at(some, i);
		struct finding_place place = { f->where, f->slot, f->object, f->path };

		r = finding_add_as(all, f->id, f->severity, &place, "%s", f->detail);
	}
	return r;
}

static size_t findings_total(const struct findings *all)
{
	return findings_count(all, FINDING_ERROR) + findings_count(all, FINDING_WARNING) +
	       findings_count(all, FINDING_INFO);
}

/* 1: the packs changed meanwhile, and nothing was told */
static int try_graphs(struct check_run *run)
{
	struct check_run now = { .c = run->c };
	uint64_t before;
	int r;

	now.c.findings = findings_new();
	r = now.c.findings ? object_dirs_open(&now, NULL) : -ENOMEM;
	before = graphs_stamp(&now);
	if (r == 0)
		r = check_graphs_of(&now);
	if (r == 0)
		r = graphs_stamp(&now) != before ? 1 : tell_all(run->c.findings, now.c.findings);
	object_dirs_close(&now);
	findings_free(now.c.findings);
	return r;
}

/* nothing has changed since they were in order */
static bool are_graphs_known(const struct check_run *run, uint64_t stamp)
{
	const struct check_spec *spec = run->c.spec;
	size_t len = 0;
	const void *known = spec->memo ? memo_find(spec->memo, "graphs", &len) : NULL;

	return known && spec->depth != CHECK_FULL && !run->has_vanished && len == sizeof(stamp) &&
	       memcmp(known, &stamp, len) == 0;
}

static int remember_graphs(struct check_run *run, uint64_t stamp, bool are_good)
{
	struct memo *memo = run->c.spec->memo;

	if (!memo)
		return 0;
	if (are_good)
		return memo_put(memo, "graphs", &stamp, sizeof(stamp));
	memo_remove(memo, "graphs");
	return 0;
}

/*
 * Beside a repack the graphs speak of other packs than were listed at the beginning. So they are held against what
 * is there now; where packs come faster than they are looked at, it is left to the next check.
 */
static int check_graphs(struct check_run *run)
{
	uint64_t before = graphs_stamp(run);
	size_t findings = findings_total(run->c.findings);
	int r = 1;

	if (are_graphs_known(run, before))
		return 0;
	for (int i = 0; r == 1 && i < GRAPH_TRIES; i++)
		r = try_graphs(run);
	if (r < 0)
		return r;
	return remember_graphs(run, before, r == 0 && graphs_stamp(run) == before &&
						    findings_total(run->c.findings) == findings);
}

/* --- promises --- */

static int on_setting(const struct config_entry *e, void *userdata)
{
	bool *has_promisor = userdata;

	if (!e->section)
		return 0;
	*has_promisor |= strcmp(e->section, "remote") == 0 && strcmp(e->key, "promisor") == 0 &&
			 (!e->value || strcmp(e->value, "false") != 0);
	*has_promisor |= strcmp(e->section, "extensions") == 0 && strcmp(e->key, "partialclone") == 0;
	return 0;
}

/* without such a remote nobody has what a pack promises */
static int find_promisor(struct check_run *run)
{
	_cleanup_(freep) char *config = NULL;
	size_t len;
	int r = fs_read_file_at(run->c.common_fd, "config", CONFIG_BYTES, &config, &len);

	if (r == 0)
		r = config_scan(config, len, on_setting, &run->has_promisor, NULL);
	return r == -ENOMEM ? r : 0; /* what is wrong with it was told */
}

/* --- in order --- */

static int check_objects(struct check_run *run, struct check_result *ret, struct fault *f)
{
	int r = find_promisor(run);

	if (r == 0)
		r = object_dirs_open(run, f);
	if (r == -ENOENT) /* that was told, and there is nothing else to look at */
		return 0;
	if (r == 0)
		r = verify_objects(run, f);
	if (r == 0)
		r = check_graphs(run);
	if (r == 0)
		r = peeled_check(run);
	if (r == 0)
		r = links_check(run, f);
	if (run->objects) {
		ret->objects = objects_count(run->objects);
		ret->packs = run->dirs.n_packs;
	}
	ret->objects_read = run->n_read;
	return r;
}

static int check_all(struct check_run *run, struct check_result *ret, struct fault *f)
{
	int r;

	run->c.phase = "refs";
	r = store_files_check(&run->c);
	if (r == 0)
		r = check_tell(&run->c);
	run->c.phase = "worktrees";
	if (r == 0)
		r = worktrees_check(&run->c);
	if (r == 0)
		r = check_tell(&run->c);
	/* of another hash, nothing but files can be looked at; that was told */
	return r == 0 && run->c.is_sha1 ? check_objects(run, ret, f) : r;
}

static int run_init(struct check_run *run, const struct check_spec *spec, struct findings *all, struct fault *f)
{
	*run = (struct check_run){ .c = { .spec = spec, .findings = all, .is_sha1 = true, .phase = "refs", .common_fd = -1 } };
	pthread_mutex_init(&run->lock, NULL);
	pthread_mutex_init(&run->gaps.lock, NULL);
	run->c.roots = roots_new();
	if (!run->c.roots)
		return fault_oom(f);
	run->c.common_fd = open(spec->common_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (run->c.common_fd < 0)
		return fault_errno(f, -errno, "cannot open \"%s\"", spec->common_dir);
	return fsck_rules_load(run->c.common_fd, all, (struct fsck_rules **)&run->c.rules, f);
}

static void run_deinit(struct check_run *run)
{
	object_dirs_close(run);
	for (size_t i = 0; i < sizeof(run->specials) / sizeof(*run->specials); i++)
		oid_set_deinit(&run->specials[i]);
	oid_set_deinit(&run->bad);
	oid_set_deinit(&run->gone);
	oid_set_deinit(&run->gaps.by_oid);
	free(run->gaps.v);
	fsck_rules_free((struct fsck_rules *)run->c.rules);
	roots_free(run->c.roots);
	closep(&run->c.common_fd);
	pthread_mutex_destroy(&run->gaps.lock);
	pthread_mutex_destroy(&run->lock);
}

int check_run(const struct check_spec *spec, struct findings *all, struct check_result *ret, struct fault *f)
{
	uint64_t began = clock_boot_usec();
	struct check_run run;
	int r = run_init(&run, spec, all, f);

	*ret = (struct check_result){ 0 };
	if (r == 0)
		r = spec->depth == CHECK_QUICK ? check_quick(&run, f) : check_all(&run, ret, f);
	run_deinit(&run);
	ret->elapsed_usec = clock_boot_usec() - began;
	if (r < 0 && f && !f->text[0])
		fault_errno(f, r, "cannot check \"%s\"", spec->common_dir);
	return r;
}
