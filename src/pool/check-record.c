/*
 * What a check has found, held against what the last one found: what is new, and what is gone, is told in the
 * history, and the next one begins here.
 *
 * A slot that moved while it was looked at (it was given out, cleaned, removed, ...) may have looked like
 * anything. What was found of it is left out, and the slot is named; the next check tells.
 *
 * The history gets errors and warnings; what is of information alone comes and goes with every git that runs.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/map.h"
#include "util/parse.h"
#include "util/text.h"

#define EVENTS_MOST  100 /* of one check */
#define ADMIN_PREFIX "worktrees/slotd-"

/* --- notes --- */

static void keep_note(struct pool *pool, json_object *change)
{
	const char *name = json_get_string(change, "name");
	struct note_record r = { 0 };
	size_t len = 0;
	int got = json_get_bytes(change, "note", r.note.data, sizeof(r.note.data), &len);

	if (!name || strlen(name) >= sizeof(r.name) || got == -EINVAL) {
		log_error("a worker noted something that cannot be kept pool=%s", pool->rec.name);
		return;
	}
	if (got == -ENOENT) {
		batch_delete_note(pool->pools->batch, pool->rec.name, name);
		return;
	}
	memcpy(r.pool, pool->rec.name, sizeof(r.pool));
	snprintf(r.name, sizeof(r.name), "%s", name);
	r.note.len = (uint32_t)len;
	batch_put_note(pool->pools->batch, &r);
}

void check_keep_notes(struct check *check, json_object *changes)
{
	size_t n = changes ? json_object_array_length(changes) : 0;

	for (size_t i = 0; i < n; i++)
		keep_note(check->pool, json_object_array_get_idx(changes, i));
	if (n)
		pools_changed(check->pool->pools);
}

/* --- what the last one had found --- */

struct known {
	struct finding_record rec;
	bool is_there; /* still */
};

struct comparison {
	struct check *check;
	struct map *by_key; /* of known */
	struct known **known;
	size_t n, size;
	bool failed; /* there is nothing to compare with */
	unsigned events, untold;
};

static int add_known(const struct finding_record *rec, void *userdata)
{
	struct comparison *c = userdata;
	_cleanup_(freep) struct known *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	if (c->n == c->size) {
		size_t size = c->size ? c->size * 2 : 64;
		struct known **v = reallocarray(c->known, size, sizeof(*v));

		if (!v)
			return -ENOMEM;
		c->known = v;
		c->size = size;
	}
	k->rec = *rec;
	if (map_put(c->by_key, k->rec.key, k) < 0)
		return -ENOMEM;
	c->known[c->n++] = TAKE(k);
	return 0;
}

static int comparison_init(struct comparison *c, struct check *check)
{
	struct pool *pool = check->pool;
	struct fault f = FAULT_NONE;
	int r;

	*c = (struct comparison){ .check = check, .by_key = map_new() };
	if (!c->by_key)
		return -ENOMEM;
	r = ledger_each_finding(pool->pools->ledger, pool->rec.name, add_known, c, &f);
	if (r == -ENOMEM)
		return r;
	c->failed = r < 0;
	if (r < 0)
		log_error("what the last check found cannot be read: %s pool=%s", f.text, pool->rec.name);
	return 0;
}

static void comparison_deinit(struct comparison *c)
{
	map_free(c->by_key);
	for (size_t i = 0; i < c->n; i++)
		free(c->known[i]);
	free(c->known);
}

/* --- slots that moved --- */

static int compare_slot(const void *key, const void *member)
{
	return strcmp(key, ((const struct check_slot *)member)->name);
}

/* what it is about, as it is told or by its administration; "": no slot */
static void slot_of(json_object *finding, char *ret)
{
	const char *slot = json_get_string(finding, "slot"), *where = json_get_string(finding, "where");
	size_t len, pool_len;
	uint64_t n;

	if (!slot && where && text_has_prefix(where, ADMIN_PREFIX))
		slot = where + strlen(ADMIN_PREFIX);
	len = slot ? strcspn(slot, "/:") : 0;
	ret[0] = '\0';
	if (len == 0 || len >= NAME_SIZE)
		return;
	memcpy(ret, slot, len);
	ret[len] = '\0';
	if (parse_slot_name(ret, &pool_len, &n) < 0)
		ret[0] = '\0';
}

