#include "files-fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "git-fixture.h"
#include "integrity/ref-name.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/text.h"

TestSuite(refs_check, .init = files_init, .fini = files_deinit);

#define OID "1111111111111111111111111111111111111111"

Test(refs_check, each_damage_has_its_name)
{
	static const struct files_row rows[] = {
		/* loose refs */
		{ ": >$G/refs/heads/e", "empty-ref" },
		{ "head -c 41 /dev/zero >$G/refs/heads/e", "empty-ref" },
		{ "echo nonsense >$G/refs/heads/e", "broken-ref" },
		{ "echo " OID "1 >$G/refs/heads/e", "broken-ref" },
		{ "g rev-parse HEAD | cut -c1-39 >$G/refs/heads/e", "broken-ref" },
		{ "echo 0000000000000000000000000000000000000000 >$G/refs/heads/z", "broken-ref" },
		{ "echo \"$(g rev-parse HEAD) junk\" >$G/refs/heads/j", "broken-ref" },
		{ "echo 'ref: refs/heads/a..b' >$G/refs/heads/s", "broken-ref" },
		{ "echo 'ref: refs/heads/gone' >$G/refs/heads/s", "broken-symref" },
		{ "g symbolic-ref refs/remotes/origin/HEAD refs/remotes/origin/gone", "broken-symref" },
		{ "echo 'ref: refs/heads/b' >$G/refs/heads/a; echo 'ref: refs/heads/a' >$G/refs/heads/b", "ref-loop" },
		{ "echo 'ref: refs/heads/self' >$G/refs/heads/self", "ref-loop" },
		{ ": >$G/refs/heads/t; echo 'ref: refs/heads/t' >$G/refs/heads/s", "broken-symref empty-ref" },
		{ "for i in 1 2 3 4 5 6 7; do echo \"ref: refs/x/$((i+1))\" >$G/refs/heads/$i; mkdir -p $G/refs/x; "
		  "echo \"ref: refs/x/$((i+1))\" >$G/refs/x/$i; done; g rev-parse HEAD >$G/refs/x/8", "ref-loop" },
		{ "ln -s /etc/passwd $G/refs/heads/l", "broken-ref" },
		{ "mkfifo $G/refs/heads/p", "unreadable-file" },
		{ "head -c 100000 /dev/zero >$G/refs/heads/big", "unreadable-file" },
		{ "g rev-parse HEAD >\"$G/refs/heads/a b\"", "bad-ref-name" },
		{ "g rev-parse HEAD >$G/refs/heads/a..b", "bad-ref-name" },
		{ "g rev-parse HEAD >$G/refs/heads/a@{1", "bad-ref-name" },
		{ "g rev-parse HEAD >$G/refs/heads/end.", "bad-ref-name" },
		{ "g rev-parse HEAD >$G/refs/heads/.hidden", "stray-file" },
		{ "touch $G/refs/heads/main.lock", "lock-file" },
		{ "rm -r $G/refs", "unreadable-file" },
		{ "rm -r $G/refs/heads && ln -s /tmp $G/refs/heads", "broken-ref" },
		{ "mkdir -p $A/refs/heads && g rev-parse HEAD >$A/refs/heads/main", "stray-file" },
		{ "mkdir -p $A/refs/bisect && : >$A/refs/bisect/bad", "empty-ref" },
		/* packed-refs */
		{ ": >$G/packed-refs", "bad-packed-refs broken-symref" },
		{ "printf 'junk\\n' >>$G/packed-refs", "bad-packed-refs" },
		{ "printf '" OID " refs/heads/x' >>$G/packed-refs", "bad-packed-refs" },
		{ "truncate -s -10 $G/packed-refs", "bad-packed-refs" },
		{ "printf '" OID " refs/a/x\\n' >>$G/packed-refs", "bad-packed-refs" },
		{ "printf '" OID " refs/zz/a b\\n' >>$G/packed-refs", "bad-packed-refs" },
		{ "printf '^" OID "\\n^" OID "\\n' >>$G/packed-refs", "bad-packed-refs" },
		{ "printf '^111\\n' >>$G/packed-refs", "bad-packed-refs" },
		{ "sed -i 's/$/\\r/' $G/packed-refs", "bad-packed-refs broken-symref" },
		{ "sed -i '1s/.*/# something else/' $G/packed-refs", "bad-packed-refs" },
		{ "printf '# pack-refs with: peeled\\n' >>$G/packed-refs", "bad-packed-refs" },
		{ "printf '0000000000000000000000000000000000000000 refs/zz/null\\n' >>$G/packed-refs", "bad-packed-refs" },
		{ "tail -1 $G/packed-refs >>$G/packed-refs.x; cat $G/packed-refs.x >>$G/packed-refs; rm $G/packed-refs.x", "bad-packed-refs" },
		{ "rm $G/packed-refs; mkfifo $G/packed-refs", "broken-symref unreadable-file" },
		{ "mv $G/packed-refs x; ln -s $PWD/x $G/packed-refs", "broken-symref unreadable-file" },
		{ "touch $G/packed-refs.lock $G/packed-refs.new", "leftover lock-file" },
		/* HEAD */
		{ ": >$G/HEAD", "bad-head" },
		{ "rm $A/HEAD", "bad-head" },
		{ ": >$A/HEAD", "bad-head" },
		{ "echo garbage >$A/HEAD", "bad-head" },
		{ "echo 'ref: refs/tags/v1' >$A/HEAD", "bad-head" },
		{ "echo 'ref: refs/remotes/origin/HEAD' >$A/HEAD", "bad-head" },
		{ "echo 'ref: refs/heads/..' >$A/HEAD", "bad-head" },
		{ "echo 0000000000000000000000000000000000000000 >$A/HEAD", "bad-head" },
		{ "echo 'ref: refs/heads/self' >$G/refs/heads/self; echo 'ref: refs/heads/self' >$A/HEAD", "ref-loop" },
		{ "rm $A/HEAD; mkfifo $A/HEAD", "bad-head" },
		{ "rm $A/HEAD; ln -s /etc/passwd $A/HEAD", "bad-head" },
		/* logs */
		{ "printf 'xx\\n' >>$A/logs/HEAD", "bad-reflog" },
		{ "printf '\\n' >>$G/logs/HEAD", "bad-reflog" },
		{ "truncate -s -1 $G/logs/HEAD && touch -d yesterday $G/logs/HEAD", "bad-reflog" },
		{ "head -c 512 /dev/zero >>$A/logs/HEAD && touch -d yesterday $A/logs/HEAD", "bad-reflog" },
		{ "sed -i 's/ +0000/ 0000/' $G/logs/refs/heads/main", "bad-reflog" },
		{ "sed -i 's/>//' $G/logs/HEAD", "bad-reflog" },
		{ "cp $G/logs/HEAD \"$G/logs/refs/heads/a b\"", "bad-reflog" },
		{ "rm $A/logs/HEAD; mkfifo $A/logs/HEAD", "unreadable-file" },
		{ "mkdir -p $A/logs/refs/heads; cp $G/logs/HEAD $A/logs/refs/heads/main", "stray-file" },
		{ "touch $G/logs/refs/heads/main.lock", "lock-file" },
	};

	files_run(rows, ARRAY_SIZE(rows));
}

