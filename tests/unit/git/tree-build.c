#include "git/tree-build.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "git-fixture.h"
#include "git/sha1.h"
#include "git/tree-list.h"
#include "git/tree-name.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/text.h"

#define EMPTY_TREE "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
#define N_BLOBS	   4

static struct repo *repo;
static git_oid blobs[N_BLOBS];
static struct fault f;
static size_t n_written;
static int write_result;

static void init(void)
{
	fixture_init();
	cr_assert(sh("git init -q -b main r"));
	for (int i = 0; i < N_BLOBS; i++)
		cr_assert_eq(
			git_oid_fromstr(&blobs[i],
					sh_text("echo %d | git -C r hash-object -w --stdin", i)),
			0);
	cr_assert_eq(repo_open(in_dir("r/.git"), &repo, &f), 0, "%s", f.text);
	n_written = 0;
	write_result = 0;
}

static void deinit(void)
{
	repo_close(repo);
	fixture_deinit();
}

TestSuite(tree_build, .init = init, .fini = deinit, .timeout = 300);

/* names are enough: git writes the same trees into the store */
static int write_tree(const void *data, size_t len, git_oid *ret, void *userdata,
		      struct fault *fault_)
{
	cr_assert_eq(userdata, &n_written);
	n_written++;
	if (write_result < 0)
		return fault(fault_, write_result, "no room");
	return sha1_object(GIT_OBJECT_TREE, data, len, ret);
}

static int build(const git_oid *base, struct tree_edit *edits, size_t n, git_oid *ret)
{
	n_written = 0;
	f = (struct fault)FAULT_NONE;
	return tree_build(repo, base, edits, n, write_tree, &n_written, ret, &f);
}

static git_oid oid_from(const char *hex)
{
	git_oid oid = { { 0 } };

	cr_assert_eq(git_oid_fromstr(&oid, hex), 0, "%s", hex);
	return oid;
}

static const char *hex_of(const git_oid *oid)
{
	char *hex = fixture_keep(malloc(GIT_OID_HEXSZ + 1));

	return git_oid_tostr(hex, GIT_OID_HEXSZ + 1, oid);
}

static void write_index_info(const char *name, const struct tree_edit *edits, size_t n)
{
	FILE *out = fopen(in_dir(name), "w");
	char hex[GIT_OID_HEXSZ + 1];

	for (size_t i = 0; i < n; i++)
		fprintf(out, "%o %s\t%s%c", edits[i].mode,
			git_oid_tostr(hex, sizeof(hex), &edits[i].oid), edits[i].path, 0);
	fclose(out);
}

/* what git makes of the same edits, in an index of its own */
static git_oid git_build(const git_oid *base, const struct tree_edit *edits, size_t n)
{
	write_index_info("edits", edits, n);
	return oid_from(
		sh_text("cd r && export GIT_INDEX_FILE=../index && rm -f ../index && "
			"git read-tree %s && git update-index -z --index-info < ../edits && "
			"git write-tree",
			base ? hex_of(base) : "--empty"));
}

static git_oid assert_as_git(const git_oid *base, struct tree_edit *edits, size_t n)
{
	git_oid theirs = git_build(base, edits, n), ours = { { 0 } };

	cr_assert_eq(build(base, edits, n, &ours), 0, "%s", f.text);
	cr_assert_str_eq(hex_of(&ours), hex_of(&theirs));
	cr_assert_eq(n_written == 0, base && git_oid_equal(&ours, base));
	return ours;
}

/* "mode path" a line, '-' for a removal; the content is the blob of that digit: "1 100644 a" */
static size_t edits_from(const char *text, struct tree_edit *ret)
{
	char *copy = fixture_keep(strdup(text)), *save = NULL;
	size_t n = 0;

	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *path;

		ret[n] = (struct tree_edit){ .path = line + 2 };
		if (line[0] != '-') {
			ret[n].mode = (uint32_t)strtoul(line + 2, &path, 8);
			ret[n].path = path + 1;
			ret[n].oid = blobs[line[0] - '0'];
		}
		n++;
	}
	return n;
}

static git_oid tree_of(const char *text)
{
	struct tree_edit edits[32];
	size_t n = edits_from(text, edits);

	return git_build(NULL, edits, n);
}

