/* Help is written by the tables. */
#include <stdio.h>
#include <string.h>

#include "slotctl/cli.h"
#include "slotctl/help.h"
#include "slotctl/out.h"
#include "util/cleanup.h"
#include "util/text.h"

#define WIDTH	     80
#define NAME_WIDTH   30 /* of commands */
#define OPTION_WIDTH 19

/* fills lines up to WIDTH; the first one begins at column @at */
static void print_wrapped(const char *s, size_t at, size_t indent)
{
	size_t column = at;

	while (*s) {
		size_t len = strcspn(s, " ");

		if (column > indent && column + 1 + len > WIDTH) {
			printf("\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			putchar(' ');
			column++;
		}
		printf("%.*s", (int)len, s);
		column += len;
		s += len;
		s += *s == ' ';
	}
	putchar('\n');
}

/* a name and what it means, side by side */
static void print_entry(const char *name, const char *text, size_t width)
{
	size_t len = strlen(name);

	printf("  %s", name);
	if (len + 2 > width)
		printf("\n%*s", (int)width + 2, "");
	else
		printf("%*s", (int)(width - len), "");
	print_wrapped(text, width + 2, width + 2);
}

static void print_options(const struct option *table)
{
	for (const struct option *o = table; o && o->name; o++) {
		char name[64], letter[8] = "";

		if (o->letter)
			snprintf(letter, sizeof(letter), "-%c, ", o->letter);
		snprintf(name, sizeof(name), "%s--%s%s%s", letter, o->name, o->value ? " " : "",
			 o->value ? o->value : "");
		print_entry(name, o->help, OPTION_WIDTH);
	}
}

static void print_command_line(const struct command *c)
{
	char name[64];

	snprintf(name, sizeof(name), "%s%s%s", c->name, *c->operands ? " " : "", c->operands);
	print_entry(name, c->summary, NAME_WIDTH);
}

void help_print_all(void)
{
	printf("Usage: slotctl [OPTION...] COMMAND\n\n"
	       "Leases ready git worktrees (\"slots\") from slotd, and looks after them.\n");
	for (int group = 0; group < COMMAND_GROUPS; group++) {
		printf("\n%s:\n", command_group_title((enum command_group)group));
		for (const struct command *c = command_next(NULL); c; c = command_next(c))
			if ((int)c->group == group)
				print_command_line(c);
	}
	printf("\nOptions of all commands:\n");
	print_options(global_options);
	printf("\nDUR is 90s, 5m, 2h, 14d or combined; a bare number is seconds.\n"
	       "Exit status: 0 done, 1 failed, 2 usage, 3 nothing free, 4 no such thing,\n"
	       "5 lease gone, 6 no daemon, 7 findings, 8 not permitted.\n\n"
	       "slotctl help COMMAND explains a command, man slotctl all of them.\n");
}

void help_print_command(const struct command *c)
{
	bool any = false;

	for (size_t i = 0; i < ARRAY_SIZE(c->options); i++)
		any = any || c->options[i];
	printf("Usage: slotctl %s%s%s%s\n\n", c->name, any ? " [OPTION...]" : "",
	       *c->operands ? " " : "", c->operands);
	print_wrapped(c->description, 0, 0);
	if (any)
		printf("\nOptions:\n");
	for (size_t i = 0; i < ARRAY_SIZE(c->options); i++)
		print_options(c->options[i]);
	printf("\nslotctl help shows the options of all commands.\n");
}

void help_print_family(const char *first)
{
	const struct command *alone = command_find(first, NULL);
	size_t len = strlen(first);

	printf(alone ? "Usage: slotctl %s [COMMAND]\n\n" : "Usage: slotctl %s COMMAND\n\n", first);
	for (const struct command *c = command_next(NULL); c; c = command_next(c))
		if (strncmp(c->name, first, len) == 0 && (c->name[len] == ' ' || !c->name[len]))
			print_command_line(c);
	printf("\nslotctl help %s COMMAND explains a command.\n", first);
}

static enum exit_status fail_unknown(struct cli *cli, const char *first, const char *second)
{
	bool known = second && command_is_family(first);
	const char *near = known ? command_nearest(first, second) : command_nearest(NULL, first);
	const char *space = second ? " " : "", *rest = second ? second : "";

	if (near)
		return cli_fail(cli, EXIT_STATUS_USAGE,
				"there is no command '%s%s%s'; did you mean '%s%s%s'?", first,
				space, rest, known ? first : "", known ? " " : "", near);
	return cli_fail(cli, EXIT_STATUS_USAGE, "there is no command '%s%s%s'; see 'slotctl help'",
			first, space, rest);
}

enum exit_status cmd_help(struct cli *cli)
{
	const char *first = cli_word(cli, 0), *second = cli_word(cli, 1);
	const struct command *c = first ? command_find(first, second) : NULL;

	if (!first)
		help_print_all();
	else if (c && (second || !command_is_family(first)))
		help_print_command(c);
	else if (!second && command_is_family(first))
		help_print_family(first);
	else
		return fail_unknown(cli, first, second);
	return EXIT_STATUS_DONE;
}
