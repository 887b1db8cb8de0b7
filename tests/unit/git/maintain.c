/* git(1) is the witness: what it made, what it still finds, what it calls whole. */
#include "git/maintain-private.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "git-fixture.h"
#include "util/cleanup.h"
#include "util/clock.h"

static struct fault f;
static struct repo *repo;

/* a bare store with a worktree beside it; "old" makes all that is loose a month old */
static void init(void)
{
	fixture_init();
	cr_assert(sh("git init -q --bare -b main s.git && mkdir -p s.git/slotd && touch s.git/slotd/maintained && "
		     "git -C s.git config gc.auto 0 && git init -q -b main seed && cd seed && "
		     "for i in 1 2 3; do seq $((i * 1000)) >f$i && git add . && git commit -qm $i; done && "
		     "git push -q ../s.git main && git -C ../s.git worktree add -q ../w main 2>/dev/null"));
	cr_assert(sh("printf 'find %%s/s.git/objects -type f -exec touch -d \"30 days ago\" {} +\\n' '%s' >old",
		     fixture_dir));
}

static void deinit(void)
{
	repo_close(repo);
	repo = NULL;
	fixture_deinit();
}

TestSuite(maintain, .init = init, .fini = deinit, .timeout = 120);

static struct maintain_outcome maintain_with(struct maintain_options options)
{
	struct maintain_outcome out;

	repo_close(repo);
	repo = NULL;
	cr_assert_eq(repo_open(in_dir("s.git"), &repo, &f), 0, "%s", f.text);
	cr_assert_eq(store_maintain(repo, &options, &out, &f), 0, "%s", f.text);
	return out;
}

static struct maintain_outcome maintain(void)
{
	return maintain_with((struct maintain_options){ 0 });
}

static bool has(const char *oid)
{
	return sh("git -C s.git cat-file -e %s", oid);
}

static void expect_whole(const char *what)
{
	cr_expect(sh("cd s.git && git fsck --full --strict --no-dangling >../fsck 2>&1 || { cat ../fsck; false; }"),
		  "fsck after %s", what);
	cr_expect(sh("cd w && git fsck --full --no-dangling >../fsck 2>&1 || { cat ../fsck; false; }"),
		  "fsck of the worktree after %s", what);
}

/* an old object that nothing reaches: it shows that something was thrown away at all */
static char *make_litter(void)
{
	char *oid = sh_text("echo litter | git -C s.git hash-object -w --stdin");

	cr_assert_eq(strlen(oid), GIT_OID_HEXSZ);
	return oid;
}

/* --- what holds --- */

#define LOST "$(echo lost | git hash-object -w --stdin)"
/* a commit on nothing, with a tree and a blob of its own */
#define LOST_COMMIT "$(git commit-tree -m lost $(printf '100644 blob %s\\tx\\n' " LOST " | git mktree))"

