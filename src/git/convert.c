/* What a file looks like there, and what it looks like here. */
#include "git/convert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "git/attr.h"
#include "util/cleanup.h"

enum eol { EOL_KEEP, EOL_LF, EOL_CRLF };

/* what is to be done with the lines of one file */
struct action {
	bool is_text; /* to the store: CR LF becomes LF */
	bool is_auto; /* only if the content looks like text */
	bool to_crlf; /* to the slot: LF becomes CR LF */
	bool ident;
};

enum autocrlf { AUTOCRLF_FALSE, AUTOCRLF_TRUE, AUTOCRLF_INPUT };

struct convert {
	struct attr *attr;
	enum autocrlf autocrlf; /* core.autocrlf */
	enum eol eol;		/* core.eol */
};

void convert_free(struct convert *c)
{
	if (!c)
		return;
	attr_free(c->attr);
	free(c);
}

static void convert_freep(struct convert **c)
{
	convert_free(*c);
}

static void config_read(struct convert *c, struct repo *repo)
{
	git_config *config = NULL;
	git_buf value = { 0 };
	int yes = 0;

	if (git_repository_config_snapshot(&config, repo_git(repo)) < 0)
		return;
	if (git_config_get_string_buf(&value, config, "core.autocrlf") == 0) {
		if (strcasecmp(value.ptr, "input") == 0)
			c->autocrlf = AUTOCRLF_INPUT;
		else if (git_config_parse_bool(&yes, value.ptr) == 0 && yes)
			c->autocrlf = AUTOCRLF_TRUE;
	}
	git_buf_dispose(&value);
	if (git_config_get_string_buf(&value, config, "core.eol") == 0) {
		if (strcasecmp(value.ptr, "crlf") == 0)
			c->eol = EOL_CRLF;
		else if (strcasecmp(value.ptr, "lf") == 0)
			c->eol = EOL_LF;
	}
	git_buf_dispose(&value);
	git_config_free(config);
}

int convert_load(struct repo *repo, const struct tree_list *list, struct convert **ret,
		 struct fault *f)
{
	_cleanup_(convert_freep) struct convert *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return fault_oom(f);
	r = attr_load(repo, list, &c->attr, f);
	if (r < 0)
		return r;
	config_read(c, repo);
	*ret = TAKE(c);
	return 0;
}

/* lines end in CR LF in the slot, if nothing more special is said */
static bool default_is_crlf(const struct convert *c)
{
	return c->autocrlf == AUTOCRLF_TRUE ||
	       (c->autocrlf == AUTOCRLF_FALSE && c->eol == EOL_CRLF);
}

static bool value_is(const char *value, const char *wanted)
{
	return value != ATTR_TRUE && value != ATTR_FALSE && value != ATTR_UNSPECIFIED &&
	       strcmp(value, wanted) == 0;
}

/* does the attribute say anything about lines? "text=nonsense" does not */
static bool says_text(const char *value)
{
	return value == ATTR_TRUE || value == ATTR_FALSE || value_is(value, "auto") ||
	       value_is(value, "input");
}

/* Source: gitattributes(5), "text" and "eol"; git-config(1), core.autocrlf and core.eol */
static void action_lines(const struct convert *c, const char *const values[ATTR_N],
			 struct action *a)
{
	const char *text = says_text(values[ATTR_TEXT]) ? values[ATTR_TEXT] : values[ATTR_CRLF];
	enum eol eol = value_is(values[ATTR_EOL], "lf")	    ? EOL_LF
		       : value_is(values[ATTR_EOL], "crlf") ? EOL_CRLF
							    : EOL_KEEP;

	if (text == ATTR_FALSE)
		return;
	if (value_is(text, "auto")) {
		a->is_text = a->is_auto = true;
		a->to_crlf = eol == EOL_CRLF || (eol == EOL_KEEP && default_is_crlf(c));
	} else if (eol != EOL_KEEP) {
		a->is_text = true;
		a->to_crlf = eol == EOL_CRLF;
	} else if (text == ATTR_TRUE) {
		a->is_text = true;
		a->to_crlf = default_is_crlf(c);
	} else if (value_is(text, "input")) {
		a->is_text = true;
	} else if (c->autocrlf != AUTOCRLF_FALSE) {
		a->is_text = a->is_auto = true;
		a->to_crlf = c->autocrlf == AUTOCRLF_TRUE;
	}
}

