/* StoreCheck, as the daemon calls it: what it says, and what it notes. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"
#include "worker-fixture.h"

static struct worker_end w;
static json_object *notes; /* as a daemon would have them: {name: text} */
static size_t n_changes;   /* of notes, heard so far */

static void hear(json_object *params)
{
	json_object *changes = json_get_array(params, "notes");

	for (size_t i = 0; changes && i < json_object_array_length(changes); i++) {
		json_object *o = json_object_array_get_idx(changes, i);
		const char *name = json_get_string(o, "name"), *note = json_get_string(o, "note");

		if (note)
			json_set_string(notes, name, note);
		else
			json_object_object_del(notes, name);
		n_changes++;
	}
}

static void init(void)
{
	fixture_init();
	make_origin();
	notes = json_object_new_object();
	worker_start(&w, NULL);
	w.heard = hear;
}

static void deinit(void)
{
	int status = worker_stop(&w);

	json_object_put(notes);
	worker_forget();
	fixture_deinit();
	cr_assert_eq(status, 0, "the worker ended with %d", status);
}

TestSuite(check, .init = init, .fini = deinit, .timeout = 120);

/* --- calls --- */

static json_object *notes_to_json(void)
{
	json_object *list = json_object_new_array();

	json_object_object_foreach (notes, name, note) {
		json_object *o = json_set_string(json_object_new_object(), "name", name);

		json_object_array_add(list, json_set_string(o, "note", json_object_get_string(note)));
	}
	return list;
}

static json_object *params_of(const char *depth, const struct slot *slot)
{
	_cleanup_(freep) char *store = text_printf("%s/s.git", fixture_dir);
	json_object *o = json_object_new_object(), *slots = json_object_new_array(), *s;

	if (slot) {
		s = json_set_string(json_object_new_object(), "name", slot->name);
		json_set_int(s, "dev", slot->dev);
		json_set_int(s, "ino", slot->ino);
		json_set_string(s, "head", slot->commit);
		json_object_array_add(slots, json_set_bool(s, "leased", false));
	}
	json_set_string(o, "commonDir", store);
	json_set_string(o, "depth", depth);
	json_set(o, "slots", slots);
	json_set(o, "notes", notes_to_json());
	json_set_int(o, "memoryBytes", 0);
	json_set_int(o, "threads", 0);
	json_set_int(o, "scrubUsec", 0);
	json_set_int(o, "overdueUsec", 0);
	return json_set_bool(o, "background", false);
}

static json_object *ask(json_object *params)
{
	worker_send(&w, "StoreCheck", params, any_lock());
	return worker_receive(&w, "StoreCheck");
}

static json_object *check(const char *depth, const struct slot *slot)
{
	json_object *o = ask(params_of(depth, slot));

	cr_assert(o && !w.error[0], "%s: %s", w.error, w.message);
	return o;
}

static int64_t count(json_object *reply, const char *severity)
{
	return json_get_int(json_get_object(reply, "counts"), severity, -1);
}

static json_object *find(json_object *reply, const char *id)
{
	json_object *list = json_get_array(reply, "findings");

	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (text_is_equal(json_get_string(json_object_array_get_idx(list, i), "id"), id))
			return json_object_array_get_idx(list, i);
	return NULL;
}

static int64_t count_objects(void)
{
	return atoi(sh_text("git -C s.git cat-file --batch-all-objects --batch-check | wc -l"));
}

/* --- what it says --- */

Test(check, a_store_that_is_whole_has_no_errors_and_says_how_large_it_is)
{
	struct slot slot;
	json_object *o;

	store_open(&w);
	slot_create(&w, "a-1", &slot);
	o = check("plain", &slot);
	cr_assert_eq(count(o, "error") + count(o, "warning"), 0, "%s", json_object_to_json_string(o));
	cr_assert_eq(json_get_int(o, "objects", 0), count_objects());
	cr_assert_eq(json_get_int(o, "objectsRead", 0), count_objects());
	cr_assert(json_get_bool(o, "complete", false) && !json_get_bool(o, "truncated", true));
}

