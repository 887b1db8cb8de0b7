#include "git/tree.h"

#include <criterion/criterion.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "git/index-read.h"
#include "git/index-write.h"
#include "tree-fixture.h"
#include "util/clock.h"

static void init(void)
{
	fixture_init();
	cr_assert(
		sh("git init -q -b main r && mkdir victim && for i in 1 2 3 4 5; do "
		   "echo canary > victim/f$i; mkdir victim/d$i; echo canary > victim/d$i/f; done"));
}

static void deinit(void)
{
	slot_close();
	fixture_deinit();
}

TestSuite(tree_hostile, .init = init, .fini = deinit, .timeout = 120);

static void assert_victim_is_safe(void)
{
	cr_assert_str_eq(sh_text("cd victim && cat f? d?/f | sort | uniq -c | tr -d ' '"),
			 "10canary");
	cr_assert_str_eq(sh_text("find victim | wc -l"), "16");
	cr_assert_str_eq(sh_text("find victim -type d ! -perm 755 -o -type f ! -perm 644"), "");
}

/* swaps "d" between a directory and a link to the victim, as fast as it can */
static void swap_for_ever(void)
{
	(void)!chdir(in_dir("s"));
	(void)!symlink("../victim", "../link");
	for (;;) {
		(void)!rename("d", "../away");
		(void)!rename("../link", "d");
		(void)!rename("d", "../link");
		(void)!rename("../away", "d");
	}
}

/* -EEXIST and the like are fair answers to someone who keeps moving things; harm is not */
Test(tree_hostile, a_directory_that_is_swapped_for_a_link_harms_nobody)
{
	uint64_t end;
	int runs = 0;
	pid_t pid;

	commit_made_by("mkdir -p d/d1 d/d2 d/d3; for i in 1 2 3 4 5; do echo tracked > d/f$i; "
		       "echo tracked > d/d1/f; done; echo '*.o' > .gitignore");
	slot_open();
	cr_assert_eq(create_at("HEAD"), 0, "%s", slot_fault.text);
	pid = fork();
	if (pid == 0)
		swap_for_ever();
	end = clock_boot_usec() + 2 * USEC_PER_SEC;
	while (clock_boot_usec() < end) {
		runs += reset_to("HEAD", false) == 0;
		(void)switch_to("HEAD");
		(void)create_at("HEAD");
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_victim_is_safe();
	cr_assert_gt(runs, 0);
	cr_assert_eq(reset_to("HEAD", false), 0, "%s", slot_fault.text);
	assert_slot_is_clean_at("HEAD");
}

Test(tree_hostile, create_replaces_what_is_in_the_way)
{
	commit_made_by("echo a > f1; mkdir d1; echo b > d1/f; echo c > d2; ln -s x l; mkdir d3; "
		       "echo d > d3/f");
	slot_open();
	cr_assert(sh("cd s && ln -s ../victim/f1 f1 && ln -s ../victim/d1 d1 && mkdir d2 && "
		     "ln ../victim/d2/f d2/f && mkfifo l && mkdir d3 && ln ../victim/d3/f d3/f"));
	cr_assert_eq(create_at("HEAD"), 0, "%s", slot_fault.text);
	assert_victim_is_safe();
	assert_slot_is_clean_at("HEAD");
}

/* names that git would not put into a tree */
static const struct {
	const char *items; /* for printf(1): mode, name; the oid of a blob or tree is added */
	const char *named;
} trees[] = {
	{ "100644 .git", ".git" },	 { "100644 .GiT", ".GiT" }, { "40000 .git", ".git" },
	{ "100644 ..", ".." },		 { "100644 .", "\".\"" },   { "40000 ..", ".." },
	{ "100644 ../../evil", "evil" }, { "100644 a/b", "a/b" },   { "100644 /tmp/evil", "evil" },
	{ "100644 ", "\"\"" },		 { "200000 odd", "odd" },   { "999999 odd", "damaged" },
};

/* an object's name into its bytes, as trees have them; perl is part of every Debian */
#define UNHEX "perl -ne 'chomp; print pack q(H*), $_'"

Test(tree_hostile, a_tree_with_impossible_names_is_refused_by_name)
{
	commit_made_by("echo a > a");
	slot_open();
	for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++) {
		const char *what = trees[i].items[0] == '4' ? "HEAD:" : "HEAD:a";
		git_oid commit;
		struct tree_stats stats;

		cr_assert(sh("cd r && { printf '%s\\0'; git rev-parse %s | " UNHEX "; } > ../t && "
			     "git commit-tree -m x $(git hash-object -t tree -w --literally ../t) "
			     "> ../c",
			     trees[i].items, what));
		cr_assert_eq(git_oid_fromstr(&commit, sh_text("cat c")), 0);
		cr_expect_eq(tree_create(&slot, &commit, 2, &stats, &slot_fault), -EUCLEAN, "%s",
			     trees[i].items);
		cr_expect_neq(strstr(slot_fault.text, trees[i].named), NULL, "%s: %s",
			      trees[i].items, slot_fault.text);
		cr_expect_str_eq(sh_text("ls -A s"), ".git");
	}
}