Test(refs_check, files_of_the_store_and_of_operations)
{
	static const struct files_row rows[] = {
		{ "touch -d yesterday $A/MERGE_HEAD", "bad-operation" },
		{ "echo no >$A/MERGE_HEAD", "bad-operation" },
		{ "echo no >$A/CHERRY_PICK_HEAD", "bad-operation" },
		{ "echo no >$G/REVERT_HEAD", "bad-operation" },
		{ "touch -d yesterday $G/ORIG_HEAD", "bad-operation" },
		{ "echo no >$G/FETCH_HEAD", "bad-operation" },
		{ "mkdir $A/rebase-merge; echo no >$A/rebase-merge/onto", "bad-operation" },
		{ "mkdir $A/rebase-merge; touch -d yesterday $A/rebase-merge/head-name", "bad-operation" },
		{ "mkdir $A/rebase-apply; echo no >$A/rebase-apply/autostash", "bad-operation" },
		{ "mkdir $A/sequencer; echo no >$A/sequencer/head", "bad-operation" },
		{ "mkfifo $A/MERGE_HEAD", "unreadable-file" },
		{ "touch $A/index.lock $A/HEAD.lock", "lock-file" },
		{ "touch $G/config.lock", "lock-file" },
		{ "mkdir -p $A/modules/m/refs; touch $A/modules/m/refs/x.lock", "lock-file" },
		{ "touch $G/shallow.lock $G/gc.pid $G/info/sparse-checkout.lock", "lock-file" },
		{ "touch $G/shallow_a1b2c3 $A/sharedindex_a1b2c3 $A/gitdir.slotd $G/HEAD_git2_a1b2c3", "leftover" },
		{ "echo no >$G/shallow", "bad-shallow" },
		{ "mkfifo $G/shallow", "unreadable-file" },
		{ "echo '[core' >>$G/config", "bad-config" },
		{ "echo 'nonsense' >$G/config", "bad-config" },
		{ "g config core.bare maybe", "bad-config" },
		{ "g config core.repositoryformatversion x", "bad-config" },
		{ "g config core.repositoryformatversion 7", "unsupported-format" },
		{ "g config core.repositoryformatversion 1; g config extensions.teleport true", "unsupported-format" },
		{ "git config -f $G/config core.repositoryformatversion 1; git config -f $G/config extensions.objectFormat sha256", "unsupported-format" },
		{ "git config -f $G/config core.repositoryformatversion 1; git config -f $G/config extensions.refStorage reftable", "unsupported-format" },
		{ "g config core.repositoryformatversion 0; g config extensions.objectFormat sha1", "unsupported-format" },
		{ "g config core.repositoryformatversion 1; g config extensions.objectFormat md5", "unsupported-format" },
		{ "rm $G/config; mkfifo $G/config", "unreadable-file" },
		{ "mv $G/config x; ln -s $PWD/x $G/config", "unreadable-file" },
		{ "g config extensions.worktreeConfig true; echo '[' >$A/config.worktree", "bad-config" },
	};

	files_run(rows, ARRAY_SIZE(rows));
}

