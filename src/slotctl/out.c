/* Columns that line up, whatever is written in them. */
#include "slotctl/out.h"

#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "util/cleanup.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/parse.h"
#include "util/text.h"

static const char *const escapes[] = {
	[OUT_PLAIN] = "",	  [OUT_BOLD] = "\033[1m",    [OUT_DIM] = "\033[2m",
	[OUT_GREEN] = "\033[32m", [OUT_YELLOW] = "\033[33m", [OUT_RED] = "\033[31m",
};

void out_init(void)
{
	if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		setlocale(LC_CTYPE, "C.UTF-8");
}

/* a terminal that does not say what it is may be as dumb as one that says so */
bool out_takes_codes(FILE *to)
{
	const char *term = getenv("TERM");

	return isatty(fileno(to)) && term && *term && strcmp(term, "dumb") != 0;
}

bool out_is_colored(FILE *to)
{
	const char *no = getenv("NO_COLOR");

	return out_takes_codes(to) && !(no && *no);
}

void out_rewrite_line(FILE *to)
{
	if (out_takes_codes(to))
		fputs("\r\033[K", to);
}

static void *checked(void *p)
{
	if (!p)
		abort();
	return p;
}

size_t out_width(const char *s)
{
	mbstate_t state = { 0 };
	size_t width = 0;

	while (*s) {
		wchar_t c;
		size_t n = mbrtowc(&c, s, MB_CUR_MAX, &state);
		int columns;

		if (n == (size_t)-1 || n == (size_t)-2) {
			memset(&state, 0, sizeof(state));
			n = 1;
			c = L'?';
		}
		columns = wcwidth(c);
		width += columns > 0 ? (size_t)columns : 0;
		s += n;
	}
	return width;
}

/* length of the character at s when it may be shown as it is, else 0 */
static size_t printable_length(const char *s)
{
	mbstate_t state = { 0 };
	wchar_t c;
	size_t n = mbrtowc(&c, s, MB_CUR_MAX, &state);

	if (n == 0 || n == (size_t)-1 || n == (size_t)-2)
		return 0;
	/* no control characters, and none that turns the direction of writing */
	if (wcwidth(c) < 0 || (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069))
		return 0;
	return n;
}

char *out_clean(const char *s)
{
	struct text t = { 0 };

	if (!s || !*s)
		return checked(strdup("-"));
	while (*s) {
		size_t n = printable_length(s);

		if (n == 0 && *s == '\n')
			text_add_string(&t, " ");
		else if (n == 0)
			text_addf(&t, "\\%03o", (unsigned char)*s);
		else
			text_add(&t, s, n);
		s += n ? n : 1;
	}
	return checked(text_take(&t));
}

void out_line(FILE *to, enum out_color color, const char *fmt, ...)
{
	bool colored = color != OUT_PLAIN && out_is_colored(to);
	_cleanup_(freep) char *raw = NULL;
	_cleanup_(freep) char *clean = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&raw, fmt, ap) < 0)
		abort();
	va_end(ap);
	clean = out_clean(raw);
	fprintf(to, "%s%s%s\n", colored ? escapes[color] : "", clean, colored ? "\033[0m" : "");
}

const char *out_field(json_object *o, const char *key)
{
	const char *s = json_get_string(o, key);

	return s && *s ? s : "-";
}

void table_init(struct table *t, const char *titles)
{
	*t = (struct table){ 0 };
	while (*titles && t->n_columns < TABLE_COLUMNS) {
		t->right[t->n_columns] = *titles == '>';
		titles += *titles == '>';
		t->titles[t->n_columns++] = titles;
		titles += strcspn(titles, " ");
		titles += *titles == ' ';
	}
}

void table_deinit(struct table *t)
{
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i].text);
	free(t->cells);
	*t = (struct table){ 0 };
}