/* in the worktree w; prints the object that has to stay */
static const struct {
	const char *what, *script;
} roots[] = {
	{ "branch", "c=" LOST_COMMIT "; git branch b $c; echo $c" },
	{ "annotated tag", "git tag -a -m x t " LOST_COMMIT "; git rev-parse t^{tree}" },
	{ "ref to a blob", "o=" LOST "; git update-ref refs/x/blob $o; echo $o" },
	{ "salvage", "c=" LOST_COMMIT "; git update-ref refs/slotd/salvage/p-1/00/1 $c; echo $c" },
	{ "pin", "c=" LOST_COMMIT "; git update-ref refs/slotd/pin/p-1 $c; echo $c" },
	{ "packed ref", "c=" LOST_COMMIT "; git branch b $c; git pack-refs --all; echo $c^{tree}" },
	{ "detached HEAD", "c=" LOST_COMMIT "; git checkout -q --detach $c; rm -r ../s.git/worktrees/w/logs; echo $c" },
	{ "log of HEAD", "c=" LOST_COMMIT "; git reset -q --hard $c; git reset -q --hard HEAD@{1}; echo $c^{tree}" },
	{ "log of a branch", "c=" LOST_COMMIT "; git branch --create-reflog b $c; git branch -f b main; echo $c" },
	{ "stash", "echo y >f1; git stash -q; git rev-parse stash^2" },
	{ "older stash", "echo y >f1; git stash -q; o=$(git rev-parse stash); echo z >f1; git stash -q; echo $o" },
	{ "index", "echo lost >n; git add n; git rev-parse :n" },
	{ "cached tree", "mkdir d; echo lost >d/n; git add d; git write-tree; rm -rf d" },
	{ "stages of a conflict", "git checkout -q -b o main~1; seq 7 >f3; git add f3; git commit -qm o; "
				  "git merge -q main >/dev/null 2>&1; git rev-parse :2:f3" },
	{ "resolved conflict", "git checkout -q --detach main~1; seq 7 >f3; git add f3; git commit -qm o; "
			       "git merge -q main >/dev/null 2>&1; o=$(git rev-parse :2:f3); seq 8 >f3; git add f3; "
			       "rm -r ../s.git/worktrees/w/logs; git update-ref --no-deref HEAD main; echo $o" },
	{ "version 4 index", "git update-index --index-version 4; echo lost >n; git add n; git rev-parse :n" },
	{ "split index", "git update-index --split-index; echo lost >n; git add n; git rev-parse :n" },
	{ "shared part of a split index", "echo lost >n; git add n; git update-index --split-index; git rev-parse :n" },
	{ "lock with an index", "echo lost >n; git add n; o=$(git rev-parse :n); cp ../s.git/worktrees/w/index "
				"../s.git/worktrees/w/next-index-1.lock; git reset -q --hard; echo $o" },
	{ "damaged index", "echo lost >n; git add n; o=$(git rev-parse :n); printf junk >>../s.git/worktrees/w/index; "
			   "echo $o" },
	{ "MERGE_HEAD", "c=" LOST_COMMIT "; echo $c >../s.git/worktrees/w/MERGE_HEAD; echo $c" },
	{ "ORIG_HEAD", "c=" LOST_COMMIT "; echo $c >../s.git/worktrees/w/ORIG_HEAD; echo $c^{tree}" },
	{ "FETCH_HEAD", "c=" LOST_COMMIT "; printf '%s\\t\\tx\\n' $c >../s.git/worktrees/w/FETCH_HEAD; echo $c" },
	{ "rebase", "c=" LOST_COMMIT "; mkdir ../s.git/worktrees/w/rebase-merge; "
		    "echo pick $c lost >../s.git/worktrees/w/rebase-merge/git-rebase-todo; echo $c" },
	{ "sequencer", "c=" LOST_COMMIT "; mkdir ../s.git/worktrees/w/sequencer; "
		       "echo pick $c lost >../s.git/worktrees/w/sequencer/todo; echo $c^{tree}" },
	{ "worktree's own ref", "c=" LOST_COMMIT "; git update-ref refs/worktree/x $c; echo $c" },
	{ "bisect", "c=" LOST_COMMIT "; git update-ref refs/bisect/bad $c; echo $c" },
	{ "branch with the name of what is passed over", "c=" LOST_COMMIT "; git branch modules/objects/lfs/hooks $c; "
							 "git branch maintain/x $c; echo $c" },
	{ "worktree in the making", "c=" LOST_COMMIT "; mkdir -p ../s.git/slotd/slotd-p-1; "
				    "echo $c >../s.git/slotd/slotd-p-1/HEAD; echo $c" },
	{ "worktree of an agent", "c=" LOST_COMMIT "; git worktree add -q --detach ../w2 $c; "
				  "rm -r ../s.git/worktrees/w2/logs; echo $c" },
	{ "state that no git has yet", "c=" LOST_COMMIT "; printf 'some%s\\0thing' $c | tr a-f A-F "
				       ">../s.git/worktrees/w/NEW_HEAD; echo $c" },
	{ "binary state", "c=" LOST_COMMIT "; (printf x; perl -e 'print pack(\"H*\", shift)' $c) "
			  ">../s.git/worktrees/w/binary; echo $c" },
	{ "commit graph", "c=" LOST_COMMIT "; git branch b $c; git commit-graph write --reachable; git branch -qD b; "
			  "echo $c" },
};