/* names that are prefixes of each other, and order differently as files and as directories */
static const char *const names[] = {
	"a", "a-b",	 "a.b",	     "a0",    "a b", "a\nb", "A",
	"b", "\xff\xfe", "\xc3\xa9", "a\x01", "a~",  "\"",
};

static char *random_path(unsigned *seed)
{
	struct text t = { 0 };
	int depth = 1 + rand_r(seed) % 4;

	for (int i = 0; i < depth; i++)
		text_addf(&t, "%s%s", i ? "/" : "",
			  names[(size_t)rand_r(seed) % (i ? 5 : ARRAY_SIZE(names))]);
	return fixture_keep(text_take(&t));
}

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && path[len] == '/';
}

static bool contradicts(const struct tree_edit *a, const struct tree_edit *b)
{
	return strcmp(a->path, b->path) == 0 ||
	       (a->mode && b->mode && (is_below(a->path, b->path) || is_below(b->path, a->path)));
}

static size_t random_edits(struct tree_edit *edits, size_t max, int removals, unsigned *seed)
{
	static const uint32_t modes[] = { 0100644, 0100644, 0100755, 0120000, 0160000 };
	size_t n = 0;

	for (size_t i = 0; i < max; i++) {
		struct tree_edit *e = &edits[n];
		bool fits = true;

		*e = (struct tree_edit){ .path = random_path(seed) };
		if (rand_r(seed) % 100 >= removals) {
			e->mode = modes[(size_t)rand_r(seed) % ARRAY_SIZE(modes)];
			e->oid = blobs[rand_r(seed) % N_BLOBS];
		}
		for (size_t j = 0; j < n; j++)
			fits = fits && !contradicts(e, &edits[j]);
		n += fits;
	}
	return n;
}

/* tree after tree: each round's result is the base of the next, and now and then nothing is */
static void random_rounds(unsigned seed, int rounds)
{
	struct tree_edit edits[64];
	git_oid base, before;

	for (int round = 0; round < rounds; round++) {
		bool fresh = round % 25 == 0;
		size_t max = fresh ? 60 : 1 + (size_t)rand_r(&seed) % 20;
		size_t n = random_edits(edits, max, fresh ? 0 : 50, &seed);

		before = base;
		base = assert_as_git(fresh ? NULL : &before, edits, n);
	}
}

/* most of the time of each is git's */
static int rounds(void)
{
	return getenv("SLOTD_UNDER_VALGRIND") ? 10 : 80;
}

Test(tree_build, random_edits_make_the_trees_that_git_makes)
{
	random_rounds(4711, rounds());
}

Test(tree_build, other_random_edits_make_the_trees_that_git_makes)
{
	random_rounds(815, rounds());
}

static const struct {
	const char *base, *edits, *expected;
} cases[] = {
	/* a file takes the place of a directory, and the other way round */
	{ "0 100644 a/b/c\n0 100644 a/d\n0 100644 e", "1 100644 a", "1 100644 a\n0 100644 e" },
	{ "0 100644 a\n0 100644 a-b", "1 100644 a/b/c", "1 100644 a/b/c\n0 100644 a-b" },
	{ "0 160000 a", "1 100644 a/b", "1 100644 a/b" },
	{ "0 120000 a/b", "1 120000 a", "1 120000 a" },
	/* removals go with what is above and below them */
	{ "0 100644 a/b\n0 100644 a/c", "1 100644 a\n- a/b", "1 100644 a" },
	{ "0 100644 a", "- a\n1 100644 a/b", "1 100644 a/b" },
	/* a directory that becomes empty goes; one that an edit does not name stays */
	{ "0 100644 a/b/c\n0 100644 d", "- a/b/c", "0 100644 d" },
	{ "0 100644 a/b/c", "- a/b/c", "" },
	{ "0 100644 a/b/c\n0 100644 a/b/d", "- a/b/c\n1 100644 x/y/z",
	  "0 100644 a/b/d\n1 100644 x/y/z" },
	/* a removal takes a file */
	{ "0 100644 a/b", "- a", "0 100644 a/b" },
	{ "0 100644 a", "- a/b\n- b\n- c/d", "0 100644 a" },
	/* modes and content alone */
	{ "0 100644 a", "0 100755 a", "0 100755 a" },
	{ "0 100644 a", "0 120000 a", "0 120000 a" },
	{ "0 100644 a", "0 160000 a", "0 160000 a" },
	{ "0 100644 a", "1 100644 a\n1 100644 a", "1 100644 a" },
	{ "0 100644 a", "- a\n- a", "" },
	/* the order of names */
	{ "0 100644 a.b\n0 100644 a0", "1 100644 a/x\n2 100644 a-b",
	  "2 100644 a-b\n0 100644 a.b\n1 100644 a/x\n0 100644 a0" },
};