void table_add_colored(struct table *t, const char *text, enum out_color color)
{
	if (t->n_cells == t->size) {
		t->size = t->size ? 2 * t->size : 64;
		t->cells = checked(realloc(t->cells, t->size * sizeof(*t->cells)));
	}
	t->cells[t->n_cells++] = (struct table_cell){ .text = out_clean(text), .color = color };
}

void table_add(struct table *t, const char *text)
{
	table_add_colored(t, text, OUT_PLAIN);
}

void table_add_int(struct table *t, int64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)n);
	table_add(t, text);
}

static size_t title_length(const char *title)
{
	return strcspn(title, " ");
}

static void measure(const struct table *t, size_t widths[TABLE_COLUMNS])
{
	for (size_t i = 0; i < t->n_columns; i++)
		widths[i] = title_length(t->titles[i]);
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t width = out_width(t->cells[i].text), *max = &widths[i % t->n_columns];

		*max = width > *max ? width : *max;
	}
}

/* one cell, padded; the last of a line is not padded behind */
static void print_cell(const struct table *t, size_t column, const char *text, size_t len,
		       size_t pad, enum out_color color, FILE *to)
{
	bool last = column + 1 == t->n_columns, colored = color != OUT_PLAIN && out_is_colored(to);

	if (t->right[column])
		fprintf(to, "%*s", (int)pad, "");
	fprintf(to, "%s%.*s%s", colored ? escapes[color] : "", (int)len, text,
		colored ? "\033[0m" : "");
	if (last)
		fputc('\n', to);
	else
		fprintf(to, "%*s", (int)(t->right[column] ? 2 : pad + 2), "");
}

void table_print(const struct table *t, FILE *to)
{
	size_t widths[TABLE_COLUMNS];

	if (t->n_cells == 0)
		return;
	measure(t, widths);
	for (size_t i = 0; i < t->n_columns; i++) {
		size_t len = title_length(t->titles[i]);

		print_cell(t, i, t->titles[i], len, widths[i] - len, OUT_BOLD, to);
	}
	for (size_t i = 0; i < t->n_cells; i++) {
		const struct table_cell *c = &t->cells[i];
		size_t column = i % t->n_columns;

		print_cell(t, column, c->text, strlen(c->text), widths[column] - out_width(c->text),
			   c->color, to);
	}
}

static char *distance(int64_t at_usec, bool ahead)
{
	int64_t now = (int64_t)clock_wall_usec();
	int64_t gap = ahead ? at_usec - now : now - at_usec;
	char age[DURATION_TEXT_SIZE];

	if (at_usec < 0)
		return checked(strdup("-"));
	if (gap < 0 && ahead)
		return checked(strdup("over"));
	format_age(gap < 0 ? 0 : (uint64_t)gap, age);
	return checked(text_printf(ahead ? "in %s" : "%s ago", age));
}

char *out_ago(int64_t at_usec)
{
	return distance(at_usec, false);
}

char *out_until(int64_t at_usec)
{
	return distance(at_usec, true);
}

char *out_time(int64_t at_usec)
{
	time_t seconds = (time_t)(at_usec / (int64_t)USEC_PER_SEC);
	struct tm tm;
	char text[64];

	if (!localtime_r(&seconds, &tm) || !strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm))
		return checked(strdup("-"));
	return checked(strdup(text));
}

enum out_color out_state_color(const char *state)
{
	static const struct {
		const char *state;
		enum out_color color;
	} colors[] = {
		{ "ready", OUT_GREEN },	      { "active", OUT_GREEN },
		{ "renewed", OUT_GREEN },     { "isolated", OUT_RED },
		{ "failed", OUT_RED },	      { "suspect", OUT_RED },
		{ "expired", OUT_RED },	      { "grace", OUT_YELLOW },
		{ "recovering", OUT_YELLOW }, { "expiring_soon", OUT_YELLOW },
		{ "paused", OUT_YELLOW },     { "draining", OUT_YELLOW },
	};

	for (size_t i = 0; state && i < ARRAY_SIZE(colors); i++)
		if (strcmp(colors[i].state, state) == 0)
			return colors[i].color;
	return OUT_PLAIN;
}
