/*
 * Names on the left, numbers and bars on the right.
 *
 * Source: show_stats() in git's diff.c; the same input makes the same lines, but for names in wide
 * letters, which are counted as narrow ones here.
 */
#include "git/diffstat.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

#define COLUMNS 80

/* how the columns are shared */
struct layout {
	size_t name, number, graph;
	uint64_t max_change;
};

void diffstat_deinit(struct diffstat *stat)
{
	for (size_t i = 0; i < stat->n; i++)
		free(stat->files[i].name);
	free(stat->files);
	*stat = (struct diffstat){ 0 };
}

static char *display_name(const char *path, const char *note)
{
	_cleanup_(freep) char *quoted = text_quote_path(path);

	if (!quoted || !note)
		return TAKE(quoted);
	return text_printf("%s (%s)", quoted, note);
}

static int keep(struct diffstat *stat, const char *path, const char *note,
		const struct diffstat_file *file, struct fault *f)
{
	char *name;

	if (stat->n == stat->size) {
		size_t size = stat->size ? stat->size * 2 : 16;
		struct diffstat_file *more = realloc(stat->files, size * sizeof(*more));

		if (!more)
			return fault_oom(f);
		stat->files = more;
		stat->size = size;
	}
	name = display_name(path, note);
	if (!name)
		return fault_oom(f);
	stat->files[stat->n] = *file;
	stat->files[stat->n++].name = name;
	return 0;
}

int diffstat_add(struct diffstat *stat, const char *path, const char *note,
		 const struct diffstat_file *file, struct fault *f)
{
	int r = stat->n < stat->max_files ? keep(stat, path, note, file, f) : 0;

	if (r < 0)
		return r;
	stat->n_all++;
	if (file->kind == DIFFSTAT_TEXT) {
		stat->added += file->added;
		stat->deleted += file->deleted;
	}
	return 0;
}

static size_t digits(uint64_t n)
{
	size_t ret = 1;

	for (; n >= 10; n /= 10)
		ret++;
	return ret;
}

static size_t max(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* the start of the next letter */
static const char *next_letter(const char *s)
{
	for (s++; ((unsigned char)*s & 0xc0) == 0x80; s++)
		;
	return s;
}

static size_t columns(const char *s)
{
	size_t n = 0;

	for (; *s; s = next_letter(s))
		n++;
	return n;
}

/* too wide: the bars get at least 3/8, the names what is left, and the bars what names leave */
static void share(struct layout *l, size_t width)
{
	size_t fixed = l->number + 6, part = width * 3 / 8;

	if (l->name + fixed + l->graph <= width)
		return;
	part = part > fixed + 6 ? part - fixed : 6;
	if (l->graph > part)
		l->graph = part;
	if (l->name > width - fixed - l->graph)
		l->name = width - fixed - l->graph;
	else
		l->graph = width - fixed - l->name;
}

static struct layout layout_of(const struct diffstat *stat)
{
	struct layout l = { 0 };
	size_t bin = 0;

	for (size_t i = 0; i < stat->n; i++) {
		const struct diffstat_file *file = &stat->files[i];

		l.name = max(l.name, columns(file->name));
		if (file->kind == DIFFSTAT_UNREADABLE) {
			bin = max(bin, strlen("Unreadable"));
		} else if (file->kind == DIFFSTAT_BINARY) {
			bin = max(bin, strlen("Bin  ->  bytes") + digits(file->added) +
					       digits(file->deleted));
			l.number = strlen("Bin");
		} else {
			l.max_change = max(l.max_change, file->added + file->deleted);
		}
	}
	l.number = max(l.number, digits(l.max_change));
	l.graph = l.max_change + 4 > bin ? l.max_change : bin - 4;
	share(&l, max(COLUMNS, 16 + 6 + l.number));
	return l;
}

/* what does not fit loses its beginning, to the next slash if there is one */
static void print_name(struct text *out, const char *name, size_t width)
{
	size_t wide = columns(name), padding;

	if (wide > width) {
		const char *slash;

		for (size_t i = wide - (width - 3); i > 0; i--)
			name = next_letter(name);
		slash = strchr(name, '/');
		name = slash ? slash : name;
		text_add_string(out, "...");
		width -= 3;
	}
	text_add_string(out, name);
	padding = width - columns(name);
	text_addf(out, "%*s | ", (int)padding, "");
}

/* no change is so small that it has no bar */
static uint64_t scale(uint64_t n, const struct layout *l)
{
	return n > 0 ? 1 + n * (l->graph - 1) / l->max_change : 0;
}

static void print_bars(struct text *out, const struct diffstat_file *file, const struct layout *l)
{
	uint64_t added = file->added, deleted = file->deleted, total;

	if (l->graph <= l->max_change) {
		total = scale(added + deleted, l);
		if (total < 2 && added > 0 && deleted > 0)
			total = 2;
		if (added < deleted) {
			added = scale(added, l);
			deleted = total - added;
		} else {
			deleted = scale(deleted, l);
			added = total - deleted;
		}
	}
	if (added + deleted > 0)
		text_add(out, " ", 1);
	while (added-- > 0)
		text_add(out, "+", 1);
	while (deleted-- > 0)
		text_add(out, "-", 1);
}

static void print_file(struct text *out, const struct diffstat_file *file, const struct layout *l)
{
	text_add(out, " ", 1);
	print_name(out, file->name, l->name);
	switch (file->kind) {
	case DIFFSTAT_UNREADABLE:
		text_add_string(out, "Unreadable");
		break;
	case DIFFSTAT_BINARY:
		text_addf(out, "%*s", (int)l->number, "Bin");
		if (file->added > 0 || file->deleted > 0)
			text_addf(out, " %" PRIu64 " -> %" PRIu64 " bytes", file->deleted,
				  file->added);
		break;
	case DIFFSTAT_TEXT:
		text_addf(out, "%*" PRIu64, (int)l->number, file->added + file->deleted);
		print_bars(out, file, l);
		break;
	}
	text_add(out, "\n", 1);
}

static void print_sums(struct text *out, const struct diffstat *stat)
{
	text_addf(out, " %s%zu %s changed", stat->incomplete ? "at least " : "", stat->n_all,
		  text_plural(stat->n_all, "file", "files"));
	if (stat->n_all > 0 && (stat->added > 0 || stat->deleted == 0))
		text_addf(out, ", %" PRIu64 " %s(+)", stat->added,
			  text_plural(stat->added, "insertion", "insertions"));
	if (stat->n_all > 0 && (stat->deleted > 0 || stat->added == 0))
		text_addf(out, ", %" PRIu64 " %s(-)", stat->deleted,
			  text_plural(stat->deleted, "deletion", "deletions"));
	text_add(out, "\n", 1);
}

void diffstat_print(const struct diffstat *stat, struct text *ret)
{
	struct layout l = layout_of(stat);
	size_t more = stat->n_all - stat->n;

	for (size_t i = 0; i < stat->n; i++)
		print_file(ret, &stat->files[i], &l);
	if (stat->n > 0 && more > 0)
		text_addf(ret, " ... and %zu %s more\n", more, text_plural(more, "file", "files"));
	print_sums(ret, stat);
}
