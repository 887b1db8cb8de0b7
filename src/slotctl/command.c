/* Finds commands and options, and what was probably meant by a word that is none. */
#include "slotctl/command.h"

#include <string.h>

#include "slotctl/cli.h"
#include "slotctl/command-table.h"
#include "util/cleanup.h"
#include "util/text.h"

const struct option global_options[] = {
	{ "socket", 0, "PATH", OPTION_STRING, NULL, "the daemon that listens there" },
	{ "system", 0, NULL, OPTION_FLAG, NULL, "the system's daemon" },
	{ "user", 0, NULL, OPTION_FLAG, NULL, "the user's own daemon" },
	{ "json", 0, NULL, OPTION_FLAG, NULL, "print JSON for programs" },
	{ "timeout", 0, "DUR", OPTION_DURATION, NULL,
	  "give up when slotd has not answered for so long" },
	{ "quiet", 'q', NULL, OPTION_FLAG, NULL, "say nothing but errors and what was asked for" },
	{ "verbose", 'v', NULL, OPTION_FLAG, NULL, "say more" },
	{ "help", 'h', NULL, OPTION_FLAG, NULL, "show help and end" },
	{ "version", 0, NULL, OPTION_FLAG, NULL, "show the version and end" },
	END,
};

const struct option discard_option[] = {
	{ "discard", 0, NULL, OPTION_FLAG, "discard", "throw away what is not saved" },
	END,
};

const char *command_group_title(enum command_group group)
{
	static const char *const titles[COMMAND_GROUPS] = { "Agents", "Operators", "Diagnosis" };

	return titles[group];
}

const struct command *command_next(const struct command *c)
{
	static const struct command *const tables[COMMAND_GROUPS] = {
		[COMMAND_GROUP_AGENTS] = agents_commands,
		[COMMAND_GROUP_OPERATORS] = operators_commands,
		[COMMAND_GROUP_DIAGNOSIS] = diagnosis_commands,
	};

	if (c && c[1].name)
		return c + 1;
	if (c && c->group + 1 == COMMAND_GROUPS)
		return NULL;
	return tables[c ? c->group + 1 : 0];
}

/* is the name "first second", or "first" when second is NULL? */
static bool name_is(const char *name, const char *first, const char *second)
{
	size_t len = strlen(first);

	if (strncmp(name, first, len) != 0)
		return false;
	return second ? name[len] == ' ' && strcmp(name + len + 1, second) == 0 : name[len] == '\0';
}

const struct command *command_find(const char *first, const char *second)
{
	for (const struct command *c = command_next(NULL); c; c = command_next(c))
		if (name_is(c->name, first, second))
			return c;
	return NULL;
}

bool command_is_family(const char *first)
{
	size_t len = strlen(first);

	for (const struct command *c = command_next(NULL); c; c = command_next(c))
		if (strncmp(c->name, first, len) == 0 && c->name[len] == ' ')
			return true;
	return false;
}

#define MAX_CANDIDATES 64

const char *command_nearest(const char *first, const char *word)
{
	static char words[MAX_CANDIDATES][32];
	const char *candidates[MAX_CANDIDATES];
	size_t n = 0;

	for (const struct command *c = command_next(NULL); c && n < MAX_CANDIDATES;
	     c = command_next(c)) {
		const char *space = strchr(c->name, ' '), *from = c->name;
		size_t len = space ? (size_t)(space - c->name) : strlen(c->name);

		if (first) {
			if (!space || strncmp(c->name, first, len) != 0 || first[len])
				continue;
			from = space + 1;
			len = strlen(from);
		}
		if (len >= sizeof(words[0]))
			continue;
		memcpy(words[n], from, len);
		words[n][len] = '\0';
		candidates[n] = words[n];
		n++;
	}
	return text_nearest(word, candidates, n);
}

const struct option *command_find_option(const struct command *c, const char *name, size_t len)
{
	const struct option *o = option_find(global_options, name, len);

	for (size_t i = 0; !o && c && i < ARRAY_SIZE(c->options); i++)
		o = option_find(c->options[i], name, len);
	return o;
}

const struct option *command_find_letter(const struct command *c, char letter)
{
	const struct option *o = option_find_letter(global_options, letter);

	for (size_t i = 0; !o && c && i < ARRAY_SIZE(c->options); i++)
		o = option_find_letter(c->options[i], letter);
	return o;
}

static size_t collect_names(const struct option *table, const char **ret, size_t n)
{
	for (const struct option *o = table; o && o->name && n < MAX_CANDIDATES; o++)
		ret[n++] = o->name;
	return n;
}

const char *command_nearest_option(const struct command *c, const char *name)
{
	const char *candidates[MAX_CANDIDATES];
	size_t n = collect_names(global_options, candidates, 0);

	for (size_t i = 0; c && i < ARRAY_SIZE(c->options); i++)
		n = collect_names(c->options[i], candidates, n);
	return text_nearest(name, candidates, n);
}
