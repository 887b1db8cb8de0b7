/* From the text of an interface to its members: one function for each rule of the grammar. */
#include "rpc/idl-private.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/text.h"

#define MAX_NESTING 32 /* of type expressions; ours need four */

struct parser {
	const char *at;
	const char *line_start;
	unsigned line;
	unsigned nesting;
	struct fault *f;
};

/* --- what a parse leaves, and how it goes away --- */

static void type_free(struct idl_type *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_fields; i++) {
		free(t->fields[i].name);
		type_free(t->fields[i].type);
	}
	free(t->fields);
	type_free(t->inner);
	free(t->name);
	free(t);
}

void idl_free(struct idl *idl)
{
	if (!idl)
		return;
	for (size_t i = 0; i < idl->n_members; i++) {
		free(idl->members[i].name);
		type_free(idl->members[i].type);
		type_free(idl->members[i].reply);
	}
	free(idl->members);
	free(idl->name);
	free(idl->text);
	free(idl);
}

static void idl_freep(struct idl **idl)
{
	idl_free(*idl);
}

static void type_freep(struct idl_type **t)
{
	type_free(*t);
}

/* one zeroed element more at the end of an array; NULL: no memory */
static void *append(void *array, size_t *n, size_t size)
{
	char **data = array;
	char *grown = reallocarray(*data, *n + 1, size);

	if (!grown)
		return NULL;
	*data = grown;
	return memset(grown + size * (*n)++, 0, size);
}

/* --- words --- */

