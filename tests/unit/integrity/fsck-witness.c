/* Two who look at the same. */
#include "fsck-witness.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "git-fixture.h"
#include "util/text.h"

#define MAX_SAID 64

/* who says what of one object: lines, sorted by insertion, each once */
struct said {
	char *lines[MAX_SAID];
	size_t n;
};

struct object {
	git_object_t type;
	git_oid oid;
	char *data;
	size_t len;
	struct said ours, gits;
	bool is_unparsable; /* git says so */
	char *text;	    /* ours, joined */
};

static struct object *objects;
static size_t n_objects, objects_size;
static git_odb *odb;

void witness_init(void)
{
	fixture_init();
	cr_assert(sh("git init -q r"));
	cr_assert_eq(git_odb_open(&odb, in_dir("r/.git/objects")), 0);
}

static void said_clear(struct said *s)
{
	while (s->n > 0)
		free(s->lines[--s->n]);
}

void witness_deinit(void)
{
	for (size_t i = 0; i < n_objects; i++) {
		said_clear(&objects[i].ours);
		said_clear(&objects[i].gits);
		free(objects[i].data);
		free(objects[i].text);
	}
	free(objects);
	git_odb_free(odb);
	fixture_deinit();
}

static void say(struct said *s, const char *line)
{
	size_t at = 0;

	while (at < s->n && strcmp(s->lines[at], line) < 0)
		at++;
	if (at < s->n && strcmp(s->lines[at], line) == 0)
		return;
	cr_assert(s->n < MAX_SAID);
	memmove(s->lines + at + 1, s->lines + at, (s->n - at) * sizeof(*s->lines));
	s->lines[at] = strdup(line);
	s->n++;
}

static struct object *find(const unsigned char *oid)
{
	for (size_t i = 0; i < n_objects; i++)
		if (memcmp(objects[i].oid.id, oid, GIT_OID_RAWSZ) == 0)
			return &objects[i];
	return NULL;
}

static struct object *new_object(git_object_t type, const git_oid *oid)
{
	struct object *o;

	if (n_objects == objects_size) {
		objects_size = objects_size ? objects_size * 2 : 64;
		objects = reallocarray(objects, objects_size, sizeof(*objects));
		cr_assert(objects != NULL);
	}
	o = &objects[n_objects++];
	*o = (struct object){ .type = type, .oid = *oid };
	return o;
}

size_t witness_add(git_object_t type, const void *data, size_t len)
{
	struct object *o;
	git_oid oid;

	cr_assert_eq(git_odb_write(&oid, odb, data, len, type), 0);
	o = find(oid.id);
	if (!o) {
		o = new_object(type, &oid);
		o->data = malloc(len ? len : 1); /* exactly as long, for the address sanitizer */
		if (len)
			memcpy(o->data, data, len);
		o->len = len;
	}
	return (size_t)(o - objects);
}

size_t witness_add_text(git_object_t type, const char *text)
{
	return witness_add(type, text, strlen(text));
}

const char *witness_hex(size_t i)
{
	return fixture_keep(strdup(git_oid_tostr_s(&objects[i].oid)));
}

size_t witness_count(void)
{
	return n_objects;
}

struct check {
	const struct fsck_rules *rules;
	git_oid oid; /* that is looked at */
	struct content_sink special;
};

/* git tells of what it does not have, too */
static struct object *find_or_note(const git_oid *oid)
{
	struct object *o = find(oid->id);

	return o ? o : new_object(GIT_OBJECT_INVALID, oid);
}

static int on_problem(const char *id, enum finding_severity severity, const char *detail, void *userdata)
{
	struct check *c = userdata;
	char line[64];

	cr_expect(detail != NULL && detail[0] != '\0');
	snprintf(line, sizeof(line), "%s %s", severity == FINDING_ERROR ? "error" : "warning", id);
	say(&find_or_note(&c->oid)->ours, line);
	return 0;
}

static int on_special(enum content_special what, const unsigned char *oid, void *userdata)
{
	struct check *c = userdata, special = *c;
	const struct object *o = find(oid);
	struct content_sink sink = { .on_problem = on_problem, .userdata = &special };

	memcpy(special.oid.id, oid, GIT_OID_RAWSZ);
	if (!o || o->type != GIT_OBJECT_BLOB)
		return content_tell_special(c->rules, what, &special.oid, !o || o->type == GIT_OBJECT_INVALID,
					    &sink);
	return content_check_special(c->rules, what, &special.oid, o->data, o->len, &sink);
}

