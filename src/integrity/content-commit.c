/* A tree, parents, who and when. The rest, signatures among it, is not looked at. */
#include "integrity/content-private.h"

static int link_to(const struct content_pass *p, const git_oid *oid, git_object_t type)
{
	return content_link(p, &(struct content_link){ .oid = oid->id, .type = type });
}

/* the first lines, as far as they are what they should be */
static int tell_links(const struct content_pass *p, struct content_text t)
{
	git_oid oid;
	int r = 0;

	if (content_skip(&t, "tree ") && content_take_oid(&t, &oid))
		r = link_to(p, &oid, GIT_OBJECT_TREE);
	while (r == 0 && content_skip(&t, "parent "))
		if (content_take_oid(&t, &oid))
			r = link_to(p, &oid, GIT_OBJECT_COMMIT);
	return r;
}

static int check_names(const struct content_pass *p, struct content_text *t)
{
	git_oid oid;
	int r = 0;

	if (!content_skip(t, "tree "))
		return content_refuse(p, FSCK_MISSING_TREE, "it does not begin with a tree");
	if (!content_take_oid(t, &oid))
		r = content_tell(p, FSCK_BAD_TREE_SHA1, "the name of the tree is none");
	while (r == 0 && content_skip(t, "parent "))
		if (!content_take_oid(t, &oid))
			r = content_tell(p, FSCK_BAD_PARENT_SHA1, "the name of a parent is none");
	return r;
}

static int check_authors(const struct content_pass *p, struct content_text *t)
{
	unsigned n = 0;
	int r = 0;

	for (; r == 0 && content_skip(t, "author "); n++)
		r = content_check_ident(p, t);
	if (r != 0 || n == 1)
		return r;
	return n == 0 ? content_tell(p, FSCK_MISSING_AUTHOR, "it has no author") :
			content_tell(p, FSCK_MULTIPLE_AUTHORS, "it has several authors");
}

static int check_committer(const struct content_pass *p, struct content_text *t)
{
	if (!content_skip(t, "committer "))
		return content_refuse(p, FSCK_MISSING_COMMITTER, "it has no committer");
	return content_check_ident(p, t);
}

int content_check_commit(const struct content_pass *p, const char *data, size_t len)
{
	struct content_text t = { .at = data, .end = data + len };
	int r = tell_links(p, t);

	if (r == 0)
		r = content_check_headers(p, data, len);
	if (r == 0)
		r = check_names(p, &t);
	if (r == 0)
		r = check_authors(p, &t);
	if (r == 0)
		r = check_committer(p, &t);
	if (r == 0 && memchr(data, '\0', len))
		r = content_tell(p, FSCK_NUL_IN_COMMIT, "its message has a NUL in it");
	return r;
}
