/* What is named by what is named. */
#include "git/object-walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/text.h"

#define PROGRESS_EVERY 512

struct walk_step {
	git_oid oid;
	git_object_t type; /* GIT_OBJECT_ANY: not known */
	uint64_t name;
};

void object_walk_init(struct object_walk *w, struct repo *repo, const struct oid_set *all)
{
	*w = (struct object_walk){ .odb = repo_odb(repo), .all = all };
}

void object_walk_deinit(struct object_walk *w)
{
	oid_set_deinit(&w->reached);
	free(w->stack);
	free(w->names);
	*w = (struct object_walk){ 0 };
}

static int push(struct object_walk *w, const git_oid *oid, git_object_t type, uint64_t name,
		struct fault *f)
{
	size_t size = w->size_stack ? w->size_stack * 2 : 256;
	struct walk_step *more;

	if (oid_set_has(&w->reached, oid))
		return 0;
	if (w->n_stack == w->size_stack) {
		more = reallocarray(w->stack, size, sizeof(*more));
		if (!more)
			return fault_oom(f);
		w->stack = more;
		w->size_stack = size;
	}
	w->stack[w->n_stack++] = (struct walk_step){ .oid = *oid, .type = type, .name = name };
	return 0;
}

int object_walk_add(struct object_walk *w, const git_oid *oid, struct fault *f)
{
	return push(w, oid, GIT_OBJECT_ANY, 0, f);
}

static int note_name(struct object_walk *w, const char *name, uint64_t *ret, struct fault *f)
{
	size_t len = strlen(name) + 1, at = w->n_names ? w->n_names : 1;

	if (at + len > w->size_names) {
		size_t size = (at + len) * 2;
		char *more = realloc(w->names, size);

		if (!more)
			return fault_oom(f);
		w->names = more;
		w->names[0] = '\0';
		w->size_names = size;
	}
	memcpy(w->names + at, name, len);
	w->n_names = at + len;
	*ret = at;
	return 0;
}

const char *object_walk_name(const struct object_walk *w, size_t i)
{
	uint64_t name;

	oid_set_at(&w->reached, i, &name);
	return name ? w->names + name : "";
}

/* --- what leads where --- */

static git_object_t type_of_mode(unsigned long mode)
{
	switch (mode & 0170000) {
	case 0040000:
		return GIT_OBJECT_TREE;
	case 0160000:
		return GIT_OBJECT_INVALID; /* of another repository */
	default:
		return GIT_OBJECT_BLOB;
	}
}

/* one entry; its end, or NULL where there is none. Names of what was met are noted once */
static const char *follow_entry(struct object_walk *w, const char *at, const char *end, int *ret,
				struct fault *f)
{
	char *name;
	const char *nul = memchr(at, '\0', (size_t)(end - at));
	unsigned long mode = nul ? strtoul(at, &name, 8) : 0;
	git_object_t type = type_of_mode(mode);
	uint64_t noted = 0;
	git_oid oid;

	if (!nul || *name != ' ' || end - nul <= GIT_OID_RAWSZ)
		return NULL;
	memcpy(oid.id, nul + 1, GIT_OID_RAWSZ);
	if (type != GIT_OBJECT_INVALID && !oid_set_has(&w->reached, &oid)) {
		*ret = note_name(w, name + 1, &noted, f);
		if (*ret == 0)
			*ret = push(w, &oid, type, noted, f);
	}
	return nul + 1 + GIT_OID_RAWSZ;
}

static int follow_tree(struct object_walk *w, const git_oid *oid, const char *data, size_t len,
		       struct fault *f)
{
	const char *at = data, *end = data + len;
	char hex[GIT_OID_HEXSZ + 1];
	int r = 0;

	while (r == 0 && at < end) {
		at = follow_entry(w, at, end, &r, f);
		if (!at)
			return fault(f, -EUCLEAN, "tree %s is malformed",
				     git_oid_tostr(hex, sizeof(hex), oid));
	}
	return r;
}