Test(tree_hostile, a_file_and_a_directory_of_one_name_are_refused)
{
	git_oid commit;

	commit_made_by("echo a > a");
	slot_open();
	cr_assert(sh("cd r && { printf '100644 a\\0'; git rev-parse HEAD:a | " UNHEX "; "
		     "printf '40000 a\\0'; git rev-parse HEAD: | " UNHEX "; } > ../t && "
		     "git commit-tree -m x $(git hash-object -t tree -w --literally ../t) > ../c"));
	cr_assert_eq(git_oid_fromstr(&commit, sh_text("cat c")), 0);
	cr_assert_eq(tree_create(&slot, &commit, 2, &(struct tree_stats){ 0 }, &slot_fault),
		     -EUCLEAN);
	cr_assert_neq(strstr(slot_fault.text, "as file and as directory"), NULL, "%s",
		      slot_fault.text);
}

/* every object in turn, truncated and lost: a fault that names it, in time, and a clean retry */
Test(tree_hostile, a_damaged_object_is_named_and_nothing_hangs)
{
	static const char *const objects[] = { "HEAD", "HEAD:", "HEAD:d", "HEAD:d/f" };
	static const char *const damages[] = {
		"head -c 2 $p.x > $p", "head -c 9 $p.x > $p",	    ": > $p", "rm -f $p",
		"rm -f $p; mkfifo $p", "tr 'a-m' 'n-z' < $p.x > $p"
	};

	commit_made_by("mkdir d; seq 1 300 > d/f");
	slot_open();
	for (size_t o = 0; o < 4; o++) {
		for (size_t d = 0; d < sizeof(damages) / sizeof(damages[0]); d++) {
			char *hex = sh_text("git -C r rev-parse %s", objects[o]);
			git_oid commit = commit_of("HEAD");
			struct tree_stats stats;
			int r;

			cr_assert(sh("p=r/.git/objects/%.2s/%s; cp $p $p.x; chmod u+w $p; %s", hex,
				     hex + 2, damages[d]));
			r = tree_create(&slot, &commit, 2, &stats, &slot_fault);
			cr_expect_eq(r, -EUCLEAN, "%s %s: %d", objects[o], damages[d], r);
			cr_expect_neq(strstr(slot_fault.text, hex), NULL, "%s %s: %s", objects[o],
				      damages[d], slot_fault.text);
			r = tree_reset(&slot, &commit, NULL, &stats, &slot_fault);
			cr_expect_lt(r, 0);
			cr_assert(
				sh("p=r/.git/objects/%.2s/%s; rm -f $p; mv $p.x $p", hex, hex + 2));
		}
	}
	cr_assert_eq(reset_to("HEAD", false), 0, "%s", slot_fault.text);
	assert_slot_is_clean_at("HEAD");
}

Test(tree_hostile, damaged_packs_are_named_and_another_copy_is_used)
{
	commit_made_by("for i in $(seq 50); do seq $i 400 > f$i; done");
	slot_open();
	cr_assert(sh("cd r && cp -r .git/objects loose && git repack -adq && git prune-packed && "
		     "p=$(ls .git/objects/pack/*.pack) && chmod u+w $p && "
		     "dd if=/dev/zero of=$p bs=1 seek=900 count=400 conv=notrunc status=none"));
	cr_assert_eq(create_at("HEAD"), -EUCLEAN);
	cr_assert(sh("cd r && cp -r loose/?? .git/objects/ && rm -r loose"));
	cr_assert_eq(create_at("HEAD"), 0, "%s", slot_fault.text);
	cr_assert(sh("cd r && rm .git/objects/pack/*"));
	assert_slot_is_clean_at("HEAD");
}

