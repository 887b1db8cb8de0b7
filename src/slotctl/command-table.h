/**
 * DOC: command-table - the commands of each group, as help shows them
 *
 * Only for command.c and the tables themselves; others go by command_next().
 */
#ifndef SLOTCTL_COMMAND_TABLE_H
#define SLOTCTL_COMMAND_TABLE_H

#include "slotctl/cli.h"
#include "slotctl/command.h"

/* the last row of a table, of commands or options */
#define END                  \
	{                    \
		.name = NULL \
	}

extern const struct command agents_commands[];
extern const struct command operators_commands[];
extern const struct command diagnosis_commands[];

extern const struct option discard_option[]; /* of those who give something away */

#endif
