#include "integrity/content.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fsck-witness.h"
#include "git-fixture.h"
#include "util/text.h"

TestSuite(fsck_rules, .init = witness_init, .fini = witness_deinit);

/* the settings of r/.git, with what is wrong in them as "where: detail\n" */
static struct fsck_rules *load(const char *dir, char **ret_wrong)
{
	struct findings *all = findings_new();
	struct fault f = FAULT_NONE;
	struct fsck_rules *rules = NULL;
	struct text t = { 0 };
	int fd = open(in_dir(dir), O_PATH | O_DIRECTORY | O_CLOEXEC);

	cr_assert(fd >= 0);
	cr_assert_eq(fsck_rules_load(fd, all, &rules, &f), 0, "%s", f.text);
	close(fd);
	findings_sort(all);
	for (size_t i = 0; i < findings_kept(all); i++) {
		cr_expect_str_eq(findings_at(all, i)->id, "bad-config");
		text_addf(&t, "%s: %s\n", findings_at(all, i)->where, findings_at(all, i)->detail);
	}
	findings_free(all);
	*ret_wrong = fixture_keep(text_take(&t));
	return rules;
}

static int note(const char *id, enum finding_severity severity, const char *detail, void *userdata)
{
	text_addf(userdata, "%s %s\n", finding_severity_to_string(severity), id);
	return 0;
}

static void expect_told(const struct fsck_rules *rules, const char *tag, const char *expected)
{
	struct text t = { 0 };
	struct content_sink sink = { .on_problem = note, .userdata = &t };
	git_oid oid = { { 1 } };

	cr_assert_eq(content_check(rules, GIT_OBJECT_TAG, &oid, tag, strlen(tag), &sink), 0);
	cr_expect_str_eq(t.data ? t.data : "", expected);
	text_deinit(&t);
}

#define TAG_WITHOUT_TAGGER "object 1234567890123456789012345678901234567890\ntype blob\ntag t t\n"

Test(fsck_rules, settings_change_severities)
{
	struct fsck_rules *rules;
	char *wrong;

	expect_told(NULL, TAG_WITHOUT_TAGGER, "info badTagName\ninfo missingTaggerEntry\n");
	cr_assert(sh("git -C r config fsck.BADTAGNAME warn && git -C r config fsck.missingTaggerEntry error"));
	rules = load("r/.git", &wrong);
	cr_expect_str_eq(wrong, "");
	expect_told(rules, TAG_WITHOUT_TAGGER, "warning badTagName\nerror missingTaggerEntry\n");
	fsck_rules_free(rules);
	cr_assert(sh("git -C r config --add fsck.badTagName ignore && git -C r config --add fsck.missingTaggerEntry ignore"));
	rules = load("r/.git", &wrong);
	expect_told(rules, TAG_WITHOUT_TAGGER, "");
	fsck_rules_free(rules);
}

/* and git dies of it */
static void expect_wrong(const char *setting, const char *detail)
{
	struct fsck_rules *rules;
	char *wrong;

	cr_assert(sh("git init -q again && printf '[fsck]\\n\\t%s\\n[fsck]\\n\\tbadTagName = error\\n' >> again/.git/config",
		     setting));
	cr_expect(sh("cd again && git fsck > said 2>&1; test $? = 128"), "%s: %s", setting, sh_text("cat again/said"));
	rules = load("again/.git", &wrong);
	cr_expect_str_eq(wrong, fixture_keep(text_printf("config:7: %s\n", detail)));
	expect_told(rules, TAG_WITHOUT_TAGGER, "error badTagName\n"); /* the next line counts */
	fsck_rules_free(rules);
	cr_assert(sh("rm -r again"));
}

Test(fsck_rules, wrong_settings_are_told_and_passed_over)
{
	expect_wrong("badDates = warn", "git has no message \"baddates\" for fsck.baddates");
	expect_wrong("badDate = warning", "fsck.baddate is neither \"error\" nor \"warn\" nor \"ignore\"");
	expect_wrong("badDate = Warn", "fsck.baddate is neither \"error\" nor \"warn\" nor \"ignore\"");
	expect_wrong("nulInHeader = warn", "fsck.nulinheader can be nothing but an error");
	expect_wrong("skipList = none", "fsck.skipList \"none\" cannot be read: No such file or directory");
}

Test(fsck_rules, what_is_no_setting_of_a_message_is_nobodys_business)
{
	struct fsck_rules *rules;
	char *wrong;

	cr_assert(sh("printf '[fsck \"x\"]\\n\\tbaddate = ignore\\n[fsck]nulInHeader = error\\n[fetch \"fsck\"]\\nx = y\\n[' >> r/.git/config"));
	rules = load("r/.git", &wrong);
	cr_expect_str_eq(wrong, "");
	fsck_rules_free(rules);
	cr_assert(sh("rm r/.git/config && mkfifo r/.git/config"));
	rules = load("r/.git", &wrong);
	cr_expect_str_eq(wrong, "");
	expect_told(rules, TAG_WITHOUT_TAGGER, "info badTagName\ninfo missingTaggerEntry\n");
	fsck_rules_free(rules);
	fsck_rules_free(NULL);
}

