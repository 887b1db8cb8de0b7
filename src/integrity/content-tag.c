/* An object, its type, a name, and who gave it. */
#include "integrity/content-private.h"

static git_object_t type_from_string(const char *s, size_t len)
{
	static const struct {
		const char *name;
		git_object_t type;
	} types[] = {
		{ "commit", GIT_OBJECT_COMMIT },
		{ "tree", GIT_OBJECT_TREE },
		{ "blob", GIT_OBJECT_BLOB },
		{ "tag", GIT_OBJECT_TAG },
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (strlen(types[i].name) == len && memcmp(types[i].name, s, len) == 0)
			return types[i].type;
	return GIT_OBJECT_INVALID;
}

/* what the tag says that it is; _ANY: nothing that can be read */
static git_object_t type_of(struct content_text t)
{
	const char *end = content_line_end(&t);
	git_object_t type = GIT_OBJECT_INVALID;

	if (end && content_skip(&t, "type "))
		type = type_from_string(t.at, (size_t)(end - t.at));
	return type == GIT_OBJECT_INVALID ? GIT_OBJECT_ANY : type;
}

static int tell_link(const struct content_pass *p, struct content_text t)
{
	git_oid oid;

	if (!content_skip(&t, "object ") || !content_take_oid(&t, &oid))
		return 0;
	return content_link(p, &(struct content_link){ .oid = oid.id, .type = type_of(t) });
}

static bool is_ref_byte(unsigned char c)
{
	return c > ' ' && c != 0x7f && !strchr("~^:?*[\\", c);
}

static bool is_component(const char *s, size_t len)
{
	static const char lock[] = ".lock";

	if (len == 0 || s[0] == '.')
		return false;
	if (len >= sizeof(lock) - 1 && memcmp(s + len - (sizeof(lock) - 1), lock, sizeof(lock) - 1) == 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!is_ref_byte((unsigned char)s[i]))
			return false;
		if (i > 0 && ((s[i - 1] == '.' && s[i] == '.') || (s[i - 1] == '@' && s[i] == '{')))
			return false;
	}
	return true;
}

/* could there be refs/tags/<name>? */
static bool is_tag_name(const char *s, size_t len)
{
	const char *slash;

	if (len == 0 || s[len - 1] == '.')
		return false;
	while ((slash = memchr(s, '/', len))) {
		if (!is_component(s, (size_t)(slash - s)))
			return false;
		len -= (size_t)(slash + 1 - s);
		s = slash + 1;
	}
	return is_component(s, len);
}

static int check_object(const struct content_pass *p, struct content_text *t)
{
	git_oid oid;

	if (!content_skip(t, "object "))
		return content_refuse(p, FSCK_MISSING_OBJECT, "it does not begin with an object");
	return content_take_oid(t, &oid) ? 0 :
		content_tell(p, FSCK_BAD_OBJECT_SHA1, "the name of its object is none");
}

static int check_type(const struct content_pass *p, struct content_text *t)
{
	const char *end;
	int r = 0;

	if (!content_skip(t, "type "))
		return content_refuse(p, FSCK_MISSING_TYPE_ENTRY, "it says no type");
	end = content_line_end(t);
	if (!end)
		return content_refuse(p, FSCK_MISSING_TYPE, "it ends in its type");
	if (type_from_string(t->at, (size_t)(end - t->at)) == GIT_OBJECT_INVALID)
		r = content_tell(p, FSCK_BAD_TYPE, "there is no such type of object");
	t->at = end + 1;
	return r;
}

static int check_name(const struct content_pass *p, struct content_text *t)
{
	const char *end;
	int r = 0;

	if (!content_skip(t, "tag "))
		return content_refuse(p, FSCK_MISSING_TAG_ENTRY, "it has no name");
	end = content_line_end(t);
	if (!end)
		return content_refuse(p, FSCK_MISSING_TAG, "it ends in its name");
	if (!is_tag_name(t->at, (size_t)(end - t->at)))
		r = content_tellf(p, FSCK_BAD_TAG_NAME, "no ref can be called \"%.*s\"",
				  (int)(end - t->at < 200 ? end - t->at : 200), t->at);
	t->at = end + 1;
	return r;
}

/* an error of the tagger does not hide what is wrong with the header behind it */
static int check_tagger(const struct content_pass *p, struct content_text *t)
{
	int r, extra = 0;

	if (!content_skip(t, "tagger ")) {
		r = content_tell(p, FSCK_MISSING_TAGGER_ENTRY, "it does not say who gave it");
		if (r != 0)
			return r;
	} else {
		r = content_check_ident(p, t);
	}
	if (r >= 0 && t->at < t->end && *t->at != '\n')
		extra = content_tell(p, FSCK_EXTRA_HEADER_ENTRY, "it has more in its header than git writes there");
	return extra < 0 || r == 0 ? extra : r;
}

int content_check_tag(const struct content_pass *p, const char *data, size_t len)
{
	struct content_text t = { .at = data, .end = data + len };
	int r = tell_link(p, t);

	if (r == 0)
		r = content_check_headers(p, data, len);
	if (r == 0)
		r = check_object(p, &t);
	if (r == 0)
		r = check_type(p, &t);
	if (r == 0)
		r = check_name(p, &t);
	if (r == 0)
		r = check_tagger(p, &t);
	return r;
}
