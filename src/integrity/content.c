/* To each type its own check. */
#include "integrity/content-private.h"

#include <stdarg.h>
#include <stdio.h>

#define DETAIL_BYTES 256

/* beyond this git looks at none of its lines */
#define ATTRIBUTES_BYTES ((size_t)100 << 20)

int content_tell(const struct content_pass *p, enum fsck_id id, const char *detail)
{
	enum finding_severity severity;
	int r = 0;

	if (!fsck_rules_severity(p->rules, id, &severity) || fsck_rules_is_skipped(p->rules, p->oid))
		return 0;
	if (p->sink->on_problem)
		r = p->sink->on_problem(fsck_id_name(id), severity, detail, p->sink->userdata);
	if (r < 0)
		return r;
	return severity == FINDING_ERROR ? CONTENT_STOP : 0;
}

int content_tellf(const struct content_pass *p, enum fsck_id id, const char *fmt, ...)
{
	char detail[DETAIL_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	return content_tell(p, id, detail);
}

int content_link(const struct content_pass *p, const struct content_link *link)
{
	int r = p->sink->on_link ? p->sink->on_link(link, p->sink->userdata) : 0;

	return r < 0 ? r : 0;
}

/* git takes capital letters, too */
static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool take_hex(const struct content_text *t, git_oid *ret)
{
	if (t->end - t->at <= GIT_OID_HEXSZ || t->at[GIT_OID_HEXSZ] != '\n')
		return false;
	for (size_t i = 0; i < GIT_OID_RAWSZ; i++) {
		int high = hex_digit(t->at[2 * i]), low = hex_digit(t->at[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		ret->id[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

bool content_take_oid(struct content_text *t, git_oid *ret)
{
	bool is_good = take_hex(t, ret);

	if (is_good)
		t->at += GIT_OID_HEXSZ + 1;
	else
		content_next_line(t);
	return is_good;
}

int content_check_headers(const struct content_pass *p, const char *data, size_t len)
{
	const char *body = memmem(data, len, "\n\n", 2);
	size_t headers = body ? (size_t)(body - data) : len;
	const char *nul = headers ? memchr(data, '\0', headers) : NULL;

	if (nul)
		return content_tellf(p, FSCK_NUL_IN_HEADER, "byte %zu of the header is a NUL", (size_t)(nul - data));
	if (body || (len > 0 && data[len - 1] == '\n'))
		return 0;
	return content_tell(p, FSCK_UNTERMINATED_HEADER, "the last line of the header has no end");
}

int content_check(const struct fsck_rules *rules, git_object_t type, const git_oid *oid,
		  const void *data, size_t len, const struct content_sink *sink)
{
	struct content_pass p = { .rules = rules, .oid = oid, .sink = sink };
	int r = 0;

	data = data ? data : "";
	if (type == GIT_OBJECT_COMMIT)
		r = content_check_commit(&p, data, len);
	else if (type == GIT_OBJECT_TREE)
		r = content_check_tree(&p, data, len);
	else if (type == GIT_OBJECT_TAG)
		r = content_check_tag(&p, data, len);
	return r < 0 ? r : 0;
}

int content_check_special(const struct fsck_rules *rules, enum content_special what,
			  const git_oid *oid, const void *data, size_t len,
			  const struct content_sink *sink)
{
	struct content_pass p = { .rules = rules, .oid = oid, .sink = sink };
	bool is_modules = what == CONTENT_GITMODULES;
	int r;

	data = data || len > 0 ? data : "";
	if (!data || (!is_modules && len > ATTRIBUTES_BYTES))
		r = content_tell(&p, is_modules ? FSCK_GITMODULES_LARGE : FSCK_GITATTRIBUTES_LARGE,
				 "it is too large to be looked at");
	else if (is_modules)
		r = content_check_modules(&p, data, len);
	else
		r = content_check_attributes(&p, data, len);
	return r < 0 ? r : 0;
}

int content_tell_special(const struct fsck_rules *rules, enum content_special what, const git_oid *oid,
			 bool is_missing, const struct content_sink *sink)
{
	struct content_pass p = { .rules = rules, .oid = oid, .sink = sink };
	int r;

	if (what == CONTENT_GITMODULES)
		r = content_tell(&p, is_missing ? FSCK_GITMODULES_MISSING : FSCK_GITMODULES_BLOB,
				 is_missing ? "the content of .gitmodules is not there" :
					      ".gitmodules is no file");
	else
		r = content_tell(&p, is_missing ? FSCK_GITATTRIBUTES_MISSING : FSCK_GITATTRIBUTES_BLOB,
				 is_missing ? "the content of .gitattributes is not there" :
					      ".gitattributes is no file");
	return r < 0 ? r : 0;
}
