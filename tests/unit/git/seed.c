#include "git/seed.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tree-fixture.h"
#include "util/cleanup.h"

static unsigned copied;

static void init(void)
{
	fixture_init();
	cr_assert(sh("git init -q -b main r"));
	commit_made_by("echo tracked >tracked; mkdir dir; echo x >dir/x; echo ignored >.gitignore");
	slot_open();
	cr_assert_eq(create_at("HEAD"), 0, "%s", slot_fault.text);
	cr_assert(sh("mkdir -p from/deep/er; echo secret >from/.env; chmod 600 from/.env;"
		     "echo tool >from/deep/er/tool; chmod 755 from/deep/er/tool; echo i >from/ignored"));
}

static void deinit(void)
{
	slot_close();
	fixture_deinit();
}

TestSuite(seed, .init = init, .fini = deinit, .timeout = 120);

static int seed(const char *const *files, size_t n)
{
	git_oid commit = commit_of("HEAD");
	struct repo *repo;
	int r;

	slot_fault.text[0] = '\0';
	cr_assert_eq(repo_open(slot.common_dir, &repo, &slot_fault), 0);
	r = seed_copy(repo, &slot, &commit, in_dir("from"), files, n, &copied, &slot_fault);
	repo_close(repo);
	return r;
}

static int seed_one(const char *file)
{
	return seed(&file, 1);
}

static bool covers(const char *path)
{
	struct seed_notes *notes;
	bool covered;

	cr_assert_eq(seed_notes_load(slot.admin_fd, &notes), 0);
	covered = seed_notes_cover(notes, slot.slot_fd, path);
	seed_notes_free(notes);
	return covered;
}

Test(seed, files_come_with_their_directories_content_and_permissions)
{
	static const char *const files[] = { ".env", "deep/er/tool" };

	cr_assert_eq(seed(files, 2), 0, "%s", slot_fault.text);
	cr_assert_eq(copied, 2);
	cr_assert(sh("cmp from/.env s/.env && cmp from/deep/er/tool s/deep/er/tool"));
	cr_assert_str_eq(sh_text("stat -c %%a s/.env s/deep/er/tool"), "600\n755");
	cr_assert_str_eq(sh_text("git -C s status --porcelain"), "?? .env\n?? deep/");
}

Test(seed, one_that_is_right_stays_as_it_is_and_one_that_is_not_is_replaced)
{
	char *before;

	cr_assert_eq(seed_one(".env"), 0);
	before = sh_text("stat -c '%%i %%y' s/.env");
	cr_assert_eq(seed_one(".env"), 0);
	cr_assert_eq(copied, 0);
	cr_assert_str_eq(sh_text("stat -c '%%i %%y' s/.env"), before);
	cr_assert(sh("echo other >s/.env"));
	cr_assert_eq(seed_one(".env"), 0);
	cr_assert_eq(copied, 1);
	cr_assert(sh("chmod 644 s/.env"));
	cr_assert_eq(seed_one(".env"), 0);
	cr_assert_eq(copied, 1);
	cr_assert_str_eq(sh_text("stat -c %%a s/.env; cat s/.env"), "600\nsecret");
}

Test(seed, a_large_file_comes_whole)
{
	cr_assert(sh("head -c 1000000 /dev/urandom >from/large && printf y >>from/large"));
	cr_assert_eq(seed_one("large"), 0, "%s", slot_fault.text);
	cr_assert(sh("cmp from/large s/large"));
	cr_assert(sh("printf x | dd of=s/large bs=1 seek=1000000 conv=notrunc status=none"));
	cr_assert_eq(seed_one("large"), 0);
	cr_assert_eq(copied, 1);
	cr_assert(sh("cmp from/large s/large"));
}

