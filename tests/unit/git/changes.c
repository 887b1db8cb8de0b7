/* A hard day's work. */
#include "changes.h"

#include <criterion/criterion.h>
#include <stddef.h>

#include "tree-fixture.h"

const char *const changes[] = {
	"true",
	"echo b > a",
	"rm -r d a",
	"chmod +x a; chmod -x b/x",
	"ln -sf b l",
	"rm l; mkdir l; touch l/x",
	"rm a; mkfifo a",
	"rm -r d; ln -s ../victim d",
	"rm a; ln -s ../victim/f a",
	"ln -f ../victim/f a",
	"mkfifo .gitignore2; rm .gitignore; mkfifo .gitignore",
	"rm .gitignore; ln -s /dev/zero .gitignore",
	"mkfifo .gitattributes",
	"mkdir -p n/m/o; touch n/m/o/x; ln -s ../victim n/v",
	"ln -s ../victim v",
	"mkdir n; touch n/x; chmod 555 n",
	"chmod 000 d/e; chmod 555 d .",
	"chmod 000 a",
	"git init -q n; cd n; git commit -q --allow-empty -m x",
	"git init -q d",
	"git init -q m/n; touch m/x",
	"touch .slotd-tmp-1-1 d/.slotd-tmp-2-2",
	"touch b/.git; rm b/x",
	"echo b > a; git add a; git commit -qm y",
	"git rm -qr d; git commit -qm y; mkdir -p d/z",
	"echo n > new.o; git add -f new.o; git commit -qm y",
	"rm $(git rev-parse --git-dir)/index",
	": > $(git rev-parse --git-dir)/index",
	"git update-index --split-index",
	"rm $(git rev-parse --git-dir)/index; mkfifo $(git rev-parse --git-dir)/index",
	"rm $(git rev-parse --git-dir)/index; mkdir $(git rev-parse --git-dir)/index",
	"rm $(git rev-parse --git-dir)/index; ln -s ../../../victim/f $(git rev-parse "
	"--git-dir)/index",
	"touch $(git rev-parse --git-dir)/index.lock",
	"echo b > a; git update-index --assume-unchanged a",
	"git sparse-checkout set --cone --sparse-index b",
	"git config core.fsmonitor 'touch ../victim/hooked'",
	"git config core.hooksPath ../victim",
	"d=.; for i in $(seq 200); do mkdir $d/deep; d=$d/deep; done; touch $d/x",
	"python3 -c \"import os; [(os.mkdir('n' * 120), os.chdir('n' * 120)) for i in range(60)]; "
	"open('x', 'w')\"",
	("o=$(git hash-object -w a); printf '100644 %s 1\\tc\\n100644 %s 2\\tc\\n' $o $o | "
	 "git update-index --index-info; touch c"),
	NULL,
};

void changes_init(void)
{
	cr_assert(sh("git init -q -b main r && mkdir victim && echo safe > victim/f && "
		     "echo safe > victim/g"));
	commit_made_by("echo a > a; mkdir -p d/e b; echo f > d/f; echo g > d/e/g; ln -s a l; "
		       "echo x > b/x; chmod +x b/x; printf '*.o\\nbuild/\\n' > .gitignore");
}

void assert_victim_is_safe(const char *change)
{
	cr_assert_str_eq(sh_text("cd victim && cat f g && ls -A"), "safe\nsafe\nf\ng", "%s",
			 change);
}

void changes_forget_settings(void)
{
	cr_assert(sh("cd r && git config --unset core.fsmonitor; "
		     "git config --unset core.hooksPath; git config --unset core.sparseCheckout; "
		     "rm -f .git/worktrees/s/config.worktree "
		     ".git/worktrees/s/info/sparse-checkout; true"));
}
