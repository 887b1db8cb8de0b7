/* Help, manual and completions say the same: the table is the witness. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slotctl/command.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

static char *load(const char *name)
{
	_cleanup_(freep) char *path = text_printf("%s/%s", SOURCE_ROOT, name);
	char *text = NULL;

	cr_assert(eq(int, fs_read_file_at(AT_FDCWD, path, 1 << 20, &text, NULL), 0), "%s", path);
	return text;
}

/* the manual's section under "## COMMAND ...", up to the next heading; NULL: there is none */
static char *find_section(const char *manual, const struct command *c)
{
	_cleanup_(freep) char *heading =
		text_printf("\n## %s%s%s\n", c->name, *c->operands ? " " : "", c->operands);
	const char *from = strstr(manual, heading), *to;

	if (!from)
		return NULL;
	from += strlen(heading);
	to = strstr(from, "\n#");
	return to ? strndup(from, (size_t)(to - from)) : strdup(from);
}

static bool explains(const char *text, const struct option *o)
{
	_cleanup_(freep) char *value = o->value ? text_printf(" _%s_", o->value) : strdup("");
	_cleanup_(freep) char *letter = o->letter ? text_printf("*-%c*, ", o->letter) : strdup("");
	_cleanup_(freep) char *line = text_printf("\n%s*--%s*%s\n\t", letter, o->name, value);

	return strstr(text, line) != NULL;
}

static void expect_explained(const char *where, const char *text, const struct option *table)
{
	for (const struct option *o = table; o && o->name; o++)
		cr_expect(explains(text, o), "%s: --%s is not explained", where, o->name);
}

Test(manual, explains_every_command_with_its_operands_and_options)
{
	_cleanup_(freep) char *manual = load("src/slotctl/slotctl.1.scd");

	for (const struct command *c = command_next(NULL); c; c = command_next(c)) {
		_cleanup_(freep) char *section = find_section(manual, c);
		bool runs = strcmp(c->name, "run") == 0; /* says "the options of acquire" */

		cr_expect(section != NULL, "%s is missing", c->name);
		for (size_t i = 0; section && i < ARRAY_SIZE(c->options); i++)
			if (!runs || i > 0)
				expect_explained(c->name, section, c->options[i]);
	}
	expect_explained("global", manual, global_options);
}

Test(manual, explains_no_command_that_is_not_there)
{
	_cleanup_(freep) char *manual = load("src/slotctl/slotctl.1.scd");

	for (const char *p = manual; (p = strstr(p, "\n## ")); p++) {
		size_t len = strcspn(p + 4, "[\n");
		bool known = false;

		for (const struct command *c = command_next(NULL); c; c = command_next(c))
			known = known || (strncmp(p + 4, c->name, strlen(c->name)) == 0 &&
					  !islower((unsigned char)p[4 + strlen(c->name)]));
		cr_expect(known, "%.*s", (int)len, p + 4);
	}
}

/* is there a command with that option? */
static bool is_known_option(const char *name, size_t len)
{
	if (option_find(global_options, name, len))
		return true;
	for (const struct command *c = command_next(NULL); c; c = command_next(c))
		if (command_find_option(c, name, len))
			return true;
	return false;
}

static void expect_only_known_options(const char *file, const char *before)
{
	_cleanup_(freep) char *text = load(file);

	for (const char *p = text; (p = strstr(p, before)); p++) {
		const char *name = p + strlen(before);
		size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz-");

		if (len > 0 && name[0] != '-')
			cr_expect(is_known_option(name, len), "%s: --%.*s", file, (int)len, name);
	}
}

Test(manual, and_completions_name_no_option_that_is_not_there)
{
	expect_only_known_options("src/slotctl/slotctl.1.scd", "*--");
	expect_only_known_options("contrib/completions/slotctl.fish", " -l ");
	expect_only_known_options("contrib/completions/_slotctl", "'--");
}

static bool has_word(const char *text, const char *word, size_t len)
{
	for (const char *p = text; (p = strstr(p, word)); p++)
		if ((p == text || !isalnum((unsigned char)p[-1])) &&
		    !isalnum((unsigned char)p[len]) && p[len] != '-')
			return true;
	return false;
}

static void expect_complete(const char *file, const char *dashes)
{
	_cleanup_(freep) char *text = load(file);

	for (const struct command *c = command_next(NULL); c; c = command_next(c)) {
		const char *space = strchr(c->name, ' ');
		const char *last = space ? space + 1 : c->name;

		cr_expect(has_word(text, last, strlen(last)), "%s: %s", file, c->name);
		for (size_t i = 0; i < ARRAY_SIZE(c->options); i++) {
			for (const struct option *o = c->options[i]; o && o->name; o++) {
				_cleanup_(freep) char *name = text_printf("%s%s", dashes, o->name);

				cr_expect(has_word(text, name, strlen(name)), "%s: %s --%s", file,
					  c->name, o->name);
			}
		}
	}
}

Test(manual, completions_know_every_command_and_option)
{
	expect_complete("contrib/completions/slotctl.bash", "--");
	expect_complete("contrib/completions/_slotctl", "--");
	expect_complete("contrib/completions/slotctl.fish", "-l ");
}

Test(manual, names_every_exit_status)
{
	_cleanup_(freep) char *manual = load("src/slotctl/slotctl.1.scd");
	const char *section = strstr(manual, "# EXIT STATUS");

	cr_assert(section != NULL);
	for (int status = EXIT_STATUS_DONE; status <= EXIT_STATUS_DENIED; status++) {
		_cleanup_(freep) char *row = text_printf("%c  %d\n:", status ? '|' : '[', status);
		_cleanup_(freep) char *first = text_printf("[[ %d\n", status);

		cr_expect(strstr(section, status ? row : first) != NULL, "%d", status);
	}
}

Test(manual, commands_do_not_shadow_each_others_options)
{
	for (const struct command *c = command_next(NULL); c; c = command_next(c)) {
		for (size_t i = 0; i < ARRAY_SIZE(c->options); i++) {
			for (const struct option *o = c->options[i]; o && o->name; o++) {
				bool flag = o->kind == OPTION_FLAG || o->kind == OPTION_OFF;

				cr_expect(option_find(global_options, o->name, strlen(o->name)) ==
						  NULL,
					  "%s --%s", c->name, o->name);
				cr_expect(flag == (o->value == NULL), "%s --%s", c->name, o->name);
			}
		}
	}
}
