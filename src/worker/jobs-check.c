/*
 * A store is checked, or some of its slots.
 *
 * slotd keeps the notes of what was verified. It is told of their changes now and then, not at the end alone: a
 * check that has to make way, or dies, has not read in vain. So each note has to be true at every call of
 * the progress function. What does not fit into NOTES_BYTES altogether is not handed on, and costs time only.
 */
#include "worker/jobs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "git/sha1.h"
#include "integrity/check.h"
#include "integrity/memo.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/map.h"
#include "util/text.h"
#include "worker/confine.h"

#define NOTES_EVERY_USEC (10 * USEC_PER_SEC)
#define NOTES_BYTES	 (8 << 20) /* of all of them; slotd reads 16 MiB in one reply */
#define NOTES_AT_ONCE	 64
#define WHERE_BYTES	 512
#define PATH_BYTES	 1024

/* a note as slotd has it */
struct known {
	char name[MEMO_NAME_BYTES];
	uint64_t digest;
	unsigned round; /* the last that found it */
};

struct run {
	struct work *work;
	struct check_spec spec;
	struct check_result result;
	struct findings *findings;
	struct map *known; /* by name */
	struct known **notes;
	size_t n_notes, notes_size;
	unsigned round;
	size_t bytes; /* in this round */
	json_object *changes;
	uint64_t told_usec;
	bool background;
	int r;
};

/* --- notes --- */

/* FNV-1a: tells one state of a note from the next; nobody else writes them */
static uint64_t digest_of(const void *data, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < len; i++)
		h = (h ^ ((const uint8_t *)data)[i]) * 0x100000001b3ULL;
	return h;
}

static struct known *known_add(struct run *run, const char *name)
{
	_cleanup_(freep) struct known *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	if (run->n_notes == run->notes_size) {
		size_t size = run->notes_size ? run->notes_size * 2 : 64;
		struct known **v = reallocarray(run->notes, size, sizeof(*v));

		if (!v)
			return NULL;
		run->notes = v;
		run->notes_size = size;
	}
	snprintf(k->name, sizeof(k->name), "%s", name);
	if (map_put(run->known, k->name, k) < 0)
		return NULL;
	run->notes[run->n_notes++] = k;
	return TAKE(k);
}

static int read_note(struct run *run, json_object *o)
{
	const char *name = json_get_string(o, "name");
	uint8_t data[MEMO_NOTE_BYTES];
	struct known *k;
	size_t len;
	int r;

	if (json_get_bytes(o, "note", data, sizeof(data), &len) < 0 || strlen(name) >= MEMO_NAME_BYTES)
		return -EINVAL;
	r = memo_put(run->spec.memo, name, data, len);
	if (r < 0)
		return r;
	k = map_find(run->known, name);
	if (!k)
		k = known_add(run, name);
	if (!k)
		return -ENOMEM;
	k->digest = digest_of(data, len);
	return 0;
}

static int read_notes(struct run *run)
{
	json_object *list = json_get_array(run->work->params, "notes");

	run->spec.memo = memo_new();
	run->known = map_new();
	if (!run->spec.memo || !run->known)
		return fault_oom(&run->work->fault);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		int r = read_note(run, json_object_array_get_idx(list, i));

		if (r == -EINVAL)
			return work_invalid(run->work, "notes");
		if (r < 0)
			return fault_oom(&run->work->fault);
	}
	return 0;
}

static int send_changes(struct run *run)
{
	json_object *changes = TAKE(run->changes);

	return changes ? work_tell(run->work, json_set(json_object_new_object(), "notes", changes)) : 0;
}

static json_object *add_change(struct run *run, const char *name)
{
	json_object *o = json_set_string(json_object_new_object(), "name", name);

	if (!run->changes)
		run->changes = json_object_new_array();
	json_object_array_add(run->changes, o);
	return json_set(o, "note", NULL);
}

static int send_if_many(struct run *run)
{
	return run->changes && json_object_array_length(run->changes) >= NOTES_AT_ONCE ? send_changes(run) : 0;
}

/* one that does not fit counts as one that is gone */
static int tell_note(const char *name, const void *data, size_t len, void *userdata)
{
	struct run *run = userdata;
	uint64_t digest = digest_of(data, len);
	struct known *k = map_find(run->known, name);

	run->bytes += len;
	if (run->bytes > NOTES_BYTES)
		return 0;
	if (k && k->digest == digest) {
		k->round = run->round;
		return 0;
	}
	if (!k)
		k = known_add(run, name);
	if (!k)
		return -ENOMEM;
	k->digest = digest;
	k->round = run->round;
	json_set_bytes(add_change(run, name), "note", data, len);
	return send_if_many(run);
}

