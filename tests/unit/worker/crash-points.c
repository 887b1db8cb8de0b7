/*
 * Each place in the worker's file operations, hit first and last, kills it; the next worker does the
 * same job again, and the end must be the same. Needs -Dcrashpoints=true.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/crash.h"
#include "util/json.h"
#include "util/text.h"
#include "worker-fixture.h"

static struct worker_end w;
static struct crash_cell *cells; /* a copy of the file of the run that killed nothing */

TestSuite(crash_points, .init = fixture_init, .fini = fixture_deinit, .timeout = 600);

static struct crash_cell *read_cells(void)
{
	struct crash_cell *copy = calloc(CRASH_CELLS, sizeof(*copy));
	FILE *file = fopen(in_dir("cells"), "r");

	cr_assert(copy && file);
	cr_assert_eq(fread(copy, sizeof(*copy), CRASH_CELLS, file), CRASH_CELLS);
	fclose(file);
	return copy;
}

static void write_cell(const char *name, uint32_t kill_at)
{
	struct crash_cell *zero = calloc(CRASH_CELLS, sizeof(*zero));
	FILE *file = fopen(in_dir("cells"), "w");

	cr_assert(zero && file);
	if (name) {
		snprintf(zero[0].name, sizeof(zero[0].name), "%s", name);
		zero[0].kill_at = kill_at;
	}
	cr_assert_eq(fwrite(zero, sizeof(*zero), CRASH_CELLS, file), CRASH_CELLS);
	fclose(file);
	free(zero);
}

/* until a worker lives through it */
static json_object *job(const char *method, const char *params)
{
	json_object *o;

	for (int tries = 0; tries < 3; tries++) {
		o = worker_call(&w, method, "%s", params);
		if (o)
			break;
		worker_stop(&w);
		cr_assert(!sh("test -d s.git/worktrees") ||
				  sh("git -C s.git worktree list >/dev/null && "
				     "git -C s.git branch >/dev/null"),
			  "the store is broken for everybody");
		worker_start(&w, NULL);
	}
	cr_assert(o != NULL, "%s is killed for ever", method);
	cr_assert_str_eq(w.error, "", "%s: %s: %s", method, w.error, w.message);
	return o;
}

static void assert_nothing_unsaved(json_object *o)
{
	cr_assert_eq(json_object_array_length(json_get_array(o, "unsaved")), 0, "%s",
		     json_object_to_json_string(o));
}

/* the slot's numbers and what else the job takes */
static const char *with_slot(const struct slot *slot, const char *more)
{
	return fixture_keep(text_printf("{%s, %s}", slot_params(slot), more));
}

static const char *commit_param(const char *commit, const char *more)
{
	return fixture_keep(text_printf("'commit': '%s'%s", commit, more));
}

static void create(struct slot *slot)
{
	char text[256];
	json_object *o;

	snprintf(slot->name, sizeof(slot->name), "a-1");
	o = job("StoreResolve", "{}");
	snprintf(slot->commit, sizeof(slot->commit), "%s", json_get_string(o, "head"));
	snprintf(text, sizeof(text), "{'slot': 'a-1', 'commit': '%s'}", slot->commit);
	o = job("SlotCreate", text);
	slot->dev = json_get_int(o, "dev", 0);
	slot->ino = json_get_int(o, "ino", 0);
	assert_clean_at(slot, slot->commit);
}

static void use(const struct slot *slot)
{
	job("SlotPrepare", with_slot(slot, "'ref': 'topic', 'branch': 'agent/x'"));
	assert_clean_at(slot, sh_text("git -C o rev-parse topic"));
	cr_assert(sh("cd slots/a-1 && test $(git symbolic-ref HEAD) = refs/heads/agent/x && "
		     "echo x > f && git commit -qam work && echo y > a.log"));
	assert_nothing_unsaved(job("SlotClean", with_slot(slot, commit_param(slot->commit,
										", 'discard': false"))));
	assert_clean_at(slot, slot->commit);
	job("SlotPrepare", with_slot(slot, commit_param(sh_text("git -C o rev-parse other"), "")));
	cr_assert(sh("git -C slots/a-1 merge -q origin/topic > /dev/null; echo junk > slots/a-1/f"));
	assert_nothing_unsaved(job("SlotClean", with_slot(slot, commit_param(slot->commit,
										", 'discard': true"))));
	assert_clean_at(slot, slot->commit);
}

/* a pool's life, and the state in which it must end */
static void live(void)
{
	struct slot slot;
	char text[256];

	cr_assert(sh("rm -rf o s.git slots"));
	make_origin();
	worker_start(&w, NULL);
	snprintf(text, sizeof(text), "{'url': '%s/o', 'fresh': true}", fixture_dir);
	job("StoreOpen", text);
	create(&slot);
	use(&slot);
	cr_assert(sh("git -C o commit -q --allow-empty -m three"));
	snprintf(text, sizeof(text), "{'url': '%s/o', 'ref': 'main'}", fixture_dir);
	job("StoreFetch", text);
	assert_nothing_unsaved(job("SlotRemove", with_slot(&slot, "'discard': false")));
	cr_assert_str_eq(sh_text("find slots s.git/slotd s.git/worktrees -mindepth 1; "
				 "find s.git -name '*.lock'"),
			 "");
	cr_assert(sh("git -C s.git fsck --strict && "
		     "test \"$(git -C s.git log -1 --format=%%s agent/x)\" = work"));
	create(&slot);
	worker_stop(&w);
	worker_forget();
}

Test(crash_points, every_point_is_survived)
{
	int points = 0, runs = 0;

	setenv("SLOTD_CRASH_FILE", in_dir("cells"), 1);
	write_cell(NULL, 0);
	live();
	cells = read_cells();
	for (int i = 0; i < CRASH_CELLS && cells[i].name[0]; i++) {
		cr_log_info("%s %u", cells[i].name, cells[i].hits);
		points++;
		for (uint32_t hit = 1; hit <= cells[i].hits;
		     hit = hit < cells[i].hits ? cells[i].hits : hit + 1) {
			fprintf(stderr, "%s %u/%u\n", cells[i].name, hit, cells[i].hits);
			write_cell(cells[i].name, hit);
			live();
			runs++;
		}
	}
	printf("%d crash points, %d runs\n", points, runs);
	cr_assert_gt(points, 15);
	free(cells);
}
