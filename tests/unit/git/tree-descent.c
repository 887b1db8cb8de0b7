#include "git/tree-descent.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "git-fixture.h"
#include "util/cleanup.h"
#include "util/text.h"

TestSuite(tree_descent, .init = fixture_init, .fini = fixture_deinit, .timeout = 120);

static struct fault fault_of_it;

struct told {
	struct text text;
	size_t entered, left, files, longest;
	const char *move; /* a directory that is taken away when its leaf is found */
};

static int tell(enum tree_descent_event event, const struct tree_descent_item *item, void *userdata)
{
	static const char letters[] = { 'f', 'e', 'l', 'm', 'u' };
	struct told *told = userdata;
	size_t len = strlen(item->path);

	told->entered += event == TREE_DESCENT_ENTER;
	told->left += event == TREE_DESCENT_LEAVE;
	told->files += event == TREE_DESCENT_FILE;
	told->longest = len > told->longest ? len : told->longest;
	if (len < 100)
		text_addf(&told->text, "%c %s\n", letters[event], item->path);
	if (event == TREE_DESCENT_ENTER && strcmp(item->name, "skip") == 0)
		return TREE_DESCENT_SKIP;
	if (event == TREE_DESCENT_FILE && strcmp(item->name, "stop") == 0)
		return -ECANCELED;
	if (event == TREE_DESCENT_FILE && told->move && strcmp(item->name, "leaf") == 0)
		cr_assert(sh("mv %s elsewhere", told->move));
	return TREE_DESCENT_GO_ON;
}

static int descend(const char *dir, const char *path, struct told *told)
{
	_cleanup_(closep) int fd = open(in_dir(dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	return tree_descent(fd, path, true, tell, told, &fault_of_it);
}

Test(tree_descent, tells_each_name_once_and_goes_through_no_link)
{
	struct told told = { 0 };

	cr_assert(sh("mkdir -p top/a/b top/skip/x other && touch top/a/b/f top/skip/y other/z && "
		     "ln -s ../other top/link && mkfifo top/a/fifo"));
	cr_assert_eq(descend("top", "t", &told), 0, "%s", fault_of_it.text);
	cr_assert(sh("printf '%%s' '%s' | sort > told; printf 'e t/a\\ne t/a/b\\ne t/skip\\nf "
		     "t/a/b/f\\nf t/a/fifo\\nf t/link\\nl t/a\\nl t/a/b\\n' | diff told -",
		     told.text.data));
	text_deinit(&told.text);
}

/* 3,000 levels of 100 letters each, with 64 descriptors */
Test(tree_descent, depth_is_no_obstacle)
{
	struct rlimit before, few;
	struct told told = { 0 };

	cr_assert(sh("mkdir top && cd top && python3 -c \"import os\n"
		     "for i in range(3000):\n"
		     "  os.mkdir('n' * 100); os.mkdir('m'); open('g', 'w'); os.chdir('n' * 100)\n"
		     "open('f', 'w')\""));
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit){ 64, before.rlim_max };
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	cr_assert_eq(descend("top", "", &told), 0, "%s", fault_of_it.text);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	cr_expect_eq(told.entered, 6000);
	cr_expect_eq(told.left, 6000);
	cr_expect_eq(told.files, 3001);
	cr_expect_eq(told.longest, 3000 * 101 + 1);
	text_deinit(&told.text);
}

Test(tree_descent, the_way_back_up_has_to_be_the_one_down)
{
	struct told told = { .move = "top/a" };

	cr_assert(sh("d=top/a/b; mkdir -p $d; for i in $(seq 40); do d=$d/c; mkdir $d; done; "
		     "touch $d/leaf"));
	cr_assert_eq(descend("top", "", &told), 0, "as a whole it is still what it was: %s",
		     fault_of_it.text);
	cr_assert(sh("mv elsewhere top/a"));
	told.move = "top/a/b/c";
	cr_assert_eq(descend("top", "", &told), -EAGAIN, "%s", fault_of_it.text);
	text_deinit(&told.text);
}

Test(tree_descent, an_answer_below_zero_ends_it)
{
	struct told told = { 0 };

	cr_assert(sh("mkdir -p top/a/b && touch top/a/b/stop"));
	cr_assert_eq(descend("top", "", &told), -ECANCELED);
	text_deinit(&told.text);
}

static int add_until_tired(enum tree_descent_event event, const struct tree_descent_item *item,
			   void *userdata)
{
	unsigned *left = userdata;

	if (event == TREE_DESCENT_FILE)
		cr_assert_eq(unlinkat(item->dir_fd, item->name, 0), 0);
	if (event != TREE_DESCENT_LEAVE || (*left)-- == 0)
		return TREE_DESCENT_GO_ON;
	cr_assert(sh("touch top/%s/more", item->path));
	return TREE_DESCENT_AGAIN;
}

Test(tree_descent, a_directory_can_be_looked_through_again)
{
	_cleanup_(closep) int fd = -1;
	unsigned left = 3;

	cr_assert(sh("mkdir -p top/a && touch top/a/1 top/a/2"));
	fd = open(in_dir("top"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_eq(tree_descent(fd, "", false, add_until_tired, &left, &fault_of_it), 0);
	cr_expect_str_eq(sh_text("ls top/a"), "");
}
