"""States that lead elsewhere: configuration, hooks, a .git and an administration of another kind."""

import os

from support.states import CLEAN, ISOLATED, shell, state

# --- configuration and hooks: none of it may run; the trap of each state tells

WORKTREE_CONFIG = "git config extensions.worktreeConfig true && git config --worktree "
shell("core.fsmonitor", "git config core.fsmonitor $TRAP && echo mine >README && git status >/dev/null")
shell("core.fsmonitor, nothing changed", "git config core.fsmonitor $TRAP && git status >/dev/null", CLEAN)
shell("core.hooksPath", """
	mkdir $OUTSIDE/$NAME.hooks &&
	for h in post-checkout reference-transaction post-index-change post-commit pre-commit pre-auto-gc
	do ln -s $TRAP $OUTSIDE/$NAME.hooks/$h; done; echo mine >README;
	git config core.hooksPath $OUTSIDE/$NAME.hooks""")
shell("hooks in the repository", """
	mkdir -p $STORE/hooks && for h in post-checkout reference-transaction post-index-change post-commit
	do ln -s $TRAP $STORE/hooks/$h; done; echo mine >README""")
shell("config.worktree", WORKTREE_CONFIG + "user.name mine", CLEAN)
shell("config.worktree and a change", WORKTREE_CONFIG + "user.name mine && echo mine >README")
shell("config.worktree with core.worktree", "mkdir $OUTSIDE/$NAME && "
      "echo victim >$OUTSIDE/$NAME/README && " + WORKTREE_CONFIG +
      "core.worktree $OUTSIDE/$NAME && echo mine >README")
shell("config.worktree with hooks and an fsmonitor", WORKTREE_CONFIG + "core.fsmonitor $TRAP && "
      "echo mine >README && "
      "mkdir $OUTSIDE/$NAME && ln -s $TRAP $OUTSIDE/$NAME/post-checkout && "
      "git config --worktree core.hooksPath $OUTSIDE/$NAME")
shell("a diff driver and a merge driver", "git config diff.external $TRAP && "
      "git config merge.trap.driver $TRAP && "
      "git config diff.trap.textconv $TRAP && echo '* diff=trap merge=trap' >.gitattributes && "
      "echo mine >README")
shell("a FIFO for config.worktree", "echo mine >README", last="rm -f $ADMIN/config.worktree && "
      "mkfifo $ADMIN/config.worktree")
shell("core.fileMode off", "git config core.fileMode false && echo mine >src/main.c && chmod 644 src/main.c")

# --- the .git file

shell("the .git file is gone", "echo mine >README && git add README && echo x >new", last="rm .git")
shell("the .git file is gone, nothing changed", "true", CLEAN, last="rm .git")
shell("the .git file leads to another repository", "echo mine >README",
      last="echo \"gitdir: $OUTSIDE/other/.git\" >.git")
shell("the .git file is garbage", "echo mine >README", last="printf '\\001\\377' >.git")
shell("the .git file is a link to another repository", "echo mine >README",
      last="ln -sfn $OUTSIDE/other/.git .git")
shell("the .git file is a FIFO", "echo mine >README", last="rm .git && mkfifo .git")


@state("the .git file became a repository with a commit", left_out=("files", "status"),
       then=lambda slot: slot.sh("test $(git -C replaced.git-1 log -1 --format=%s) = own && "
      "grep -q mine README"))
def own_repository(slot):
    slot.sh("echo mine >README")
    slot.last(lambda: slot.sh("rm .git && git init -q . && git add README && git commit -qm own"))


# --- the administration

shell("commondir is garbage", "echo mine >README", last="echo /nowhere >$ADMIN/commondir")
shell("commondir is gone", "echo mine >README && git add README", last="rm $ADMIN/commondir")
shell("commondir leads to another repository", "echo mine >README",
      last="echo $OUTSIDE/other/.git >$ADMIN/commondir")
shell("gitdir leads to another repository", "echo mine >README",
      last="echo $OUTSIDE/other/.git >$ADMIN/gitdir")
