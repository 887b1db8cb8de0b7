/* git(1) saves, slotd restores. */
#include "salvage-fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PYTHON "python3 '" SOURCE_ROOT "/tests/support/salvage.py'"

struct repo *salvage_repo;
struct fault salvage_fault;

void salvage_fixture_init(void)
{
	fixture_init();
	setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
	cr_assert(sh(
		"git init -q -b main r && cd r && mkdir d && echo one > a && echo two > d/b && "
		"printf '#!/bin/sh\\n' > run && chmod 755 run && ln -s d/b link && "
		"git add . && git commit -qm first && echo more >> a && git commit -qam second && "
		"git worktree add -q --detach ../s"));
	salvage_fixture_open();
}

void salvage_fixture_deinit(void)
{
	repo_close(salvage_repo);
	salvage_repo = NULL;
	fixture_deinit();
}

void salvage_fixture_open(void)
{
	repo_close(salvage_repo);
	cr_assert_eq(repo_open(in_dir("r/.git"), &salvage_repo, &salvage_fault), 0, "%s",
		     salvage_fault.text);
}

static git_oid oid_of(const char *hex)
{
	git_oid oid;

	cr_assert_eq(git_oid_fromstr(&oid, hex), 0, "no commit: \"%s\"", hex);
	salvage_fixture_open();
	return oid;
}

git_oid salvage_capture(void)
{
	return oid_of(sh_text(PYTHON " capture s " SALVAGE_FIXTURE_REF));
}

char *salvage_py(const char *command, const char *argument)
{
	return sh_text(PYTHON " %s %s", command, argument);
}

git_oid salvage_made_by(const char *script)
{
	FILE *file = fopen(in_dir("make.py"), "w");

	cr_assert(file);
	fprintf(file,
		"import json, sys\n"
		"sys.path.insert(0, '%s/tests')\n"
		"from support import git, salvage\n"
		"from support.salvage import blob, tree, commit, tree_files\n"
		"repo = 'r'\n"
		"base = git.head(repo, 'main')\n"
		"files = tree_files(repo, base)\n"
		"index = tree_files(repo, base)\n"
		"meta = {'version': 1, 'summary': 'made by hand'}\n"
		"state = {b'head': b'ref: refs/heads/main'}\n"
		"%s\n"
		"state.setdefault(b'meta', json.dumps(meta).encode())\n"
		"print(salvage.write(repo, base, tree(repo, files), tree(repo, index),\n"
		"                    {k: v for k, v in state.items() if v is not None}, "
		"ref='%s'))\n",
		SOURCE_ROOT, script, SALVAGE_FIXTURE_REF);
	fclose(file);
	return oid_of(sh_text("python3 make.py"));
}
