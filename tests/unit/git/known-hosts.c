#include "git/known-hosts.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "git-fixture.h"

static struct fault f;

TestSuite(known_hosts, .init = fixture_init, .fini = fixture_deinit, .timeout = 30);

/* two keys of a type, and one of another, as the protocol has them */
static const char key_a[] = "\0\0\0\x0bssh-ed25519\0\0\0\x04" "AAAA";
static const char key_b[] = "\0\0\0\x0bssh-ed25519\0\0\0\x04" "BBBB";
static const char key_r[] = "\0\0\0\x07ssh-rsa\0\0\0\x04RRRR";

#define TEXT_A "AAAAC3NzaC1lZDI1NTE5AAAABEFBQUE="
#define TEXT_B "AAAAC3NzaC1lZDI1NTE5AAAABEJCQkI="

static int check(const char *content, const char *host, unsigned port, const char *key, size_t len)
{
	FILE *file = fopen(in_dir("known"), "w");

	cr_assert(file && fputs(content, file) >= 0 && fclose(file) == 0);
	return known_hosts_check(in_dir("known"), host, port, (const uint8_t *)key, len, &f);
}

struct expected {
	const char *content;
	const char *host;
	unsigned port;
	int result; /* for key_a */
};

static const struct expected expected[] = {
	{ "example.org ssh-ed25519 " TEXT_A "\n", "example.org", 22, 0 },
	{ "Example.ORG ssh-ed25519 " TEXT_A " a comment\n", "example.org", 22, 0 },
	{ "a,example.org,10.0.0.1 ssh-ed25519 " TEXT_A, "example.org", 22, 0 },
	{ "  example.org\tssh-ed25519\t" TEXT_A "\r\n", "example.org", 22, 0 },
	{ "[example.org]:2222 ssh-ed25519 " TEXT_A "\n", "example.org", 2222, 0 },
	{ "example.org ssh-ed25519 " TEXT_A "\n", "example.org", 2222, KNOWN_HOSTS_E_ABSENT },
	{ "[example.org]:2222 ssh-ed25519 " TEXT_A "\n", "example.org", 22, KNOWN_HOSTS_E_ABSENT },
	{ "example.org ssh-ed25519 " TEXT_B "\n", "example.org", 22, KNOWN_HOSTS_E_CHANGED },
	{ "example.org ssh-ed25519 " TEXT_B "\nexample.org ssh-ed25519 " TEXT_A "\n", "example.org",
	  22, 0 },
	{ "example.org ssh-ed25519 " TEXT_A "\n@revoked example.org ssh-ed25519 " TEXT_A "\n",
	  "example.org", 22, KNOWN_HOSTS_E_REVOKED },
	{ "@revoked example.org ssh-ed25519 " TEXT_B "\n", "example.org", 22,
	  KNOWN_HOSTS_E_ABSENT },
	{ "@cert-authority example.org ssh-ed25519 " TEXT_A "\n", "example.org", 22,
	  KNOWN_HOSTS_E_ABSENT },
	{ "# example.org ssh-ed25519 " TEXT_A "\n", "example.org", 22, KNOWN_HOSTS_E_ABSENT },
	{ "example.org ssh-rsa AAAAB3NzaC1yc2EAAAAEUlJSUg==\n", "example.org", 22,
	  KNOWN_HOSTS_E_ABSENT },
	{ "xexample.org,example.orgx ssh-ed25519 " TEXT_A "\n", "example.org", 22,
	  KNOWN_HOSTS_E_ABSENT },
	{ "", "example.org", 22, KNOWN_HOSTS_E_ABSENT },
	{ "example.org\nexample.org ssh-ed25519\nexample.org ssh-ed25519 !!!\n\n|1|\n|1||\n|1|x|y z w",
	  "example.org", 22, KNOWN_HOSTS_E_CHANGED },
};

Test(known_hosts, a_key_is_known_by_the_host_s_name_and_port)
{
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		cr_assert_eq(check(expected[i].content, expected[i].host, expected[i].port, key_a,
				   sizeof(key_a) - 1),
			     expected[i].result, "%zu: %s", i, expected[i].content);
}

Test(known_hosts, another_type_of_key_is_not_known_by_this_one)
{
	cr_assert_eq(check("h ssh-ed25519 " TEXT_A "\n", "h", 22, key_r, sizeof(key_r) - 1),
		     KNOWN_HOSTS_E_ABSENT);
	cr_assert_eq(check("h ssh-ed25519 " TEXT_A "\n", "h", 22, key_b, sizeof(key_b) - 1),
		     KNOWN_HOSTS_E_CHANGED);
	cr_assert_eq(check("h ssh-ed25519 " TEXT_A "\n", "h", 22, "", 0), KNOWN_HOSTS_E_ABSENT);
}

/* HMAC-SHA1 of "github.com" and of "[github.com]:443" under a salt of twenty zero bytes */
Test(known_hosts, hashed_names_are_recognised)
{
	char *line = sh_text("python3 -c 'import hmac,base64;s=bytes(20);print(\"|1|\"+"
			     "base64.b64encode(s).decode()+\"|\"+base64.b64encode(hmac.new(s,"
			     "b\"[h.example]:443\",\"sha1\").digest()).decode()+"
			     "\" ssh-ed25519 " TEXT_A "\")'");

	cr_assert(strlen(line) > 20);
	cr_assert_eq(check(line, "h.example", 443, key_a, sizeof(key_a) - 1), 0);
	cr_assert_eq(check(line, "h.example", 22, key_a, sizeof(key_a) - 1), KNOWN_HOSTS_E_ABSENT);
	cr_assert_eq(check(line, "other", 443, key_a, sizeof(key_a) - 1), KNOWN_HOSTS_E_ABSENT);
}

Test(known_hosts, a_missing_file_is_a_fault_that_names_it)
{
	cr_assert_eq(known_hosts_check(in_dir("absent"), "h", 22, (const uint8_t *)key_a,
				       sizeof(key_a) - 1, &f),
		     -ENOENT);
	cr_assert(strstr(f.text, "absent") != NULL, "%s", f.text);
}
