/*
 * A restore that is killed, wherever it is, is taken up by the next one, and nothing that somebody wrote in
 * between is lost. Needs -Dcrashpoints=true.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "salvage-slots.h"
#include "util/crash.h"

/* the file is looked for once a process, and the children have it from here */
static void init(void)
{
	salvage_slots_init();
	cr_assert(sh("truncate -s %zu cells", sizeof(struct crash_cell) * CRASH_CELLS));
	setenv("SLOTD_CRASH_FILE", in_dir("cells"), 1);
}

TestSuite(salvage_crash, .init = init, .fini = salvage_slots_deinit, .timeout = 600);

/* something of everything: each step of restoring has something to do */
static const char leave[] = "git switch -qc work && git rebase side; echo half >> d/b && git add "
			    "d/b && echo more >> d/b && "
			    "rm run && rm -rf deep && echo file > deep && mkdir new && echo n > "
			    "new/n && chmod 600 new/n && "
			    "git init -q nested && mkdir nested/empty && chmod 711 nested/empty && "
			    "echo q > nested/q && "
			    "printf 'x\\n' >> dos.bat && git update-ref refs/worktree/mine HEAD";

static struct crash_cell cells[CRASH_CELLS];

/* a file of cells, in which one may kill */
static void write_cells(const char *name, uint32_t kill_at)
{
	FILE *file = fopen(in_dir("cells"), "r+");

	memset(cells, 0, sizeof(cells));
	if (name) {
		snprintf(cells[0].name, sizeof(cells[0].name), "%s", name);
		cells[0].kill_at = kill_at;
	}
	cr_assert(file && fwrite(cells, sizeof(*cells), CRASH_CELLS, file) == CRASH_CELLS);
	fclose(file);
}

static void read_cells(void)
{
	FILE *file = fopen(in_dir("cells"), "r");

	cr_assert(file && fread(cells, sizeof(*cells), CRASH_CELLS, file) == CRASH_CELLS);
	fclose(file);
}

/* in a process of its own; the status that waitpid() tells */
static int restore_apart(git_oid commit)
{
	int status = 0;
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0)
		_exit(slot_restore("r-1", commit) == 0 ? 0 : 1);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static git_oid left_behind(void)
{
	git_oid commit;

	slot_make("r-1");
	(void)sh("cd slots/r-1 && { %s\n} >../../agent.out 2>&1; true", leave);
	remember_slot("slots/r-1", false);
	remember_slot("slots/r-1", true);
	commit = slot_capture("r-1");
	slot_clean("r-1");
	return commit;
}

static void kill_at(git_oid commit, const char *name, uint32_t hit)
{
	int status;

	/* elsewhere, so that files have to go as well */
	slot_clean("r-1");
	cr_assert(sh("cd slots/r-1 && git checkout -q main~1 && git update-ref refs/slotd/pin/r-1 "
		     "main"));
	write_cells(name, hit);
	status = restore_apart(commit);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s %u: %x", name, hit,
		  (unsigned)status);
}

static void assert_is_all_there(const char *name)
{
	assert_is_as_remembered("slots/r-1", false, name);
	assert_is_as_remembered("slots/r-1", true, name);
	cr_assert_str_eq(
		sh_text("find slots/r-1 r/.git/worktrees/slotd-r-1 -name '.slotd-tmp-*' -o -name "
			"'*.slotd' -o -name slotd-restoring"),
		"", "%s", name);
}

Test(salvage_crash, every_point_is_taken_up)
{
	static struct crash_cell points[CRASH_CELLS];
	git_oid commit = left_behind();
	int runs = 0;

	write_cells(NULL, 0);
	cr_assert_eq(restore_apart(commit), 0);
	assert_is_all_there("nothing killed");
	read_cells();
	memcpy(points, cells, sizeof(points));
	for (int i = 0; i < CRASH_CELLS && points[i].name[0]; i++) {
		uint32_t hits[] = { 1, points[i].hits };

		for (size_t k = 0; k < (hits[1] > 1 ? 2 : 1); k++) {
			kill_at(commit, points[i].name, hits[k]);
			cr_assert_eq(slot_restore("r-1", commit), 0, "%s %u: %s", points[i].name,
				     hits[k], salvage_fault.text);
			assert_is_all_there(points[i].name);
			runs++;
		}
	}
	cr_log_info("%d runs", runs);
	cr_assert_gt(runs, 12);
}

/* in the middle of it, somebody goes on in the slot */
Test(salvage_crash, what_was_written_meanwhile_stays)
{
	git_oid commit = left_behind();

	kill_at(commit, "salvage.file.written", 3);
	cr_assert(sh("cd slots/r-1 && echo mine > n.txt && echo mine > mine"));
	cr_assert_eq(slot_restore("r-1", commit), 0, "%s", salvage_fault.text);
	cr_assert_str_eq(sh_text("cd slots/r-1 && cat n.txt mine"), "mine\nmine");

	kill_at(commit, "salvage.files", 1);
	cr_assert(sh("cd slots/r-1 && echo mine > new/n"));
	cr_assert_eq(slot_restore("r-1", commit), -EBUSY);
	cr_assert(strstr(salvage_fault.text, "new/n"), "%s", salvage_fault.text);
	cr_assert_str_eq(sh_text("cat slots/r-1/new/n"), "mine");
	cr_assert(sh("rm slots/r-1/new/n"));
	cr_assert_eq(slot_restore("r-1", commit), 0, "%s", salvage_fault.text);
	assert_is_all_there("again");
}

Test(salvage_crash, another_salvage_waits_for_the_first)
{
	git_oid commit = left_behind(), other;

	other = salvage_made_by("files[b'x'] = (0o100644, blob(repo, b'x'))");
	kill_at(commit, "salvage.files", 1);
	cr_assert_eq(slot_restore("r-1", other), -EBUSY);
	cr_assert(strstr(salvage_fault.text, "was interrupted"), "%s", salvage_fault.text);
	slot_clean("r-1");
	cr_assert_eq(slot_restore("r-1", other), 0, "%s", salvage_fault.text);
	cr_assert(sh("! test -e r/.git/worktrees/slotd-r-1/slotd-restoring"));
}

/* a clean slot is no half-restored one, whatever the mark says */
Test(salvage_crash, a_slot_that_was_cleaned_since_is_begun_with)
{
	git_oid commit = left_behind();

	kill_at(commit, "salvage.slot.marked", 1);
	cr_assert(sh("cd slots/r-1 && git checkout -q --detach main && echo more > more && git add "
		     "more && "
		     "git commit -qm more"));
	cr_assert_eq(slot_restore("r-1", commit), 0, "%s", salvage_fault.text);
	assert_is_all_there("elsewhere");
}