static int forget_gone(struct run *run)
{
	int r = 0;

	for (size_t i = run->n_notes; r == 0 && i-- > 0;) {
		struct known *k = run->notes[i];

		if (k->round == run->round)
			continue;
		add_change(run, k->name);
		map_remove(run->known, k->name);
		run->notes[i] = run->notes[--run->n_notes];
		free(k);
		r = send_if_many(run);
	}
	return r;
}

static int tell_notes(struct run *run)
{
	int r;

	run->round++;
	run->bytes = 0;
	run->told_usec = clock_boot_usec();
	r = memo_foreach(run->spec.memo, tell_note, run);
	if (r == 0)
		r = forget_gone(run);
	return r < 0 ? r : send_changes(run);
}

static int on_progress(const char *phase, uint64_t done, uint64_t total, void *userdata)
{
	struct run *run = userdata;
	int r = work_progress(phase, done, total, run->work);

	if (r == 0 && run->spec.memo && clock_boot_usec() - run->told_usec >= NOTES_EVERY_USEC)
		r = tell_notes(run);
	return r;
}

/* --- what was found --- */

static void hash_field(struct sha1 *s, const char *text)
{
	if (text)
		sha1_update(s, text, strlen(text));
	sha1_update(s, "\1", 1);
}

/* the same things that the collector tells them apart by */
static int key_of(const struct finding *f, char *ret)
{
	struct sha1 s;
	git_oid key;
	int r;

	sha1_init(&s);
	hash_field(&s, f->id);
	hash_field(&s, f->where);
	hash_field(&s, f->slot);
	hash_field(&s, f->object);
	hash_field(&s, f->path);
	r = sha1_final(&s, &key);
	if (r == 0)
		git_oid_tostr(ret, GIT_OID_HEXSZ + 1, &key);
	return r;
}

/* cut to what fits; anybody may have chosen it */
static void set_name(json_object *o, const char *key, const char *name, size_t max)
{
	_cleanup_(freep) char *cut = name ? strndup(name, max) : NULL;

	if (cut)
		json_set_path(o, key, cut);
}

static int add_finding(json_object *list, const struct finding *f)
{
	json_object *o = json_object_new_object();
	char key[GIT_OID_HEXSZ + 1];
	int r = key_of(f, key);

	json_object_array_add(list, o);
	if (r < 0)
		return r;
	json_set_string(o, "key", key);
	json_set_string(o, "id", f->id);
	json_set_string(o, "severity", finding_severity_to_string(f->severity));
	set_name(o, "where", f->where, WHERE_BYTES);
	json_set_string(o, "slot", f->slot);
	json_set_string(o, "object", f->object);
	set_name(o, "path", f->path, PATH_BYTES);
	json_set_string(o, "detail", f->detail);
	return 0;
}

static json_object *counts_of(const struct findings *all)
{
	json_object *o = json_object_new_object();

	for (int s = FINDING_INFO; s < FINDING_SEVERITIES; s++)
		json_set_int(o, finding_severity_to_string((enum finding_severity)s),
			     (int64_t)findings_count(all, (enum finding_severity)s));
	return o;
}

static size_t count_all(const struct findings *all)
{
	size_t n = 0;

	for (int s = FINDING_INFO; s < FINDING_SEVERITIES; s++)
		n += findings_count(all, (enum finding_severity)s);
	return n;
}

static int set_findings(struct run *run)
{
	json_object *list = json_object_new_array(), *meanings = json_object_new_object();
	struct findings *all = run->findings;
	json_object *reply = run->work->reply;
	int r = 0;

	json_set(reply, "findings", list);
	json_set(reply, "meanings", meanings);
	findings_sort(all);
	for (size_t i = 0; r == 0 && i < findings_kept(all); i++) {
		const struct finding *f = findings_at(all, i);

		r = add_finding(list, f);
		if (finding_meaning(f->id))
			json_set_string(meanings, f->id, finding_meaning(f->id));
	}
	json_set(reply, "counts", counts_of(all));
	json_set_bool(reply, "truncated", count_all(all) > findings_kept(all));
	return r < 0 ? fault_oom(&run->work->fault) : 0;
}

static int set_reply(struct run *run)
{
	json_object *reply = run->work->reply;
	const struct check_result *result = &run->result;
	int r = run->spec.memo ? tell_notes(run) : 0;

	if (r < 0)
		return fault_errno(&run->work->fault, r, "cannot tell what was verified");
	json_set_bool(reply, "complete", run->r != -ETIME);
	json_set_int(reply, "objects", (int64_t)result->objects);
	json_set_int(reply, "packs", (int64_t)result->packs);
	json_set_int(reply, "objectsRead", (int64_t)result->objects_read);
	json_set_int(reply, "elapsedUsec", (int64_t)result->elapsed_usec);
	return set_findings(run);
}