Test(tree_hostile, a_submodule_is_an_empty_directory)
{
	commit_made_by(
		"git init -q sub && git -C sub commit -q --allow-empty -m s && "
		"mkdir -p x && git init -q x/sub && git -C x/sub commit -q --allow-empty -m s; "
		"echo a > a; git add . 2>/dev/null");
	slot_open();
	cr_assert_eq(create_at("HEAD"), 0, "%s", slot_fault.text);
	assert_slot_is_clean_at("HEAD");
	cr_assert_str_eq(sweep_text("HEAD", true), "");
	cr_assert(sh("rmdir s/sub && git init -q s/x/sub && echo a > s/x/sub/f"));
	cr_assert_str_eq(sweep_text("HEAD", true), "deleted sub\nnested x/sub/\n");
	cr_assert_eq(reset_to("HEAD", false), 0, "%s", slot_fault.text);
	assert_slot_is_clean_at("HEAD");
	cr_assert(sh("echo a > s/sub/f && rmdir s/x/sub && ln -s ../../victim s/x/sub"));
	cr_assert_eq(reset_to("HEAD", false), 0, "%s", slot_fault.text);
	assert_slot_is_clean_at("HEAD");
	assert_victim_is_safe();
	commit_made_by("rm -rf sub; echo file > sub");
	cr_assert_eq(switch_to("HEAD"), 0, "%s", slot_fault.text);
	assert_slot_is_clean_at("HEAD");
	cr_assert_eq(switch_to("HEAD~1"), 0, "%s", slot_fault.text);
	assert_slot_is_clean_at("HEAD~1");
}

Test(tree_hostile, five_thousand_files_and_the_umask)
{
	umask(027);
	commit_made_by("for d in $(seq 50); do mkdir -p d$d/e; for i in $(seq 50); do "
		       "echo $d $i > d$d/f$i; echo $i > d$d/e/g$i; done; done; chmod +x d7/*");
	slot_open();
	cr_assert_eq(create_at("HEAD"), 0, "%s", slot_fault.text);
	assert_slot_is_clean_at("HEAD");
	cr_assert_str_eq(sweep_text("HEAD", true), "");
	/* not one entry of a fresh slot is racy, by the clock's full resolution */
	cr_assert(sh("test -z \"$(find s -type f -newer r/.git/worktrees/s/index)\""));
	cr_assert(sh("rm -r s/d1 s/d2/e && touch s/d3/* && echo x > s/d4/f1"));
	cr_assert_eq(reset_to("HEAD", false), 0, "%s", slot_fault.text);
	assert_slot_is_clean_at("HEAD");
}

/* the index claims the stat data of a file that has other content of the same size */
static void forge_stat(const char *name)
{
	struct index index = { 0 };
	struct stat st;

	cr_assert_eq(fstatat(slot.slot_fd, name, &st, 0), 0);
	cr_assert_eq(index_read(slot.admin_fd, &index, &slot_fault), 0);
	tree_stat_fill(&tree_list_find(&index.list, name, strlen(name))->stat, &st);
	cr_assert_eq(index_write(slot.admin_fd, &index.list, NULL, &slot_fault), 0);
	index_deinit(&index);
}

static void set_index_time(const char *as_of, long nsec)
{
	struct stat st;

	cr_assert_eq(fstatat(slot.slot_fd, as_of, &st, 0), 0);
	st.st_mtim.tv_nsec += nsec;
	cr_assert_eq(
		utimensat(slot.admin_fd, "index", (struct timespec[]){ st.st_mtim, st.st_mtim }, 0),
		0);
}

Test(tree_hostile, a_change_in_the_same_instant_as_the_index_is_found)
{
	commit_made_by("echo a > a; echo b > b");
	slot_open();
	cr_assert_eq(create_at("HEAD"), 0, "%s", slot_fault.text);
	cr_assert(sh("echo c > s/a && touch -d '2020-01-01 00:00:00.5' s/a"));
	forge_stat("a");
	set_index_time("a", 0);
	cr_assert_str_eq(sweep_text("HEAD", true), "modified a\n");
	/* an index that is a nanosecond younger proves what it says: so the rule above is what finds it */
	set_index_time("a", 1);
	cr_assert_str_eq(sweep_text("HEAD", true), "");
	/* and a switch does not make what was racy look proven */
	commit_made_by("echo x > b");
	set_index_time("a", 0);
	cr_assert_eq(switch_to("HEAD"), 0, "%s", slot_fault.text);
	cr_assert_str_eq(sweep_text("HEAD", true), "modified a\n");
}