Test(seed, what_is_missing_or_no_regular_file_is_said)
{
	static const struct {
		const char *make, *file;
		int r;
		const char *word;
	} table[] = {
		{ "true", "absent", -ENOENT, "there is no seed file absent in" },
		{ "true", ".env/x", -ENOENT, "there is no seed file .env/x" },
		{ "ln -s .env from/link", "link", -EINVAL, "link" },
		{ "ln -s deep from/linked", "linked/er/tool", -EINVAL, "link" },
		{ "true", "deep", -EINVAL, "no regular file" },
		{ "mkfifo from/fifo", "fifo", -EINVAL, "no regular file" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		cr_assert(sh("%s", table[i].make));
		cr_expect_eq(seed_one(table[i].file), table[i].r, "%s", table[i].file);
		cr_expect(strstr(slot_fault.text, table[i].word) != NULL, "%s", slot_fault.text);
		cr_expect(sh("test ! -e s/%s", table[i].file));
	}
}

Test(seed, a_directory_of_seeds_that_is_not_there_is_said)
{
	cr_assert(sh("mv from elsewhere"));
	cr_assert_eq(seed_one(".env"), -ENOENT);
	cr_assert(strstr(slot_fault.text, in_dir("from")) != NULL, "%s", slot_fault.text);
}

Test(seed, what_git_tracks_is_not_written_over)
{
	cr_assert(sh("echo mine >from/tracked; mkdir from/tracked.d; mkdir from/dir; echo mine >from/dir/x;"
		     "mv from/tracked from/t; mkdir from/tracked; echo mine >from/tracked/below"));
	cr_expect_eq(seed_one("dir/x"), -EINVAL);
	cr_expect(strstr(slot_fault.text, "git tracks dir/x") != NULL, "%s", slot_fault.text);
	cr_expect_eq(seed_one("tracked/below"), -EINVAL);
	cr_expect(strstr(slot_fault.text, "git tracks tracked ") != NULL, "%s", slot_fault.text);
	cr_assert(sh("echo mine >from/dir/new"));
	cr_expect_eq(seed_one("dir/new"), 0, "%s", slot_fault.text);
	cr_assert_str_eq(sh_text("git -C s status --porcelain"), "?? dir/new");
}

/* left by an agent as ignored files, which stay when a slot is cleaned */
Test(seed, no_link_in_the_slot_is_followed_or_written_through)
{
	cr_assert(sh("mkdir outside; echo canary >outside/canary; mkdir -p from/ignored.d; echo s >from/ignored.d/f;"
		     "ln -s ../outside s/ignored.d; ln -s ../outside/canary s/.env"));
	cr_assert_eq(seed_one("ignored.d/f"), 0, "%s", slot_fault.text);
	cr_assert_eq(seed_one(".env"), 0, "%s", slot_fault.text);
	cr_assert_str_eq(sh_text("ls outside; cat outside/canary"), "canary\ncanary");
	cr_assert_str_eq(sh_text("cat s/ignored.d/f s/.env; find s -type l"), "s\nsecret");
}

Test(seed, one_that_has_another_name_is_replaced)
{
	cr_assert(sh("cp -p from/.env outside; ln outside s/.env"));
	cr_assert_eq(seed_one(".env"), 0);
	cr_assert_eq(copied, 1);
	cr_assert(sh("echo more >>s/.env && test $(wc -l <outside) = 1"));
}

Test(seed, a_directory_in_its_place_goes)
{
	cr_assert(sh("mkdir -p s/.env/x; touch s/.env/x/y; mkdir from/a; echo b >from/a/b; touch s/a"));
	cr_assert_eq(seed_one(".env"), 0, "%s", slot_fault.text);
	cr_assert_eq(seed_one("a/b"), 0, "%s", slot_fault.text);
	cr_assert_str_eq(sh_text("cat s/.env s/a/b"), "secret\nb");
}

Test(seed, what_a_killed_try_left_beside_it_goes)
{
	cr_assert(sh("echo half >s/.slotd-tmp-seed"));
	cr_assert_eq(seed_one(".env"), 0);
	cr_assert_str_eq(sh_text("git -C s status --porcelain"), "?? .env");
}

Test(seed, only_a_seed_that_nobody_touched_is_covered)
{
	static const char *const files[] = { ".env", "deep/er/tool" };

	cr_expect(!covers(".env"));
	cr_assert_eq(seed(files, 2), 0);
	cr_assert(covers(".env"));
	cr_assert(covers("deep/er/tool"));
	cr_assert(covers("deep/"));
	cr_expect(!covers("tracked"));
	cr_expect(!covers("dir/"));
	cr_expect(!covers("absent"));
	cr_assert(sh("touch s/deep/er/more"));
	cr_expect(!covers("deep/"), "something else is in it");
	cr_expect(covers("deep/er/tool"));
	cr_assert(sh("rm s/deep/er/more; touch -r s/.env stamp; echo SECRET >s/.env; touch -r stamp s/.env"));
	cr_expect(!covers(".env"), "of the same size and time, and yet another");
	cr_assert(sh("cp -p s/deep/er/tool t; rm s/deep/er/tool; cp -p t s/deep/er/tool"));
	cr_expect(!covers("deep/er/tool"), "another inode");
	cr_assert(sh("rm s/deep/er/tool; ln -s ../../.env s/deep/er/tool"));
	cr_expect(!covers("deep/"));
}

Test(seed, notes_that_are_damaged_cover_nothing)
{
	cr_assert_eq(seed_one(".env"), 0);
	cr_assert(sh("head -c 20 r/.git/worktrees/s/slotd-seeds >n && mv n r/.git/worktrees/s/slotd-seeds"));
	cr_expect(!covers(".env"));
	cr_assert(sh("rm r/.git/worktrees/s/slotd-seeds; mkdir r/.git/worktrees/s/slotd-seeds"));
	cr_expect(!covers(".env"));
}