shell("gitdir is gone, and locked", "echo mine >README", last="rm $ADMIN/gitdir $ADMIN/locked")
shell("the log of HEAD is gone", "echo one >README && git commit -qam one && echo mine >README",
      last="rm -r $ADMIN/logs", left_out=("log",))
shell("the log of HEAD is garbage", "echo mine >README",
      last="printf 'garbage\\n\\000\\377' >>$ADMIN/logs/HEAD", left_out=("log",))
shell("the log of HEAD is a link to the outside", "echo mine >README",
      last="echo victim >$OUTSIDE/$NAME && rm -f $ADMIN/logs/HEAD && "
      "ln -s $OUTSIDE/$NAME $ADMIN/logs/HEAD", left_out=("log",))
shell("HEAD is a link to the outside", "echo mine >README",
      last="echo victim >$OUTSIDE/$NAME && ln -sf $OUTSIDE/$NAME $ADMIN/HEAD")
shell("the index is a link to the outside", "echo mine >README",
      last="echo victim >$OUTSIDE/$NAME && ln -sf $OUTSIDE/$NAME $ADMIN/index")
shell("a rebase that is a link to the outside", "echo mine >README",
      last="mkdir $OUTSIDE/$NAME && echo victim >$OUTSIDE/$NAME/head-name && "
      "ln -s $OUTSIDE/$NAME $ADMIN/rebase-merge")
shell("refs/worktree is a link to the outside", "echo mine >README",
      last="mkdir -p $OUTSIDE/$NAME $ADMIN/refs && echo $BASE >$OUTSIDE/$NAME/victim && "
      "ln -sfn $OUTSIDE/$NAME $ADMIN/refs/worktree")
shell("files of no meaning in the administration", "echo mine >README && echo x >$ADMIN/stray && "
      "mkdir $ADMIN/straydir && echo y >$ADMIN/straydir/z",
      left_out=("admin", "clean admin"))
shell("the administration is gone", "echo mine >README", ISOLATED, last="mv $ADMIN $OUTSIDE/$NAME.admin",
      reason="administration")

# --- the slot's directory


@state("the slot's directory is gone", ISOLATED, reason="gone")
def moved_away(slot):
    slot.write("README", "mine\n")
    slot.last(lambda: os.rename(slot.path, os.path.join(slot.outside, slot.name)))


@state("the slot's directory is a link to the outside", ISOLATED, reason="link")
def slot_link(slot):
    def swap():
        os.rename(slot.path, os.path.join(slot.outside, slot.name))
        os.symlink(os.path.join(slot.outside, slot.name), slot.path)
    slot.write("README", "mine\n")
    slot.last(swap)


@state("the slot's directory is another one", ISOLATED, reason="not the one", left_out=("files",))
def slot_other(slot):
    def swap():
        os.rename(slot.path, os.path.join(slot.outside, slot.name))
        os.mkdir(slot.path)
    slot.write("README", "mine\n")
    slot.last(swap)


# --- mounts

UMOUNT = "umount %s"


def mounted(name, make, where, mount, **options):
    def build(slot):
        slot.sh(make)
        slot.last(lambda: slot.sh(mount))
        slot.finally_(lambda: slot.sh("umount " + where))
    state(name, ISOLATED, reason=where, needs="mount", **options)(build)


mounted("a file system mounted on an untracked directory", "mkdir mnt && echo mine >README", "mnt",
        "mount -t tmpfs none mnt && echo inside >mnt/x")
mounted("a file system mounted on a tracked directory", "echo mine >README", "docs",
      "mount -t tmpfs none docs && echo inside >docs/x")
mounted("the outside mounted on a directory", "mkdir -p $OUTSIDE/$NAME mnt && "
      "echo victim >$OUTSIDE/$NAME/x", "mnt",
        "mount --bind $OUTSIDE/$NAME mnt")
mounted("a file mounted on a file", "echo victim >$OUTSIDE/$NAME", "README",
      "mount --bind $OUTSIDE/$NAME README")