static void check_all(const struct fsck_rules *rules)
{
	size_t n = n_objects; /* those that are only noted come behind */

	for (size_t i = 0; i < n; i++) {
		struct check c = { .rules = rules, .oid = objects[i].oid };
		struct content_sink sink = { .on_problem = on_problem, .on_special = on_special,
					     .userdata = &c };

		cr_assert_eq(content_check(rules, objects[i].type, &c.oid, objects[i].data,
					   objects[i].len, &sink), 0);
	}
}

/* "error in tree <name>: badTree: ...", "error: <name>: object could not be parsed: ..." */
static void read_line_of_git(const char *line)
{
	char severity[16], type[16], hex[48], id[64], text[96];
	git_oid oid;

	if (sscanf(line, "%15s in %15s %40[0-9a-f]: %63[a-zA-Z0-9]:", severity, type, hex, id) == 4 &&
	    strstr(line, text_has_prefix(line, "error") ? "error in " : "warning in ") == line) {
		snprintf(text, sizeof(text), ": %s:", id);
		if (!strstr(line, text) || git_oid_fromstr(&oid, hex) < 0)
			return;
		snprintf(text, sizeof(text), "%s %s", severity, id);
		say(&find_or_note(&oid)->gits, text);
	} else if (sscanf(line, "error: %40[0-9a-f]: object could not be parsed", hex) == 1 &&
		   strlen(hex) == GIT_OID_HEXSZ && strstr(line, "could not be parsed")) {
		cr_assert_eq(git_oid_fromstr(&oid, hex), 0);
		find_or_note(&oid)->is_unparsable = true;
	}
}

static void ask_git(const char *config, const char *options)
{
	char *line = NULL;
	size_t size = 0;
	FILE *in;

	cr_assert(sh("git -C r %s fsck --full --no-progress --no-dangling %s > said 2>&1; test $? -lt 128", config,
		     options), "%s", sh_text("cat said"));
	in = fopen(in_dir("said"), "re");
	cr_assert(in != NULL);
	while (getline(&line, &size, in) > 0)
		read_line_of_git(line);
	free(line);
	fclose(in);
}

static char *joined(const struct said *s)
{
	struct text t = { 0 };

	for (size_t i = 0; i < s->n; i++)
		text_addf(&t, "%s\n", s->lines[i]);
	return text_take(&t);
}

const char *witness_ours(size_t i)
{
	return objects[i].text;
}

bool witness_has(const char *lines, const char *id)
{
	char *line = text_printf(" %s\n", id);
	bool is_there = strstr(lines, line);

	free(line);
	return is_there;
}

static struct fsck_rules *load_rules(void)
{
	struct findings *all = findings_new();
	struct fault f = FAULT_NONE;
	struct fsck_rules *rules;
	int fd = open(in_dir("r/.git"), O_PATH | O_DIRECTORY | O_CLOEXEC);

	cr_assert(fd >= 0);
	cr_assert_eq(fsck_rules_load(fd, all, &rules, &f), 0, "%s", f.text);
	cr_expect(eq(sz, findings_count(all, FINDING_ERROR), 0));
	findings_free(all);
	close(fd);
	return rules;
}

static bool is_overlooked_by_git(const struct object *o)
{
	return o->type == GIT_OBJECT_BLOB && o->len > 0 &&
	       (memchr(o->data, 0xff, o->len) || (unsigned char)o->data[0] == 0xef);
}

static void expect_all_of_git(const struct object *o)
{
	for (size_t i = 0; i < o->gits.n; i++)
		cr_expect(strstr(o->text, o->gits.lines[i]) != NULL, "of %s git says %s",
			  git_oid_tostr_s(&o->oid), o->gits.lines[i]);
}

static void compare(struct object *o)
{
	char *gits = joined(&o->gits), *hex = git_oid_tostr_s(&o->oid);

	free(o->text);
	o->text = joined(&o->ours);
	if (o->is_unparsable) {
		cr_expect(strstr(o->text, "error ") != NULL, "git cannot parse %s, we say <%s> of\n%.*s", hex, o->text,
			  (int)o->len, o->data);
		cr_expect_str_eq(gits, "", "of %s git says more: %s", hex, gits);
	} else if (is_overlooked_by_git(o)) {
		expect_all_of_git(o);
	} else {
		cr_expect_str_eq(o->text, gits, "of %s we say\n%sgit says\n%sof\n%.*s", hex, o->text, gits,
				 (int)o->len, o->data);
	}
	free(gits);
}

void witness_compare(const char *config, const char *options)
{
	struct fsck_rules *rules = load_rules();

	for (size_t i = 0; i < n_objects; i++) {
		said_clear(&objects[i].ours);
		said_clear(&objects[i].gits);
		objects[i].is_unparsable = false;
	}
	check_all(rules);
	ask_git(config, options);
	for (size_t i = 0; i < n_objects; i++)
		compare(&objects[i]);
	fsck_rules_free(rules);
}
