/* Whatever moves a ref is heard, and little else; git(1) does the moving. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fixture.h"
#include "util/log.h"

static void repository(struct fixture *x)
{
	struct fault f = FAULT_NONE;

	fixture_open(x);
	fixture_shell(x, "git init -q -b main . && git commit -q --allow-empty -m one");
	snprintf(x->path, sizeof(x->path), "%s/.git", x->dir);
	cr_assert(eq(int, watch_refs(x->event, x->path, fixture_called, x, &x->watch, &f), 0), "%s",
		  f.text);
	cr_assert(eq(uint, fixture_drain(x), 0));
}

Test(watch_refs, a_commit_is_told)
{
	struct fixture x;

	repository(&x);
	fixture_shell(&x, "git commit -q --allow-empty -m two");
	cr_expect(ge(uint, fixture_drain(&x), 1));
	cr_expect(eq(uint, fixture_drain(&x), 0));
	fixture_close(&x);
}

Test(watch_refs, many_changes_at_once_are_one_call)
{
	struct fixture x;

	repository(&x);
	fixture_shell(&x,
		      "for i in 1 2 3 4 5 6 7 8 9; do git update-ref refs/heads/b$i HEAD; done");
	cr_expect(eq(uint, fixture_drain(&x), 1));
	fixture_close(&x);
}

Test(watch_refs, a_branch_in_new_nested_directories_is_told_and_so_is_its_next_commit)
{
	struct fixture x;

	repository(&x);
	fixture_shell(&x, "git branch agent/seven/fix/deep");
	cr_expect(ge(uint, fixture_drain(&x), 1));
	/* straight into directories that did not exist when the watch was made */
	fixture_shell(&x, "git checkout -q agent/seven/fix/deep");
	cr_expect(ge(uint, fixture_drain(&x), 1), "HEAD");
	fixture_shell(&x, "git commit -q --allow-empty -m two");
	cr_expect(ge(uint, fixture_drain(&x), 1));
	fixture_shell(&x, "git branch agent/seven/fix/deeper");
	cr_expect(ge(uint, fixture_drain(&x), 1));
	fixture_close(&x);
}

Test(watch_refs, directories_that_were_there_are_watched)
{
	struct fixture x;

	fixture_open(&x);
	fixture_shell(&x, "git init -q --bare r.git && cd r.git && "
			  "t=$(git hash-object -w -t tree /dev/null) && "
			  "c=$(git commit-tree -m one $t) && git update-ref refs/heads/a/b/c $c && "
			  "git update-ref refs/remotes/origin/main $c");
	snprintf(x.path, sizeof(x.path), "%s/r.git", x.dir);
	cr_assert(eq(int, watch_refs(x.event, x.path, fixture_called, &x, &x.watch, NULL), 0));
	fixture_shell(&x, "cd r.git && git update-ref refs/heads/a/b/d refs/heads/a/b/c");
	cr_expect(eq(uint, fixture_drain(&x), 1));
	fixture_shell(&x, "cd r.git && git update-ref -d refs/remotes/origin/main");
	cr_expect(ge(uint, fixture_drain(&x), 1));
	fixture_close(&x);
}

Test(watch_refs, a_directory_that_was_emptied_and_made_again_is_watched_again)
{
	struct fixture x;

	repository(&x);
	for (int i = 0; i < 3; i++) {
		fixture_shell(&x, "git branch team/one");
		cr_expect(ge(uint, fixture_drain(&x), 1));
		fixture_shell(&x, "git branch -D team/one");
		cr_expect(ge(uint, fixture_drain(&x), 1));
	}
	/* both before the loop looks: the end of the old one is read after the new one is there */
	fixture_shell(&x, "git branch team/one && git branch -D team/one && git branch team/two");
	cr_expect(ge(uint, fixture_drain(&x), 1));
	fixture_shell(&x, "git update-ref refs/heads/team/two HEAD^{commit}; "
			  "git commit -q --allow-empty -m two; git branch -f team/two main");
	cr_expect(ge(uint, fixture_drain(&x), 1));
	fixture_shell(&x, "git update-ref -d refs/heads/team/two");
	cr_expect(ge(uint, fixture_drain(&x), 1));
	fixture_close(&x);
}

Test(watch_refs, packing_refs_is_told)
{
	struct fixture x;

	repository(&x);
	fixture_shell(&x, "git branch a/b; git tag t");
	fixture_drain(&x);
	fixture_shell(&x, "git pack-refs --all --prune");
	cr_expect(ge(uint, fixture_drain(&x), 1));
	/* gone from refs/, still there in packed-refs */
	fixture_shell(&x, "git update-ref -d refs/tags/t");
	cr_expect(ge(uint, fixture_drain(&x), 1));
	fixture_close(&x);
}

