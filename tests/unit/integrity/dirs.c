/* Where objects are: packs of any name, packs that come and go, alternates, links. */
#include "integrity/check-private.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "git-fixture.h"
#include "git/repo.h"
#include "integrity/memo.h"
#include "util/clock.h"
#include "util/text.h"

static struct check_spec spec;
static struct check_result result;
static struct fault fault_text;

/* one pack, and loose objects */
static void init(void)
{
	fixture_init();
	cr_assert_eq(repo_global_init(&fault_text), 0);
	cr_assert(sh("git init -q -b main r && cd r && seq 100 > a && git add a && git commit -q -m a && git repack -q -d && "
		     "seq 200 > b && git add b && git commit -q -m b"));
	spec = (struct check_spec){ .common_dir = in_dir("r/.git"), .is_adopted = true, .depth = CHECK_PLAIN, .threads = 2,
				    .memo = memo_new(), .now_usec = 1700000000 * USEC_PER_SEC };
}

static void deinit(void)
{
	memo_free(spec.memo);
	fixture_deinit();
}

TestSuite(dirs, .init = init, .fini = deinit, .timeout = 120);

/* "<id> <where>" a line, of all that is more than information; freed by the fixture */
static char *check(void)
{
	struct findings *all = findings_new();
	struct text text = { 0 };
	int r = check_run(&spec, all, &result, &fault_text);

	cr_assert_eq(r, 0, "%d %s", r, fault_text.text);
	text_add_string(&text, "");
	findings_sort(all);
	for (size_t i = 0; i < findings_kept(all); i++) {
		const struct finding *f = findings_at(all, i);

		if (f->severity != FINDING_INFO)
			text_addf(&text, "%s %s\n", f->id, f->where ? f->where : "-");
	}
	findings_free(all);
	return fixture_keep(text_take(&text));
}

static bool git_is_content(void)
{
	return sh("test -z \"$(git -C r fsck --full --no-progress --no-dangling 2>&1)\"");
}

static uint64_t git_objects(void)
{
	return strtoull(sh_text("git -C r cat-file --batch-all-objects --batch-check | wc -l"), NULL, 10);
}

/* git maintenance makes loose-<hash>.pack; anybody may copy one to any name */
Test(dirs, packs_of_any_name_are_packs)
{
	char *longest = fixture_keep(text_printf("%0246d", 0));

	cr_assert(sh("cd r && git maintenance run --task=loose-objects 2>/dev/null && git prune-packed -q && "
		     "test -f .git/objects/pack/loose-*.pack"));
	cr_assert(sh("cd r/.git/objects/pack && for e in idx pack; do mv pack-*.$e %s.$e; done", longest));
	cr_assert(git_is_content());
	cr_expect_str_eq(check(), "");
	cr_expect(eq(u64, result.packs, 2));
	cr_expect(eq(u64, result.objects, git_objects()));
	cr_expect_str_eq(check(), "");
	cr_expect(eq(u64, result.objects_read, 0));
	cr_assert(sh("cd r/.git/objects/pack && f=$(echo loose-*.pack) && chmod u+w $f && printf xxxx | "
		     "dd of=$f bs=1 seek=40 conv=notrunc status=none"));
	cr_assert_not(git_is_content());
	cr_expect_neq(strstr(check(), "corrupt-pack"), NULL);
}

/* what lies beside a pack belongs to it, and to no pack if there is none */
Test(dirs, files_beside_a_pack_of_another_name)
{
	struct findings *all = findings_new();

	cr_assert(sh("cd r && git -c pack.writeReverseIndex=true maintenance run --task=loose-objects 2>/dev/null && "
		     "cd .git/objects/pack && f=$(basename loose-*.pack .pack) && : > $f.promisor && : > other.promisor"));
	cr_assert_eq(check_run(&spec, all, &result, &fault_text), 0);
	for (size_t i = 0; i < findings_kept(all); i++)
		if (strcmp(findings_at(all, i)->id, "stray-file") == 0)
			cr_expect_str_eq(findings_at(all, i)->where, "objects/pack/other.promisor");
	cr_expect(eq(sz, findings_kept(all), 1));
	findings_free(all);
}

/* what somebody does as soon as the check has closed a file of objects/pack that it could not use yet */
struct meanwhile {
	int fd;
	const char *name;
	const char *from, *to; /* NULL: from goes away */
};

static bool is_among(const char *events, ssize_t len, const char *name)
{
	const struct inotify_event *event;

	for (ssize_t at = 0; at < len; at += (ssize_t)(sizeof(*event) + event->len)) {
		event = (const struct inotify_event *)(events + at);
		if (event->len && strcmp(event->name, name) == 0)
			return true;
	}
	return false;
}

static void *act_meanwhile(void *userdata)
{
	const struct meanwhile *m = userdata;
	char events[4096] __attribute__((aligned(8)));
	struct pollfd p = { .fd = m->fd, .events = POLLIN };

	while (poll(&p, 1, 20000) == 1)
		if (is_among(events, read(m->fd, events, sizeof(events)), m->name))
			return m->to ? (void *)(intptr_t)rename(m->from, m->to) : (void *)(intptr_t)unlink(m->from);
	return (void *)(intptr_t)-1;
}

static char *check_meanwhile(struct meanwhile *m)
{
	pthread_t thread;
	void *r;
	char *found;

	m->fd = inotify_init1(IN_CLOEXEC);
	cr_assert(inotify_add_watch(m->fd, in_dir("r/.git/objects/pack"), IN_CLOSE_NOWRITE) >= 0);
	cr_assert_eq(pthread_create(&thread, NULL, act_meanwhile, m), 0);
	found = check();
	pthread_join(thread, &r);
	close(m->fd);
	cr_assert_null(r, "it was done while the check ran");
	return found;
}

