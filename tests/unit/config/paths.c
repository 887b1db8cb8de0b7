/* Where things are when nobody says so. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/conf-word.h"
#include "fixture.h"
#include "util/cleanup.h"
#include "util/clock.h"

static void expect_path(char *path, const char *expected)
{
	cr_expect(eq(str, path, S(expected)));
	free(path);
}

static struct conf *user_defaults(void)
{
	struct conf *c = NULL;

	cr_assert(conf_default(CONF_SCOPE_USER, &c, NULL) == 0);
	return c;
}

Test(conf_paths, the_system_has_fixed_places)
{
	struct conf *c = load("");

	expect_path(conf_default_path(CONF_SCOPE_SYSTEM), "/etc/slotd/slotd.yaml");
	cr_expect(eq(str, c->state_dir, S("/var/lib/slotd")));
	cr_expect(eq(str, c->slots_dir, S("/var/lib/slotd/slots")));
	cr_expect(eq(str, c->socket, S("/run/slotd/slotd.sock")));
	cr_expect(eq(u64, c->defaults.lease.abandon_after_usec, 2 * USEC_PER_HOUR));
	conf_unref(c);
}

Test(conf_paths, a_user_has_those_of_xdg)
{
	struct conf *c;

	setenv("XDG_CONFIG_HOME", "/x/config", 1);
	setenv("XDG_STATE_HOME", "/x/state/", 1);
	setenv("XDG_RUNTIME_DIR", "/x/run", 1);
	c = user_defaults();
	expect_path(conf_default_path(CONF_SCOPE_USER), "/x/config/slotd/slotd.yaml");
	cr_expect(eq(str, c->state_dir, S("/x/state/slotd")));
	cr_expect(eq(str, c->slots_dir, S("/x/state/slotd/slots")));
	cr_expect(eq(str, c->socket, S("/x/run/slotd/slotd.sock")));
	cr_expect(eq(u64, c->defaults.lease.abandon_after_usec, 24 * USEC_PER_HOUR));
	conf_unref(c);
}

Test(conf_paths, without_xdg_or_with_a_relative_one_it_is_the_home_directory)
{
	struct conf *c;

	setenv("HOME", "/h", 1);
	unsetenv("XDG_CONFIG_HOME");
	setenv("XDG_STATE_HOME", "relative", 1);
	c = user_defaults();
	expect_path(conf_default_path(CONF_SCOPE_USER), "/h/.config/slotd/slotd.yaml");
	cr_expect(eq(str, c->state_dir, S("/h/.local/state/slotd")));
	conf_unref(c);
}

Test(conf_paths, without_a_runtime_directory_the_socket_is_in_run_user_or_tmp)
{
	char run[64], expected[96];
	struct stat st;

	unsetenv("XDG_RUNTIME_DIR");
	snprintf(run, sizeof(run), "/run/user/%u", (unsigned)geteuid());
	if (stat(run, &st) == 0 && st.st_uid == geteuid())
		snprintf(expected, sizeof(expected), "%s/slotd/slotd.sock", run);
	else
		snprintf(expected, sizeof(expected), "/tmp/slotd-%u/slotd.sock",
			 (unsigned)geteuid());
	expect_path(conf_user_socket(), expected);
	setenv("XDG_RUNTIME_DIR", "not/absolute", 1);
	expect_path(conf_user_socket(), expected);
}

Test(conf_paths, the_socket_stays_when_only_the_state_directory_is_given)
{
	struct conf *c = NULL;

	setenv("XDG_RUNTIME_DIR", "/x/run", 1);
	cr_assert(conf_load_buffer("f", "state_dir: /s", 13, CONF_SCOPE_USER, &c, NULL, NULL) == 0);
	cr_expect(eq(str, c->socket, S("/x/run/slotd/slotd.sock")));
	cr_expect(eq(str, c->slots_dir, S("/s/slots")));
	conf_unref(c);
}

Test(conf_paths, clean_paths_have_one_slash_between_names)
{
	expect_path(conf_word_clean_path("/"), "/");
	expect_path(conf_word_clean_path("//a///b/"), "/a/b");
	expect_path(conf_word_clean_path("/./a/./.b/."), "/a/.b");
	expect_path(conf_word_clean_path("/..."), "/...");
}

Test(conf_paths, below_is_by_whole_names)
{
	cr_expect(conf_word_is_below("/a/b", "/a"));
	cr_expect(conf_word_is_below("/a", "/a"));
	cr_expect(conf_word_is_below("/a", "/"));
	cr_expect(not(conf_word_is_below("/ab", "/a")));
	cr_expect(not(conf_word_is_below("/a", "/a/b")));
}