static void expect_root(size_t i)
{
	char *litter = make_litter(), *oid;
	struct maintain_outcome out;

	cr_assert(sh("cd w && (%s) >../named 2>../said", roots[i].script) || sh("test -s named"), "%s: %s", roots[i].what,
		  sh_text("cat said"));
	oid = sh_text("tail -n 1 named");
	cr_assert(has(oid), "%s: %s was never there: %s", roots[i].what, oid, sh_text("cat said"));
	cr_assert(sh("sh ./old"));
	out = maintain();
	cr_expect(out.done, "%s: %s", roots[i].what, out.reason);
	cr_expect(has(oid), "%s does not hold %s", roots[i].what, oid);
	cr_expect(!has(litter), "%s: nothing was thrown away: %s", roots[i].what, out.reason);
	if (strcmp(roots[i].what, "damaged index") != 0)
		expect_whole(roots[i].what);
}

Test(maintain, whatever_names_an_object_holds_it)
{
	cr_assert(sh("mkdir fresh && cp -a s.git w fresh"));
	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		cr_assert(sh("rm -rf s.git w w2 && cp -a fresh/* ."));
		expect_root(i);
	}
}

/* --- what is young --- */

Test(maintain, young_objects_and_what_they_lead_to_stay)
{
	char *litter = make_litter(), *old = sh_text("echo lost | git -C s.git hash-object -w --stdin"), *young;

	cr_assert(sh("sh ./old"));
	young = sh_text("cd s.git && printf '100644 blob %s\\tx\\n' | git mktree", old);
	maintain();
	cr_expect(has(young));
	cr_expect(has(old), "a young tree leads to it");
	cr_expect(!has(litter));
}

Test(maintain, nothing_goes_that_is_younger_than_the_oldest_lease)
{
	uint64_t day = USEC_PER_DAY, now = clock_wall_usec();
	char *litter = make_litter();

	cr_assert(sh("sh ./old"));
	maintain_with((struct maintain_options){ .lease_usec = now - 31 * day });
	cr_expect(has(litter), "it may be of that lease");
	maintain_with((struct maintain_options){ .lease_usec = now - 29 * day });
	cr_expect(!has(litter));
}

Test(maintain, nothing_goes_before_two_weeks)
{
	char *litter = make_litter();

	cr_assert(sh("touch -d '13 days ago' s.git/objects/%.2s/%s", litter, litter + 2));
	maintain();
	cr_expect(has(litter));
	cr_assert(sh("touch -d '15 days ago' s.git/objects/%.2s/%s", litter, litter + 2));
	maintain();
	cr_expect(!has(litter));
}

static void open_maintenance(struct maintenance *m, struct maintain_outcome *out)
{
	static const struct maintain_options none;

	*m = (struct maintenance){ .options = &none, .out = out, .f = &f };
	cr_assert_eq(repo_open(in_dir("s.git"), &repo, &f), 0);
	m->repo = repo;
	m->objects_fd = open(in_dir("s.git/objects"), O_RDONLY | O_DIRECTORY);
	m->pack_fd = open(in_dir("s.git/objects/pack"), O_RDONLY | O_DIRECTORY);
	cr_assert(sh("mkdir -p s.git/slotd/maintain"));
	m->dir_fd = open(in_dir("s.git/slotd/maintain"), O_RDONLY | O_DIRECTORY);
	cr_assert_geq(m->dir_fd, 0);
}

