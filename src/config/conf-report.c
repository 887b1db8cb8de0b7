/* Everything that is wrong, at once and in order. */
#include "config/conf-report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/text.h"

#define MAX_REPORTS 100

void conf_faults_deinit(struct conf_faults *faults)
{
	for (size_t i = 0; i < faults->n; i++)
		free(faults->lines[i]);
	free(faults->lines);
	memset(faults, 0, sizeof(*faults));
}

void conf_report_deinit(struct conf_report *report)
{
	for (size_t i = 0; i < report->n; i++)
		free(report->entries[i].text);
	free(report->entries);
	report->entries = NULL;
	report->n = report->total = 0;
}

/* bytes of the printable character at s; 0: a control character or a broken sequence */
static size_t printable_length(const char *s)
{
	unsigned char c = (unsigned char)s[0];
	size_t len = strnlen(s, 4);

	if (c < 0x20 || c == 0x7F || (c == 0xC2 && (unsigned char)s[1] < 0xA0))
		return 0;
	for (size_t n = 1; n <= len; n++)
		if (text_is_utf8(s, n))
			return n;
	return 0;
}

static void make_printable(char *s)
{
	while (*s) {
		size_t n = printable_length(s);

		if (n == 0)
			*s = '?';
		s += n ? n : 1;
	}
}

static int report_add(struct conf_report *report, unsigned line, unsigned column, char *text)
{
	struct conf_report_entry *entries;

	entries = reallocarray(report->entries, report->n + 1, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	report->entries = entries;
	entries[report->n] = (struct conf_report_entry){
		.line = line, .column = column, .at = report->n, .text = text
	};
	report->n++;
	return 0;
}

void conf_report(struct conf_report *report, unsigned line, unsigned column, const char *fmt, ...)
{
	_cleanup_(freep) char *sentence = NULL;
	_cleanup_(freep) char *text = NULL;
	va_list ap;
	int n;

	if (report->total++ >= MAX_REPORTS)
		return;
	va_start(ap, fmt);
	n = vasprintf(&sentence, fmt, ap);
	va_end(ap);
	if (n < 0) {
		sentence = NULL;
		report->failed = true;
		return;
	}
	make_printable(sentence);
	if (!report->file)
		text = TAKE(sentence);
	else if (line == 0)
		text = text_printf("%s: %s", report->file, sentence);
	else
		text = text_printf("%s:%u:%u: %s", report->file, line, column, sentence);
	if (!text || report_add(report, line, column, text) < 0)
		report->failed = true;
	else
		text = NULL;
}

static int compare_entries(const void *a, const void *b)
{
	const struct conf_report_entry *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static int faults_from_report(const struct conf_report *report, struct conf_faults *ret)
{
	struct conf_faults faults = { 0 };

	faults.lines = calloc(report->n + 1, sizeof(*faults.lines));
	if (!faults.lines)
		return -ENOMEM;
	for (size_t i = 0; i < report->n; i++)
		faults.lines[faults.n++] = TAKE(report->entries[i].text);
	if (report->total > report->n) {
		char *more = text_printf("%s: %zu more faults; mend these first",
					 report->file ? report->file : "configuration",
					 report->total - report->n);

		if (!more) {
			conf_faults_deinit(&faults);
			return -ENOMEM;
		}
		faults.lines[faults.n++] = more;
	}
	*ret = faults;
	return 0;
}

int conf_report_finish(struct conf_report *report, struct conf_faults *ret, struct fault *f)
{
	if (report->failed)
		return fault_oom(f);
	if (report->n == 0)
		return 0;
	qsort(report->entries, report->n, sizeof(*report->entries), compare_entries);
	fault(f, -EINVAL, "%s", report->entries[0].text);
	if (ret && faults_from_report(report, ret) < 0)
		return fault_oom(f);
	return -EINVAL;
}