Test(check, what_is_found_has_a_key_that_stays)
{
	char key[64];
	json_object *o, *f;

	store_open(&w);
	cr_assert(sh(": > s.git/refs/heads/broken && : > s.git/refs/heads/other"));
	o = check("plain", NULL);
	cr_assert_eq(count(o, "error"), 2, "%s", json_object_to_json_string(o));
	f = find(o, "empty-ref");
	cr_assert(f != NULL);
	cr_assert_str_eq(json_get_string(f, "where"), "refs/heads/broken");
	cr_assert_str_eq(json_get_string(f, "severity"), "error");
	cr_assert(json_get_string(json_get_object(o, "meanings"), "empty-ref") != NULL);
	snprintf(key, sizeof(key), "%s", json_get_string(f, "key"));
	cr_assert_eq(strlen(key), 40);
	cr_assert_str_eq(json_get_string(find(check("full", NULL), "empty-ref"), "key"), key);
	f = json_object_array_get_idx(json_get_array(o, "findings"), 1);
	cr_assert_str_neq(json_get_string(f, "key"), key);
}

Test(check, a_store_that_nobody_would_take_for_one_is_checked_too)
{
	store_open(&w);
	worker_stop(&w);
	cr_assert(sh("rm s.git/HEAD"));
	worker_start(&w, NULL);
	w.heard = hear;
	cr_assert(count(check("plain", NULL), "error") > 0);
	cr_assert(sh("mv s.git gone.git"));
	cr_assert(ask(params_of("plain", NULL)) != NULL);
	cr_assert_str_eq(w.error, "StoreGone", "%s", w.message);
}

Test(check, a_slot_is_looked_at_quickly_without_its_store)
{
	struct slot slot;
	json_object *o;

	store_open(&w);
	slot_create(&w, "a-1", &slot);
	o = check("quick", &slot);
	cr_assert_eq(count(o, "error"), 0, "%s", json_object_to_json_string(o));
	cr_assert(sh(": > s.git/refs/heads/broken && echo nonsense > s.git/worktrees/slotd-a-1/HEAD"));
	o = check("quick", &slot);
	cr_assert(find(o, "bad-head") != NULL && find(o, "empty-ref") == NULL, "%s", json_object_to_json_string(o));
	cr_assert_str_eq(json_get_string(find(o, "bad-head"), "slot"), "a-1");
	cr_assert_eq(json_object_object_length(notes), 0, "it notes nothing");
}

Test(check, it_steps_back_for_others_alone)
{
	json_object *params;

	store_open(&w);
	params = json_set_bool(params_of("full", NULL), "background", true);
	cr_assert(ask(params) && !w.error[0], "%s", w.message);
	cr_assert(sh("test $(ps -o ni= -p %d) -eq $(ps -o ni= -p $$)", w.pid), "the next job has its own again");
	check("full", NULL);
}

/* --- what it notes --- */

Test(check, what_it_noted_is_not_read_again_until_all_is)
{
	json_object *o;

	store_open(&w);
	check("plain", NULL);
	cr_assert(json_object_object_length(notes) > 0);
	o = check("plain", NULL);
	cr_assert_eq(json_get_int(o, "objectsRead", -1), 0);
	o = check("full", NULL);
	cr_assert_eq(json_get_int(o, "objectsRead", -1), count_objects());
	json_object_put(notes);
	notes = json_object_new_object();
	o = check("plain", NULL);
	cr_assert_eq(json_get_int(o, "objectsRead", -1), count_objects());
}

Test(check, what_did_not_change_is_not_noted_again)
{
	store_open(&w);
	check("plain", NULL);
	cr_assert(n_changes > 0);
	n_changes = 0;
	check("plain", NULL);
	cr_assert_eq(n_changes, 0);
}

Test(check, notes_that_make_no_sense_cost_time_alone)
{
	json_object *o;

	store_open(&w);
	check("plain", NULL);
	json_object_object_foreach (notes, name, note) {
		(void)note;
		json_set_string(notes, name, "bm9uc2Vuc2U=");
	}
	json_set_string(notes, "stray", "bm9uc2Vuc2U=");
	o = check("plain", NULL);
	cr_assert_eq(json_get_int(o, "objectsRead", -1), count_objects());
	cr_assert_eq(count(o, "error"), 0);
	o = check("plain", NULL);
	cr_assert_eq(json_get_int(o, "objectsRead", -1), 0, "they were mended");
}

Test(check, what_is_no_note_is_refused)
{
	store_open(&w);
	json_set_string(notes, "x", "not base64");
	cr_assert(ask(params_of("plain", NULL)) != NULL);
	cr_assert_str_eq(w.error, "InvalidParameter");
}

/* a call of the daemon may be longer than any of another caller */
Test(check, many_notes_come_through)
{
	char name[32], note[9001];

	store_open(&w);
	memset(note, 'A', 9000);
	note[9000] = '\0';
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "x-%d", i);
		json_set_string(notes, name, note);
	}
	cr_assert_eq(count(check("plain", NULL), "error"), 0);
}