static void close_maintenance(struct maintenance *m)
{
	close(m->objects_fd);
	close(m->pack_fd);
	close(m->dir_fd);
}

Test(maintain, what_git_freshens_at_the_last_moment_is_put_back)
{
	char *litter = make_litter(), *pack;
	time_t cutoff = (time_t)(clock_wall_usec() / USEC_PER_SEC) - 14 * 24 * 3600;
	struct maintain_outcome out;
	struct maintenance m;
	git_oid oid;

	cr_assert(sh("cd s.git && git repack -q -a -d"));
	pack = sh_text("cd s.git/objects/pack && basename *.pack .pack");
	cr_assert_eq(git_oid_fromstr(&oid, litter), 0);
	cr_assert(sh("sh ./old"));
	open_maintenance(&m, &out);
	/* as git does it when it writes what is there already */
	cr_assert_eq(strcmp(sh_text("echo litter | git -C s.git hash-object -w --stdin"), litter), 0);
	cr_expect_eq(maintain_drop_loose(&m, &oid, cutoff), 1);
	cr_expect(has(litter));
	cr_assert(sh("touch s.git/objects/pack/*.pack"));
	cr_expect_eq(maintain_drop_pack(&m, pack, cutoff), 1);
	expect_whole("a pack was put back");
	cr_assert(sh("sh ./old"));
	cr_expect_eq(maintain_drop_loose(&m, &oid, cutoff), 0);
	cr_expect(!has(litter));
	close_maintenance(&m);
}

/* --- packs --- */

static void make_history(void)
{
	cr_assert(sh("cd w && for i in $(seq 5); do for k in 1 2 3; do seq $((i + k)) 3000 >f$k && git commit -qam "
		     "$i-$k; done; git repack -q -d; done && git tag -a -m x t && seq 5000 >f4 && git add f4 && "
		     "git commit -qm last"));
}

#define ALL_OBJECTS "git rev-list --objects --all --reflog --indexed-objects --no-object-names | sort -u"

Test(maintain, many_packs_and_loose_objects_become_one_with_deltas)
{
	struct maintain_outcome out;
	char *before, *bytes;

	make_history();
	before = sh_text("cd w && " ALL_OBJECTS " | sha1sum");
	bytes = sh_text("cat s.git/objects/pack/*.pack | wc -c");
	out = maintain();
	cr_expect(out.done, "%s", out.reason);
	cr_expect_geq(out.packs_before, 5);
	cr_expect_eq(out.packs_after, 1);
	cr_expect_eq(out.loose_after, 0);
	cr_expect_lt(out.bytes_after, out.bytes_before);
	cr_expect_eq(out.dropped, 0);
	cr_expect_str_eq(before, sh_text("cd w && " ALL_OBJECTS " | sha1sum"));
	cr_expect(sh("git verify-pack -v s.git/objects/pack/*.idx | grep -q 'chain length'"), "no deltas");
	cr_expect(sh("test $(cat s.git/objects/pack/*.pack | wc -c) -lt %s", bytes));
	cr_expect(sh("test $(stat -c %%a s.git/objects/pack/*.pack) = 444"));
	cr_expect_str_eq(sh_text("ls s.git/slotd"), "maintained");
	expect_whole("a repack");
	/* and again there is nothing to do */
	out = maintain();
	cr_expect_eq(out.packs_before, 1);
	cr_expect_eq(out.bytes_after, out.bytes_before);
}

Test(maintain, the_large_one_stays)
{
	char *large;

	make_history();
	cr_assert(sh("cd w && head -c 400000 /dev/urandom >big && git add big && git commit -qm big && "
		     "git repack -q -a -d && seq 100 >small && git add small && git commit -qm small"));
	large = sh_text("cd s.git/objects/pack && sha1sum *.pack");
	maintain();
	cr_expect(sh("cd s.git/objects/pack && echo '%s' | sha1sum -c --quiet", large));
	cr_expect_str_eq(sh_text("ls s.git/objects/pack/*.pack | wc -l"), "2");
	expect_whole("a small repack");
}

