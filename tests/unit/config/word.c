/* Strings of a kind, held to git's and our own rules. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "config/conf-word.h"
#include "util/cleanup.h"
#include "util/parse.h"

Test(word, a_branch_is_refused_with_a_reason_exactly_where_slotd_refuses_it)
{
	static const char *const names[] = {
		"main",	    "agent/7",	"a.b",	 "ä/ö",	 "a@b",	   "@x",      "",	"HEAD",
		"-a",	    "/a",	"a/",	 "a//b", "a..b",   "a.",      ".a",	"a/.b",
		"a.lock/b", "a/b.lock", "a b",	 "a~b",	 "a^b",	   "a:b",     "a?b",	"a*b",
		"a[b",	    "a\\b",	"a@{1}", "@",	 "a\x01b", "a\x7f",   "a.b.",	"x/HEAD",
		".",	    "..",	"/",	 "lock", ".lock",  "a/.lock", "HEAD/x", "a.lockx",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		cr_expect(eq(int, conf_word_branch_objection(names[i]) != NULL,
			     parse_branch_name(names[i]) < 0),
			  "%s", names[i]);
}

Test(word, a_binding_of_an_acquire_may_name_a_process)
{
	static const struct {
		const char *bind;
		bool fine;
	} cases[] = {
		{ "ttl", true },
		{ "manual", true },
		{ "connection", true },
		{ "process", true },
		{ "process:4711", true },
		{ "ttl+process:1+connection", true },
		{ "", false },
		{ "tttl", false },
		{ "process:", false },
		{ "process:x", false },
		{ "process:1x", false },
		{ "connection:1", false },
		{ "ttl+", false },
		{ "+ttl", false },
		{ "ttl+ttl", false },
		{ "process+process:1", false },
		{ "manual+ttl", false },
		{ "averyverylongwordindeed", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		cr_expect(eq(int, conf_word_bind_objection(cases[i].bind) == NULL, cases[i].fine),
			  "%s", cases[i].bind);
}