Test(tree_build, edits_mean_what_the_table_says)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		git_oid base = tree_of(cases[i].base), expected = tree_of(cases[i].expected), ours;
		struct tree_edit edits[32];
		size_t n = edits_from(cases[i].edits, edits);

		ours = assert_as_git(&base, edits, n);
		cr_assert_str_eq(hex_of(&ours), hex_of(&expected), "case %zu", i);
	}
}

Test(tree_build, an_unchanged_tree_is_the_base_and_nothing_is_written)
{
	git_oid base = tree_of("0 100644 a/b\n1 100755 c\n2 120000 d/e/f"), ret;
	struct tree_edit edits[32];
	size_t n =
		edits_from("0 100644 a/b\n1 100755 c\n- a\n- c/d\n- d/e/g\n- nothing/here", edits);

	cr_assert_eq(build(&base, edits, n, &ret), 0, "%s", f.text);
	cr_assert(git_oid_equal(&ret, &base));
	cr_assert_eq(n_written, 0);
	cr_assert_eq(build(&base, NULL, 0, &ret), 0, "%s", f.text);
	cr_assert(git_oid_equal(&ret, &base));
	cr_assert_eq(n_written, 0);
}

Test(tree_build, nothing_is_the_empty_tree)
{
	git_oid zero = { { 0 } }, empty = oid_from(EMPTY_TREE), ret;
	struct tree_edit edits[32];
	size_t n = edits_from("- a\n- b/c", edits);

	cr_assert_eq(build(NULL, NULL, 0, &ret), 0, "%s", f.text);
	cr_assert(git_oid_equal(&ret, &empty));
	cr_assert_eq(n_written, 1);
	cr_assert_eq(build(&zero, edits, n, &ret), 0, "%s", f.text);
	cr_assert(git_oid_equal(&ret, &empty));
	cr_assert_eq(n_written, 1);
	/* git knows it without having it, and so it may be a base */
	cr_assert_eq(build(&empty, edits, n, &ret), 0, "%s", f.text);
	cr_assert(git_oid_equal(&ret, &empty));
	cr_assert_eq(n_written, 0);
}

Test(tree_build, only_trees_that_changed_are_written)
{
	git_oid base = tree_of("0 100644 a/b/c/d\n0 100644 a/x/y\n0 100644 z/z/z"), ret;
	struct tree_edit edits[32];

	cr_assert_eq(build(&base, edits, edits_from("1 100644 a/b/c/d\n- z/y", edits), &ret), 0);
	cr_assert_eq(n_written, 4);
	cr_assert_eq(build(&base, edits, edits_from("- a/b/c/d\n0 100644 z/z/z", edits), &ret), 0);
	cr_assert_eq(n_written, 2);
}

/* what stays does so byte for byte: an old mode, and an empty directory that git would not make */
Test(tree_build, what_no_edit_names_is_kept_as_it_is)
{
	git_oid base, ret, expected;
	struct tree_edit edits[32];
	size_t n = edits_from("1 100644 c", edits);

	cr_assert(sh("cd r && e=$(git mktree < /dev/null) && "
		     "printf '100664 blob %s\\ta\\n40000 tree %%s\\tb\\n' $e > ../odd",
		     hex_of(&blobs[0])));
	base = oid_from(sh_text("git -C r mktree < odd"));
	expected = oid_from(sh_text("cd r && { cat ../odd; printf '100644 blob %s\\tc\\n'; } | "
				    "git mktree",
				    hex_of(&blobs[1])));
	cr_assert_eq(build(&base, edits, n, &ret), 0, "%s", f.text);
	cr_assert_str_eq(hex_of(&ret), hex_of(&expected));
}

