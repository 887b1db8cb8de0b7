/* Pools made at run time, and who may do what with a pool. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"
#include "util/cleanup.h"
#include "util/text.h"

static struct conf *defaults(void)
{
	return load("defaults: { ref: dev, branch: 'agent/{agent}', slots: { ready: 2, max: 6 },\n"
		    "  warmup: { env: { A: b } } }");
}

Test(conf_pool, a_pool_made_at_run_time_has_the_defaults_with_its_own_words_on_top)
{
	struct conf *c = defaults();
	struct conf_pool *p = NULL;
	struct fault f = FAULT_NONE;
	int r = conf_pool_new(c, "api", "/srv//git/api/", NULL, "main", -1, 3, &p, &f);

	cr_assert(eq(int, r, 0), "%s", f.text);
	conf_unref(c);
	cr_expect(eq(str, p->name, S("api")));
	cr_expect(eq(str, p->url, S("/srv//git/api/")));
	cr_expect(p->path == NULL);
	cr_expect(eq(str, p->ref, S("main")));
	cr_expect(eq(str, p->branch, S("agent/{agent}")));
	cr_expect(eq(uint, p->slots.ready, 2));
	cr_expect(eq(uint, p->slots.max, 3));
	cr_expect(eq(str, p->warmup.env.items[0], S("A=b")));
	cr_expect(eq(uint, p->line, 0));
	conf_pool_free(p);
	conf_pool_free(NULL);
}

Test(conf_pool, counts_that_were_not_given_make_room)
{
	struct conf *c = defaults();
	struct conf_pool *p = NULL;

	cr_assert(conf_pool_new(c, "a", NULL, "/a", NULL, -1, 1, &p, NULL) == 0);
	cr_expect(eq(uint, p->slots.ready, 1));
	cr_expect(eq(u64, p->fetch.every_usec, 0));
	conf_pool_free(p);
	cr_assert(conf_pool_new(c, "a", NULL, "/a", "", 60, -1, &p, NULL) == 0);
	cr_expect(eq(uint, p->slots.max, 60));
	cr_expect(eq(str, p->ref, S("dev")));
	conf_pool_free(p);
	cr_assert(conf_pool_new(c, "a", NULL, "/a", NULL, 0, -1, &p, NULL) == 0);
	cr_expect(eq(uint, p->slots.ready, 0));
	conf_pool_free(p);
	conf_unref(c);
}

Test(conf_pool, contradictions_are_refused_with_a_sentence)
{
	static const struct {
		const char *name, *url, *path, *ref;
		int64_t ready, max;
		const char *words;
	} cases[] = {
		{ "A", "/a", NULL, NULL, -1, -1, "lower-case" },
		{ "a-1", "/a", NULL, NULL, -1, -1, "slots do" },
		{ "", "/a", NULL, NULL, -1, -1, "empty" },
		{ "a", NULL, NULL, NULL, -1, -1, "neither url nor path" },
		{ "a", "", "", NULL, -1, -1, "neither url nor path" },
		{ "a", "/a", "/b", NULL, -1, -1, "both url and path" },
		{ "a", NULL, "b", NULL, -1, -1, "whole path" },
		{ "a", "ext::x", NULL, NULL, -1, -1, "https://" },
		{ "a", "/a", NULL, "-x", -1, -1, "git allows" },
		{ "a", "/a", NULL, NULL, 5, 4, "slots.ready (5) is above slots.max (4)" },
		{ "a", "/a", NULL, NULL, -1, 0, "slots.max is out of range" },
		{ "a", "/a", NULL, NULL, 1LL << 40, -1, "slots.ready is out of range" },
	};
	struct conf *c = defaults();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct conf_pool *p = NULL;
		struct fault f = FAULT_NONE;
		int r = conf_pool_new(c, cases[i].name, cases[i].url, cases[i].path, cases[i].ref,
				      cases[i].ready, cases[i].max, &p, &f);

		cr_expect(eq(int, r, -EINVAL), "%s", cases[i].words);
		cr_expect(strstr(f.text, cases[i].words) != NULL, "%s", f.text);
		cr_expect(p == NULL);
	}
	conf_unref(c);
}

static bool allows(const struct conf *c, uint32_t uid, uint32_t gid, enum conf_access_right right)
{
	return conf_pool_allows(&c->pools[0], uid, gid, right);
}

Test(conf_pool, users_observe_operators_do_both_and_others_nothing)
{
	struct conf *c =
		load("pools: { a: { url: /a, access: { users: [1001, root], groups: [2001],\n"
		     "  operators: ['1002'] } } }");

	cr_expect(allows(c, 1001, 5000, CONF_ACCESS_OBSERVE));
	cr_expect(not(allows(c, 1001, 5000, CONF_ACCESS_OPERATE)));
	cr_expect(allows(c, 1002, 5000, CONF_ACCESS_OBSERVE));
	cr_expect(allows(c, 1002, 5000, CONF_ACCESS_OPERATE));
	cr_expect(allows(c, 1003, 2001, CONF_ACCESS_OBSERVE));
	cr_expect(not(allows(c, 1003, 2001, CONF_ACCESS_OPERATE)));
	cr_expect(not(allows(c, 1003, 5000, CONF_ACCESS_OBSERVE)));
	cr_expect(not(allows(c, 2001, 1001, CONF_ACCESS_OBSERVE)));
	conf_unref(c);
}

Test(conf_pool, our_own_uid_is_always_an_operator)
{
	struct conf *c = load("pools: { a: { url: /a, access: { operators: [] } } }");

	cr_expect(allows(c, geteuid(), 5000, CONF_ACCESS_OPERATE));
	cr_expect(not(allows(c, geteuid() + 1, 5000, CONF_ACCESS_OPERATE)));
	conf_unref(c);
}

/* "daemon" is a user and a group of every Debian; its primary group is that one */
Test(conf_pool, names_are_resolved_and_groups_are_looked_up_by_the_user)
{
	struct conf *c = load("pools: { a: { url: /a, access: { users: [bin], groups: [daemon],\n"
			      "  operators: [root] } } }");

	cr_expect(allows(c, 2, 5000, CONF_ACCESS_OBSERVE));
	cr_expect(allows(c, 4999, 1, CONF_ACCESS_OBSERVE));
	cr_expect(allows(c, 0, 0, CONF_ACCESS_OPERATE));
	cr_expect(not(allows(c, 4999, 5000, CONF_ACCESS_OBSERVE)));
	conf_unref(c);
}
