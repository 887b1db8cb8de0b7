/* What packed-refs says a tag leads to: git believes it without a look at the tag. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/check-private.h"

#include "util/cleanup.h"

#define TAG_BYTES (1 << 20) /* a larger one is left alone */
#define TAGS_DEEP 100

struct target {
	git_oid oid;
	bool is_found;
};

static int on_link(const struct content_link *link, void *userdata)
{
	struct target *target = userdata;

	git_oid_fromraw(&target->oid, link->oid);
	target->is_found = true;
	return 0;
}

/* one tag further. 1: it is none; -EBADMSG, -ENOENT, -EFBIG: it cannot be read */
static int step(struct check_run *run, git_oid *oid)
{
	struct target target = { 0 };
	struct content_sink sink = { .on_link = on_link, .userdata = &target };
	_cleanup_(freep) void *data = NULL;
	git_object_t type;
	size_t len;
	int r = object_type(run, oid, &type);

	if (r < 0 || type != GIT_OBJECT_TAG)
		return r < 0 ? r : 1;
	r = object_read(run, oid, TAG_BYTES, &type, &data, &len);
	if (r == 0)
		r = content_check(run->c.rules, type, oid, data, len, &sink);
	if (r == 0 && !target.is_found)
		return -EBADMSG;
	*oid = target.oid;
	return r;
}

static int tell(struct check_run *run, const struct root *ref, const git_oid *oid, const char *what)
{
	char hex[GIT_OID_HEXSZ + 1];

	return finding_add(run->c.findings, "bad-packed-refs",
			   &(struct finding_place){ .where = ref->file, .object = oid_hex(oid->id, hex), .path = ref->name },
			   "%s", what);
}

static int check_peeled(struct check_run *run, const struct root *ref, const git_oid *peeled)
{
	git_oid oid = ref->oid;
	int r = 0, n = 0;

	while (r == 0 && n++ < TAGS_DEEP)
		r = step(run, &oid);
	if (r <= 0) /* that is told elsewhere */
		return r == -ENOMEM ? r : 0;
	if (n == 1)
		return tell(run, ref, peeled, "it has a peeled value, and is no tag");
	return git_oid_equal(&oid, peeled) ? 0 : tell(run, ref, peeled, "its peeled value is not what the tag leads to");
}

/* the line of a peeled value comes behind that of its ref */
static bool is_peeled(const struct root *ref, const struct root *peeled)
{
	size_t len = strlen(ref->name);

	return ref->kind == ROOT_REF && peeled->kind == ROOT_REF && ref->file && peeled->file &&
	       strcmp(peeled->file, "packed-refs") == 0 && strcmp(ref->file, "packed-refs") == 0 &&
	       strncmp(peeled->name, ref->name, len) == 0 && strcmp(peeled->name + len, "^{}") == 0;
}

int peeled_check(struct check_run *run)
{
	int r = 0;

	for (size_t i = 1; r == 0 && i < roots_count(run->c.roots); i++) {
		const struct root *ref = roots_at(run->c.roots, i - 1), *peeled = roots_at(run->c.roots, i);

		if (is_peeled(ref, peeled))
			r = check_peeled(run, ref, &peeled->oid);
		if (r == 0 && i % 4096 == 0)
			r = check_tell(&run->c);
	}
	return r;
}