static bool has_moved(const struct check *check, const char *name)
{
	const struct check_slot *before = bsearch(name, check->slots, check->n_slots, sizeof(*check->slots),
						  compare_slot);
	const struct slot *slot = pools_find_slot(check->pool->pools, name);

	if (!slot || !before)
		return slot || before; /* it came, or went; else nobody ever knew it */
	return before->since_usec == 0 || before->since_usec != slot->rec.since_usec;
}

static bool is_in(json_object *names, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(names); i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(names, i)), name) == 0)
			return true;
	return false;
}

/* true: it is about a slot that moved, which is noted */
static bool is_unsettled(struct check *check, json_object *finding)
{
	char name[NAME_SIZE];

	slot_of(finding, name);
	if (name[0] == '\0' || !has_moved(check, name))
		return false;
	if (!is_in(check->result.unsettled, name))
		json_object_array_add(check->result.unsettled, json_object_new_string(name));
	return true;
}

/* --- the history --- */

static const char *text_of(json_object *finding, const char *key)
{
	const char *text = json_get_string(finding, key);

	return text ? text : "";
}

static void tell(struct comparison *c, const char *kind, const struct finding_record *r, const char *detail)
{
	static const char *const severities[] = { "info", "warning", "error" };
	struct pool *pool = c->check->pool;

	if (r->severity == 0 || c->failed)
		return;
	if (c->events++ >= EVENTS_MOST) {
		c->untold++;
		return;
	}
	pools_event(pool->pools, kind, pool, r->slot[0] ? pools_find_slot(pool->pools, r->slot) : NULL, NULL,
		    UID_SLOTD, "%s %s%s%.160s%s%s%s%.120s%s%s", severities[r->severity], r->id,
		    r->where[0] ? " in " : "", r->where, r->object[0] ? ", object " : "", r->object,
		    r->path[0] ? ", " : "", r->path, detail[0] ? ": " : "", detail);
}

static void tell_rest(struct comparison *c)
{
	struct pool *pool = c->check->pool;

	if (c->untold)
		pools_event(pool->pools, "finding", pool, NULL, NULL, UID_SLOTD,
			    "and %u more that came or went; all: slotctl check %s", c->untold, pool->rec.name);
}

/* "plain: 120 objects, 7 of them read; 1 error, 2 warnings, 0 notes" */
static void tell_checked(struct check *check)
{
	const struct pool_check_result *r = &check->result;
	struct pool *pool = check->pool;

	pools_event(pool->pools, "checked", pool, NULL, NULL, UID_SLOTD,
		    "%s: %llu %s, %llu of them read; %llu %s, %llu %s, %llu %s",
		    check->depth == POOL_CHECK_FULL ? "full" : check->scrubs ? "scrub" : "plain",
		    (unsigned long long)r->objects, text_plural(r->objects, "object", "objects"),
		    (unsigned long long)r->objects_read, (unsigned long long)r->errors,
		    text_plural(r->errors, "error", "errors"), (unsigned long long)r->warnings,
		    text_plural(r->warnings, "warning", "warnings"), (unsigned long long)r->infos,
		    text_plural(r->infos, "note", "notes"));
}

/* --- each finding --- */

static uint8_t severity_of(json_object *finding)
{
	const char *text = text_of(finding, "severity");

	return strcmp(text, "error") == 0 ? 2 : strcmp(text, "warning") == 0 ? 1 : 0;
}

static void copy(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text);
	text_mend_utf8(to);
}

#define COPY(to, text) copy(to, sizeof(to), text)

static void record_of(struct check *check, json_object *finding, struct finding_record *ret)
{
	memset(ret, 0, sizeof(*ret));
	COPY(ret->pool, check->pool->rec.name);
	COPY(ret->key, text_of(finding, "key"));
	ret->severity = severity_of(finding);
	COPY(ret->id, text_of(finding, "id"));
	COPY(ret->where, text_of(finding, "where"));
	COPY(ret->slot, text_of(finding, "slot"));
	COPY(ret->object, text_of(finding, "object"));
	COPY(ret->path, text_of(finding, "path"));
	ret->since_usec = clock_wall_usec();
}

static void take(json_object *to, const char *key, json_object *from)
{
	json_object *value = NULL;

	json_object_object_get_ex(from, key, &value);
	json_set(to, key, json_object_get(value));
}

/* as it is told to who asked */
static json_object *finding_to_json(struct check *check, json_object *finding, bool is_new)
{
	static const char *const keys[] = { "id", "severity", "where", "slot", "object", "path", "detail" };
	static const char *const bytes[] = { "whereBase64", "pathBase64" };
	json_object *o = json_object_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		take(o, keys[i], finding);
	for (size_t i = 0; i < ARRAY_SIZE(bytes); i++)
		if (json_get_string(finding, bytes[i]))
			take(o, bytes[i], finding);
	json_set_string(o, "pool", check->pool->rec.name);
	return json_set_bool(o, "sinceLast", is_new);
}

