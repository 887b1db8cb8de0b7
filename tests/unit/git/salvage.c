#include "git/salvage.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git-fixture.h"
#include "git/admin-work.h"
#include "git/ignore.h"
#include "util/clock.h"
#include "util/cleanup.h"
#include "util/text.h"

#define LEASE "00112233445566778899aabbccddeeff"

static struct repo *repo;
static struct worktree *slot;
static struct tree_saved *saved;
static struct salvage_spec spec;
static struct salvage_taken salvage;
static struct fault fault_text;
static struct text notes;
static int slots_fd = -1;

static void oid_of(const char *rev, git_oid *ret)
{
	char *hex = sh_text("git -C r rev-parse '%s^{commit}'", rev);

	cr_assert_eq(git_oid_fromstr(ret, hex), 0, "%s: %s", rev, hex);
}

static void slot_open_again(void)
{
	char *slots = in_dir("slots");

	worktree_close(slot);
	slot = NULL;
	cr_assert_eq(worktree_open(repo, slots_fd, slots, "p-1", 0, 0, &slot, &fault_text), 0, "%s",
		     fault_text.text);
}

static void init(void)
{
	struct tree_stats stats;
	uint64_t dev, ino;
	git_oid commit;

	fixture_init();
	cr_assert_eq(repo_global_init(&fault_text), 0);
	cr_assert(sh("git init -q -b main r && cd r && echo a > a && mkdir -p d/e && echo f > d/f && echo g > d/e/g && "
		     "ln -s a l && printf '#!/bin/sh\\n' > x && chmod +x x && printf '*.o\\nbuild/\\n' > .gitignore && "
		     "printf '*.crlf eol=crlf\\n*.id ident\\n' > .gitattributes && printf '1\\n2\\n' > t.crlf && "
		     "git add -A && git commit -q -m first && mkdir ../slots"));
	cr_assert_eq(repo_open(in_dir("r/.git"), &repo, &fault_text), 0, "%s", fault_text.text);
	slots_fd = open(in_dir("slots"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	oid_of("main", &commit);
	cr_assert_eq(worktree_create(repo, slots_fd, in_dir("slots"), "p-1", &commit, 1, &dev, &ino, &stats, &fault_text), 0,
		     "%s", fault_text.text);
	slot_open_again();
	saved = tree_saved_new();
	spec = (struct salvage_spec){ .lease = LEASE, .pool = "p", .agent = "anna", .task = "T-1",
				      
				      .since_usec = 1699999990000000, .at_usec = 1700000000000000, .threads = 1 };
	git_oid_cpy(&spec.held, &commit);
	git_oid_cpy(&spec.fallback, &commit);
	git_oid_cpy(&spec.target, &commit);
}

static void deinit(void)
{
	salvage_taken_deinit(&salvage);
	text_deinit(&notes);
	notes = (struct text){ 0 };
	tree_saved_free(saved);
	worktree_close(slot);
	slot = NULL;
	repo_close(repo);
	close(slots_fd);
	fixture_deinit();
}

TestSuite(salvage, .init = init, .fini = deinit, .timeout = 120);

static int on_note(enum salvage_note note, const char *text, void *userdata)
{
	text_addf(&notes, "%s %s\n", note == SALVAGE_NOTE_CANNOT ? "cannot" : "special", text);
	return 0;
}

static int take(void)
{
	salvage_taken_deinit(&salvage);
	notes.len = 0;
	text_add_string(&notes, "");
	return salvage_take(slot, &spec, saved, on_note, NULL, &salvage, &fault_text);
}

/* what the shell does to the slot, and what is made of it */
static const struct {
	const char *make;
	const char *summary;
	const char *unsaved; /* names in the slot that W has not, one a line */
} states[] = {
	{ "echo b > a", "1 changed file", "" },
	{ "rm a", "1 changed file", "" },
	{ "rm -r d", "2 changed files", "" },
	{ "chmod +x a; chmod -x x", "2 changed files", "" },
	{ "ln -sf x l", "1 changed file", "" },
	{ "rm a; ln -s x a; rm l; echo l > l", "2 changed files", "" },
	{ "echo n > new; mkdir -p n/m; echo m > n/m/k", "2 untracked files", "" },
	{ "echo b > a; git add a", "1 staged file", "" },
	{ "echo b > a; git add a; echo c > a", "1 changed file, 1 staged file", "" },
	{ "echo n > new; git add new; rm new", "1 changed file, 1 staged file", "" },
	{ "echo n > new; git add -N new", "1 changed file, 1 untracked file", "" },
	{ ": > new; git add -N new", "1 untracked file", "" },
	{ "git rm -q --cached a", "1 staged file, 1 untracked file", "" },
	{ "git rm -q a", "1 staged file", "" },
	{ "git mv a z", "2 staged files", "" },
	{ "rm a; mkdir a; echo x > a/x", "1 changed file, 1 untracked file", "" },
	{ "rm -r d; echo d > d", "2 changed files, 1 untracked file", "" },
	{ "rm -r d; ln -s /etc d", "2 changed files, 1 untracked file", "" },
	{ "echo o > o.o; mkdir build; echo b > build/b; echo b > a", "1 changed file", "build/b\no.o" },
	{ "echo '*' >> .gitignore; echo n > new", "1 changed file, 1 untracked file", "" },
	{ "git update-index --assume-unchanged a; echo b > a", "1 changed file", "" },
	{ "git update-index --skip-worktree a; echo b > a", "1 changed file", "" },
	{ "git checkout -q -b topic; git commit -q --allow-empty -m on; echo b > a", "1 changed file", "" },
	{ "git commit -q --allow-empty -m off", "1 commit on no branch", "" },
	{ "echo b > a; git commit -q -am off; git reset -q --hard HEAD~", "1 commit on no branch", "" },
	{ "git checkout -q --orphan o; echo b > a", "1 changed file", "" },
	{ "printf '1\\r\\n2\\n' > t.crlf; printf '$Id$' > i.id", "1 changed file, 1 untracked file", "" },
	{ "printf '3\\n' > t.crlf", "1 changed file", "" },
	{ "printf 'n' > \"$(printf 'n\\nl\\377 \\\"q')\"; printf m > -dash; printf k > ' '", "3 untracked files", "" },
	{ "echo g > 'git~1'; echo b > 'x\\.git'; echo n > n", "3 untracked files", "git~1\nx\\.git" },
	{ "rm a; mkfifo a; mkfifo f; echo n > n", "1 untracked file, 2 special files", "" },
	{ "chmod 600 a; echo n > n; chmod 640 n", "1 untracked file", "" },
	{ "git update-index --split-index; echo b > a", "1 changed file", "" },
	{ "git update-index --index-version 4; echo b > a; git add a", "1 staged file", "" },
	{ "rm .git-index 2>/dev/null; printf junk > $(git rev-parse --git-dir)/index; echo b > a; echo n > n",
	  "1 changed file, 1 untracked file", "" },
	{ "rm $(git rev-parse --git-dir)/index; rm a", "1 changed file", "" },
	{ "echo junk > $(git rev-parse --git-dir)/HEAD; echo b > a", "1 changed file", "" },
	{ "echo 1111111111111111111111111111111111111111 > $(git rev-parse --git-dir)/HEAD; echo b > a",
	  "1 changed file", "" },
	{ "git update-ref refs/worktree/mine HEAD", "refs of this worktree alone", "" },
	{ "echo s > a; git stash -q; echo b > x", "1 changed file, 1 stash", "" },
};

/* W, put into an index of its own, is what is in the slot */
static void assert_w_is_the_slot(const char *make, const char *unsaved)
{
	/* by a repository of its own: HEAD and the administration may be broken */
	const char *git = "GIT_INDEX_FILE=$PWD/w-index GIT_DIR=r/.git GIT_WORK_TREE=slots/p-1 git -c core.safecrlf=false";
	char *w = sh_text("git -C r rev-parse %s", salvage.ref);

	cr_assert(sh("git -C r read-tree --index-output=../w-index %s", w), "no tree");
	cr_assert(sh("%s update-index -q --refresh; true", git));
	cr_expect_str_eq(sh_text("%s diff-files --name-status", git), "", "%s", make);
	cr_expect_str_eq(sh_text("%s -c core.quotePath=false ls-files -o -z | tr '\\0' '\\n' | sort", git), unsaved, "%s", make);
	cr_expect(sh("rm -f w-index"));
}

static void assert_shape(void)
{
	cr_expect(sh("rm -rf r/.git/worktrees/slotd-p-1 && git -C r fsck --full --strict >fsck.log 2>&1"), "%s",
		  sh_text("cat fsck.log"));
	cr_expect_str_eq(sh_text("ls r/.git/objects/pack | grep -c keep; true"), "0");
	cr_expect_str_eq(sh_text("git -C r log -1 --format='%%an <%%ae> %%at' %s", salvage.ref),
			 "slotd <slotd@localhost> 1700000000");
	cr_expect_str_eq(sh_text("git -C r rev-list --parents -n 1 %s | wc -w", salvage.ref), "4");
	cr_expect_str_eq(sh_text("git -C r show %s^3:meta | python3 -c 'import json,sys; "
				 "print(json.load(sys.stdin)[\"agent\"])'", salvage.ref), "anna");
}

Test(salvage, what_is_in_the_slot_is_in_the_commit)
{
	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++) {
		if (i > 0) {
			deinit();
			init();
		}
		cr_assert(sh("cd slots/p-1; %s", states[i].make), "%s", states[i].make);
		char *was = sh_text("cp r/.git/worktrees/slotd-p-1/index w-index 2>/dev/null && "
				    "GIT_INDEX_FILE=$PWD/w-index git -C slots/p-1 write-tree 2>/dev/null");

		cr_expect_eq(take(), 0, "%s: %s", states[i].make, fault_text.text);
		if (!salvage.ref)
			continue;
		cr_expect_str_eq(salvage.summary, states[i].summary, "%s: %s", states[i].make, salvage.summary);
		assert_w_is_the_slot(states[i].make, states[i].unsaved);
		assert_shape();
		if (*was)
			cr_expect_str_eq(sh_text("git -C r rev-parse '%s^2^{tree}'", salvage.ref), was, "%s", states[i].make);
	}
}

static const char *const clean_states[] = {
	"true",
	"touch -d 2020-01-01 a d/f",
	"git checkout -q -b topic; echo b > a; git commit -q -am on",
	"echo o > o.o; mkdir build; echo b > build/b",
	"mkdir -p n/m",
	"mkfifo f",
	"git checkout -q --orphan o",
	"git sparse-checkout set d",
	"git update-index --assume-unchanged a",
	"touch $(git rev-parse --git-dir)/index.lock",
	"git tag t; git commit -q --allow-empty -m x; git tag -f t",
	"chmod 600 a",
	"echo '*' > $(git rev-parse --git-common-dir)/info/exclude",
};

Test(salvage, what_is_clean_makes_no_ref)
{
	for (size_t i = 0; i < sizeof(clean_states) / sizeof(*clean_states); i++) {
		if (i > 0) {
			deinit();
			init();
		}
		cr_assert(sh("cd slots/p-1; %s", clean_states[i]), "%s", clean_states[i]);
		cr_expect_eq(take(), SALVAGE_E_NOTHING, "%s: %s %s", clean_states[i], fault_text.text,
			     salvage.summary ? salvage.summary : "");
		cr_expect_str_eq(sh_text("git -C r for-each-ref refs/slotd/salvage; ls r/.git/objects/pack"), "",
				 "%s", clean_states[i]);
	}
}

/* a repository that the slot's commit has as a submodule, checked out in the slot */
#define SUBMODULE                                                                                        \
	"git init -q -b main ../../sub; (cd ../../sub; echo s > s; printf '*.o\\n' > .gitignore; git add -A; " \
	"git commit -q -m s); (cd ../../r; git -c protocol.file.allow=always submodule --quiet add ../sub sub; " \
	"git commit -q -m sub); git checkout -q --detach main; " \
	"git -c protocol.file.allow=always submodule --quiet update --init; "

static const struct {
	const char *make;
	const char *summary; /* NULL: nothing to save */
	const char *has;     /* a name in X */
} nested[] = {
	{ "git init -q n; echo b > n/b", "1 nested repository", "files/n/%2egit/HEAD" },
	{ "mkdir -p m; git init -q m/n; echo b > m/n/b; echo c > m/c", "1 untracked file, 1 nested repository",
	  "files/m/n/b" },
	{ "git init -q d; echo b > d/new", "1 untracked file, 1 nested repository", "files/d/%2egit/HEAD" },
	{ "git init -q n; (cd n; echo b > b; git add b; git commit -q -m b; git pack-refs --all; rm b)",
	  "1 nested repository", "dirs" },
	{ "git worktree add -q --detach n; echo b > n/b", "1 nested repository", "files/n/%2egit" },
	{ SUBMODULE "true", NULL, NULL },
	{ SUBMODULE "echo o > sub/o.o", NULL, NULL },
	{ SUBMODULE "echo t > sub/s", "1 nested repository", "state/modules/sub/HEAD" },
	{ SUBMODULE "echo t > sub/t", "1 nested repository", "files/sub/t" },
	{ SUBMODULE "echo t > sub/t; git -C sub add t", "1 nested repository", "state/modules/sub/index" },
	{ SUBMODULE "git -C sub commit -q --allow-empty -m t", "1 nested repository", "files/sub/s" },
	{ SUBMODULE "git -C sub commit -q --allow-empty -m t; git -C sub reset -q --hard HEAD~", "1 nested repository",
	  "files/sub/s" },
	{ SUBMODULE "git -C sub branch b $(git -C sub commit-tree -m t HEAD^{tree})", "1 nested repository",
	  "state/modules/sub/refs/heads/b" },
	{ SUBMODULE "echo t > sub/s; git -C sub stash -q", "1 nested repository", "state/modules/sub/refs/stash" },
	{ SUBMODULE "git -C sub branch b $(git -C sub commit-tree -m t HEAD^{tree}); git submodule --quiet deinit -f sub",
	  "1 nested repository", "state/modules/sub/refs/heads/b" },
};

Test(salvage, a_repository_inside_is_saved_whole_unless_all_of_it_is_elsewhere)
{
	for (size_t i = 0; i < sizeof(nested) / sizeof(*nested); i++) {
		if (i > 0) {
			deinit();
			init();
		}
		cr_assert(sh("cd slots/p-1; %s", nested[i].make), "%s", nested[i].make);
		oid_of("main", &spec.target);
		cr_expect_eq(take(), nested[i].summary ? 0 : SALVAGE_E_NOTHING, "%s: %s", nested[i].make, fault_text.text);
		if (!nested[i].summary || !salvage.ref)
			continue;
		cr_expect_str_eq(salvage.summary, nested[i].summary, "%s: %s", nested[i].make, salvage.summary);
		cr_expect(sh("git -C r cat-file -e '%s^3:%s'", salvage.ref, nested[i].has), "%s: %s", nested[i].make,
			  sh_text("git -C r ls-tree -r --name-only %s^3", salvage.ref));
	}
}

static const struct {
	const char *make;
	const char *notes;
} hopeless[] = {
	{ "mkdir n; mount -t tmpfs tmpfs n", "cannot 1 mounted directory: n/\n" },
	{ "mkdir -p m/n; echo m > m/m; mount -t tmpfs tmpfs m/n", "cannot 1 mounted directory: m/n/\n" },
};

Test(salvage, what_cannot_be_saved_is_named)
{
	if (geteuid() != 0)
		cr_skip_test("only root can mount");
	for (size_t i = 0; i < sizeof(hopeless) / sizeof(*hopeless); i++) {
		if (i > 0) {
			deinit();
			init();
		}
		cr_assert(sh("cd slots/p-1; %s", hopeless[i].make), "%s", hopeless[i].make);
		cr_expect_eq(take(), SALVAGE_E_CANNOT, "%s", fault_text.text);
		cr_assert(sh("umount slots/p-1/n slots/p-1/m/n 2>/dev/null; true"));
		cr_expect_str_eq(notes.data, hopeless[i].notes);
		cr_expect_str_eq(sh_text("git -C r for-each-ref refs/slotd/salvage; ls r/.git/objects/pack"), "");
	}
}

Test(salvage, the_same_state_is_saved_once)
{
	char *first;

	cr_assert(sh("cd slots/p-1; git commit -q --allow-empty -m off; echo b > a; echo n > n; echo s > x; git add x"));
	cr_assert_eq(take(), 0, "%s", fault_text.text);
	first = sh_text("git -C r for-each-ref refs/slotd/salvage; ls r/.git/objects/pack");
	cr_assert_eq(take(), 0, "%s", fault_text.text);
	cr_expect_str_eq(salvage.ref, SALVAGE_REFS "p-1/" LEASE "/1");
	cr_expect_str_eq(sh_text("git -C r for-each-ref refs/slotd/salvage; ls r/.git/objects/pack"), first);
	cr_assert(sh("cd slots/p-1; echo c > a"));
	cr_assert_eq(take(), 0, "%s", fault_text.text);
	cr_expect_str_eq(salvage.ref, SALVAGE_REFS "p-1/" LEASE "/2");
}

Test(salvage, a_gc_beside_takes_nothing)
{
	cr_assert(sh("cd slots/p-1; echo b > a; git commit -q -am one; echo c > a; git commit -q -am two; echo s > s; git add s; "
		     "echo t > s; git merge -q --no-ff main 2>/dev/null; git rev-list HEAD > ../../had; git rev-parse :s >> ../../had"));
	cr_assert_eq(take(), 0, "%s", fault_text.text);
	cr_assert(sh("rm -rf r/.git/worktrees; git -C r reflog expire --expire=now --all; git -C r gc -q --prune=now"));
	cr_expect(sh("for o in $(cat had); do git -C r cat-file -e $o || exit 1; done"));
	cr_expect(sh("git -C r fsck --full --strict"));
}

Test(salvage, files_are_known_as_they_were)
{
	struct stat st;

	cr_assert(sh("cd slots/p-1; echo b > a; mkdir n; echo n > n/n"));
	cr_assert_eq(take(), 0, "%s", fault_text.text);
	cr_assert_eq(lstat(in_dir("slots/p-1/n/n"), &st), 0);
	cr_expect(tree_saved_has(saved, "n/n", &st));
	cr_assert_eq(lstat(in_dir("slots/p-1/a"), &st), 0);
	cr_expect(tree_saved_has(saved, "a", &st));
	cr_assert(sh("echo b >> slots/p-1/a"));
	cr_assert_eq(lstat(in_dir("slots/p-1/a"), &st), 0);
	cr_expect(not(tree_saved_has(saved, "a", &st)));
}

/* what is written through a mapping shows in the file's times for the first byte only */
Test(salvage, a_file_that_is_mapped_counts_as_saved_only_when_it_is_not_any_more)
{
	struct stat before, after;
	char *map;
	int fd;

	cr_assert(sh("echo mapped > slots/p-1/m"));
	fd = open(in_dir("slots/p-1/m"), O_RDWR | O_CLOEXEC);
	map = mmap(NULL, 7, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	cr_assert(ne(ptr, map, MAP_FAILED));
	close(fd);
	map[0] = 'M';
	cr_assert_eq(take(), 0, "%s", fault_text.text);
	cr_assert_eq(lstat(in_dir("slots/p-1/m"), &before), 0);
	cr_expect(not(tree_saved_has(saved, "m", &before)));
	memcpy(map, "LATER!", 6);
	munmap(map, 7);
	cr_assert_eq(lstat(in_dir("slots/p-1/m"), &after), 0);
	cr_expect_eq(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec, "the file system tells it after all");
	cr_assert_eq(take(), 0, "%s", fault_text.text);
	cr_expect(tree_saved_has(saved, "m", &after));
	cr_expect_str_eq(sh_text("git -C r show %s:m", salvage.ref), "LATER!");
}

static void ignore_freep(struct ignore **ignore)
{
	ignore_free(*ignore);
}

Test(salvage, precious_files_are_saved_and_kept_ones_are_not)
{
	static const char *const precious[] = { "*.o", "build/keep*", "*.k" };
	static const char *const keep[] = { "cache/" };
	_cleanup_(ignore_freep) struct ignore *is_precious = NULL, *is_kept = NULL;
	struct tree_policy policy = { 0 };

	cr_assert_eq(ignore_from_lines(precious, 3, &is_precious), 0);
	cr_assert_eq(ignore_from_lines(keep, 1, &is_kept), 0);
	policy.precious = is_precious;
	policy.keep = is_kept;
	spec.policy = &policy;
	cr_assert(sh("cd slots/p-1; echo o > d/o.o; mkdir -p build/deep cache; echo b > build/b; echo k > build/keep1; "
		     "echo c > cache/c; echo c > cache/c.k"));
	cr_assert_eq(take(), 0, "%s", fault_text.text);
	cr_expect_str_eq(salvage.summary, "2 precious files");
	assert_w_is_the_slot("precious", "build/b\ncache/c\ncache/c.k");
	spec.since_usec = 0;
	cr_expect_eq(take(), SALVAGE_E_NOTHING, "nobody's, as far as is known");
	spec.since_usec = clock_wall_usec() + 3600 * USEC_PER_SEC;
	cr_expect_eq(take(), SALVAGE_E_NOTHING, "what was there before is saved again");
	policy.wipe_ignored = true;
	cr_expect_eq(take(), 0, "what goes is not saved");
	cr_expect_str_eq(salvage.summary, "2 untracked files, 2 precious files");
	policy.wipe_ignored = false;
	policy.wipe = is_precious;
	cr_expect_eq(take(), 0, "what is wiped is not saved");
	cr_expect_str_eq(salvage.summary, "1 untracked file, 2 precious files");
	policy.wipe = NULL;
	spec.all_goes = true;
	cr_expect_eq(take(), 0, "what goes with its slot is not saved");
	cr_expect_str_eq(salvage.summary, "2 untracked files, 2 precious files");
}

Test(salvage, what_a_sparse_checkout_leaves_out_is_not_work)
{
	cr_assert(sh("cd slots/p-1; git sparse-checkout set --no-cone /d/; echo n > new"));
	cr_assert_eq(take(), 0, "%s", fault_text.text);
	cr_expect_str_eq(salvage.summary, "1 untracked file");
	cr_expect_str_eq(sh_text("git -C r diff --name-status main %s", salvage.ref), "A\tnew");
	cr_expect(sh("git -C r show %s^3:index | cmp - r/.git/worktrees/slotd-p-1/index", salvage.ref));
	cr_expect_str_eq(sh_text("git -C r show %s^3:state/info/sparse-checkout | tail -1", salvage.ref), "/d/");
}

Test(salvage, an_operation_and_its_commits_are_kept)
{
	char *theirs;

	cr_assert(sh("cd slots/p-1; git checkout -q -b other; echo o > a; git commit -q -am other; git checkout -q --detach main; "
		     "echo m > a; git commit -q -am mine; git merge -q other >/dev/null 2>&1; true"));
	theirs = sh_text("git -C r rev-parse other");
	cr_assert_eq(take(), 0, "%s", fault_text.text);
	cr_expect_str_eq(salvage.summary, "1 file in conflict, 1 commit on no branch, a merge in progress");
	cr_expect_str_eq(sh_text("git -C r show %s^3:state/MERGE_HEAD", salvage.ref), theirs);
	cr_expect(sh("git -C r branch -q -D other && git -C r merge-base --is-ancestor %s %s", theirs, salvage.ref));
	cr_expect_str_eq(sh_text("git -C r show %s^3:stages/2/a", salvage.ref), "m");
	cr_expect_str_eq(sh_text("git -C r show %s^3:stages/3/a", salvage.ref), "o");
	cr_expect(sh("git -C r show %s^3:index | cmp - r/.git/worktrees/slotd-p-1/index", salvage.ref));
}

/* also what is not worth a salvage by itself, and stores of submodules that are safe elsewhere */
Test(salvage, files_of_the_administration_are_known_as_they_were)
{
	static const char *const names[] = { "HEAD", "index", "logs/HEAD", "MERGE_MSG", "refs/worktree/a/b",
					     "modules/x/y/HEAD", "info/sparse-checkout" };
	int admin_fd = worktree_tree(slot)->admin_fd;

	cr_assert(sh("cd r/.git/worktrees/slotd-p-1 && echo m > MERGE_MSG && mkdir -p modules/x/y info refs/worktree/a && "
		     "echo h > modules/x/y/HEAD && echo d > info/sparse-checkout"));
	cr_assert_eq(take(), SALVAGE_E_NOTHING, "%s", fault_text.text);
	cr_assert_eq(admin_work_check(admin_fd, saved, &fault_text), 0, "%s", fault_text.text);
	cr_assert(sh("git -C r rev-parse HEAD > r/.git/worktrees/slotd-p-1/refs/worktree/a/b"));
	cr_assert_eq(admin_work_check(admin_fd, saved, &fault_text), -EBUSY);
	cr_assert_eq(take(), 0, "%s", fault_text.text);
	cr_expect_str_eq(sh_text("git -C r show %s^3:state/refs/worktree/a/b", salvage.ref), sh_text("git -C r rev-parse HEAD"));
	cr_assert_eq(admin_work_check(admin_fd, saved, &fault_text), 0, "%s", fault_text.text);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		_cleanup_(freep) char *path = text_printf(".git/%s", names[i]);
		struct stat st;

		cr_assert_eq(fstatat(admin_fd, names[i], &st, AT_SYMLINK_NOFOLLOW), 0);
		cr_expect(tree_saved_has(saved, path, &st), "%s", path);
	}
}

Test(salvage, a_large_file_needs_little_memory)
{
	cr_assert(sh("cd slots/p-1; head -c 100000000 /dev/zero > big; echo x >> big"));
	cr_assert_eq(take(), 0, "%s", fault_text.text);
	cr_expect(sh("git -C r cat-file blob %s:big | cmp - slots/p-1/big", salvage.ref));
}

static int list_one(const struct salvage_taken *s, void *userdata)
{
	cr_expect_geq(s->bytes, strlen("b\n"));
	text_addf(userdata, "%u %s %llu\n", s->n, s->summary, (unsigned long long)s->taken_usec);
	return 0;
}

Test(salvage, salvages_of_a_lease_can_be_listed)
{
	_cleanup_(text_deinit) struct text list = { 0 };

	cr_assert(sh("cd slots/p-1; echo b > a"));
	cr_assert_eq(take(), 0, "%s", fault_text.text);
	cr_assert(sh("git -C r update-ref " SALVAGE_REFS "p-1/" LEASE "/junk HEAD"));
	cr_assert(sh("git -C r update-ref " SALVAGE_REFS "p-2/" LEASE "/1 HEAD"));
	cr_assert_eq(salvage_foreach_taken(repo, "p-1", LEASE, list_one, &list, &fault_text), 0);
	cr_expect_str_eq(list.data, "1 1 changed file 1700000000000000\n");
}