static int action_get(const struct convert *c, const char *path, struct action *ret)
{
	static const char *const none[ATTR_N] = { ATTR_UNSPECIFIED, ATTR_UNSPECIFIED,
						  ATTR_UNSPECIFIED, ATTR_UNSPECIFIED };
	const char *values[ATTR_N];
	int r;

	*ret = (struct action){ 0 };
	if (attr_is_empty(c->attr)) {
		action_lines(c, none, ret);
		return 0;
	}
	r = attr_get(c->attr, path, values);
	if (r < 0)
		return r;
	action_lines(c, values, ret);
	ret->ident = values[ATTR_IDENT] == ATTR_TRUE;
	return 0;
}

bool convert_is_plain(const struct convert *c, const char *path)
{
	struct action a;

	return action_get(c, path, &a) == 0 && !a.is_text && !a.ident;
}

bool convert_is_same(const struct convert *a, const struct convert *b, const char *path)
{
	struct action x, y;

	if (action_get(a, path, &x) < 0 || action_get(b, path, &y) < 0)
		return false;
	return x.is_text == y.is_text && x.is_auto == y.is_auto && x.to_crlf == y.to_crlf &&
	       x.ident == y.ident;
}

/* what is in a file, as far as it tells text from other things */
struct content {
	size_t lone_cr, lone_lf, crlf, nul, printable, other;
};

static void content_scan(struct content *ret, const unsigned char *data, size_t len)
{
	struct content c = { 0 };

	for (size_t i = 0; i < len; i++) {
		unsigned char b = data[i];

		if (b == '\r' && i + 1 < len && data[i + 1] == '\n') {
			c.crlf++;
			i++;
		} else if (b == '\r') {
			c.lone_cr++;
		} else if (b == '\n') {
			c.lone_lf++;
		} else if (b == 127) {
			c.other++;
		} else if (b >= 32 || b == '\b' || b == '\t' || b == '\033' || b == '\014') {
			c.printable++;
		} else {
			c.nul += b == 0;
			c.other++;
		}
	}
	/* an end-of-file mark of old is forgiven */
	if (len > 0 && data[len - 1] == '\032')
		c.other--;
	*ret = c;
}

static bool content_is_binary(const struct content *c)
{
	return c->lone_cr > 0 || c->nul > 0 || (c->printable >> 7) < c->other;
}

/* every LF gets a CR that has none; 1: there was one */
static int lines_to_crlf(bool is_auto, const char *data, size_t len, struct text *out)
{
	struct content c;
	size_t done = 0;

	content_scan(&c, (const unsigned char *)data, len);
	if (c.lone_lf == 0)
		return 0;
	if (is_auto && (c.crlf > 0 || content_is_binary(&c)))
		return 0;
	for (size_t i = 0; i < len; i++) {
		if (data[i] != '\n' || (i > 0 && data[i - 1] == '\r'))
			continue;
		text_add(out, data + done, i - done);
		text_add(out, "\r", 1);
		done = i;
	}
	text_add(out, data + done, len - done);
	return out->failed ? -ENOMEM : 1;
}

static int lines_to_lf(const char *data, size_t len, struct text *out)
{
	size_t done = 0;

	for (size_t i = 0; i + 1 < len; i++) {
		if (data[i] != '\r' || data[i + 1] != '\n')
			continue;
		text_add(out, data + done, i - done);
		done = i + 1;
	}
	text_add(out, data + done, len - done);
	return out->failed ? -ENOMEM : 1;
}

/* the next "$Id$" or "$Id: …$" on one line at or behind at; NULL: none */
static const char *ident_find(const char *at, const char *end, const char **ret_end)
{
	while (end - at >= 4) {
		const char *dollar = memchr(at, '$', (size_t)(end - at));
		const char *stop;

		if (!dollar || end - dollar < 4)
			return NULL;
		at = dollar + 1;
		if (memcmp(dollar, "$Id", 3) != 0)
			continue;
		if (dollar[3] == '$') {
			*ret_end = dollar + 4;
			return dollar;
		}
		if (dollar[3] != ':')
			continue;
		stop = memchr(dollar + 4, '$', (size_t)(end - dollar - 4));
		if (!stop)
			return NULL;
		if (memchr(dollar, '\n', (size_t)(stop - dollar)))
			continue;
		*ret_end = stop + 1;
		return dollar;
	}
	return NULL;
}

