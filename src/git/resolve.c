/* What people call a commit. */
#include "git/store.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "git/store-private.h"
#include "util/cleanup.h"
#include "util/text.h"

#define MIN_ABBREV 7

enum resolve_outcome {
	RESOLVE_E_ABSENT = 1,
};

static const char *const url_prefixes[] = { STORE_REMOTES, "refs/heads/", "refs/tags/",
					    "refs/remotes/" };
static const char *const path_prefixes[] = { "refs/heads/", "refs/tags/", "refs/remotes/",
					     STORE_REMOTES };

static bool is_hex(const char *s)
{
	size_t len = strlen(s);

	return len >= MIN_ABBREV && len <= GIT_OID_HEXSZ && strspn(s, "0123456789abcdefABCDEF") == len;
}

static int peel(git_object *object, const char *name, git_oid *ret, struct fault *f)
{
	git_object *commit = NULL;
	int rc = git_object_peel(&commit, object, GIT_OBJECT_COMMIT);

	if (rc < 0)
		return rc == GIT_EINVALIDSPEC || rc == GIT_EPEEL ?
			       fault(f, -ENOENT, "%s is not a commit", name) :
			       fault(f, -EUCLEAN, "the commit of %s is missing or damaged", name);
	git_oid_cpy(ret, git_object_id(commit));
	git_object_free(commit);
	return 0;
}

/* by an id or the beginning of one */
static int find_id(struct repo *repo, const char *hex, char **ret_ref, git_oid *ret,
		   struct fault *f)
{
	git_object *object = NULL;
	git_oid oid;
	int r, rc;

	if (!is_hex(hex) || git_oid_fromstrn(&oid, hex, strlen(hex)) < 0)
		return RESOLVE_E_ABSENT;
	rc = git_object_lookup_prefix(&object, repo_git(repo), &oid, strlen(hex), GIT_OBJECT_ANY);
	if (rc == GIT_ENOTFOUND)
		return RESOLVE_E_ABSENT;
	if (rc == GIT_EAMBIGUOUS)
		return fault(f, -ENOENT, "several objects begin with %s: write more digits", hex);
	if (rc < 0)
		return git_fault(f, rc, "cannot read the object %s", hex);
	r = peel(object, hex, ret, f);
	git_object_free(object);
	if (r < 0)
		return r;
	*ret_ref = strdup(git_oid_tostr_s(ret));
	return *ret_ref ? 0 : fault_oom(f);
}

/* by its full name; a symbolic ref to nothing is unborn */
static int find_full(struct repo *repo, const char *name, char **ret_ref, git_oid *ret,
		     struct fault *f)
{
	git_reference *ref = NULL, *direct = NULL;
	git_object *object = NULL;
	int r = 0, rc, valid = 0;

	if (git_reference_name_is_valid(&valid, name) < 0 || !valid)
		return RESOLVE_E_ABSENT;
	rc = git_reference_lookup(&ref, repo_git(repo), name);
	if (rc == GIT_ENOTFOUND)
		return RESOLVE_E_ABSENT;
	if (rc < 0)
		return git_fault(f, rc, "cannot read %s", name);
	rc = git_reference_resolve(&direct, ref);
	if (rc == GIT_ENOTFOUND) {
		memset(ret, 0, sizeof(*ret));
	} else if (rc < 0) {
		r = git_fault(f, rc, "cannot follow %s", name);
	} else if (git_object_lookup(&object, repo_git(repo), git_reference_target(direct),
				     GIT_OBJECT_ANY) < 0) {
		r = fault(f, -EUCLEAN, "the object that %s names is missing or damaged", name);
	} else {
		r = peel(object, name, ret, f);
	}
	git_object_free(object);
	git_reference_free(direct);
	git_reference_free(ref);
	if (r < 0)
		return r;
	*ret_ref = strdup(name);
	return *ret_ref ? 0 : fault_oom(f);
}

static int find_short(struct repo *repo, bool adopted, const char *name, char **ret_ref,
		      git_oid *ret, struct fault *f)
{
	const char *const *prefixes = adopted ? path_prefixes : url_prefixes;
	int r = RESOLVE_E_ABSENT;

	for (size_t i = 0; r == RESOLVE_E_ABSENT && i < ARRAY_SIZE(url_prefixes); i++) {
		_cleanup_(freep) char *full = text_printf("%s%s", prefixes[i], name);

		r = full ? find_full(repo, full, ret_ref, ret, f) : fault_oom(f);
	}
	return r;
}