static void assert_refused(const char *text, int code, const char *named)
{
	struct tree_edit edits[32];
	size_t n = edits_from(text, edits);
	git_oid ret = { { 1 } }, before = ret;

	cr_assert_eq(build(NULL, edits, n, &ret), code, "%s: %s", text, f.text);
	cr_assert(strstr(f.text, named), "%s: %s", text, f.text);
	cr_assert(git_oid_equal(&ret, &before));
	cr_assert_eq(n_written, 0);
}

Test(tree_build, edits_that_contradict_each_other_are_refused_by_name)
{
	assert_refused("0 100644 x\n0 100644 a\n1 100644 a", -EINVAL, "content: a");
	assert_refused("0 100644 a\n0 100755 a", -EINVAL, "content: a");
	assert_refused("0 100644 a\n- a", -EINVAL, "content: a");
	assert_refused("0 100644 a/b\n0 100644 a", -EINVAL, "directory: a");
	assert_refused("0 100644 a\n0 100644 a-b\n0 100644 a.b\n- a/a\n0 120000 a/b/c\n0 100644 a0",
		       -EINVAL, "directory: a");
	assert_refused("0 100644 x/a/b\n0 100644 x/a/b/c/d\n- x/a", -EINVAL, "directory: x/a/b");
	assert_refused("0 40000 a", -EINVAL, "mode that git does not know: a");
	assert_refused("0 100664 a", -EINVAL, "mode that git does not know: a");
}

Test(tree_build, a_file_without_content_is_refused)
{
	struct tree_edit edit = { .path = "a", .mode = 0100644 };
	git_oid ret;

	cr_assert_eq(build(NULL, &edit, 1, &ret), -EINVAL);
	cr_assert(strstr(f.text, "without a name: a"), "%s", f.text);
}

static const struct {
	const char *path, *named;
} impossible[] = {
	{ "", "empty" },
	{ "/", "empty" },
	{ "/a", "empty" },
	{ "a/", "empty" },
	{ "a//b", "empty" },
	{ ".", "\".\"" },
	{ "a/./b", "\".\"" },
	{ "..", "\"..\"" },
	{ "a/..", "\"..\"" },
	{ ".git", "\".git\"" },
	{ "a/.GiT/b", "\".git\"" },
	{ "a/git~1", "Windows" },
	{ ".git. ./a", "Windows" },
	{ "a\\.git", "Windows" },
	{ ".git::$DATA", "Windows" },
	{ "\xff/.git", "\".git\"" },
};

Test(tree_build, impossible_paths_are_refused_with_a_sentence)
{
	for (size_t i = 0; i < ARRAY_SIZE(impossible); i++) {
		char *add = fixture_keep(text_printf("0 100644 %s", impossible[i].path));
		char *remove = fixture_keep(text_printf("- %s", impossible[i].path));

		assert_refused(add, -EINVAL, impossible[i].named);
		assert_refused(remove, -EINVAL, impossible[i].named);
	}
	assert_refused("0 120000 .gitmodules", -EINVAL, ".gitmodules");
	cr_assert_null(tree_path_objection(".gitmodules", 0100644));
	cr_assert_null(tree_path_objection("...", 0100644));
	cr_assert_null(tree_path_objection(".gitignore", 0120000));
}

/* pieces that git's rules are about, put together at random */
static const char *const pieces[] = {
	".",  "..",  ".git", ".GIT", "git",	"gi",	   "git~1",   "~",
	"1",  "4",   "5",    "/",    "/",	"\\",	   ":",	      " ",
	"$x", "x",   "GI7",  "eb",   "modules", "Modules", "gitmod",  "a",
	"~1", "eba", "gi7e", "ba~",  "9",	"07",	   "gi7eba~", "gi7d29",
};