static void uncount(struct pool_check_result *r, uint8_t severity)
{
	uint64_t *count = severity == 2 ? &r->errors : severity == 1 ? &r->warnings : &r->infos;

	*count -= *count > 0;
}

static void take_finding(struct comparison *c, json_object *finding)
{
	struct check *check = c->check;
	struct known *known = map_find(c->by_key, text_of(finding, "key"));
	struct finding_record r;

	record_of(check, finding, &r);
	if (known)
		known->is_there = true; /* or nobody can tell, which leaves it as it was */
	if (is_unsettled(check, finding)) {
		uncount(&check->result, r.severity);
		return;
	}
	json_object_array_add(check->result.findings, finding_to_json(check, finding, !known));
	if (check->depth == POOL_CHECK_QUICK || (known && known->rec.severity == r.severity))
		return;
	if (known)
		r.since_usec = known->rec.since_usec;
	batch_put_finding(check->pool->pools->batch, &r);
	tell(c, "finding", &r, text_of(finding, "detail"));
}

/* of more than can be kept, nobody knows which are gone: those that are not among them are forgotten untold */
static void drop_gone(struct comparison *c)
{
	struct check *check = c->check;

	for (size_t i = 0; i < c->n; i++) {
		struct known *k = c->known[i];

		if (k->is_there || (k->rec.slot[0] && has_moved(check, k->rec.slot)))
			continue;
		batch_delete_finding(check->pool->pools->batch, k->rec.pool, k->rec.key);
		if (!check->result.truncated)
			tell(c, "finding_gone", &k->rec, "");
	}
}

/* --- all of it --- */

static void record_check(struct check *check)
{
	const struct pool_check_result *r = &check->result;
	struct pool *pool = check->pool;

	batch_save(pool->pools->batch, &pool->checked, sizeof(pool->checked));
	memcpy(pool->checked.pool, pool->rec.name, sizeof(pool->checked.pool));
	pool->checked.depth = check->depth == POOL_CHECK_FULL ? VERIFIED_FULL : VERIFIED_PLAIN;
	pool->checked.at = moment_now();
	/* a full one has read all there is to read again */
	if (check->scrubs || check->depth == POOL_CHECK_FULL)
		pool->checked.scrubbed = pool->checked.at;
	pool->checked.errors = r->errors;
	pool->checked.warnings = r->warnings;
	pool->checked.infos = r->infos;
	pool->checked.objects = r->objects;
	pool->checked.packs = r->packs;
	pool->checked.objects_read = r->objects_read;
	pool->checked.elapsed_usec = r->elapsed_usec;
	pool->checked.truncated = r->truncated;
	batch_put_check(pool->pools->batch, &pool->checked);
}

static uint64_t number(json_object *o, const char *key)
{
	int64_t n = json_get_int(o, key, 0);

	return n > 0 ? (uint64_t)n : 0;
}

static void read_numbers(struct pool_check_result *ret, json_object *params)
{
	json_object *counts = json_get_object(params, "counts");

	ret->errors = number(counts, "error");
	ret->warnings = number(counts, "warning");
	ret->infos = number(counts, "info");
	ret->truncated = json_get_bool(params, "truncated", false);
	ret->objects = number(params, "objects");
	ret->packs = number(params, "packs");
	ret->objects_read = number(params, "objectsRead");
	ret->elapsed_usec = number(params, "elapsedUsec");
}

int check_judge(struct check *check, json_object *params)
{
	json_object *list = json_get_array(params, "findings"), *meanings = json_get_object(params, "meanings");
	struct comparison c;
	int r;

	read_numbers(&check->result, params);
	check->result.findings = json_object_new_array();
	check->result.unsettled = json_object_new_array();
	check->result.meanings = meanings ? json_object_get(meanings) : json_object_new_object();
	r = comparison_init(&c, check);
	for (size_t i = 0; r == 0 && list && i < json_object_array_length(list); i++)
		take_finding(&c, json_object_array_get_idx(list, i));
	if (r == 0 && check->depth != POOL_CHECK_QUICK) {
		drop_gone(&c);
		record_check(check);
		tell_rest(&c);
		tell_checked(check);
		pools_changed(check->pool->pools);
	}
	comparison_deinit(&c);
	return r;
}
