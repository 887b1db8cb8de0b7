/**
 * DOC: out - what a person reads: tables, colours, times
 *
 * Text that comes from elsewhere (an agent's message, a path) is shown with its
 * control characters escaped, so that nobody can play with the terminal.
 */
#ifndef SLOTCTL_OUT_H
#define SLOTCTL_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <json-c/json.h>

enum out_color { OUT_PLAIN, OUT_BOLD, OUT_DIM, OUT_GREEN, OUT_YELLOW, OUT_RED };

/* character set from the locale, UTF-8 where it names none */
void out_init(void);

/* does this stream take more than plain lines? a terminal whose TERM is neither dumb nor unset;
 * who writes codes of any kind asks this or the next one */
bool out_takes_codes(FILE *to);

/* may it be coloured? it takes codes, and there is no NO_COLOR */
bool out_is_colored(FILE *to);

/* empties the line that was begun, where out_takes_codes() */
void out_rewrite_line(FILE *to);

/* columns that a string takes on a terminal */
size_t out_width(const char *s);

/* a copy without control characters or bytes that are not UTF-8; "-" for NULL and "" */
char *out_clean(const char *s);

/* printf of one line, made clean, with a colour where there are colours */
__attribute__((format(printf, 3, 4))) void out_line(FILE *to, enum out_color color, const char *fmt,
						    ...);

/* a string of a reply; "-" when it is not there; borrowed */
const char *out_field(json_object *o, const char *key);

#define TABLE_COLUMNS 16

struct table {
	size_t n_columns;
	const char *titles[TABLE_COLUMNS];
	bool right[TABLE_COLUMNS]; /* aligned to the right: numbers */
	struct table_cell {
		char *text; /* clean */
		enum out_color color;
	} * cells; /* row by row */
	size_t n_cells, size;
};

/**
 * table_init - a table with these columns
 * @titles: separated by blanks; a '>' before one aligns its column to the right;
 *	borrowed
 */
void table_init(struct table *t, const char *titles);
void table_deinit(struct table *t);

/* the next cell, row by row; memory running out aborts, as it does in json-c's setters */
void table_add(struct table *t, const char *text);
void table_add_colored(struct table *t, const char *text, enum out_color color);
void table_add_int(struct table *t, int64_t n);

/* a head line and the rows; nothing at all when there are no rows */
void table_print(const struct table *t, FILE *to);

/* "3 min ago" / "in 3 min"; "-" for a time that is not there (negative) */
char *out_ago(int64_t at_usec);
char *out_until(int64_t at_usec);

/* local time, to the second */
char *out_time(int64_t at_usec);

/* the colour of a slot's or pool's state */
enum out_color out_state_color(const char *state);

#endif