Test(refs_check, whatever_is_healthy_is_let_alone)
{
	static const struct files_row rows[] = {
		{ ":", "" },
		{ "s checkout -q -b work", "" },
		{ "s checkout -q --orphan nothing", "" },
		{ "s checkout -q --orphan nothing && s rm -rqf .", "" },
		{ "echo \"ref: refs/heads/loose\" >$A/HEAD", "" },
		{ "g checkout -q --detach", "" },
		{ "g pack-refs --all --prune", "" },
		{ "ln -s refs/heads/main $G/refs/heads/l", "" },
		{ "rm $G/HEAD && ln -s refs/heads/main $G/HEAD", "" },
		{ "printf '%s' $(g rev-parse HEAD) >$G/refs/heads/unended", "" },
		{ "g rev-parse HEAD | tr a-f A-F >$G/refs/heads/upper", "" },
		{ "mkdir -p $G/refs/heads/empty/dir", "" },
		{ "mkdir -p $G/refs/heads/other", "" }, /* it is packed */
		{ "g update-ref refs/heads/deep/er/still HEAD && g notes add -m n && g replace HEAD HEAD^", "" },
		{ "s update-ref refs/worktree/mine HEAD && s update-ref refs/bisect/bad HEAD", "" },
		{ "g symbolic-ref refs/heads/alias refs/heads/main", "" },
		{ "sed -i '1d' $G/packed-refs", "" },
		{ "sed -i '/^^/d' $G/packed-refs", "" },
		{ "rm $G/packed-refs; g symbolic-ref -d refs/remotes/origin/HEAD", "" },
		/* what is packed of a ref that has a file counts no more */
		{ "g update-ref refs/heads/other $(g rev-parse main) && sed -i \"s/.* refs.heads.other/" OID " refs\\/heads\\/other/\" $G/packed-refs", "" },
		{ "echo x >slots/a-1/f && s stash -q", "" },
		{ "echo x >slots/a-1/n && s add -N n", "" },
		{ "s checkout -q -b side HEAD^ && echo s >slots/a-1/f && s commit -qam s && ! s merge -q main", "" },
		{ "s checkout -q -b side HEAD^ && echo s >slots/a-1/f && s commit -qam s && ! s rebase -q main", "" },
		{ "s checkout -q -b side HEAD^ && echo s >slots/a-1/f && s commit -qam s && ! s rebase -q --apply main", "" },
		{ "s checkout -q -b side HEAD^ && echo s >slots/a-1/f && s commit -qam s && ! s cherry-pick main", "" },
		{ "s checkout -q -b side HEAD^ && echo s >slots/a-1/f && s commit -qam s && ! s cherry-pick main~1..main", "" },
		{ "s checkout -q -b side && echo s >slots/a-1/f && s commit -qam s && ! s revert HEAD^", "" },
		{ "s checkout -q -b side && echo 5 >slots/a-1/d/g && s commit -qam s && echo 6 >slots/a-1/d/e/h && "
		  "echo 7 >>$S/f && GIT_SEQUENCE_EDITOR='sed -i s/^pick/edit/' s rebase -q -i --autostash HEAD^ && [ -e $A/rebase-merge/autostash ]", "" },
		{ "s checkout -q -b side HEAD^ && echo s >$S/d/g && s commit -qam s && echo dirty >$S/d/e/h && "
		  "s merge -q --autostash --no-commit main && [ -e $A/MERGE_AUTOSTASH ]", "" },
		{ "s format-patch -q -1 --stdout >x && s checkout -q -b side HEAD^ && echo s >$S/f && s commit -qam s && ! s am $PWD/x", "" },
		{ "for i in 1 2; do s checkout -q -b o$i main && echo $i >$S/o$i && s add . && s commit -qm $i; done; "
		  "s checkout -q --detach main && s merge -q --no-commit --no-ff o1 o2 && [ $(wc -l <$A/MERGE_HEAD) = 2 ]", "" },
		{ "s bisect start HEAD HEAD^", "" },
		{ "s bisect start --no-checkout HEAD HEAD^", "" },
		{ "git clone -q --bare r x && g fetch -q $PWD/x main && : >$A/FETCH_HEAD", "" },
		{ "git clone -q --bare r x && s fetch -q $PWD/x '+refs/heads/*:refs/remotes/x/*'", "" },
		{ "g reflog expire --expire=all --all", "" },
		{ "rm -r $G/logs $A/logs", "" },
		{ "printf '%s %s A <a@b> 1700000000 +0000\\n' $(g rev-parse HEAD HEAD) >>$A/logs/HEAD", "" },
		{ "(printf '%s %s A <a@b> 1700000000 +0000\\t' $(g rev-parse HEAD HEAD); head -c 100000 /dev/zero | tr '\\0' x; echo) >>$A/logs/HEAD", "" },
		{ "g config core.logAllRefUpdates always && g tag light && g tag -d light", "" },
		{ "g rev-parse HEAD >$G/shallow", "" },
		{ ": >$G/shallow", "" },
		{ "g config core.repositoryformatversion 1; g config extensions.noop true; g config extensions.preciousObjects true", "" },
		{ "g config extensions.worktreeConfig true; g config --worktree core.x y; s config --worktree core.x y", "" },
		{ "g config core.repositoryformatversion 0; g config extensions.teleport true", "" },
		{ "g config core.repositoryformatversion 1; g config extensions.objectFormat sha1", "" },
		{ "echo \"$(g rev-parse HEAD)\" >$A/slotd-switching", "" },
	};

	files_run(rows, ARRAY_SIZE(rows));
}

