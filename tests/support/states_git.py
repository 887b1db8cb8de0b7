"""States of git: commits, HEAD, operations in progress, stashes, and what an index can be."""

from support.states import CLEAN, ISOLATED, shell, state

# --- commits

COMMIT = "echo %s >>README && git commit -qam %s"
ONE, TWO = COMMIT % ("one", "one"), COMMIT % ("two", "two")

shell("a commit on no branch", ONE)
shell("commits on no branch and a change", ONE + " && " + TWO + " && echo three >README && echo x >new")
shell("a commit on a branch", "git switch -qc $NAME && " + ONE, CLEAN)
shell("a commit on a branch and a change", "git switch -qc $NAME && " + ONE + " && echo two >README && "
      "git add README")
shell("on a branch without commits and a change", "git switch -qc $NAME && echo mine >README")
shell("on an older commit", "git checkout -q HEAD~3", CLEAN)
shell("on an older commit and a change", "git checkout -q HEAD~3 && echo mine >>src/list.txt && "
      "rm docs/2.txt")
shell("a commit amended on no branch", ONE + " && echo two >README && git commit -qa --amend -m two")
shell("a commit amended on a branch", "git switch -qc $NAME && " + ONE + " && echo two >README && "
      "git commit -qa --amend -m two")
shell("a commit reset away", ONE + " && git reset -q --hard $BASE")
shell("a commit reset away, its changes staged", ONE + " && git reset -q --soft $BASE")
shell("a commit reset away, its changes kept", ONE + " && echo x >new && git add new && "
      "git commit -qm new && git reset -q $BASE")
shell("a commit left behind", ONE + " && git checkout -q $BASE")
shell("a rebased branch", "git switch -qc $NAME HEAD~2 && echo x >new && git add new && "
      "git commit -qm new && git rebase -q main")
shell("a branch that was deleted", "git switch -qc $NAME && " + ONE + " && git checkout -q $BASE && "
      "git branch -qD $NAME")
shell("a branch deleted under HEAD", "git switch -qc $NAME && " + ONE + " && "
      "git update-ref -d refs/heads/$NAME")
shell("a commit with a tag only", ONE + " && git tag $NAME", CLEAN)
shell("a commit with an annotated tag only", ONE + " && git tag -a -m tag $NAME", CLEAN)
shell("a commit that was pushed", ONE + " && git update-ref refs/remotes/origin/$NAME HEAD", CLEAN)
shell("a merge commit on no branch", "git merge -q --no-ff -m merged easy")
shell("notes", ONE + " && git switch -qc $NAME && git notes add -m note HEAD", CLEAN)
shell("a commit of somebody else, only fetched", "git fetch -q $OUTSIDE/other main", CLEAN)
shell("a commit that nothing but refs/worktree holds", ONE + " && git update-ref refs/worktree/mine HEAD && "
      "git reset -q --hard $BASE"
      " && rm $ADMIN/logs/HEAD")
shell("a reference of the worktree to a known commit", "git update-ref refs/worktree/mine HEAD~1",
      then="git rev-parse refs/worktree/mine")
shell("an empty commit", "git commit -q --allow-empty -m empty")
shell("a commit with another time and author",
      "GIT_AUTHOR_DATE='2001-01-01 00:00 +0530' GIT_AUTHOR_NAME='\xff' git commit -q --allow-empty -m x")

# --- HEAD

shell("an orphan branch without commits", "git switch -q --orphan $NAME")
shell("an orphan branch, files staged", "git checkout -q --orphan $NAME && echo mine >new && git add new && "
      "echo more >new")
shell("an orphan branch with commits", "git switch -q --orphan $NAME && echo x >new && git add new && "
      "git commit -qm new", CLEAN)
shell("HEAD is empty", "echo mine >README", last=": >$ADMIN/HEAD")
shell("HEAD is garbage", "echo mine >README && git add README && echo x >new",
      last="printf '\\001\\377garbage' >$ADMIN/HEAD")
shell("HEAD is gone", "echo mine >README", last="rm $ADMIN/HEAD")
shell("HEAD is a commit that is not there", "echo mine >README", last="printf '%040d\\n' 7 >$ADMIN/HEAD")