/* "$Id: 1.2 alice 2001 $" has words in it that are not ours: it stays */
static bool ident_is_foreign(const char *dollar, const char *end)
{
	const char *p = dollar + 5, *last = end - 2;

	if (end - dollar <= 5)
		return false;
	return p < last && memchr(p, ' ', (size_t)(last - p)) != NULL;
}

static int ident_to_slot(const git_oid *oid, const char *data, size_t len, struct text *out)
{
	const char *at = data, *end = data + len, *behind, *found;
	char hex[GIT_OID_HEXSZ + 1];
	int r = 0;

	git_oid_tostr(hex, sizeof(hex), oid);
	while ((found = ident_find(at, end, &behind))) {
		if (ident_is_foreign(found, behind)) {
			text_add(out, at, (size_t)(behind - at));
		} else {
			text_add(out, at, (size_t)(found - at));
			text_addf(out, "$Id: %s $", hex);
			r = 1;
		}
		at = behind;
	}
	text_add(out, at, (size_t)(end - at));
	return out->failed ? -ENOMEM : r;
}

static int ident_to_store(const char *data, size_t len, struct text *out)
{
	const char *at = data, *end = data + len, *behind, *found;
	int r = 0;

	while ((found = ident_find(at, end, &behind))) {
		text_add(out, at, (size_t)(found - at));
		text_add(out, "$Id$", 4);
		r |= behind - found > 4;
		at = behind;
	}
	text_add(out, at, (size_t)(end - at));
	return out->failed ? -ENOMEM : r;
}

/* one step of a conversion: what came out replaces what went in */
static int step_done(int r, struct text *out, struct text *ret, const void **data, size_t *len)
{
	if (r <= 0) {
		text_deinit(out);
		return r;
	}
	text_deinit(ret);
	*ret = *out;
	*data = ret->data ? ret->data : "";
	*len = ret->len;
	return 1;
}

int convert_to_slot(const struct convert *c, const char *path, const git_oid *oid, const void *data,
		    size_t len, struct text *ret)
{
	struct text out = { 0 };
	struct action a;
	int r, changed = 0;

	if (action_get(c, path, &a) < 0)
		return -ENOMEM;
	if (a.ident) {
		r = step_done(ident_to_slot(oid, data, len, &out), &out, ret, &data, &len);
		if (r < 0)
			return r;
		changed |= r;
	}
	if (a.to_crlf) {
		out = (struct text){ 0 };
		r = step_done(lines_to_crlf(a.is_auto, data, len, &out), &out, ret, &data, &len);
		if (r < 0)
			return r;
		changed |= r;
	}
	return changed;
}

static bool wants_lf(const struct action *a, const void *data, size_t len, const void *blob,
		     size_t blob_len)
{
	struct content c;

	if (!a->is_text)
		return false;
	content_scan(&c, data, len);
	if (c.crlf == 0)
		return false;
	if (!a->is_auto)
		return true;
	if (content_is_binary(&c))
		return false;
	/* what was committed with CR LF stays so under "auto" */
	content_scan(&c, blob, blob ? blob_len : 0);
	return content_is_binary(&c) || c.crlf == 0;
}

int convert_to_store(const struct convert *c, const char *path, const void *data, size_t len,
		     const void *blob, size_t blob_len, struct text *ret)
{
	struct text out = { 0 };
	struct action a;
	int r, changed = 0;

	if (action_get(c, path, &a) < 0)
		return -ENOMEM;
	if (wants_lf(&a, data, len, blob, blob_len)) {
		r = step_done(lines_to_lf(data, len, &out), &out, ret, &data, &len);
		if (r < 0)
			return r;
		changed |= r;
	}
	if (a.ident) {
		out = (struct text){ 0 };
		r = step_done(ident_to_store(data, len, &out), &out, ret, &data, &len);
		if (r < 0)
			return r;
		changed |= r;
	}
	return changed;
}
