#include "git/salvage-read.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "salvage-fixture.h"
#include "util/json.h"
#include "util/text.h"

#define LEASE "0123456789abcdef0123456789abcdef"

TestSuite(salvage_read, .init = salvage_fixture_init, .fini = salvage_fixture_deinit,
	  .timeout = 120);

static struct salvage *opened;

static int open_it(git_oid commit)
{
	salvage_free(opened);
	opened = NULL;
	salvage_fault = (struct fault)FAULT_NONE;
	return salvage_open(salvage_repo, &commit, &opened, &salvage_fault);
}

static int add_line(const char *path, uint32_t mode, const git_oid *oid, void *userdata,
		    struct fault *f)
{
	char *quoted = text_quote_path(path);

	text_addf(userdata, "%o %s\n", mode, quoted);
	free(quoted);
	return 0;
}

static int add_record(uint32_t value, const char *path, void *userdata, struct fault *f)
{
	return add_line(path, value, NULL, userdata, f);
}

static int files_of(const char *part, char **ret)
{
	struct text t = { 0 };
	int r = salvage_foreach(opened, part, add_line, &t, &salvage_fault);

	*ret = fixture_keep(text_take(&t));
	return r;
}

Test(salvage_read, what_a_slot_held_is_found_again)
{
	char *text;

	cr_assert(sh("cd s && git switch -qc agent/x && echo x > a && git add a && git init -q "
		     "nested && "
		     "rm -rf nested/.git/hooks nested/.git/info && echo n > nested/n && "
		     "chmod 600 nested/n && echo msg > \"$(git rev-parse --git-dir)/MERGE_MSG\""));
	cr_assert_eq(open_it(salvage_capture()), 0, "%s", salvage_fault.text);
	cr_assert_str_eq(opened->head, "ref: refs/heads/agent/x");
	cr_assert_str_eq(json_get_string(opened->meta, "branch"), "agent/x");
	cr_assert(text_has_prefix(opened->message, "1 changed files\n\nSlot: "), "%s",
		  opened->message);
	cr_assert_str_eq(git_oid_tostr_s(&opened->base), sh_text("git -C s rev-parse HEAD"));
	cr_assert_str_eq(git_oid_tostr_s(&opened->base_tree),
			 sh_text("git -C s rev-parse HEAD^{tree}"));
	cr_assert_eq(opened->time_usec, 1700000000000000);
	cr_assert_eq(files_of("files", &text), 0, "%s", salvage_fault.text);
	cr_assert(strstr(text, "100644 nested/.git/HEAD\n") && strstr(text, "100644 nested/n\n"),
		  "%s", text);
	cr_assert_eq(files_of("state", &text), 0);
	cr_assert(strstr(text, "100644 MERGE_MSG\n") && strstr(text, "100644 logs/HEAD\n"), "%s",
		  text);
	cr_assert_eq(files_of("stages", &text), 0);
	cr_assert_str_eq(text, "");
	salvage_free(opened);
}

Test(salvage_read, records_of_any_names_are_told)
{
	struct text t = { 0 };

	cr_assert_eq(
		open_it(salvage_made_by("state[b'modes'] = b'100600 a\\x00040700 d/\\n\\xff\\x00'\n"
					"state[b'dirs'] = b'x/y\\0z\\0'")),
		0, "%s", salvage_fault.text);
	cr_assert_eq(salvage_foreach_record(opened, "modes", add_record, &t, &salvage_fault), 0,
		     "%s", salvage_fault.text);
	cr_assert_eq(salvage_foreach_record(opened, "dirs", add_record, &t, &salvage_fault), 0);
	cr_assert_eq(salvage_foreach_record(opened, "none", add_record, &t, &salvage_fault), 0);
	cr_assert_str_eq(t.data, "100600 a\n40700 \"d/\\n\\377\"\n0 x/y\n0 z\n");
	text_deinit(&t);
	salvage_free(opened);
}