@state("HEAD is a branch that is damaged", left_out=("head", "refs", "status", "log"))
def damaged_branch(slot):
    slot.sh("git switch -qc $NAME && echo mine >README")
    slot.last(lambda: slot.sh("printf '%040d\\n' 7 >$STORE/refs/heads/$NAME"))
    slot.finally_(lambda: slot.sh("rm $STORE/refs/heads/$NAME"))


shell("HEAD is no branch's name", "echo mine >README", last="echo 'ref: ../../outside' >$ADMIN/HEAD")
shell("HEAD is a blob", "echo mine >README", last="blob=$(git rev-parse :README) && echo $blob >$ADMIN/HEAD")
shell("HEAD is broken and nothing else", "true", CLEAN, last="echo garbage >$ADMIN/HEAD")

# --- operations in progress

SOLVE = "printf 'solved\\n' >README && printf 'solved\\n' >both && git add README both"
shell("a merge with conflicts", "! git merge -q conflict >/dev/null 2>&1",
      then=SOLVE + " && git commit -qm merged && git rev-parse -q --verify HEAD^2")
shell("a merge with conflicts, one solved, one changed", "! git merge -q conflict >/dev/null 2>&1 && "
      "echo s >README && git add README && "
      "echo half >>both", then="git add both && git commit -qm merged && git rev-parse -q --verify HEAD^2")
shell("a merge with conflicts on a branch", "git switch -qc $NAME && " + ONE + " && "
      "! git merge -q conflict >/dev/null 2>&1",
      then=SOLVE + " && git commit -qm merged && test $(git rev-parse $NAME) = $(git rev-parse HEAD)")
shell("a merge not committed", "git merge -q --no-commit --no-ff easy", then="git commit -qm merged && "
      "git rev-parse -q --verify HEAD^2")
shell("a merge squashed", "git merge -q --squash easy", then="git commit -q --no-edit && "
      "git log -1 --format=%B | grep -q Squashed")
shell("a merge of three", "git branch $NAME HEAD~1 && git switch -q $NAME && "
      "git commit -q --allow-empty -m x && git checkout -q $BASE && "
      "git merge -q --no-commit easy $NAME")
shell("a file deleted here and changed there", "git rm -q README && git commit -qm rm && "
      "! git merge -q conflict >/dev/null 2>&1",
      then=SOLVE + " && git commit -qm merged")
shell("a conflict between a file and a directory", "git rm -q both && mkdir both && echo x >both/y && "
      "git add both && git commit -qm dir && "
      "! git merge -q conflict >/dev/null 2>&1")
shell("a directory in the place of a file in conflict", "! git merge -q conflict >/dev/null 2>&1 && "
      "rm both && mkdir both && echo mine >both/a")
shell("a file in conflict with a directory of theirs", "git switch -qc $NAME && echo ours >place && git add place && "
      "git commit -qm place && git switch -qc $NAME-theirs HEAD~1 && mkdir place && echo theirs >place/y && "
      "git add place/y && git commit -qm theirs && git switch -q $NAME && "
      "! git merge -q -s resolve $NAME-theirs >/dev/null 2>&1")
shell("conflicts without a merge", "! git merge -q conflict >/dev/null 2>&1 && rm $ADMIN/MERGE_*")
shell("a rebase with conflicts", "git switch -qc $NAME HEAD~2 && echo my >README && git commit -qam my && "
      "echo x >new && git add new && "
      "git commit -qm new && ! git rebase -q main >/dev/null 2>&1",
      then="printf 's\\n' >README && git add README && git rebase --continue && test -e new && "
      "test -e docs/6 && "
      "test $(git symbolic-ref HEAD) = refs/heads/$NAME")
shell("a rebase by patches with conflicts", "git switch -qc $NAME HEAD~2 && echo my >README && "
      "git commit -qam my && "
      "echo x >new && git add new && git commit -qm new && ! git rebase -q --apply main >/dev/null 2>&1",
      then="printf 's\\n' >README && git add README && git rebase --continue && test -e new && "
      "test -e docs/6")
shell("a rebase stopped to edit", "git switch -qc $NAME && " + ONE + " && " + TWO + " && "
      "GIT_SEQUENCE_EDITOR='sed -i 1s/pick/edit/' git rebase -q -i HEAD~2 2>/dev/null && echo x >new && "
      "git add new",
      then="git commit -q --amend --no-edit && git rebase --continue && "
      "test $(git rev-list --count main..HEAD) = 2")