static bool is_root(const struct roots *roots, enum root_kind kind, const char *name, const char *slot)
{
	for (size_t i = 0; i < roots_count(roots); i++) {
		const struct root *root = roots_at(roots, i);

		if (root->kind == kind && strcmp(root->name, name) == 0 &&
		    (slot ? root->slot && strcmp(slot, root->slot) == 0 : !root->slot))
			return true;
	}
	return false;
}

Test(refs_check, what_keeps_objects_alive_becomes_a_root)
{
	const struct roots *roots;

	cr_assert(sh(FILES_VARIABLES "s update-ref refs/worktree/mine HEAD; g rev-parse HEAD >$A/MERGE_HEAD; "
				     "g rev-parse HEAD >$G/ORIG_HEAD"));
	roots = files_check(CHECK_PLAIN)->roots;
	cr_expect(is_root(roots, ROOT_REF, "refs/heads/loose", NULL));
	cr_expect(is_root(roots, ROOT_REF, "refs/heads/other", NULL));
	cr_expect(is_root(roots, ROOT_REF, "refs/tags/v1", NULL));
	cr_expect(is_root(roots, ROOT_REF, "refs/tags/v1^{}", NULL));
	cr_expect(is_root(roots, ROOT_REF, "refs/slotd/pin/a-1", NULL));
	cr_expect(is_root(roots, ROOT_REF, "worktrees/slotd-a-1/refs/worktree/mine", "a-1"));
	cr_expect(is_root(roots, ROOT_REF, "worktrees/slotd-a-1/MERGE_HEAD", "a-1"));
	cr_expect(is_root(roots, ROOT_FETCH_HEAD, "ORIG_HEAD", NULL));
	cr_expect(is_root(roots, ROOT_HEAD, "HEAD", NULL));
	cr_expect(is_root(roots, ROOT_HEAD, "worktrees/slotd-a-1/HEAD", "a-1"));
	cr_expect(is_root(roots, ROOT_REFLOG, "logs/refs/heads/main", NULL));
	cr_expect(is_root(roots, ROOT_REFLOG, "worktrees/slotd-a-1/logs/HEAD", "a-1"));
	cr_expect(is_root(roots, ROOT_INDEX, "index:d/e/h", NULL));
	cr_expect(is_root(roots, ROOT_INDEX, "worktrees/slotd-a-1/index:f", "a-1"));
	cr_expect(is_root(roots, ROOT_CACHE_TREE, "index:d/e/", NULL));
}

