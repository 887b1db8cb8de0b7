/* A file keeps being watched, whatever is done to it. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"
#include "util/clock.h"

static void watch_conf(struct fixture *x, uint64_t settle_usec)
{
	struct fault f = FAULT_NONE;

	snprintf(x->path, sizeof(x->path), "%s/slotd.yaml", x->dir);
	cr_assert(eq(int,
		     watch_file(x->event, x->path, settle_usec, fixture_called, x, &x->watch, &f),
		     0),
		  "%s", f.text);
}

Test(watch_file, writing_in_place_is_told_once)
{
	struct fixture x;

	fixture_open(&x);
	fixture_shell(&x, "echo a >slotd.yaml");
	watch_conf(&x, 0);
	cr_expect(eq(uint, fixture_drain(&x), 0));
	fixture_shell(&x, "echo b >slotd.yaml");
	cr_expect(eq(uint, fixture_wait(&x), 1));
	cr_expect(eq(uint, fixture_drain(&x), 0));
	fixture_close(&x);
}

Test(watch_file, replacing_by_rename_is_told_again_and_again)
{
	struct fixture x;

	fixture_open(&x);
	fixture_shell(&x, "echo a >slotd.yaml");
	watch_conf(&x, 0);
	for (int i = 0; i < 3; i++) {
		fixture_shell(&x, "echo %d >.slotd.yaml.swp; mv .slotd.yaml.swp slotd.yaml", i);
		cr_expect(eq(uint, fixture_wait(&x), 1));
	}
	fixture_close(&x);
}

Test(watch_file, an_editor_that_moves_the_old_file_away_is_one_change)
{
	struct fixture x;

	fixture_open(&x);
	fixture_shell(&x, "echo a >slotd.yaml");
	watch_conf(&x, 200 * USEC_PER_MSEC);
	fixture_shell(&x, "mv slotd.yaml slotd.yaml~; echo b >slotd.yaml; chmod 600 slotd.yaml");
	cr_expect(eq(uint, fixture_wait(&x), 1));
	cr_expect(eq(uint, fixture_drain(&x), 0));
	fixture_close(&x);
}

Test(watch_file, deleted_and_made_again_is_told_both_times)
{
	struct fixture x;

	fixture_open(&x);
	fixture_shell(&x, "echo a >slotd.yaml");
	watch_conf(&x, 0);
	fixture_shell(&x, "rm slotd.yaml");
	cr_expect(eq(uint, fixture_wait(&x), 1));
	fixture_shell(&x, "echo b >slotd.yaml");
	cr_expect(eq(uint, fixture_wait(&x), 1));
	fixture_close(&x);
}

Test(watch_file, a_file_that_does_not_exist_yet_is_told_when_it_comes)
{
	struct fixture x;

	fixture_open(&x);
	watch_conf(&x, 0);
	fixture_shell(&x, "echo a >slotd.yaml");
	cr_expect(eq(uint, fixture_wait(&x), 1));
	fixture_shell(&x, "echo a >new; rm slotd.yaml; ln -s new slotd.yaml");
	cr_expect(ge(uint, fixture_wait(&x), 1));
	fixture_close(&x);
}

Test(watch_file, a_file_is_not_told_before_its_writer_has_closed_it)
{
	struct fixture x;
	int fd;

	fixture_open(&x);
	watch_conf(&x, 0);
	fd = open(x.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	cr_assert(fd >= 0);
	cr_expect(eq(uint, fixture_drain(&x), 0));
	cr_assert(write(fd, "workers: 1\n", 11) == 11);
	close(fd);
	cr_expect(eq(uint, fixture_wait(&x), 1));
	fixture_close(&x);
}

Test(watch_file, other_files_of_the_directory_are_no_change)
{
	struct fixture x;

	fixture_open(&x);
	fixture_shell(&x, "echo a >slotd.yaml");
	watch_conf(&x, 0);
	fixture_shell(&x, "echo b >slotd.yaml2; echo c >lotd.yaml; mkdir d; cat slotd.yaml");
	cr_expect(eq(uint, fixture_drain(&x), 0));
	fixture_close(&x);
}

Test(watch_file, a_directory_that_goes_and_comes_back_is_found_again)
{
	struct fixture x;
	struct fault f = FAULT_NONE;

	fixture_open(&x);
	fixture_shell(&x, "mkdir etc; echo a >etc/slotd.yaml");
	snprintf(x.path, sizeof(x.path), "%s/etc/slotd.yaml", x.dir);
	cr_assert(eq(int, watch_file(x.event, x.path, 0, fixture_called, &x, &x.watch, &f), 0));
	fixture_shell(&x, "mv etc old");
	cr_expect(ge(uint, fixture_wait(&x), 1));
	fixture_drain(&x);
	fixture_shell(&x, "mkdir etc; echo b >etc/slotd.yaml");
	cr_expect(ge(uint, fixture_wait(&x), 1));
	fixture_drain(&x);
	fixture_shell(&x, "echo c >old/slotd.yaml");
	cr_expect(eq(uint, fixture_drain(&x), 0));
	fixture_shell(&x, "echo c >etc/slotd.yaml");
	cr_expect(eq(uint, fixture_wait(&x), 1));
	fixture_close(&x);
}

Test(watch_file, no_directory_is_enoent)
{
	struct fixture x;
	struct fault f = FAULT_NONE;

	fixture_open(&x);
	cr_expect(eq(
		int,
		watch_file(x.event, "/nonexistent/slotd.yaml", 0, fixture_called, &x, &x.watch, &f),
		-ENOENT));
	cr_expect(strstr(f.text, "/nonexistent") != NULL);
	cr_expect(x.watch == NULL);
	fixture_close(&x);
}

static void free_in_callback(struct watch *w, void *userdata)
{
	struct fixture *x = userdata;

	x->calls++;
	watch_free(w);
	x->watch = NULL;
}

Test(watch_file, a_watch_may_be_freed_by_its_own_callback)
{
	struct fixture x;

	fixture_open(&x);
	snprintf(x.path, sizeof(x.path), "%s/slotd.yaml", x.dir);
	cr_assert(eq(int, watch_file(x.event, x.path, 0, free_in_callback, &x, &x.watch, NULL), 0));
	fixture_shell(&x, "echo a >slotd.yaml");
	cr_expect(eq(uint, fixture_wait(&x), 1));
	fixture_shell(&x, "echo b >slotd.yaml");
	cr_expect(eq(uint, fixture_drain(&x), 0));
	fixture_close(&x);
}