Test(maintain, kept_packs_stay)
{
	char *kept;

	make_history();
	cr_assert(sh("cd s.git/objects/pack && set -- *.pack && echo mine >${1%%.pack}.keep"));
	kept = sh_text("cd s.git/objects/pack && basename *.keep .keep");
	maintain();
	cr_expect(sh("test -e s.git/objects/pack/%s.pack", kept));
	cr_expect(sh("test -e s.git/objects/pack/%s.keep", kept));
	expect_whole("a repack beside a kept pack");
}

Test(maintain, what_becomes_unreachable_in_a_pack_goes_two_weeks_later)
{
	struct maintain_outcome out;
	char *lost;

	make_history();
	cr_assert(sh("cd w && git checkout -q -b gone && seq 9 >lost && git add lost && git commit -qm lost && "
		     "git repack -q -a -d && git checkout -q main && git branch -qD gone && "
		     "git reflog expire --expire=all --all"));
	lost = sh_text("seq 9 | git -C w hash-object --stdin");
	cr_assert(has(lost));
	/* old already, but it was reachable a moment ago */
	cr_assert(sh("sh ./old && cd w && for r in a b; do head -c 900000 /dev/urandom >$r && git add $r && "
		     "git commit -qm $r && git repack -q -d; done"));
	out = maintain();
	cr_expect(has(lost));
	cr_expect_eq(out.packs_after, 2, "what is reachable, and the rest: %zu", out.packs_after);
	maintain();
	cr_expect(has(lost));
	cr_assert(sh("sh ./old"));
	maintain();
	cr_expect(has(lost), "it is known to be lost since just now");
	cr_assert(sh("touch -d '15 days ago' s.git/slotd/garbage/*"));
	out = maintain();
	cr_expect(!has(lost), "%s", out.reason);
	cr_expect_gt(out.dropped, 0);
	cr_expect_eq(out.packs_after, 1);
	cr_expect_str_eq(sh_text("ls s.git/slotd"), "maintained");
	expect_whole("garbage has gone");
}

Test(maintain, garbage_that_is_named_again_stays)
{
	char *lost;

	make_history();
	cr_assert(sh("cd w && git checkout -q -b gone && seq 9 >lost && git add lost && git commit -qm lost && "
		     "git rev-parse HEAD >../lost && printf 'gone\\n^main\\n' | git pack-objects -q --revs "
		     "../s.git/objects/pack/pack && git prune-packed && git checkout -q main && git branch -qD gone && "
		     "git reflog expire --expire=all --all"));
	lost = sh_text("cat lost");
	maintain();
	cr_assert(sh("sh ./old && touch -d '15 days ago' s.git/slotd/garbage/* && git -C s.git branch again %s", lost));
	maintain();
	cr_expect(has(lost));
	cr_expect_str_eq(sh_text("ls s.git/slotd"), "maintained", "its time begins anew");
	expect_whole("garbage was named again");
}

/* --- keeps of salvage --- */

/* a kept pack with a commit of its own; prints the commit */
static char *make_salvage_pack(const char *name, const char *age)
{
	return sh_text("cd w && b=$(echo %s | git hash-object -w --stdin) && "
		       "t=$(printf '100644 blob %%s\\tx\\n' $b | git mktree) && c=$(git commit-tree -m %s $t) && "
		       "p=../s.git/objects/pack/pack && n=$(printf '%%s\\n' $b $t $c | git pack-objects -q $p) && "
		       "git prune-packed && echo 'slotd salvage refs/slotd/salvage/%s' >$p-$n.keep && "
		       "touch -d '%s' $p-$n.keep && echo $c", name, name, name, age);
}