/* git for-each-ref is the witness: name by name, each with its id */
Test(refs_check, the_roots_are_the_refs_that_git_lists)
{
	const struct roots *roots = files_check(CHECK_PLAIN)->roots;
	char hex[GIT_OID_HEXSZ + 1];
	size_t n = 0;

	for (size_t i = 0; i < roots_count(roots); i++) {
		const struct root *root = roots_at(roots, i);

		if (root->kind != ROOT_REF || strncmp(root->name, "refs/", 5) != 0 || strchr(root->name, '^'))
			continue;
		cr_expect_str_eq(sh_text("git -C r rev-parse %s", root->name),
				 git_oid_tostr(hex, sizeof(hex), &root->oid));
		n++;
	}
	/* the symbolic one has no object of its own */
	cr_expect_eq(n + 1, strtoul(sh_text("git -C r for-each-ref | wc -l"), NULL, 10));
}

Test(refs_check, names_are_judged_as_git_judges_them)
{
	static const char *const names[] = {
		"refs/heads/a",	 "refs/heads/a.lock", "refs/heads/a.lock/b", "refs//a",	    "/refs/a",
		"refs/a/",	 "refs/.a",	      "refs/a.",	     "refs/a./b",   "refs/a..b",
		"refs/a b",	 "refs/a~b",	      "refs/a^b",	     "refs/a:b",    "refs/a?b",
		"refs/a*b",	 "refs/a[b",	      "refs/a\\\\b",	     "refs/a@{b",   "refs/@",
		"refs/a@b",	 "@",		      "HEAD",		     "refs/a\\177b", "refs/a\\001b",
		"refs/\\303\\244", "refs/a{b",	      "refs/-",		     "refs/a./.b",  "refs/...",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *name = sh_text("printf '%s'", names[i]);
		bool is_valid = sh("git check-ref-format \"$(printf '%s')\"", names[i]);

		cr_expect_eq(ref_name_is_valid(name, false), is_valid, "%s", names[i]);
	}
}

/* what is told as damage: "id where;" */
static char *grave_of(const struct files_result *result)
{
	struct text text = { 0 };

	for (size_t i = 0; i < findings_kept(result->findings); i++) {
		const struct finding *f = findings_at(result->findings, i);

		if (f->severity != FINDING_INFO)
			text_addf(&text, "%s %s;", f->id, f->where ? f->where : "");
	}
	return text.len ? fixture_keep(text_take(&text)) : NULL;
}

/*
 * A repository that is used meanwhile is no damaged one. Now and then git itself leaves a worktree half made or half
 * removed; that is damage, and is still there when all have ended.
 */
Test(refs_check, nothing_is_told_of_those_who_work, .timeout = 120)
{
	char *told = NULL, *left;
	bool is_left;
	size_t n = 0;

	cr_assert(sh(FILES_VARIABLES
		     "exec >/dev/null 2>&1; s checkout -q -b work; end=$(($(date +%%s) + 20)); "
		     "busy() { [ ! -e stop ] && [ $(date +%%s) -lt $end ]; }; "
		     "(while busy; do echo x >>$S/f; s commit -qam x; s branch -f b; s branch -m b c; s branch -D c; s stash; "
		     "s symbolic-ref refs/heads/y refs/heads/work; s symbolic-ref -d refs/heads/y; s update-index --split-index; "
		     "s tag -f z; s reset -q --hard HEAD^; done; touch ended-1) & "
		     "(while busy; do g pack-refs --all; g update-ref refs/heads/l HEAD; g update-ref -d refs/heads/l; "
		     "g reflog expire --expire=all --all; g fetch -q . main; g rev-parse HEAD >$A/MERGE_HEAD; rm $A/MERGE_HEAD; "
		     "done; touch ended-2) & "
		     "(while busy; do g worktree add -q --detach ../w; g worktree remove -f ../w; done; touch ended-3) &"));
	for (uint64_t end = clock_wall_usec() + 4 * USEC_PER_SEC; clock_wall_usec() < end; n++) {
		const struct files_result *result = files_check(n % 2 ? CHECK_FULL : CHECK_QUICK);

		/* locks and the like are information */
		char *grave = grave_of(result);

		if (grave)
			files_describe(result);
		told = told ? told : grave;
	}
	cr_assert(sh("touch stop; for i in $(seq 400); do [ -e ended-1 ] && [ -e ended-2 ] && [ -e ended-3 ] && exit 0; sleep .05; done; false"));
	left = grave_of(files_check(CHECK_FULL));
	is_left = !told || (left && strstr(left, told));
	cr_expect(is_left, "%s, and in the end %s", told, left ? left : "nothing");
	cr_expect_gt(n, 20);
}