Test(tree_build, git_refuses_the_same_paths)
{
	static struct tree_edit edits[30000];
	struct text ours = { 0 };
	unsigned seed = 42;
	size_t refused = 0;

	for (size_t i = 0; i < ARRAY_SIZE(edits); i++) {
		struct text path = { 0 };

		for (int j = 1 + rand_r(&seed) % 5; j > 0; j--)
			text_add_string(&path, pieces[(size_t)rand_r(&seed) % ARRAY_SIZE(pieces)]);
		edits[i] = (struct tree_edit){ .path = text_take(&path),
					       .mode = i % 2 ? 0120000 : 0100644,
					       .oid = blobs[0] };
		if (!tree_path_objection(edits[i].path, edits[i].mode))
			continue;
		text_addf(&ours, "Ignoring path %s\n", edits[i].path);
		refused++;
	}
	write_index_info("edits", edits, ARRAY_SIZE(edits));
	cr_assert(sh("cd r && git update-index -z --index-info < ../edits 2> ../theirs"));
	cr_assert(sh("cat > ours <<'END'\n%sEND\ndiff theirs ours", ours.data));
	cr_assert_gt(refused, 1000);
	cr_assert_lt(refused, ARRAY_SIZE(edits) - 1000);
	text_deinit(&ours);
	for (size_t i = 0; i < ARRAY_SIZE(edits); i++)
		free((char *)edits[i].path);
}

static char *deep_path(size_t depth)
{
	struct text t = { 0 };

	for (size_t i = 1; i < depth; i++)
		text_add_string(&t, "d/");
	text_add_string(&t, "f");
	return fixture_keep(text_take(&t));
}

Test(tree_build, depth_has_a_limit_and_up_to_it_all_is_well)
{
	struct tree_edit edits[3] = {
		{ .path = deep_path(TREE_BUILD_MAX_DEPTH), .mode = 0100644, .oid = blobs[0] },
		{ .path = deep_path(TREE_BUILD_MAX_DEPTH - 1), .mode = 0120000, .oid = blobs[1] },
	};
	git_oid base, ret, empty = oid_from(EMPTY_TREE);

	base = assert_as_git(NULL, edits, 2);
	cr_assert_eq(n_written, TREE_BUILD_MAX_DEPTH);
	edits[0].mode = edits[1].mode = 0;
	cr_assert_eq(build(&base, edits, 2, &ret), 0, "%s", f.text);
	cr_assert(git_oid_equal(&ret, &empty));
	cr_assert_eq(n_written, 1);
	edits[2] = (struct tree_edit){ .path = deep_path(TREE_BUILD_MAX_DEPTH + 1) };
	cr_assert_eq(build(&base, edits, 3, &ret), -ENAMETOOLONG);
	cr_assert(strstr(f.text, "too many directories in it: d/d/"), "%s", f.text);
}

/* a tree object of any bytes: "mode name" each, with the id of a blob */
static git_oid raw_tree(const char *const *items)
{
	FILE *out = fopen(in_dir("raw"), "w");

	for (; *items; items++) {
		fwrite(*items, strlen(*items) + 1, 1, out);
		fwrite(blobs[0].id, GIT_OID_RAWSZ, 1, out);
	}
	fclose(out);
	return oid_from(sh_text("git -C r hash-object -w -t tree --literally ../raw"));
}

static const struct {
	const char *items[4], *named;
} damaged[] = {
	{ { "100644 b", "100644 a" }, "not sorted" },
	{ { "100644 a", "100644 a" }, "not sorted" },
	{ { "100644 a", "100644 a-b", "40000 a" }, "twice" },
	{ { "40000 a", "100644 a-b" }, "not sorted" },
	{ { "100644 " }, "damaged" },
	{ { " a" }, "damaged" },
	{ { "a" }, "damaged" },
	{ { "100844 a" }, "damaged" },
	{ { "200000 a" }, "damaged" },
	{ { "777777777777 a" }, "damaged" },
	{ { "100644 a/b" }, "damaged" },
};

/* the tree is "x/y" of a base in which "x/y/f" is to be changed */
static void assert_unclean(const git_oid *tree, const char *named)
{
	struct tree_edit edits[2];
	git_oid base, ret = { { 1 } }, before = ret;
	size_t n = edits_from("1 100644 x/y/f", edits);

	base = oid_from(
		sh_text("cd r && x=$(printf '40000 tree %s\\ty\\n' | git mktree --missing) && "
			"printf \"40000 tree $x\\tx\\n\" | git mktree",
			hex_of(tree)));
	cr_assert_eq(build(&base, edits, n, &ret), -EUCLEAN, "%s: %s", named, f.text);
	cr_assert(strstr(f.text, named), "%s", f.text);
	cr_assert(strstr(f.text, "x/y"), "%s", f.text);
	cr_assert(strstr(f.text, hex_of(tree)), "%s", f.text);
	cr_assert(git_oid_equal(&ret, &before));
	cr_assert_eq(n_written, 0);
}

