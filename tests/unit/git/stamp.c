#include "git/stamp.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "git-fixture.h"
#include "util/cleanup.h"

static int slot_fd;

static void init(void)
{
	fixture_init();
	cr_assert(sh("mkdir -p s/dir; echo 1 >s/lock; echo x >s/dir/more"));
	slot_fd = open(in_dir("s"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(slot_fd, 0);
}

static void deinit(void)
{
	close(slot_fd);
	fixture_deinit();
}

TestSuite(stamp, .init = init, .fini = deinit, .timeout = 120);

static char *stamp(const char *const *files, size_t n)
{
	struct fault f = FAULT_NONE;
	git_oid digest;

	cr_assert_eq(stamp_files(slot_fd, files, n, &digest, &f), 0, "%s", f.text);
	return fixture_keep(strdup(git_oid_tostr_s(&digest)));
}

static char *stamp_both(void)
{
	static const char *const files[] = { "lock", "dir/more" };

	return stamp(files, ARRAY_SIZE(files));
}

Test(stamp, the_same_content_written_anew_is_the_same)
{
	char *before = stamp_both();

	cr_assert(sh("rm s/lock; echo 1 >s/lock; touch -d 2001-01-01 s/lock"));
	cr_expect_str_eq(stamp_both(), before);
	cr_assert_eq(strlen(before), 40);
}

Test(stamp, every_change_of_one_of_them_is_another)
{
	static const char *const changes[] = {
		"echo 2 >s/lock", "printf 1 >s/lock", "echo 11 >s/lock", "rm s/lock", "rm s/lock; mkdir s/lock",
		"rm s/lock; ln -s dir/more s/lock", "rm s/lock; ln -s other s/lock", "rm s/lock; mkfifo s/lock",
		"echo 1 >s/dir/more", "rm -r s/dir", "rm -r s/dir; touch s/dir", "rm -r s/dir; ln -s /etc s/dir",
	};
	char *seen[ARRAY_SIZE(changes) + 1];

	seen[0] = stamp_both();
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		cr_assert(sh("rm -rf s/lock s/dir; mkdir s/dir; echo 1 >s/lock; echo x >s/dir/more; %s", changes[i]));
		seen[i + 1] = stamp_both();
		cr_expect_str_neq(seen[i + 1], seen[0], "%s", changes[i]);
	}
	/* where a link leads counts, and is not followed */
	cr_expect_str_neq(seen[6], seen[7]);
	/* not there is not there, however that comes */
	cr_expect_str_eq(seen[10], seen[11]);
}

Test(stamp, other_files_do_not_matter)
{
	char *before = stamp_both();

	cr_assert(sh("echo y >s/other; chmod 600 s/lock"));
	cr_expect_str_eq(stamp_both(), before);
}

Test(stamp, which_files_they_are_matters)
{
	static const char *const swapped[] = { "dir/more", "lock" };

	cr_expect_str_neq(stamp(swapped, 2), stamp_both());
	cr_expect_str_neq(stamp(swapped, 1), stamp_both());
	cr_expect_str_neq(stamp(NULL, 0), stamp(swapped, 1));
	cr_assert(sh("cp s/lock s/dir/more; cp s/lock s/same"));
	cr_expect_str_neq(stamp((const char *[]){ "lock" }, 1), stamp((const char *[]){ "same" }, 1));
}

Test(stamp, where_one_ends_and_the_next_begins_matters)
{
	char *before;

	cr_assert(sh("printf ab >s/lock; printf c >s/dir/more"));
	before = stamp_both();
	cr_assert(sh("printf a >s/lock; printf bc >s/dir/more"));
	cr_expect_str_neq(stamp_both(), before);
}