/* a namespace of our own: what is mounted goes with the process. Not everybody may have one */
static bool may_mount(void)
{
	return unshare(CLONE_NEWNS) == 0 && mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0;
}

Test(tree_hostile, a_mount_is_reported_and_never_crossed)
{
	static const struct {
		const char *at, *found;
	} mounts[] = {
		{ "s/d", "modified a\nmount d/\n" },
		{ "s/n", "modified a\nmount n/\n" },
		{ "s/m/n", "modified a\nmount m/n/\n" },
		{ "s/a", "mount a\n" },
	};

	if (!may_mount())
		cr_skip("mounting needs privileges");
	commit_made_by("mkdir d; echo f > d/f; echo a > a");
	slot_open();
	cr_assert_eq(create_at("HEAD"), 0, "%s", slot_fault.text);
	for (size_t i = 0; i < 4; i++) {
		char *found;

		cr_assert(sh("test -f '%s' || mkdir -p '%s'; echo dirty > s/a", mounts[i].at,
			     mounts[i].at));
		cr_assert_eq(mount(in_dir(i < 3 ? "victim" : "victim/f1"), in_dir(mounts[i].at),
				   "none", MS_BIND, NULL),
			     0);
		found = sweep_text("HEAD", true);
		cr_expect_str_eq(found, mounts[i].found, "%s: %s", mounts[i].at, found);
		cr_expect_eq(reset_to("HEAD", false), -EXDEV, "%s", mounts[i].at);
		cr_assert_eq(umount2(in_dir(mounts[i].at), MNT_DETACH), 0);
		cr_expect_str_eq(sh_text("cat s/a"), "dirty");
		assert_victim_is_safe();
		cr_assert_eq(reset_to("HEAD", false), 0, "%s", slot_fault.text);
		assert_slot_is_clean_at("HEAD");
	}
}

/* where the index of the only pack keeps the offset of an object; version 2, without 64-bit offsets */
static off_t place_of_offset(int idx, const char *rev)
{
	git_oid oid, at;
	uint32_t n;

	cr_assert_eq(git_oid_fromstr(&oid, sh_text("git -C r rev-parse %s", rev)), 0);
	cr_assert_eq(pread(idx, &n, sizeof(n), 8 + 255 * 4), (ssize_t)sizeof(n));
	n = be32toh(n);
	for (uint32_t i = 0; i < n; i++) {
		cr_assert_eq(pread(idx, at.id, GIT_OID_RAWSZ, 8 + 1024 + i * 20), GIT_OID_RAWSZ);
		if (git_oid_equal(&at, &oid))
			return 8 + 1024 + n * 24 + i * 4;
	}
	cr_assert(false, "%s is not packed", rev);
	return 0;
}

/* each object is found where the other one is */
static void swap_in_index(const char *one, const char *other)
{
	int idx;
	off_t places[2];
	uint32_t offsets[2];

	cr_assert(sh("chmod u+w r/.git/objects/pack/*.idx"));
	idx = open(sh_text("echo $PWD/r/.git/objects/pack/*.idx"), O_RDWR | O_CLOEXEC);
	cr_assert_geq(idx, 0);
	places[0] = place_of_offset(idx, one);
	places[1] = place_of_offset(idx, other);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(pread(idx, &offsets[i], 4, places[i]), 4);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(pwrite(idx, &offsets[!i], 4, places[i]), 4);
	close(idx);
}

Test(tree_hostile, a_pack_that_changed_after_it_was_read_is_held_against_its_names_again)
{
	commit_made_by("echo a > a; echo b > b");
	cr_assert(sh("git -C r repack -adq"));
	for (int i = 0; i < 2; i++) {
		slot_open();
		cr_assert_eq(create_at("HEAD"), 0, "%s", slot_fault.text);
		slot_close();
		cr_assert(sh("git -C r worktree remove --force ../s"));
	}
	swap_in_index("HEAD:a", "HEAD:b");
	slot_open();
	cr_expect_eq(create_at("HEAD"), -EUCLEAN);
	cr_expect_neq(strstr(slot_fault.text, "damaged"), NULL, "%s", slot_fault.text);
}