shell("a rebase of no branch", "git checkout -q HEAD~2 && echo my >README && git commit -qam my && "
      "! git rebase -q main >/dev/null 2>&1",
      then="printf 's\\n' >README && git add README && git rebase --continue && test -e docs/6")
shell("a rebase that failed in a command", "git switch -qc $NAME && " + ONE + " && "
      "! git rebase -q -x false HEAD~1 >/dev/null 2>&1",
      then="git rebase --continue")
shell("a rebase with merges", "git switch -qc $NAME HEAD~2 && echo my >README && git commit -qam my && "
      "git merge -q --no-ff -m m easy && "
      "! git rebase -q --rebase-merges main >/dev/null 2>&1",
      then="printf 's\\n' >README && git add README && git rebase --continue && "
      "git rev-parse -q --verify HEAD^2")


@state("a rebase that put changes aside", then=lambda slot: slot.sh("git rebase --abort 2>/dev/null && "
      "grep -q aside src/list.txt"))
def autostash(slot):
    slot.sh("git switch -qc $NAME HEAD~2 && echo my >README && git commit -qam my && "
      "echo aside >src/list.txt && "
            "! git rebase -q --autostash main >/dev/null 2>&1")
    slot.keep_reachable(slot.sh("cat $ADMIN/rebase-merge/autostash").strip())


shell("a cherry-pick with conflicts", "! git cherry-pick conflict~1 >/dev/null 2>&1",
      then=SOLVE + " && git cherry-pick --continue && git log -1 --format=%s | grep -q conflicting")
shell("a cherry-pick of several", "! git cherry-pick easy conflict~1 conflict >/dev/null 2>&1",
      then=SOLVE + " && git cherry-pick --continue && test -e docs/7 && test -e docs/easy")
shell("a cherry-pick not committed", "git cherry-pick -n easy")
shell("a revert with conflicts", "echo x >README && git commit -qam x && "
      "! git revert --no-edit $BASE~1 >/dev/null 2>&1",
      then="printf 's\\n' >README && git rm -q --cached --ignore-unmatch both >/dev/null && "
      "git add README && git revert --continue")
shell("a revert of several", "echo x >README && git commit -qam x && "
      "! git revert --no-edit $BASE $BASE~1 $BASE~2 >/dev/null 2>&1",
      then="printf 's\\n' >README && git rm -q --cached --ignore-unmatch both >/dev/null && git add -A . && "
      "git revert --continue && "
      "test ! -e docs/4.txt")
shell("a bisection", "git bisect start -q && git bisect bad && git bisect good one >/dev/null",
      then="git bisect good >/dev/null && git bisect log | grep -q 'git bisect good'")
shell("a bisection on a branch, with a skip and a change", "git switch -qc $NAME && "
      "git bisect start -q $NAME one >/dev/null && "
      "git bisect skip >/dev/null && echo mine >README", then="git checkout -q -- README && "
      "git bisect reset 2>/dev/null && "
      "test $(git symbolic-ref HEAD) = refs/heads/$NAME")
shell("mails that do not apply", "git format-patch -q --stdout main~2..conflict >$OUTSIDE/mails && "
      "! git am -q <$OUTSIDE/mails 2>/dev/null >&2",
      then="printf 's\\n' >README && printf 's\\n' >both && git add README both && "
      "git am --continue >/dev/null && test -e docs/7")

# --- stashes

shell("a stash", "echo mine >README && git stash -q", then="git stash pop -q && grep -q mine README")
shell("several stashes", "for n in 1 2 3; do echo $n >README; git stash -q; done",
      then="git stash apply -q stash@{2} && grep -q 1 README")
shell("a stash with untracked files", "echo mine >new && git stash -q -u", then="git stash pop -q && "
      "grep -q mine new")
shell("a stash with a staged change", "echo one >README && git add README && echo two >README && "
      "git stash -q",
      then="git stash pop -q --index && git show :README | grep -q one")
shell("a stash of a commit on no branch", ONE + " && echo two >README && git stash -q && "
      "git reset -q --hard $BASE")
shell("a stash and a change", "echo mine >README && git stash -q && echo other >README")

# --- what an index can be