__attribute__((format(printf, 4, 5))) static int refuse_at(struct parser *p, unsigned line,
							   unsigned column, const char *fmt, ...)
{
	char what[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return fault(p->f, -EINVAL, "%u:%u: %s", line, column, what);
}

static unsigned column_of(const struct parser *p)
{
	return (unsigned)(p->at - p->line_start) + 1;
}

#define REFUSE(p, ...) refuse_at(p, (p)->line, column_of(p), __VA_ARGS__)

/* the name that was just taken has been seen before */
static int refuse_twice(struct parser *p, const char *what, const char *name)
{
	return refuse_at(p, p->line, column_of(p) - (unsigned)strlen(name),
			 "the %s '%.60s' is there twice", what, name);
}

static void skip_space(struct parser *p)
{
	for (; *p->at; p->at++) {
		if (*p->at == '#')
			p->at += strcspn(p->at, "\n");
		if (*p->at == '\n') {
			p->line++;
			p->line_start = p->at + 1;
		} else if (!isspace((unsigned char)*p->at)) {
			return;
		}
	}
}

/* takes the sign if it comes next */
static bool take(struct parser *p, const char *sign)
{
	skip_space(p);
	if (!text_has_prefix(p->at, sign))
		return false;
	p->at += strlen(sign);
	return true;
}

static int expect(struct parser *p, const char *sign, const char *where)
{
	if (take(p, sign))
		return 0;
	return REFUSE(p, "expected '%s' %s", sign, where);
}

static bool is_word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* the word that comes next, whole or not at all */
static bool take_word(struct parser *p, const char *word)
{
	size_t len = strlen(word);

	skip_space(p);
	if (strncmp(p->at, word, len) != 0 || is_word_char(p->at[len]))
		return false;
	p->at += len;
	return true;
}

static int copy_word(struct parser *p, size_t len, char **ret)
{
	char *word = strndup(p->at, len);

	if (!word)
		return fault_oom(p->f);
	p->at += len;
	*ret = word;
	return 0;
}

/* [A-Z][A-Za-z0-9]* */
static int parse_member_name(struct parser *p, char **ret)
{
	size_t len = 0;

	skip_space(p);
	while (isalnum((unsigned char)p->at[len]))
		len++;
	if (!isupper((unsigned char)p->at[0]) || p->at[len] == '_')
		return REFUSE(p, "expected a name that begins with a capital letter");
	return copy_word(p, len, ret);
}

/* [A-Za-z](_?[A-Za-z0-9])* */
static int parse_field_name(struct parser *p, char **ret)
{
	size_t len = 0;

	skip_space(p);
	while (is_word_char(p->at[len]) && !(p->at[len] == '_' && p->at[len + 1] == '_'))
		len++;
	if (!isalpha((unsigned char)p->at[0]) || p->at[len] == '_' || p->at[len - 1] == '_')
		return REFUSE(p, "expected the name of a field");
	return copy_word(p, len, ret);
}

/* reverse-domain: words of letters, digits and inner dashes, two or more, joined by dots */
static bool is_interface_name(const char *s, size_t len)
{
	size_t dots = 0;

	if (len == 0 || !isalpha((unsigned char)s[0]) || !isalnum((unsigned char)s[len - 1]))
		return false;
	for (size_t i = 1; i < len; i++) {
		if (s[i] == '.')
			dots++;
		if (s[i] == '.' && !isalnum((unsigned char)s[i - 1]))
			return false;
		if (s[i] == '-' && s[i - 1] == '.')
			return false;
	}
	return dots > 0;
}

static int parse_interface_name(struct parser *p, char **ret)
{
	size_t len = 0;

	if (!take_word(p, "interface"))
		return REFUSE(p, "expected 'interface'");
	skip_space(p);
	while (isalnum((unsigned char)p->at[len]) || p->at[len] == '.' || p->at[len] == '-')
		len++;
	if (!is_interface_name(p->at, len))
		return REFUSE(p, "expected the name of an interface, such as org.example.thing");
	return copy_word(p, len, ret);
}

/* --- types --- */

static int parse_type(struct parser *p, struct idl_type **ret);

/* "name" in an enum, "name: type" in a struct; the first field decides which it is */
static int parse_field(struct parser *p, struct idl_type *t)
{
	_cleanup_(freep) char *name = NULL;
	_cleanup_(type_freep) struct idl_type *type = NULL;
	struct idl_field *field;
	bool is_first = t->n_fields == 0;
	int r = parse_field_name(p, &name);

	if (r < 0)
		return r;
	for (size_t i = 0; i < t->n_fields; i++)
		if (strcmp(t->fields[i].name, name) == 0)
			return refuse_twice(p, "field", name);

	if (!take(p, ":")) {
		if (!is_first && t->kind == IDL_KIND_STRUCT)
			return REFUSE(p, "expected ':' and a type after '%.60s'", name);
		t->kind = IDL_KIND_ENUM;
	} else {
		if (t->kind == IDL_KIND_ENUM)
			return REFUSE(p, "a type behind '%.60s' in an enum", name);
		r = parse_type(p, &type);
		if (r < 0)
			return r;
	}

	field = append(&t->fields, &t->n_fields, sizeof(*field));
	if (!field)
		return fault_oom(p->f);
	field->name = TAKE(name);
	field->type = TAKE(type);
	return 0;
}

/* what follows "(" */
static int parse_fields(struct parser *p, struct idl_type *t)
{
	int r;

	t->kind = IDL_KIND_STRUCT;
	if (take(p, ")"))
		return 0;
	do {
		r = parse_field(p, t);
		if (r < 0)
			return r;
	} while (take(p, ","));
	return expect(p, ")", "or ',' after a field");
}

static const struct {
	const char *word;
	enum idl_kind kind;
} plain_types[] = {
	{ "bool", IDL_KIND_BOOL },     { "int", IDL_KIND_INT },	      { "float", IDL_KIND_FLOAT },
	{ "string", IDL_KIND_STRING }, { "object", IDL_KIND_OBJECT },
};

static int parse_word_type(struct parser *p, struct idl_type *t)
{
	for (size_t i = 0; i < ARRAY_SIZE(plain_types); i++) {
		if (take_word(p, plain_types[i].word)) {
			t->kind = plain_types[i].kind;
			return 0;
		}
	}
	if (!isupper((unsigned char)*p->at))
		return REFUSE(p, "expected a type");
	t->kind = IDL_KIND_NAMED;
	t->line = p->line;
	t->column = column_of(p);
	return parse_member_name(p, &t->name);
}

static int parse_inner(struct parser *p, struct idl_type *t, enum idl_kind kind)
{
	t->kind = kind;
	skip_space(p);
	if (kind == IDL_KIND_MAYBE && *p->at == '?')
		return REFUSE(p, "'?' twice");
	return parse_type(p, &t->inner);
}

static int parse_type_into(struct parser *p, struct idl_type *t)
{
	if (take(p, "?"))
		return parse_inner(p, t, IDL_KIND_MAYBE);
	if (take(p, "[]"))
		return parse_inner(p, t, IDL_KIND_ARRAY);
	if (take(p, "[string]"))
		return parse_inner(p, t, IDL_KIND_MAP);
	if (take(p, "("))
		return parse_fields(p, t);
	return parse_word_type(p, t);
}

static int parse_type(struct parser *p, struct idl_type **ret)
{
	_cleanup_(type_freep) struct idl_type *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return fault_oom(p->f);
	if (p->nesting == MAX_NESTING)
		return REFUSE(p, "types are nested deeper than %d", MAX_NESTING);
	p->nesting++;
	r = parse_type_into(p, t);
	p->nesting--;
	if (r < 0)
		return r;
	*ret = TAKE(t);
	return 0;
}

static int parse_struct(struct parser *p, struct idl_type **ret)
{
	unsigned line, column;
	int r;

	skip_space(p);
	line = p->line;
	column = column_of(p);
	if (*p->at != '(')
		return REFUSE(p, "expected '('");
	r = parse_type(p, ret);
	if (r == 0 && (*ret)->kind != IDL_KIND_STRUCT)
		return refuse_at(p, line, column, "expected fields with types, not an enum");
	return r;
}

/* --- members --- */

static int parse_member_kind(struct parser *p, enum idl_member_kind *ret)
{
	if (take_word(p, "type"))
		*ret = IDL_MEMBER_TYPE;
	else if (take_word(p, "method"))
		*ret = IDL_MEMBER_METHOD;
	else if (take_word(p, "error"))
		*ret = IDL_MEMBER_ERROR;
	else
		return REFUSE(p, "expected 'type', 'method' or 'error'");
	return 0;
}

static int parse_method(struct parser *p, struct idl_member *m)
{
	int r = parse_struct(p, &m->type);

	if (r == 0)
		r = expect(p, "->", "after the parameters of a method");
	if (r == 0)
		r = parse_struct(p, &m->reply);
	return r;
}

static int parse_member_body(struct parser *p, struct idl_member *m)
{
	if (m->kind == IDL_MEMBER_METHOD)
		return parse_method(p, m);
	if (m->kind == IDL_MEMBER_ERROR)
		return parse_struct(p, &m->type);

	skip_space(p);
	if (*p->at != '(')
		return REFUSE(p, "expected '('");
	return parse_type(p, &m->type);
}

static int parse_member(struct parser *p, struct idl *idl)
{
	_cleanup_(freep) char *name = NULL;
	enum idl_member_kind kind = IDL_MEMBER_TYPE;
	struct idl_member *m;
	int r = parse_member_kind(p, &kind);

	if (r == 0)
		r = parse_member_name(p, &name);
	if (r < 0)
		return r;
	for (size_t i = 0; i < idl->n_members; i++)
		if (strcmp(idl->members[i].name, name) == 0)
			return refuse_twice(p, "name", name);
	m = append(&idl->members, &idl->n_members, sizeof(*m));
	if (!m)
		return fault_oom(p->f);
	m->kind = kind;
	m->name = TAKE(name);
	return parse_member_body(p, m);
}

const struct idl_member *idl_find(const struct idl *idl, enum idl_member_kind kind,
				  const char *name)
{
	for (size_t i = 0; i < idl->n_members; i++) {
		const struct idl_member *m = &idl->members[i];

		if (m->kind == kind && strcmp(m->name, name) == 0)
			return m;
	}
	return NULL;
}

/* a type may be used before its definition, so names are looked up last */
static int resolve(struct parser *p, const struct idl *idl, struct idl_type *t)
{
	const struct idl_member *m;
	int r = 0;

	if (!t)
		return 0;
	if (t->kind == IDL_KIND_NAMED) {
		m = idl_find(idl, IDL_MEMBER_TYPE, t->name);
		if (!m)
			return refuse_at(p, t->line, t->column, "no type '%.60s'", t->name);
		t->target = m->type;
	}
	for (size_t i = 0; i < t->n_fields && r == 0; i++)
		r = resolve(p, idl, t->fields[i].type);
	return r < 0 ? r : resolve(p, idl, t->inner);
}

static int resolve_members(struct parser *p, struct idl *idl)
{
	for (size_t i = 0; i < idl->n_members; i++) {
		int r = resolve(p, idl, idl->members[i].type);

		if (r == 0)
			r = resolve(p, idl, idl->members[i].reply);
		if (r < 0)
			return r;
	}
	return 0;
}

static int parse_interface(struct parser *p, struct idl *idl)
{
	int r = parse_interface_name(p, &idl->name);

	if (r < 0)
		return r;
	for (skip_space(p); *p->at; skip_space(p)) {
		r = parse_member(p, idl);
		if (r < 0)
			return r;
	}
	return resolve_members(p, idl);
}

int idl_parse(const char *text, struct idl **ret, struct fault *f)
{
	_cleanup_(idl_freep) struct idl *idl = calloc(1, sizeof(*idl));
	struct parser p = { .line = 1, .f = f };
	int r;

	if (!idl)
		return fault_oom(f);
	idl->text = strdup(text);
	if (!idl->text)
		return fault_oom(f);
	p.at = p.line_start = idl->text;
	r = parse_interface(&p, idl);
	if (r < 0)
		return r;
	*ret = TAKE(idl);
	return 0;
}

/* --- asking --- */

const char *idl_name(const struct idl *idl)
{
	return idl->name;
}

const char *idl_text(const struct idl *idl)
{
	return idl->text;
}

size_t idl_count_methods(const struct idl *idl)
{
	size_t n = 0;

	for (size_t i = 0; i < idl->n_members; i++)
		n += idl->members[i].kind == IDL_MEMBER_METHOD;
	return n;
}

const char *idl_method_name(const struct idl *idl, size_t i)
{
	for (size_t k = 0; k < idl->n_members; k++)
		if (idl->members[k].kind == IDL_MEMBER_METHOD && i-- == 0)
			return idl->members[k].name;
	return NULL;
}