/* --- what is to be done --- */

static enum check_depth depth_of(const char *text)
{
	return strcmp(text, "quick") == 0 ? CHECK_QUICK : strcmp(text, "full") == 0 ? CHECK_FULL : CHECK_PLAIN;
}

static void free_slots(struct check_slot *slots, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free((char *)slots[i].path);
	free(slots);
}

/* borrows from the parameters, but for the paths */
static int read_slots(struct run *run, struct check_slot **ret)
{
	json_object *list = json_get_array(run->work->params, "slots");
	size_t n = json_object_array_length(list);
	struct check_slot *slots = calloc(n + 1, sizeof(*slots));

	*ret = slots;
	if (!slots)
		return fault_oom(&run->work->fault);
	run->spec.slots = slots;
	for (size_t i = 0; i < n; i++) {
		json_object *o = json_object_array_get_idx(list, i);

		slots[i].name = json_get_string(o, "name");
		slots[i].path = text_printf("%s/%s", run->work->worker->slots, slots[i].name);
		slots[i].dev = (uint64_t)json_get_int(o, "dev", 0);
		slots[i].ino = (uint64_t)json_get_int(o, "ino", 0);
		slots[i].head = json_get_string(o, "head");
		slots[i].is_leased = json_get_bool(o, "leased", false);
		run->spec.n_slots++;
		if (!slots[i].path)
			return fault_oom(&run->work->fault);
	}
	return 0;
}

static void read_spec(struct run *run)
{
	struct work *work = run->work;
	int64_t threads = json_get_int(work->params, "threads", 0);
	struct check_spec *s = &run->spec;

	s->common_dir = work->worker->common_dir;
	s->is_adopted = work->worker->adopted;
	s->depth = depth_of(json_get_string(work->params, "depth"));
	s->threads = threads > 0 && threads < work->worker->threads ? (unsigned)threads : work->worker->threads;
	s->memory_bytes = (uint64_t)json_get_int(work->params, "memoryBytes", 0);
	s->scrub_usec = (uint64_t)json_get_int(work->params, "scrubUsec", 0);
	s->overdue_usec = (uint64_t)json_get_int(work->params, "overdueUsec", 0);
	s->now_usec = clock_wall_usec();
	s->progress = on_progress;
	s->userdata = run;
	run->background = json_get_bool(work->params, "background", false);
	run->told_usec = clock_boot_usec();
}

static void *check_in_background(void *arg)
{
	struct run *run = arg;

	limits_step_back("a check", run->work->worker->pool);
	run->r = check_run(&run->spec, run->findings, &run->result, &run->work->fault);
	return NULL;
}

/* in a thread of its own when it steps back: that ends with it, and the next job has its own priority again */
static int check(struct run *run)
{
	pthread_t thread;
	int r;

	if (!run->background) {
		run->r = check_run(&run->spec, run->findings, &run->result, &run->work->fault);
		return 0;
	}
	r = pthread_create(&thread, NULL, check_in_background, run);
	if (r != 0)
		return fault_errno(&run->work->fault, -r, "cannot start a thread");
	pthread_join(thread, NULL);
	return 0;
}

static int check_and_reply(struct run *run)
{
	int r = check(run);

	if (r < 0)
		return r;
	if (run->r == -ENOENT)
		run->work->error = "io.slotd.worker.StoreGone";
	return run->r < 0 && run->r != -ETIME ? run->r : set_reply(run);
}

static void run_deinit(struct run *run)
{
	memo_free(run->spec.memo);
	findings_free(run->findings);
	map_free(run->known);
	for (size_t i = 0; i < run->n_notes; i++)
		free(run->notes[i]);
	free(run->notes);
	json_object_put(run->changes);
}

int job_store_check(struct work *work)
{
	struct run run = { .work = work };
	struct check_slot *slots = NULL;
	int r = job_know_store(work, json_get_string(work->params, "commonDir"));

	if (r < 0)
		return r;
	read_spec(&run);
	run.findings = findings_new();
	r = run.findings ? read_slots(&run, &slots) : fault_oom(&work->fault);
	if (r == 0 && run.spec.depth != CHECK_QUICK)
		r = read_notes(&run);
	if (r == 0 && !work->error)
		r = check_and_reply(&run);
	free_slots(slots, run.spec.n_slots);
	run_deinit(&run);
	return r;
}
