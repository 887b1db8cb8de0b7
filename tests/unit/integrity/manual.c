/* The manual's table of findings says what the table of the checker says. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/content.h"
#include "integrity/finding.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

static char *load_section(void)
{
	_cleanup_(freep) char *all = NULL;
	char *from, *to;

	cr_assert(eq(int, fs_read_file_at(AT_FDCWD, SOURCE_ROOT "/src/slotctl/slotctl.1.scd", 1 << 20, &all, NULL), 0));
	from = strstr(all, "\n# FINDINGS\n");
	cr_assert(from != NULL);
	to = strstr(from + 1, "\n# ");
	cr_assert(to != NULL);
	return strndup(from, (size_t)(to - from));
}

/* the rows between one line of text and the next that stands alone */
static char *part_of(const char *section, const char *title, const char *next)
{
	const char *from = strstr(section, title), *to = from ? strstr(from, next) : NULL;

	cr_assert(from != NULL, "%s", title);
	cr_assert(to != NULL, "%s", next);
	return strndup(from, (size_t)(to - from));
}

/* as scdoc wants it */
static char *escape(const char *text)
{
	struct text t = { 0 };

	for (; *text; text++)
		text_addf(&t, "%s%c", *text == '_' || *text == '*' ? "\\" : "", *text);
	return text_take(&t);
}

static size_t count_rows(const char *part)
{
	size_t n = 0;

	for (const char *p = part; (p = strstr(p, "\n:")); p++)
		n++;
	return n;
}

Test(manual, explains_each_id_of_ours_under_its_severity_and_no_other)
{
	static const char *const titles[] = { "\nFor information:\n", "\nWarnings:\n", "\nErrors:\n" };
	static const char *const nexts[] = { "\nA severity may", "\nFor information:\n", "\nWarnings:\n" };
	_cleanup_(freep) char *section = load_section();
	char *parts[FINDING_SEVERITIES];
	size_t n[FINDING_SEVERITIES] = { 0 };
	enum finding_severity severity;
	const char *id, *meaning;

	for (int s = 0; s < FINDING_SEVERITIES; s++)
		parts[s] = part_of(section, titles[s], nexts[s]);
	for (size_t i = 0; (id = finding_id_at(i, &severity, &meaning)); i++) {
		_cleanup_(freep) char *escaped = escape(meaning);
		_cleanup_(freep) char *row = text_printf(" *%s*\n:%c %s\n", id, n[severity] ? ' ' : '<', escaped);

		cr_expect(strstr(parts[severity], row) != NULL, "%s", row);
		n[severity]++;
	}
	for (int s = 0; s < FINDING_SEVERITIES; s++) {
		cr_expect(eq(sz, count_rows(parts[s]), n[s]), "%s", titles[s]);
		free(parts[s]);
	}
}

static size_t count_words(const char *list)
{
	size_t n = 0;

	for (; (list += strspn(list, " ,\n\t")), *list; n++)
		list += strcspn(list, " ,\n\t");
	return n;
}

static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p++)
		if (strchr(" ,\n", p[-1]) && strchr(" ,\n", p[len]))
			return true;
	return false;
}

Test(manual, names_each_id_of_git_under_its_severity_and_no_other)
{
	static const char *const rows[] = { "\n|  info\n:", "\n|  warning\n:", "\n[[ error\n:<" };
	static const char *const nexts[] = { "\n\nextraHeaderEntry", "\n|  info\n", "\n|  warning\n" };
	_cleanup_(freep) char *section = load_section();
	char *lists[FINDING_SEVERITIES];
	size_t n[FINDING_SEVERITIES] = { 0 };
	enum finding_severity severity;
	const char *id;

	for (int s = 0; s < FINDING_SEVERITIES; s++) {
		_cleanup_(freep) char *part = part_of(section, rows[s], nexts[s]);

		lists[s] = text_printf("%s\n", part + strlen(rows[s]));
	}
	for (size_t i = 0; (id = fsck_id_at(i, &severity)); i++) {
		cr_expect(has_word(lists[severity], id), "%s", id);
		n[severity]++;
	}
	for (int s = 0; s < FINDING_SEVERITIES; s++) {
		cr_expect(eq(sz, count_words(lists[s]), n[s]), "%s", lists[s]);
		free(lists[s]);
	}
}

/* what stands for git's words is an id that there is */
Test(manual, sends_nobody_from_git_to_a_finding_that_is_not_there)
{
	_cleanup_(freep) char *section = load_section();
	const char *table = strstr(section, "[[ *git fsck*\n");
	size_t n = 0;

	cr_assert(table != NULL);
	for (const char *p = strstr(table, "\n:  "); p; p = strstr(p + 1, "\n:  ")) {
		const char *end = strchr(p + 1, '\n');

		for (const char *star = strchr(p, '*'); star && star < end; star = strchr(star, '*')) {
			const char *close = strchr(star + 1, '*');
			_cleanup_(freep) char *id = strndup(star + 1, (size_t)(close - star - 1));

			cr_expect(finding_meaning(id) != NULL, "%s", id);
			star = close + 1;
			n++;
		}
	}
	cr_expect(gt(sz, n, 10));
}
