#include "git/credentials.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "git-fixture.h"
#include "util/clock.h"

static struct fault f;
static char *user;
static char *password;

static void deinit(void)
{
	free(user);
	free(password);
	fixture_deinit();
}

TestSuite(credentials, .init = fixture_init, .fini = deinit, .timeout = 60);

static void make_helper(const char *script)
{
	FILE *file = fopen(in_dir("helper"), "w");

	cr_assert(file && fprintf(file, "#!/bin/sh\n%s\n", script) > 0 && fclose(file) == 0);
	cr_assert(sh("chmod +x helper"));
}

static int ask(const char *url)
{
	const char *helper[] = { in_dir("helper"), "--opt", NULL };

	return credentials_ask_helper(helper, url, &user, &password, &f);
}

Test(credentials, a_helper_is_asked_in_git_s_protocol)
{
	make_helper("echo \"$@\" > $HOME/args; cat > $HOME/question; pwd > $HOME/cwd; "
		    "echo username=me; echo password=se=cret");
	cr_assert_eq(ask("https://joe@example.org:8443/a/b.git"), 0, "%s", f.text);
	cr_assert_str_eq(user, "me");
	cr_assert_str_eq(password, "se=cret");
	cr_assert_str_eq(sh_text("cat args cwd"), "--opt get\n/");
	cr_assert_str_eq(sh_text("cat question"),
			 "protocol=https\nusername=joe\nhost=example.org:8443\npath=a/b.git\n");
}

Test(credentials, a_password_of_the_url_is_not_told_to_the_helper)
{
	make_helper("cat > $HOME/question; echo password=x");
	cr_assert_eq(ask("https://joe:hidden@example.org/"), 0, "%s", f.text);
	cr_assert_str_eq(user, "x-access-token");
	cr_assert(sh("! grep hidden question"));
}

Test(credentials, a_helper_that_fails_or_knows_nothing_is_EACCES)
{
	make_helper("exit 3");
	cr_assert_eq(ask("https://example.org/"), -EACCES);
	make_helper("exit 0");
	cr_assert_eq(ask("https://example.org/"), -EACCES);
	cr_assert(sh("rm helper"));
	cr_assert_eq(ask("https://example.org/"), -ENOENT);
}

Test(credentials, a_helper_that_hangs_is_ended_with_its_children)
{
	uint64_t began = clock_boot_usec();

	make_helper("sleep 100 & echo $! > $HOME/child; sleep 100");
	cr_assert_eq(ask("https://example.org/"), -ETIMEDOUT);
	cr_assert_lt(clock_boot_usec() - began, 20 * USEC_PER_SEC);
	cr_assert(sh("! kill -0 $(cat child) || grep -q '^State:.Z' /proc/$(cat child)/status"));
}

Test(credentials, a_helper_that_talks_for_ever_is_ended)
{
	make_helper("exec yes");
	cr_assert_eq(ask("https://example.org/"), -EFBIG);
}

Test(credentials, a_url_with_a_line_break_is_not_passed_on)
{
	make_helper("touch $HOME/ran; echo password=x");
	cr_assert_eq(ask("https://example.org/a\nhost=evil.example"), -EINVAL);
	cr_assert(sh("test ! -e ran"));
}

static int acquire(struct credentials_session *session, unsigned allowed, git_credential **ret)
{
	return credentials_acquire(ret, session->url, NULL, allowed, session);
}

Test(credentials, a_token_is_read_afresh_and_tried_once)
{
	struct credentials c = { .token_file = in_dir("token") };
	git_credential *credential = NULL;

	for (int i = 0; i < 2; i++) {
		struct credentials_session session = { .credentials = &c,
						       .url = "https://example.org/x",
						       .fault = &f };

		cr_assert(sh("printf 'secret%d\\nmore\\n' > token", i));
		cr_assert_eq(acquire(&session, GIT_CREDENTIAL_USERPASS_PLAINTEXT, &credential), 0);
		cr_assert_str_eq(((git_credential_userpass_plaintext *)credential)->password,
				 i ? "secret1" : "secret0");
		cr_assert_str_eq(((git_credential_userpass_plaintext *)credential)->username,
				 "x-access-token");
		git_credential_free(credential);
		cr_assert_eq(acquire(&session, GIT_CREDENTIAL_USERPASS_PLAINTEXT, &credential),
			     GIT_EAUTH);
		cr_assert(strstr(f.text, "does not let us in") != NULL, "%s", f.text);
	}
}

Test(credentials, without_any_the_sentence_says_what_to_set)
{
	struct credentials c = { .ssh_key = "", .token_file = NULL };
	struct credentials_session session = { .credentials = &c,
					       .url = "https://example.org/x",
					       .fault = &f };
	git_credential *credential = NULL;

	unsetenv("SSH_AUTH_SOCK");
	cr_assert_eq(acquire(&session, ~0U, &credential), 0);
	git_credential_free(credential);
	cr_assert_eq(acquire(&session, ~0U, &credential), GIT_EAUTH);
	cr_assert(strstr(f.text, "credentials.ssh_key") != NULL, "%s", f.text);
}

Test(credentials, files_that_cannot_be_read_are_named)
{
	struct credentials c = { .ssh_key = in_dir("no-key"), .token_file = in_dir("no-token") };
	struct credentials_session session = { .credentials = &c, .url = "x", .fault = &f };
	git_credential *credential = NULL;

	cr_assert_lt(acquire(&session, GIT_CREDENTIAL_SSH_KEY, &credential), 0);
	cr_assert(strstr(f.text, "no-key") != NULL, "%s", f.text);
	cr_assert_lt(acquire(&session, GIT_CREDENTIAL_USERPASS_PLAINTEXT, &credential), 0);
	cr_assert(strstr(f.text, "no-token") != NULL, "%s", f.text);
}