Test(salvage_read, what_is_no_salvage_is_refused)
{
	static const char *const revisions[] = { "main", "main^{tree}", "main:a",
						 "0000000000000000000000000000000000000001" };

	for (size_t i = 0; i < 4; i++) {
		git_oid oid;

		git_oid_fromstr(&oid, i < 3 ? sh_text("git -C r rev-parse %s", revisions[i])
					    : revisions[i]);
		cr_assert_eq(open_it(oid), -EUCLEAN, "%s", revisions[i]);
		cr_assert_neq(salvage_fault.text[0], '\0');
	}
}

struct damage {
	const char *script;
	int code;
	const char *says;
};

static const struct damage damages[] = {
	{ "state[b'meta'] = None", -EUCLEAN, "no meta" },
	{ "state[b'meta'] = b''", -EUCLEAN, "damaged" },
	{ "state[b'meta'] = b'{\"version\":'", -EUCLEAN, "damaged" },
	{ "state[b'meta'] = b'[1]'", -EUCLEAN, "damaged" },
	{ "state[b'meta'] = b'{\"version\":1,\"slot\":\"\\xff\"}'", -EUCLEAN, "damaged" },
	{ "state[b'meta'] = b'{\"a\":' + b'[' * 100 + b']' * 100 + b'}'", -EUCLEAN, "damaged" },
	{ "state[b'meta'] = b'{}'", -EUCLEAN, "no version" },
	{ "state[b'meta'] = b'{\"version\":2}'", -EOPNOTSUPP, "newer slotd" },
	{ "state[b'meta'] = b' ' * (5 << 20)", -EUCLEAN, "too large" },
	{ "state[b'meta'] = (0o120000, blob(repo, b'x'))", -EUCLEAN, "no file" },
	{ "state[b'meta'] = (0o100644, base)", -EUCLEAN, "no blob" },
	{ "state[b'meta'] = (0o100644, '1' * 40)", -EUCLEAN, "missing" },
	{ "state[b'head'] = b'x' * 5000", -EUCLEAN, "too large" },
};

Test(salvage_read, each_damage_is_told)
{
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		cr_assert_eq(open_it(salvage_made_by(damages[i].script)), damages[i].code, "%s: %s",
			     damages[i].script, salvage_fault.text);
		cr_assert(strstr(salvage_fault.text, damages[i].says), "%s: %s", damages[i].script,
			  salvage_fault.text);
	}
}

Test(salvage_read, a_parent_that_is_no_commit_is_told)
{
	cr_assert_eq(open_it(salvage_made_by("base = git.head(repo, 'main^{tree}')")), -EUCLEAN);
	cr_assert(strstr(salvage_fault.text, "is no commit"), "%s", salvage_fault.text);
}

static const struct damage hostile_paths[] = {
	{ "state[b'files/%2e./x'] = b'x'", -EUCLEAN, "may not be made" },
	{ "state[b'files/a/%2e'] = b'x'", -EUCLEAN, "may not be made" },
	{ "state[b'files/../x'] = b'x'", -EUCLEAN, "no salvage is made with" },
	{ "state[b'files/.git/x'] = b'x'", -EUCLEAN, "no salvage is made with" },
	{ "state[b'files/%2fetc'] = b'x'", -EUCLEAN, "no salvage is made with" },
	{ "state[b'files/a%00b'] = b'x'", -EUCLEAN, "no salvage is made with" },
	{ "state[b'files/%2E./x'] = b'x'", -EUCLEAN, "no salvage is made with" },
	{ "state[b'files/' + b'x' * 256] = b'x'", -EUCLEAN, "may not be made" },
	{ "state[b'files'] = b'x'", 0, "" }, /* a file of that name is no directory of files */
	{ "state[b'files'] = (0o40000, '1' * 40)", -EUCLEAN, "missing" },
	{ "t = (0o40000, tree(repo, {}))\n"
	  "for i in range(20): t = (0o40000, tree(repo, {b'%d' % n: t for n in range(10)}))\n"
	  "state[b'files'] = t",
	  -EUCLEAN, "more than" },
};

