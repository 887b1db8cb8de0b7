/**
 * DOC: command - the tables of commands, one a group
 *
 * A row says all there is to say about a command: parsing, help, completions and
 * the check of the manual read it.
 */
#ifndef SLOTCTL_COMMAND_H
#define SLOTCTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "slotctl/exit.h"
#include "slotctl/option.h"

struct cli;

enum command_group {
	COMMAND_GROUP_AGENTS,
	COMMAND_GROUP_OPERATORS,
	COMMAND_GROUP_DIAGNOSIS,
	COMMAND_GROUPS,
};

typedef enum exit_status (*command_fn)(struct cli *cli);

struct command {
	const char *name; /* one word, or two: "pool add" */
	enum command_group group;
	command_fn run;
	const char *operands; /* as help shows them */
	size_t min_operands, max_operands;
	bool takes_rest;		 /* what follows "--" is not an operand but a command */
	const char *summary;		 /* without a full stop; fits beside the name */
	const char *description;	 /* sentences */
	const struct option *options[3]; /* tables; NULL behind the last */
};

extern const struct option global_options[];

const char *command_group_title(enum command_group group);

/* all commands, group by group: the one behind @c, the first for NULL; NULL behind the last */
const struct command *command_next(const struct command *c);

/**
 * command_find - by one word, or by two
 * @second: NULL: the command of just one word
 */
const struct command *command_find(const char *first, const char *second);

/* are there commands of two words that begin with this one? */
bool command_is_family(const char *first);

/**
 * command_nearest - what was probably meant
 * @first: NULL: @word is a first word; else the second one behind it
 *
 * A word of the table, or NULL. Lives until the next call.
 */
const char *command_nearest(const char *first, const char *word);

/* in the command's tables and the global one; @c may be NULL */
const struct option *command_find_option(const struct command *c, const char *name, size_t len);
const struct option *command_find_letter(const struct command *c, char letter);
const char *command_nearest_option(const struct command *c, const char *name);

#endif