Test(tree_build, a_damaged_base_is_named)
{
	git_oid tree = { { 0xab, 0xcd } };

	assert_unclean(&tree, "missing");
	for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
		tree = raw_tree(damaged[i].items);
		assert_unclean(&tree, damaged[i].named);
	}
	cr_assert(sh("printf '100644 a' > raw"));
	tree = oid_from(sh_text("git -C r hash-object -w -t tree --literally ../raw"));
	assert_unclean(&tree, "damaged");
	tree = raw_tree((const char *[]){ "100644 a", "100644 b", NULL });
	cr_assert(sh("cd r/.git/objects && o=$(echo %s | sed 's,^..,&/,') && chmod u+w $o && "
		     "truncate -s 20 $o",
		     hex_of(&tree)));
	assert_unclean(&tree, "cannot be read");
}

Test(tree_build, a_base_that_is_no_tree_is_refused)
{
	struct tree_edit edits[2];
	git_oid ret;

	cr_assert_eq(build(&blobs[0], edits, edits_from("1 100644 a", edits), &ret), -EUCLEAN);
	cr_assert(strstr(f.text, "is no tree"), "%s", f.text);
}

Test(tree_build, damage_where_nothing_changes_is_not_met)
{
	struct tree_edit edits[2];
	git_oid base, ret;

	base = oid_from(
		sh_text("printf '40000 tree %%040d\\tbad\\n' 1 | git -C r mktree --missing"));
	cr_assert_eq(build(&base, edits, edits_from("1 100644 good/a", edits), &ret), 0, "%s",
		     f.text);
	cr_assert_eq(n_written, 2);
}

Test(tree_build, a_fault_of_the_writer_is_handed_through)
{
	struct tree_edit edits[2];
	git_oid ret = { { 1 } }, before = ret;

	write_result = -ENOSPC;
	cr_assert_eq(build(NULL, edits, edits_from("1 100644 a/b/c", edits), &ret), -ENOSPC);
	cr_assert_str_eq(f.text, "no room");
	cr_assert_eq(n_written, 1);
	cr_assert(git_oid_equal(&ret, &before));
}

/* 40 directories of 25 directories of 40 files */
static git_oid large_tree(void)
{
	FILE *out = fopen(in_dir("edits"), "w");
	const char *hex = hex_of(&blobs[0]);

	for (int i = 0; i < 40000; i++)
		fprintf(out, "100644 %s\tdir%d/sub%d/file%d%c", hex, i / 1000, i / 40 % 25, i % 40,
			0);
	fclose(out);
	return oid_from(sh_text("cd r && git update-index -z --index-info < ../edits && "
				"git write-tree"));
}

/* a bound that only an accident reaches; what it takes is printed */
Test(tree_build, ten_edits_in_forty_thousand_files_take_milliseconds)
{
	static char paths[10][64];
	struct tree_edit edits[10];
	uint64_t start, usec;
	git_oid base, ours;

	cr_assert(sh("git -C r config gc.auto 0"));
	base = large_tree();
	for (int i = 0; i < 10; i++) {
		snprintf(paths[i], sizeof(paths[i]), "dir%d/sub%d/%s%d", i * 4, i,
			 i % 2 ? "new" : "file", i);
		edits[i] = (struct tree_edit){ paths[i], i == 4 ? 0 : 0100755, blobs[1] };
	}
	start = clock_boot_usec();
	cr_assert_eq(build(&base, edits, 10, &ours), 0, "%s", f.text);
	usec = clock_boot_usec() - start;
	fprintf(stderr, "10 edits in 40,000 files: %lu µs, %zu trees\n", (unsigned long)usec,
		n_written);
	cr_assert_eq(n_written, 21);
	if (!getenv("SLOTD_UNDER_VALGRIND"))
		cr_assert_lt(usec, 100000);
	assert_as_git(&base, edits, 10);
}