/* the lines before the first that is none of ours: "tree", "parent", "object" */
static int follow_header(struct object_walk *w, const char *data, size_t len, struct fault *f)
{
	static const struct {
		const char *word;
		git_object_t type;
	} words[] = { { "tree ", GIT_OBJECT_TREE },
		      { "parent ", GIT_OBJECT_COMMIT },
		      { "object ", GIT_OBJECT_ANY } };
	const char *at = data, *end = data + len, *line;
	int r = 0;

	for (; r == 0 && (line = memchr(at, '\n', (size_t)(end - at))); at = line + 1) {
		git_object_t type = GIT_OBJECT_INVALID;
		size_t skip = 0;
		git_oid oid;

		for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
			if (!text_has_prefix(at, words[i].word))
				continue;
			type = words[i].type;
			skip = strlen(words[i].word);
		}
		if (type == GIT_OBJECT_INVALID || (size_t)(line - at) != skip + GIT_OID_HEXSZ ||
		    git_oid_fromstrn(&oid, at + skip, GIT_OID_HEXSZ) < 0)
			break;
		r = push(w, &oid, type, 0, f);
	}
	return r;
}

static int note_missing(struct object_walk *w, const git_oid *oid)
{
	if (w->missing++ == 0)
		w->first_missing = *oid;
	return 0;
}

static int follow(struct object_walk *w, const git_oid *oid, struct fault *f)
{
	git_odb_object *object = NULL;
	char hex[GIT_OID_HEXSZ + 1];
	int r = 0, rc = git_odb_read(&object, w->odb, oid);

	if (rc == GIT_ENOTFOUND)
		return note_missing(w, oid);
	if (rc < 0)
		return git_fault(f, rc, "cannot read %s", git_oid_tostr(hex, sizeof(hex), oid));
	switch (git_odb_object_type(object)) {
	case GIT_OBJECT_TREE:
		r = follow_tree(w, oid, git_odb_object_data(object), git_odb_object_size(object),
				f);
		break;
	case GIT_OBJECT_COMMIT:
	case GIT_OBJECT_TAG:
		r = follow_header(w, git_odb_object_data(object), git_odb_object_size(object), f);
		break;
	default:
		break;
	}
	git_odb_object_free(object);
	return r;
}

static int type_of(struct object_walk *w, const git_oid *oid, git_object_t *ret, struct fault *f)
{
	char hex[GIT_OID_HEXSZ + 1];
	size_t size;
	int rc = git_odb_read_header(&size, ret, w->odb, oid);

	if (rc < 0 && rc != GIT_ENOTFOUND)
		return git_fault(f, rc, "cannot read %s", git_oid_tostr(hex, sizeof(hex), oid));
	return rc == 0;
}

/* a blob is not read: it leads nowhere */
static int visit(struct object_walk *w, const struct walk_step *step, struct fault *f)
{
	bool known = w->all && oid_set_has(w->all, &step->oid);
	git_object_t type = step->type;
	int r = known && type != GIT_OBJECT_ANY ? 1 : 0;

	if (r == 0 && (type == GIT_OBJECT_BLOB || type == GIT_OBJECT_ANY))
		r = type_of(w, &step->oid, &type, f);
	else
		r = 1;
	if (r == 0)
		return note_missing(w, &step->oid);
	if (r < 0)
		return r;
	r = oid_set_add(&w->reached, &step->oid, step->name);
	if (r < 0)
		return fault_oom(f);
	return r == 0 || type == GIT_OBJECT_BLOB ? 0 : follow(w, &step->oid, f);
}

int object_walk_run(struct object_walk *w, struct fault *f)
{
	int r = 0;

	for (size_t n = 1; r == 0 && w->n_stack > 0; n++) {
		struct walk_step step = w->stack[--w->n_stack];

		if (!oid_set_has(&w->reached, &step.oid))
			r = visit(w, &step, f);
		if (r == 0 && w->progress && n % PROGRESS_EVERY == 0)
			r = w->progress("looking", oid_set_count(&w->reached), 0, w->userdata);
	}
	return r;
}