shell("assume-unchanged and changed", "git update-index --assume-unchanged README && echo mine >README")
shell("assume-unchanged, nothing changed", "git update-index --assume-unchanged README", CLEAN)
shell("assume-unchanged and deleted", "git update-index --assume-unchanged README && rm README")
shell("skip-worktree and changed", "git update-index --skip-worktree README && echo mine >README")
shell("skip-worktree, staged and changed", "echo one >README && git add README && "
      "git update-index --skip-worktree README && echo two >README")
shell("a sparse checkout", "git sparse-checkout set --cone src", CLEAN)
shell("a sparse checkout and a change", "git sparse-checkout set --cone src && echo mine >src/main.c && "
      "echo x >src/new")
shell("a sparse checkout and a file outside of it", "git sparse-checkout set --cone src && mkdir -p docs && "
      "echo mine >docs/2.txt && echo x >docs/new")
shell("a sparse checkout by patterns and a change",
      "git sparse-checkout set --no-cone '/*' '!docs/' '!*.bin' && echo mine >README")
shell("a sparse index and a change", "git sparse-checkout set --cone --sparse-index src && "
      "echo mine >src/main.c && git add src/main.c")
shell("a split index", "git update-index --split-index", CLEAN)
shell("a split index and a change", "git config splitIndex.maxPercentChange 100; "
      "git update-index --split-index && echo mine >README && "
      "git add README && echo x >new")
shell("a split index without its other half", "git update-index --split-index && echo mine >README && "
      "git add README && "
      "echo two >README && rm $ADMIN/sharedindex.*", left_out=("status",))
shell("an untracked cache and a file", "git update-index --untracked-cache && git status >/dev/null && "
      "echo mine >new && git status >/dev/null")
shell("an index of version 4", "git update-index --index-version 4", CLEAN)
shell("an index of version 4 and a change", "git update-index --index-version 4 && echo mine >README && "
      "git add README && echo x >new && git add -N new")
shell("no index", "true", CLEAN, last="rm $ADMIN/index")
shell("no index and a change", "echo mine >README && echo x >new", last="rm $ADMIN/index")
shell("an index with a wrong checksum", "echo mine >README && git add README && echo x >README && "
      "printf garbage | dd of=$ADMIN/index bs=1 seek=90 conv=notrunc status=none")
shell("a damaged index", "echo mine >README && git add README && echo x >README && "
      "printf garbage | dd of=$ADMIN/index bs=1 conv=notrunc status=none",
      left_out=("status",))
shell("an index cut short", "echo mine >README && git add README && truncate -s 100 $ADMIN/index")
shell("an empty index file", "echo mine >README && : >$ADMIN/index", left_out=("status",))
shell("a FIFO for an index", "echo mine >README", last="rm $ADMIN/index && mkfifo $ADMIN/index")
shell("an index without entries", "git read-tree --empty")
shell("an index that says the wrong",
      "git update-index --cacheinfo 100644,$(git rev-parse HEAD:run.sh),README")
shell("an unmerged index and a flag", "! git merge -q conflict >/dev/null 2>&1 && "
      "git update-index --assume-unchanged run.sh && echo y >>run.sh")
shell("a conflict that was solved and can be brought back",
      "! git merge -q conflict >/dev/null 2>&1 && " + SOLVE,
      then="git checkout -q -m README && git ls-files -u | grep -q README")
shell("index.lock and HEAD.lock left", "true", CLEAN, last=": >$ADMIN/index.lock && echo x >$ADMIN/HEAD.lock")
shell("locks left and a change", "echo mine >README && git add README",
      last="cp $ADMIN/index $ADMIN/index.lock && "
      ": >$ADMIN/HEAD.lock && : >$ADMIN/ORIG_HEAD.lock && : >$ADMIN/config.worktree.lock && "
      ": >$ADMIN/next-index-1.lock")


@state("a staged blob that is gone", ISOLATED, reason="missing")
def blob_gone(slot):
    slot.write("README", "staged " + slot.name)
    slot.git("add", "README")
    oid = slot.text("rev-parse", ":README")
    slot.write("README", "changed\n")
    place, aside = "$STORE/objects/%s/%s" % (oid[:2], oid[2:]), "$OUTSIDE/$NAME"
    slot.last(lambda: slot.sh("mv %s %s" % (place, aside)))
    slot.finally_(lambda: slot.sh("mkdir -p $(dirname %s) && mv %s %s" % (place, aside, place)))
