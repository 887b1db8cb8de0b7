/**
 * DOC: help - what the tables say, for people; to standard output
 */
#ifndef SLOTCTL_HELP_H
#define SLOTCTL_HELP_H

#include "slotctl/command.h"

void help_print_all(void);
void help_print_command(const struct command *c);

/* the commands that begin with this word */
void help_print_family(const char *first);

#endif