#define SECOND "pack-1234567890"

/* @does: makes a half of what is there twice; it must be fine in one of some rounds, as the machine may be slow */
static void expect_patience(const char *does, struct meanwhile m, const char *else_found)
{
	bool is_fine = false;

	for (int i = 0; i < 8 && !is_fine; i++) {
		cr_assert(sh("cd r/.git/objects/pack && for e in idx pack; do rm -f " SECOND ".$e ../../held && "
			     "cp $(ls pack-*.$e | grep -v " SECOND ") " SECOND ".$e; done; %s", does));
		cr_assert(git_is_content());
		if (i == 0) /* and nobody does anything */
			cr_expect_str_eq(check(), else_found);
		is_fine = strcmp(check_meanwhile(&m), "") == 0;
	}
	cr_expect(is_fine, "%s", does);
}

Test(dirs, a_pack_that_comes_is_waited_for)
{
	expect_patience("mv " SECOND ".idx ../../held",
			(struct meanwhile){ .name = SECOND ".pack", .from = in_dir("r/.git/held"),
					    .to = in_dir("r/.git/objects/pack/" SECOND ".idx") },
			"missing-pack-index objects/pack/" SECOND ".pack\n");
	cr_expect(eq(u64, result.packs, 2));
}

Test(dirs, a_pack_that_goes_may_go)
{
	expect_patience("rm -f " SECOND ".pack",
			(struct meanwhile){ .name = SECOND ".idx",
					    .from = in_dir("r/.git/objects/pack/" SECOND ".idx") },
			"missing-pack objects/pack/" SECOND ".idx\n");
	cr_expect(eq(u64, result.packs, 1));
}

/* git reads each once, and says nothing of it */
Test(dirs, one_alternate_by_two_ways_is_no_loop)
{
	cr_assert(sh("for k in b c d; do git init -q --bare $k; done; mv r/.git/objects/pack/* d/objects/pack/ && "
		     "printf '%%s\n' $PWD/b/objects $PWD/c/objects $PWD/b/objects $PWD/c/../c/objects > r/.git/objects/info/alternates && "
		     "for k in b c; do echo $PWD/d/objects > $k/objects/info/alternates; done"));
	cr_assert(git_is_content());
	cr_expect_str_eq(check(), "");
	cr_expect(eq(u64, result.objects, git_objects()));
	/* but this is: r, b, d, r, and r, b, b */
	cr_assert(sh("echo $PWD/r/.git/objects > d/objects/info/alternates && echo $PWD/b/objects >> b/objects/info/alternates"));
	cr_expect_str_eq(check(), fixture_keep(text_printf("alternates-loop %s/b/objects/info/alternates:2\n"
							   "alternates-loop %s/d/objects/info/alternates:1\n",
							   fixture_dir, fixture_dir)));
}

/* git reads what is behind it; we do not, and say so */
Test(dirs, a_directory_of_loose_objects_that_is_a_link)
{
	char *fan = sh_text("git -C r rev-parse main:b | cut -c 1-2");
	char *found;

	cr_assert(sh("mv r/.git/objects/%s elsewhere && ln -s $PWD/elsewhere r/.git/objects/%s", fan, fan));
	cr_assert(git_is_content());
	cr_assert(sh("git -C r cat-file -e main:b"));
	found = check();
	cr_expect_neq(strstr(found, fixture_keep(text_printf("unreadable-file objects/%s\n", fan))), NULL, "%s", found);
	/* one that leads nowhere: git cannot write there */
	cr_assert(sh("rm r/.git/objects/%s && mv elsewhere r/.git/objects/%s && cd r/.git/objects && "
		     "for i in 0 1 2 3 4 5 6 7 8 9 a b c d e f; do test -e 0$i || ln -s nowhere 0$i; done", fan, fan));
	cr_assert_not(sh("cd r && for i in $(seq 200); do echo $i | git hash-object -w --stdin || exit 1; done 2>/dev/null >&2"));
	cr_expect_neq(strstr(check(), "unreadable-file objects/0"), NULL);
}

/* what is behind the header is not inflated: its damage is not seen */
Test(dirs, what_is_too_large_is_not_inflated)
{
	struct object_dir dir = { .fd = open(in_dir("r/.git/objects"), O_RDONLY | O_DIRECTORY | O_CLOEXEC), .pack_fd = -1 };
	struct object_dir *dirs[] = { &dir };
	struct check_run run = { .dirs = { .v = dirs, .n = 1 } };
	git_object_t type;
	git_oid oid;
	size_t len;
	void *data;

	git_oid_fromstr(&oid, sh_text("seq 20000 | git -C r hash-object -w --stdin"));
	cr_assert_eq(object_read(&run, &oid, 1 << 20, &type, &data, &len), 0);
	cr_expect(eq(sz, len, strtoull(sh_text("git -C r cat-file -s %s", git_oid_tostr_s(&oid)), NULL, 10)));
	free(data);
	cr_assert(sh("cd r/.git/objects && f=$(echo %s | sed 's,..,&/,') && chmod u+w $f && truncate -s 8000 $f",
		     git_oid_tostr_s(&oid)));
	cr_expect_eq(object_read(&run, &oid, 1 << 20, &type, &data, &len), -EBADMSG);
	cr_expect_eq(object_read(&run, &oid, 1000, &type, &data, &len), -EFBIG);
	close(dir.fd);
}