static const char bad_commit[] = "tree 1234567890123456789012345678901234567890\n\nm\n";
static const char other_commit[] = "tree 1234567890123456789012345678901234567890\n\nmm\n";
static const char bad_modules[] = "[submodule \"a\"]\nurl = -x\n";

/* three objects that are bad; the first and the last are to be skipped */
static void add_bad(size_t ret[3])
{
	char entry[64] = "100644 .gitmodules";
	size_t len = strlen(entry) + 1;
	git_oid oid;

	ret[0] = witness_add_text(GIT_OBJECT_COMMIT, bad_commit);
	ret[1] = witness_add_text(GIT_OBJECT_COMMIT, other_commit);
	ret[2] = witness_add_text(GIT_OBJECT_BLOB, bad_modules);
	git_oid_fromstr(&oid, witness_hex(ret[2]));
	memcpy(entry + len, oid.id, GIT_OID_RAWSZ);
	witness_add(GIT_OBJECT_TREE, entry, len + GIT_OID_RAWSZ);
}

static void expect_skipped(const size_t bad[3])
{
	witness_compare("", "");
	cr_expect_str_eq(witness_ours(bad[0]), "");
	cr_expect_str_eq(witness_ours(bad[1]), "error missingAuthor\n");
	cr_expect_str_eq(witness_ours(bad[2]), "");
}

Test(fsck_rules, objects_of_the_skip_list_are_passed_over)
{
	size_t bad[3];

	add_bad(bad);
	cr_assert(sh("printf '# mine\\n\\n  %s  # one\\r\\n%s' > list", witness_hex(bad[0]), witness_hex(bad[2])));
	cr_assert(sh("git -C r config fsck.skipList '%s/list'", fixture_dir));
	expect_skipped(bad);
}

Test(fsck_rules, a_relative_skip_list_is_below_the_worktree)
{
	size_t bad[3];

	add_bad(bad);
	cr_assert(sh("mkdir r/d && echo %s > r/d/list && echo %s > r/more", witness_hex(bad[0]), witness_hex(bad[2])));
	cr_assert(sh("git -C r config fsck.skipList d/list && git -C r config --add fsck.skipList ./more"));
	expect_skipped(bad);
}

Test(fsck_rules, a_relative_skip_list_of_a_bare_repository_is_in_it)
{
	size_t bad[3];
	git_oid oid;
	struct fsck_rules *rules;
	char *wrong;

	add_bad(bad);
	cr_assert(sh("git clone -q --bare r bare.git && echo %s > bare.git/list", witness_hex(bad[0])));
	cr_assert(sh("cd bare.git && git config fsck.skipList list && ! git fsck > said 2>&1 &&\n"
		     "! grep 'in commit %s: ' said && grep -q 'in commit %s: ' said", witness_hex(bad[0]), witness_hex(bad[1])));
	rules = load("bare.git", &wrong);
	cr_expect_str_eq(wrong, "");
	git_oid_fromstr(&oid, witness_hex(bad[0]));
	cr_expect(fsck_rules_is_skipped(rules, &oid));
	git_oid_fromstr(&oid, witness_hex(bad[1]));
	cr_expect(not(fsck_rules_is_skipped(rules, &oid)));
	cr_expect(not(fsck_rules_is_skipped(NULL, &oid)));
	fsck_rules_free(rules);
}

Test(fsck_rules, a_skip_list_at_home)
{
	size_t bad[3];

	add_bad(bad);
	cr_assert(sh("echo %s > list && echo %s >> list", witness_hex(bad[0]), witness_hex(bad[2])));
	cr_assert(sh("git -C r config fsck.skipList '~/list'"));
	expect_skipped(bad);
}

Test(fsck_rules, lines_that_are_no_names_and_lists_that_block)
{
	struct fsck_rules *rules;
	char *wrong;

	cr_assert(sh("printf '\\n1234\\n' > r/list; git -C r config fsck.skipList list; mkfifo r/pipe"));
	cr_expect(sh("! git -C r fsck > said 2>&1"));
	rules = load("r/.git", &wrong);
	cr_expect(text_has_suffix(wrong, ": line 2 of fsck.skipList \"list\" is no object's name\n"), "%s", wrong);
	fsck_rules_free(rules);
	cr_assert(sh("git -C r config fsck.skipList pipe"));
	rules = load("r/.git", &wrong);
	cr_expect(text_has_suffix(wrong, ": fsck.skipList \"pipe\" cannot be read: Invalid argument\n"), "%s", wrong);
	fsck_rules_free(rules);
	cr_assert(sh("git -C r config --unset fsck.skipList && printf '[fsck]\nskipList\n' >> r/.git/config"));
	rules = load("r/.git", &wrong);
	cr_expect(text_has_suffix(wrong, ": fsck.skipList names no file\n"), "%s", wrong);
	fsck_rules_free(rules);
	cr_assert(sh("ln -s list r/link && git -C r config --replace-all fsck.skipList link"));
	rules = load("r/.git", &wrong);
	cr_expect(text_has_suffix(wrong, "cannot be read: Too many levels of symbolic links\n"), "%s", wrong);
	fsck_rules_free(rules);
}