/* the ref that a symbolic one names directly; NULL: it is none, or not there */
static char *symbolic_target(struct repo *repo, const char *name)
{
	git_reference *ref = NULL;
	char *target = NULL;

	if (git_reference_lookup(&ref, repo_git(repo), name) == 0)
		target = text_dup(git_reference_symbolic_target(ref));
	git_reference_free(ref);
	return target;
}

/* the name tells people more when it is the branch's; unborn, origin's HEAD may still change */
static int find_default(struct repo *repo, bool adopted, char **ret_ref, git_oid *ret,
			struct fault *f)
{
	const char *head = adopted ? "HEAD" : STORE_ORIGIN_HEAD;
	_cleanup_(freep) char *target = symbolic_target(repo, head);
	int r;

	r = target ? find_full(repo, target, ret_ref, ret, f) : RESOLVE_E_ABSENT;
	if (r != RESOLVE_E_ABSENT)
		return r;
	if (!target || !adopted)
		return find_full(repo, head, ret_ref, ret, f);
	memset(ret, 0, sizeof(*ret));
	*ret_ref = TAKE(target);
	return 0;
}

/* the branch that HEAD names before it has a commit */
static int find_unborn(struct repo *repo, const char *name, char **ret_ref, git_oid *ret)
{
	_cleanup_(freep) char *target = symbolic_target(repo, "HEAD");

	if (!target || !text_has_prefix(target, "refs/heads/") ||
	    (strcmp(target, name) != 0 && strcmp(target + strlen("refs/heads/"), name) != 0))
		return RESOLVE_E_ABSENT;
	memset(ret, 0, sizeof(*ret));
	*ret_ref = TAKE(target);
	return 0;
}

struct names {
	char **v;
	size_t n, size;
};

static void names_deinit(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->v[i]);
	free(names->v);
}

static void names_add(struct names *names, const char *name)
{
	if (names->n == names->size) {
		size_t size = names->size ? names->size * 2 : 64;
		char **v = realloc(names->v, size * sizeof(*v));

		if (!v)
			return;
		names->v = v;
		names->size = size;
	}
	names->v[names->n] = strdup(name);
	names->n += names->v[names->n] != NULL;
}

static void collect_names(struct repo *repo, struct names *names)
{
	static const char *const prefixes[] = { STORE_REMOTES, "refs/heads/", "refs/tags/" };
	git_reference_iterator *it = NULL;
	const char *name;

	if (git_reference_iterator_new(&it, repo_git(repo)) < 0)
		return;
	while (git_reference_next_name(&name, it) == 0)
		for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
			if (text_has_prefix(name, prefixes[i]))
				names_add(names, name + strlen(prefixes[i]));
	git_reference_iterator_free(it);
}

static int absent(struct repo *repo, const char *ref, struct fault *f)
{
	_cleanup_(names_deinit) struct names names = { 0 };
	const char *near;

	collect_names(repo, &names);
	near = text_nearest(ref, (const char *const *)names.v, names.n);
	if (near)
		return fault(f, -ENOENT,
			     "there is no branch, tag or commit \"%s\"; did you mean \"%s\"?", ref,
			     near);
	return fault(f, -ENOENT, "there is no branch, tag or commit \"%s\"", ref);
}

int store_resolve(struct repo *repo, bool adopted, const char *ref, char **ret_ref, git_oid *ret,
		  struct fault *f)
{
	int r = RESOLVE_E_ABSENT;

	if (!ref || (!adopted && strcmp(ref, "HEAD") == 0))
		r = find_default(repo, adopted, ret_ref, ret, f);
	else if (strlen(ref) == GIT_OID_HEXSZ)
		r = find_id(repo, ref, ret_ref, ret, f);
	if (r == RESOLVE_E_ABSENT && ref && (text_has_prefix(ref, "refs/") || !strcmp(ref, "HEAD")))
		r = find_full(repo, ref, ret_ref, ret, f);
	if (r == RESOLVE_E_ABSENT && ref)
		r = find_short(repo, adopted, ref, ret_ref, ret, f);
	if (r == RESOLVE_E_ABSENT && ref)
		r = find_id(repo, ref, ret_ref, ret, f);
	if (r == RESOLVE_E_ABSENT && ref)
		r = find_unborn(repo, ref, ret_ref, ret);
	if (r == RESOLVE_E_ABSENT)
		return absent(repo, ref ? ref : "HEAD", f);
	return r;
}
