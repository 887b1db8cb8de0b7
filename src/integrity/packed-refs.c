/* One line a ref, one more for what a tag leads to. */
#include "integrity/packed-refs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/roots.h"
#include "util/cleanup.h"
#include "util/text.h"

#define HEADER	    "# pack-refs with:"
#define MAX_TOLD    20 /* lines of one file; nobody mends the rest by hand */
#define OID_AND_GAP (GIT_OID_HEXSZ + 1)

void ref_names_deinit(struct ref_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->v[i]);
	free(names->v);
	*names = (struct ref_names){ 0 };
}

int ref_names_add(struct ref_names *names, const char *name)
{
	char *copy;

	if (names->n == names->size) {
		size_t size = names->size ? names->size * 2 : 64;
		char **v = reallocarray(names->v, size, sizeof(*v));

		if (!v)
			return -ENOMEM;
		names->v = v;
		names->size = size;
	}
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	names->v[names->n++] = copy;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void ref_names_sort(struct ref_names *names)
{
	if (names->n)
		qsort(names->v, names->n, sizeof(*names->v), compare_names);
}

bool ref_names_has(const struct ref_names *names, const char *name)
{
	return names->n &&
	       bsearch(&name, names->v, names->n, sizeof(*names->v), compare_names) != NULL;
}

/* of one scan */
struct scan {
	const struct packed_refs_reader *reader;
	char name[REF_NAME_BYTES + 1], before[REF_NAME_BYTES + 1];
	bool is_sorted;
	bool may_peel; /* the line before is a ref's, and has no peeled one yet */
	size_t line;
};

static int bad(struct scan *s, const char *why)
{
	s->may_peel = false;
	return s->reader->bad(s->line, why, s->reader->userdata);
}

static int scan_peeled(struct scan *s, const char *line, size_t len)
{
	struct packed_ref ref = { .name = s->name, .is_peeled = true, .line = s->line };

	if (!oid_parse(line + 1, len - 1, &ref.oid))
		return bad(s, "behind ^ stands no id of an object");
	if (!s->may_peel)
		return bad(s, "a peeled value stands behind no ref");
	s->may_peel = false;
	return s->reader->ref(&ref, s->reader->userdata);
}

static int scan_ref(struct scan *s, const char *line, size_t len)
{
	struct packed_ref ref = { .name = s->name, .line = s->line };
	size_t name_len = len > OID_AND_GAP ? len - OID_AND_GAP : 0;

	if (!name_len || line[GIT_OID_HEXSZ] != ' ' || !oid_parse(line, GIT_OID_HEXSZ, &ref.oid))
		return bad(s, "it is no id and name of a ref");
	if (name_len > REF_NAME_BYTES || memchr(line + OID_AND_GAP, '\0', name_len))
		return bad(s, "no ref may have such a name");
	memcpy(s->name, line + OID_AND_GAP, name_len);
	s->name[name_len] = '\0';
	if (!ref_name_is_valid(s->name, false))
		return bad(s, "no ref may have such a name");
	if (s->is_sorted && strcmp(s->before, s->name) >= 0) {
		int r = bad(s, strcmp(s->before, s->name) == 0 ?
				       "the ref is there twice" :
				       "the refs are out of order, so that git cannot find them all");

		if (r < 0)
			return r;
	} else {
		strcpy(s->before, s->name);
	}
	s->may_peel = true;
	return s->reader->ref(&ref, s->reader->userdata);
}

static int scan_header(struct scan *s, const char *line, size_t len)
{
	_cleanup_(freep) char *copy = strndup(line, len);

	if (!copy)
		return -ENOMEM;
	if (s->line != 1 || !text_has_prefix(copy, HEADER))
		return bad(s, "it is no id and name of a ref");
	s->is_sorted = strstr(copy, " sorted") != NULL;
	return 0;
}

int packed_refs_scan(const char *data, size_t len, const struct packed_refs_reader *reader)
{
	_cleanup_(freep) struct scan *s = calloc(1, sizeof(*s));
	const char *at = data, *end = data + len;
	int r = 0;

	if (!s)
		return -ENOMEM;
	s->reader = reader;
	while (r >= 0 && at < end) {
		const char *eol = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((eol ? eol : end) - at);

		s->line++;
		if (!eol)
			r = bad(s, "the line does not end");
		else if (n > 0 && *at == '#')
			r = scan_header(s, at, n);
		else if (n > 0 && *at == '^')
			r = scan_peeled(s, at, n);
		else
			r = scan_ref(s, at, n);
		at = eol ? eol + 1 : end;
	}
	return r < 0 ? r : 0;
}

bool packed_refs_find(const char *data, size_t len, const char *name, git_oid *ret)
{
	size_t name_len = strlen(name);
	const char *at = data, *end = data + len;

	while (at < end && (at = memmem(at, (size_t)(end - at), name, name_len))) {
		const char *line = at - OID_AND_GAP;
		bool begins = at - data >= OID_AND_GAP && at[-1] == ' ' &&
			      (line == data || line[-1] == '\n');

		at += name_len;
		if (begins && at < end && *at == '\n' && oid_parse(line, GIT_OID_HEXSZ, ret))
			return true;
	}
	return false;
}

struct packed_check {
	const struct check_dir *dir;
	const struct ref_names *loose;
	size_t n_told;
};

static int on_bad(size_t line, const char *why, void *userdata)
{
	struct packed_check *p = userdata;

	if (p->n_told++ >= MAX_TOLD)
		return 0;
	return check_dir_tell(p->dir, "bad-packed-refs", "packed-refs", line, "%s", why);
}

static int on_ref(const struct packed_ref *ref, void *userdata)
{
	struct packed_check *p = userdata;
	struct root root = { .oid = ref->oid, .kind = ROOT_REF, .file = "packed-refs" };
	_cleanup_(freep) char *peeled = NULL;

	if (git_oid_is_zero(&ref->oid))
		return on_bad(ref->line, "the id is all zeros", p);
	/* it may lead to what is long gone */
	if (ref_names_has(p->loose, ref->name))
		return 0;
	root.name = ref->name;
	root.type = text_has_prefix(ref->name, "refs/heads/") ? GIT_OBJECT_COMMIT : GIT_OBJECT_ANY;
	if (ref->is_peeled) {
		peeled = text_printf("%s^{}", ref->name);
		if (!peeled)
			return -ENOMEM;
		root.name = peeled;
		root.type = GIT_OBJECT_ANY;
	}
	return roots_add(p->dir->c->roots, &root);
}

int packed_refs_check(const struct check_dir *dir, const struct ref_names *loose)
{
	struct packed_check p = { .dir = dir, .loose = loose };
	const struct packed_refs_reader reader = { on_ref, on_bad, &p };
	_cleanup_(freep) char *data = NULL;
	size_t len = 0;
	int r = check_dir_load(dir, "packed-refs", PACKED_REFS_BYTES, &data, &len);
	struct stat st;

	/* of a ref's file, a directory in its place means that there is none; here git fails */
	if (r == CHECK_LOAD_ABSENT && fstatat(dir->fd, "packed-refs", &st, AT_SYMLINK_NOFOLLOW) == 0)
		return check_dir_tell_unreadable(dir, "packed-refs", -EINVAL);
	if (r != 0)
		return r < 0 ? r : 0;
	if (len == 0)
		return check_dir_tell_as(dir, "bad-packed-refs", FINDING_WARNING, "packed-refs", 0,
					 "it is empty, as after a crash of the machine: git writes at least a header");
	return packed_refs_scan(data, len, &reader);
}