Test(salvage_read, no_path_leaves_the_directory)
{
	char *text;

	for (size_t i = 0; i < sizeof(hostile_paths) / sizeof(hostile_paths[0]); i++) {
		cr_assert_eq(open_it(salvage_made_by(hostile_paths[i].script)), 0, "%s",
			     salvage_fault.text);
		cr_assert_eq(files_of("files", &text), hostile_paths[i].code, "%s: %s",
			     hostile_paths[i].script, salvage_fault.text);
		cr_assert(strstr(salvage_fault.text, hostile_paths[i].says), "%s: %s",
			  hostile_paths[i].script, salvage_fault.text);
	}
	salvage_free(opened);
}

static const char *const bad_modes[] = {
	"a",	      "100600 a",     "10060 a\\0", "1006000 a\\0", "100600a\\0", "100600 ../a\\0",
	"100600 \\0", "100600 /a\\0", "\\0"
};

Test(salvage_read, damaged_records_are_told)
{
	for (size_t i = 0; i < sizeof(bad_modes) / sizeof(bad_modes[0]); i++) {
		char *script = fixture_keep(text_printf("state[b'modes'] = b'%s'", bad_modes[i]));
		struct text t = { 0 };

		cr_assert_eq(open_it(salvage_made_by(script)), 0);
		cr_assert_eq(
			salvage_foreach_record(opened, "modes", add_record, &t, &salvage_fault),
			-EUCLEAN, "%s", script);
		text_deinit(&t);
	}
	salvage_free(opened);
}

static int add_ref(const char *ref, const struct salvage_name *name, const git_oid *commit,
		   void *userdata, struct fault *f)
{
	text_addf(userdata, "%s %s %d\n", name->slot, name->lease, (int)name->n);
	return 0;
}

Test(salvage_read, refs_are_listed_and_others_passed_over)
{
	struct text t = { 0 };

	salvage_made_by("git.run(repo, 'update-ref', 'refs/slotd/salvage/r-22/" LEASE
			"/13', base)\n"
			"git.run(repo, 'update-ref', 'refs/slotd/salvage/odd', base)\n"
			"git.run(repo, 'update-ref', 'refs/slotd/salvage/r-1/" LEASE "/02', base)");
	cr_assert_eq(salvage_foreach_ref(salvage_repo, add_ref, &t, &salvage_fault), 0, "%s",
		     salvage_fault.text);
	cr_assert_str_eq(t.data, "r-1 " LEASE " 1\nr-22 " LEASE " 13\n");
	text_deinit(&t);
}

Test(salvage_read, names_of_refs_are_judged)
{
	static const char *const bad[] = {
		"",
		"refs/heads/main",
		SALVAGE_REFS,
		SALVAGE_REFS "r-1",
		SALVAGE_REFS "r-1/" LEASE,
		SALVAGE_REFS "r-1/" LEASE "/",
		SALVAGE_REFS "r-1/" LEASE "/0",
		SALVAGE_REFS "r-1/" LEASE "/1x",
		SALVAGE_REFS "r-1/" LEASE "/-1",
		SALVAGE_REFS "r-1/0" LEASE "/1",
		SALVAGE_REFS "r-1/0123456789ABCDEF0123456789abcdef/1",
		SALVAGE_REFS "r/" LEASE "/1",
		SALVAGE_REFS "../" LEASE "/1",
		SALVAGE_REFS "r-1/" LEASE "/1/2",
		SALVAGE_REFS "r-1/" LEASE "/99999999999999999999",
	};
	struct salvage_name name;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(salvage_name_parse(bad[i], &name), -EINVAL, "%s", bad[i]);
	cr_assert_eq(salvage_name_parse(SALVAGE_REFS "r-1/" LEASE "/10", &name), 0);
	cr_assert_str_eq(name.slot, "r-1");
	cr_assert_eq(name.n, 10);
}