Test(watch_refs, a_directory_moved_away_and_in_is_followed)
{
	struct fixture x;

	repository(&x);
	fixture_shell(&x, "git branch a/b/c");
	fixture_drain(&x);
	fixture_shell(&x, "mv .git/refs/heads/a .git/refs/heads/z");
	cr_expect(ge(uint, fixture_drain(&x), 1));
	fixture_shell(&x, "mkdir .git/refs/heads/z/b/n");
	cr_expect(ge(uint, fixture_drain(&x), 1));
	fixture_shell(&x, "git update-ref refs/heads/z/b/n/x HEAD");
	cr_expect(ge(uint, fixture_drain(&x), 1));
	fixture_close(&x);
}

Test(watch_refs, locks_the_index_and_slotds_own_refs_are_no_change)
{
	struct fixture x;

	repository(&x);
	fixture_shell(&x, "touch f; git add f; touch .git/refs/heads/x.lock .git/HEAD.lock; "
			  "rm .git/refs/heads/x.lock .git/HEAD.lock; touch .git/packed-refs.lock; "
			  "git update-ref refs/slotd/salvage/a/1 HEAD");
	cr_expect(eq(uint, fixture_drain(&x), 0));
	fixture_close(&x);
}

Test(watch_refs, links_to_directories_are_not_followed)
{
	struct fixture x;

	repository(&x);
	fixture_shell(&x, "mkdir out; ln -s ../../../out .git/refs/heads/out");
	fixture_drain(&x);
	fixture_shell(&x, "touch out/x");
	cr_expect(eq(uint, fixture_drain(&x), 0));
	fixture_close(&x);
}

Test(watch_refs, a_repository_that_goes_and_comes_back_is_found_again)
{
	struct fixture x;

	repository(&x);
	fixture_shell(&x, "mv .git away");
	cr_expect(ge(uint, fixture_drain(&x), 1));
	fixture_shell(&x, "mv away .git");
	cr_expect(ge(uint, fixture_wait(&x), 1));
	fixture_drain(&x);
	fixture_shell(&x, "git commit -q --allow-empty -m two");
	cr_expect(ge(uint, fixture_drain(&x), 1));
	fixture_shell(&x, "rm -rf .git");
	cr_expect(ge(uint, fixture_drain(&x), 1));
	fixture_close(&x);
}

Test(watch_refs, no_repository_is_enoent)
{
	struct fixture x;
	struct fault f = FAULT_NONE;

	fixture_open(&x);
	cr_expect(eq(int, watch_refs(x.event, "/nonexistent", fixture_called, &x, &x.watch, &f),
		     -ENOENT));
	cr_expect(strstr(f.text, "/nonexistent") != NULL);
	fixture_close(&x);
}

/* an overflow: more events than the kernel queues before the loop looks */
Test(watch_refs, after_an_overflow_it_calls_and_still_watches)
{
	struct fixture x;

	repository(&x);
	fixture_shell(&x,
		      "n=$(cat /proc/sys/fs/inotify/max_queued_events); i=0; cd .git/refs/heads; "
		      "while [ $i -le $n ]; do : >a; : >b; i=$((i + 2)); done; rm a b; "
		      "mkdir late");
	cr_expect(eq(uint, fixture_drain(&x), 1));
	fixture_shell(&x, "git update-ref refs/heads/late/x HEAD");
	cr_expect(ge(uint, fixture_drain(&x), 1));
	fixture_close(&x);
}

struct order {
	unsigned refs_calls;
	unsigned calls_when_socket_was_read;
};

static void count_refs(struct watch *w, void *userdata)
{
	struct order *order = userdata;

	order->refs_calls++;
}

static int on_socket(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	struct order *order = userdata;

	order->calls_when_socket_was_read = order->refs_calls;
	return sd_event_exit(sd_event_source_get_event(s), 0);
}

Test(watch_refs, the_call_comes_before_a_socket_is_read)
{
	struct fixture x;
	struct order order = { 0 };
	struct watch *w = NULL;
	sd_event_source *source = NULL;
	int fds[2];

	repository(&x);
	cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	cr_assert(sd_event_add_io(x.event, &source, fds[0], 1 /* EPOLLIN */, on_socket, &order) >=
		  0);
	cr_assert(watch_refs(x.event, x.path, count_refs, &order, &w, NULL) == 0);
	fixture_shell(&x, "git commit -q --allow-empty -m two && git branch one/two/three");
	cr_assert(write(fds[1], "x", 1) == 1);
	cr_assert(sd_event_loop(x.event) == 0);
	cr_expect(eq(uint, order.calls_when_socket_was_read, 1));
	watch_free(w);
	sd_event_source_unref(source);
	close(fds[0]);
	close(fds[1]);
	fixture_close(&x);
}