Test(maintain, keep_of_a_salvage_goes_when_its_ref_stands_or_never_came)
{
	char *stands = make_salvage_pack("p-1", "now"), *never = make_salvage_pack("p-2", "2 days ago");
	char *under_way = make_salvage_pack("p-3", "now");

	cr_assert(sh("git -C s.git update-ref refs/slotd/salvage/p-1/0/1 %s", stands));
	maintain();
	cr_expect_str_eq(sh_text("cat s.git/objects/pack/*.keep"), "slotd salvage refs/slotd/salvage/p-3");
	cr_expect(has(stands) && has(never) && has(under_way));
	expect_whole("keeps were dropped");
}

/* --- half-written files --- */

#define DAY_USEC (24 * 3600 * USEC_PER_SEC)

/* as if the machine had been started so long ago */
static void booted(uint64_t ago_usec)
{
	static const struct boot_id boot = { .bytes = { 1 } };

	clock_real();
	clock_fake(clock_wall_usec(), ago_usec, &boot);
}

static char *litter_there(void)
{
	return sh_text("cd s.git/objects && find . -name 'tmp*' | LC_ALL=C sort | tr '\\n' ' '");
}

static pid_t hold_open(const char *name, int flags)
{
	int fds[2];
	pid_t pid;
	char c;

	cr_assert_eq(pipe(fds), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (open(in_dir(name), flags) < 0 || write(fds[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(fds[1]);
	cr_assert_eq(read(fds[0], &c, 1), 1, "it cannot be opened");
	close(fds[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

Test(maintain, what_dead_writers_left_goes_after_a_day)
{
	struct maintain_outcome out;

	cr_assert(sh("cd s.git/objects && mkdir -p 17 pack/tmp_pack_dir && echo 1234 >17/tmp_obj_a && "
		     "touch tmp_obj_b pack/tmp_pack_a pack/tmp_idx_a pack/tmp_rev_a pack/tmp_mine tmp_objdir-x && "
		     "find . -name 'tmp*' -exec touch -d '25 hours ago' {} + && touch pack/tmp_pack_b && "
		     "touch -d '23 hours ago' 17/tmp_obj_c && echo far >../../far && touch -d '2 days ago' ../../far && "
		     "ln -s ../../../far pack/tmp_pack_link && touch -h -d '2 days ago' pack/tmp_pack_link"));
	booted(100 * DAY_USEC);
	out = maintain();
	cr_expect(out.done, "%s", out.reason);
	cr_expect_eq(out.litter, 5);
	cr_expect_eq(out.litter_bytes, 5);
	cr_expect_str_eq(litter_there(), "./17/tmp_obj_c ./pack/tmp_mine ./pack/tmp_pack_b ./pack/tmp_pack_dir "
					 "./pack/tmp_pack_link ./tmp_objdir-x ");
	cr_expect(sh("test -e far"));
	expect_whole("litter went");
	clock_real();
}

Test(maintain, what_somebody_has_open_stays_however_old)
{
	static const int flags[] = { O_WRONLY, O_RDONLY };

	for (size_t i = 0; i < 4; i++) {
		pid_t pid;

		cr_assert(sh("cd s.git/objects && touch -d '3 days ago' pack/tmp_pack_a"));
		pid = hold_open("s.git/objects/pack/tmp_pack_a", flags[i % 2]);
		booted(i < 2 ? 100 * DAY_USEC : DAY_USEC);
		cr_expect_eq(maintain().litter, 0);
		cr_expect_str_eq(litter_there(), "./pack/tmp_pack_a ");
		end(pid);
		cr_expect_eq(maintain().litter, 1);
		cr_expect_str_eq(litter_there(), "");
	}
	clock_real();
}

static void give_up_lease_capability(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	cr_assert_eq(syscall(SYS_capget, &header, data), 0);
	data[0].effective &= ~(1u << CAP_LEASE);
	cr_assert_eq(syscall(SYS_capset, &header, data), 0);
}

Test(maintain, where_the_kernel_does_not_say_it_is_the_start_of_the_machine_that_counts)
{
	if (geteuid() != 0)
		cr_skip("needs a file of somebody else's");
	cr_assert(sh("cd s.git/objects && touch -d '3 days ago' pack/tmp_pack_a && chown 65534 pack/tmp_pack_a"));
	give_up_lease_capability();
	booted(100 * DAY_USEC);
	cr_expect_eq(maintain().litter, 0);
	booted(3 * DAY_USEC - 1800 * USEC_PER_SEC);
	cr_expect_eq(maintain().litter, 0, "too close to the start, by clocks that differ");
	cr_expect_str_eq(litter_there(), "./pack/tmp_pack_a ");
	booted(2 * DAY_USEC);
	cr_expect_eq(maintain().litter, 1);
	cr_expect_str_eq(litter_there(), "");
	clock_real();
}

/* --- what is left alone --- */

static void expect_left_alone(const char *script, const char *reason)
{
	char *before;
	struct maintain_outcome out;

	cr_assert(sh("%s", script), "%s", script);
	before = sh_text("cd s.git/objects && find . -type f | sort | xargs sha1sum | sha1sum");
	out = maintain();
	cr_expect(!out.done);
	cr_expect(strstr(out.reason, reason), "%s", out.reason);
	cr_expect_str_eq(before, sh_text("cd s.git/objects && find . -type f | sort | xargs sha1sum | sha1sum"));
}

Test(maintain, what_is_not_understood_is_left_alone)
{
	make_history();
	make_litter();
	cr_assert(sh("sh ./old"));
	expect_left_alone("git -C s.git rev-parse main~3 >s.git/shallow", "shallow");
	expect_left_alone("rm s.git/shallow; echo /nowhere >s.git/objects/info/alternates", "another repository");
	expect_left_alone("rm s.git/objects/info/alternates; git -C s.git multi-pack-index write", "multi-pack-index");
	expect_left_alone("rm s.git/objects/pack/multi-pack-index; touch s.git/objects/pack/pack-x.promisor",
			  "partial clone");
	expect_left_alone("rm s.git/objects/pack/*.promisor; echo \"$PPID here\" >s.git/gc.pid", "gc runs");
	expect_left_alone("rm s.git/gc.pid; ln -s /etc s.git/refs/heads/there", "there is not where");
	cr_assert(sh("rm s.git/refs/heads/there"));
	cr_expect(maintain().done);
	expect_whole("all objections were gone");
}

Test(maintain, nothing_is_thrown_away_while_something_is_missing_or_a_fetch_runs)
{
	char *litter = make_litter(), *lost = sh_text("echo lost | git -C s.git hash-object -w --stdin");
	_cleanup_(closep) int common_fd = -1, lock_fd = -1;
	struct maintain_outcome out;

	make_history();
	cr_assert(sh("sh ./old"));
	common_fd = open(in_dir("s.git"), O_RDONLY | O_DIRECTORY);
	lock_fd = store_lock_prune(common_fd, &f);
	cr_assert_geq(lock_fd, 0, "%s", f.text);
	out = maintain();
	cr_expect(strstr(out.reason, "fetch"), "%s", out.reason);
	cr_expect_eq(out.packs_after, 1, "but it is repacked");
	cr_expect(has(litter));
	close(lock_fd);
	lock_fd = -1;
	cr_assert(sh("cd s.git && git update-ref refs/x/y $(printf '100644 blob %s\\tx\\n' | git mktree) && "
		     "rm objects/%.2s/%s", lost, lost, lost + 2));
	out = maintain();
	cr_expect(strstr(out.reason, "missing"), "%s", out.reason);
	cr_expect(has(litter));
}

Test(maintain, damage_is_a_fault_and_takes_nothing)
{
	struct maintain_options options = { 0 };
	struct maintain_outcome out;
	char *before;

	make_history();
	cr_assert(sh("cd s.git/objects && o=$(git rev-parse main) && p=$(echo $o | sed 's|..|&/|') && chmod u+w $p && "
		     "head -c 20 $p >x && mv x $p"));
	before = sh_text("cd s.git/objects && find . -type f | sort | xargs sha1sum | sha1sum");
	cr_assert_eq(repo_open(in_dir("s.git"), &repo, &f), 0);
	cr_expect_lt(store_maintain(repo, &options, &out, &f), 0);
	cr_expect_neq(f.text[0], '\0');
	cr_expect_str_eq(before, sh_text("cd s.git/objects && find . -type f | sort | xargs sha1sum | sha1sum"));
}

/* --- when --- */

Test(maintain, it_is_due_once_in_its_time_or_when_there_is_much)
{
	struct maintain_options daily = { .every_usec = USEC_PER_DAY };
	struct maintain_outcome out;

	make_history();
	out = maintain_with(daily);
	cr_expect(!out.done);
	cr_expect_gt(out.next_usec, 23 * USEC_PER_HOUR);
	cr_assert(sh("touch -d '23 hours ago' s.git/slotd/maintained"));
	out = maintain_with(daily);
	cr_expect(!out.done);
	cr_expect_leq(out.next_usec, USEC_PER_HOUR);
	cr_assert(sh("cd s.git/objects/pack && set -- *.pack && for i in $(seq 60); do "
		     "cp $1 pack-$(printf %%040d $i).pack && cp ${1%%.pack}.idx pack-$(printf %%040d $i).idx; done"));
	out = maintain_with(daily);
	cr_expect(out.done, "so many packs");
	cr_expect_eq(out.packs_after, 1);
	expect_whole("copies of packs went");
	cr_assert(sh("touch -d '25 hours ago' s.git/slotd/maintained"));
	cr_expect(maintain_with(daily).done);
	cr_assert(sh("rm s.git/slotd/maintained"));
	cr_expect(!maintain_with(daily).done, "it was cloned just now");
	cr_expect(sh("test -e s.git/slotd/maintained"));
}

/* --- after a kill --- */

Test(maintain, what_a_killed_one_left_is_put_back)
{
	char *litter = make_litter(), *before;

	make_history();
	before = sh_text("cd s.git/objects && find . -type f | sort");
	cr_assert(sh("cd s.git && mkdir -p slotd/maintain/new && mv objects/%.2s/%s slotd/maintain/%s && cd objects/pack && "
		     "set -- *.pack && mv ${1%%.pack}.* ${2%%.pack}.idx ../../slotd/maintain/ && "
		     "touch ../../slotd/maintain/new/pack_git2_x", litter, litter + 2, litter));
	cr_assert_eq(repo_open(in_dir("s.git"), &repo, &f), 0);
	cr_assert_eq(store_maintain_undo(repo, &f), 0, "%s", f.text);
	cr_expect_str_eq(before, sh_text("cd s.git/objects && find . -type f | sort"));
	cr_expect_str_eq(sh_text("ls s.git/slotd"), "maintained");
	/* a pack whose .idx is deleted already had its time; one that was placed without it was never seen */
	cr_assert(sh("cd s.git/objects/pack && mkdir -p ../../slotd/maintain/new && set -- *.pack && "
		     "cp $1 ../../slotd/maintain/ && cp $1 pack-%040d.pack && cp ${1%%.pack}.idx "
		     "../../slotd/maintain/new/pack-%040d.idx", 7, 7));
	cr_assert_eq(store_maintain_undo(repo, &f), 0, "%s", f.text);
	cr_expect_str_eq(before, sh_text("cd s.git/objects && find . -type f | sort"));
	cr_expect_str_eq(sh_text("ls s.git/slotd"), "maintained");
	expect_whole("everything was put back");
}
