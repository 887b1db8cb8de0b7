/* Which daemon is meant, and where the user's own keeps its things. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"
#include "slotctl/daemon.h"
#include "slotctl/out.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

static char *root;

static void put_file(const char *name, const char *text)
{
	_cleanup_(freep) char *path = text_printf("%s/%s", root, name);
	_cleanup_(fclosep) FILE *file = fopen(path, "w");

	cr_assert(file != NULL);
	fputs(text, file);
}

static void make_home(void)
{
	char path[128];

	out_init();
	root = scratch_make();
	snprintf(path, sizeof(path), "%s/config/slotd", root);
	cr_assert(eq(int, fs_mkdir_all(path, 0700, NULL), 0));
	setenv("XDG_RUNTIME_DIR", root, 1);
	setenv("XDG_STATE_HOME", root, 1);
	*strrchr(path, '/') = '\0';
	setenv("XDG_CONFIG_HOME", path, 1);
	unsetenv("SLOTD_SOCKET");
}

TestSuite(daemon, .init = make_home);

static void expect_choice(const char *option, const char *value, enum daemon_scope scope,
			  const char *socket)
{
	const char *argv[] = { "slotctl", "status", option, value, NULL };
	struct fault f = FAULT_NONE;
	struct cli cli;

	cr_assert(eq(int, cli_parse(&cli, option ? value ? 4 : 3 : 2, (char **)argv, &f), 0));
	cr_assert(eq(int, daemon_choose(&cli, &f), 0), "%s", f.text);
	cr_expect(eq(int, (int)cli.scope, (int)scope), "%s", option);
	cr_expect(eq(str, cli.socket, (char *)socket), "%s", option);
	cli_deinit(&cli);
}

Test(daemon, options_go_before_the_environment_and_that_before_the_default)
{
	_cleanup_(freep) char *own = text_printf("%s/slotd/slotd.sock", root);

	expect_choice("--user", NULL, DAEMON_USER, own);
	setenv("SLOTD_SOCKET", "/somewhere/else", 1);
	expect_choice(NULL, NULL, DAEMON_EXPLICIT, "/somewhere/else");
	expect_choice("--user", NULL, DAEMON_USER, own);
	expect_choice("--socket", "/s", DAEMON_EXPLICIT, "/s");
	setenv("SLOTD_SOCKET", "", 1);
	if (access("/run/slotd/slotd.sock", F_OK) < 0)
		expect_choice(NULL, NULL, DAEMON_USER, own);
}

Test(daemon, a_relative_socket_is_made_absolute)
{
	_cleanup_(freep) char *expected = text_printf("%s/x.sock", root);

	cr_assert(eq(int, chdir(root), 0));
	expect_choice("--socket", "x.sock", DAEMON_EXPLICIT, expected);
}

Test(daemon, a_named_socket_may_be_the_users_own)
{
	_cleanup_(freep) char *own = text_printf("%s/slotd/slotd.sock", root);
	struct cli cli = { .scope = DAEMON_EXPLICIT, .socket = own };

	cr_expect(daemon_is_users(&cli));
	cli.socket = (char *)"/somewhere/else";
	cr_expect(daemon_is_users(&cli) == false);
	cli.scope = DAEMON_SYSTEM;
	cr_expect(daemon_is_users(&cli) == false);
}

Test(daemon, the_users_configuration_is_heeded_where_it_is_right)
{
	_cleanup_(freep) char *own = text_printf("%s/slotd/slotd.sock", root);

	put_file("config/slotd/slotd.yaml", "socket: /srv/odd.sock\nstate_dir: /srv/state\n");
	expect_choice("--user", NULL, DAEMON_USER, "/srv/odd.sock");

	_cleanup_(daemon_paths_deinit) struct daemon_paths p = { 0 };

	cr_assert(eq(int, daemon_find_paths(&p, NULL), 0));
	cr_expect(eq(str, p.log, (char *)"/srv/state/slotd.log"));

	put_file("config/slotd/slotd.yaml", "socket: [broken\n");
	expect_choice("--user", NULL, DAEMON_USER, own);
}

Test(daemon, a_directory_in_tmp_that_is_not_the_users_alone_is_refused)
{
	_cleanup_(freep) char *dir = text_printf("/tmp/slotd-%u", 54321u);
	struct fault f = FAULT_NONE;
	struct daemon_paths p;

	if (geteuid() != 0 || access("/run/user/54321", F_OK) == 0)
		cr_skip_test("needs root, to be another user");
	unsetenv("XDG_RUNTIME_DIR");
	cr_assert(eq(int, mkdir(dir, 0755), 0));
	cr_assert(eq(int, seteuid(54321), 0));
	cr_expect(eq(int, daemon_find_paths(&p, &f), -EACCES));
	cr_expect(strstr(f.text, "XDG_RUNTIME_DIR") != NULL);
	cr_assert(eq(int, seteuid(0), 0));
	rmdir(dir);
}

Test(daemon, the_end_of_a_log_is_shown_line_by_line_and_clean)
{
	_cleanup_(freep) char *path = text_printf("%s/log", root);
	_cleanup_(freep) char *tail = NULL;
	_cleanup_(freep) char *rest = NULL;
	_cleanup_(freep) char *none = NULL;

	put_file("log", "one\ntwo\nthree \033[31m\nfour");
	tail = daemon_read_log(path, 0, 2);
	cr_expect(eq(str, tail, (char *)"three \\033[31m\nfour\n"));
	rest = daemon_read_log(path, 4, 100);
	cr_expect(eq(str, rest, (char *)"two\nthree \\033[31m\nfour\n"));
	none = daemon_read_log(path, 1000, 5);
	cr_expect(eq(str, none, (char *)""));
	cr_expect(daemon_read_log("/nonexistent", 0, 5) == NULL);
}
