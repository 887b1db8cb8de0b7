/*
 * Checks stores, one a line of standard input: "<depth> <common directory>[ <slot>=<path>]...", and prints what was
 * found: "<severity> <id> <where> <slot> <object> <path>: <detail>" a line, "-" for nothing, then "done <result>
 * <objects> <objects read>". What was verified is remembered from line to line of the same directory with --memo; the
 * line "forget" ends that, before another directory. CHECK_ADOPTED: worktrees that are no slots are looked at as well.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "git/repo.h"
#include "integrity/check.h"
#include "integrity/memo.h"

#define SLOTS_MAX 32

static uint64_t now_usec(void)
{
	const char *text = getenv("CHECK_NOW");

	return text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL) * 1000000;
}

static enum check_depth depth_of(const char *word)
{
	return strcmp(word, "quick") == 0 ? CHECK_QUICK : strcmp(word, "full") == 0 ? CHECK_FULL : CHECK_PLAIN;
}

/* whatever is in a name, a finding stays on its line */
static const char *one_line(char *text)
{
	for (char *p = text; p && *p; p++)
		if (*p == '\n')
			*p = '?';
	return text ? text : "-";
}

static void print(const struct findings *all)
{
	for (size_t i = 0; i < findings_kept(all); i++) {
		const struct finding *f = findings_at(all, i);

		printf("%s %s %s %s %s %s: %s\n", finding_severity_to_string(f->severity), f->id,
		       one_line(f->where), one_line(f->slot), one_line(f->object), one_line(f->path), one_line(f->detail));
	}
}

static int check_line(char *line, struct memo *memo)
{
	struct check_slot slots[SLOTS_MAX] = { 0 };
	struct check_spec spec = { .threads = 2, .slots = slots, .memo = memo, .now_usec = now_usec() };
	struct check_result result;
	struct findings *all = findings_new();
	struct fault f = FAULT_NONE;
	char *word, *save = NULL;
	int r;

	spec.depth = depth_of(strtok_r(line, " ", &save));
	spec.common_dir = strtok_r(NULL, " ", &save);
	while ((word = strtok_r(NULL, " ", &save)) && spec.n_slots < SLOTS_MAX) {
		char *path = strchr(word, '=');

		if (!path)
			return 2;
		*path = '\0';
		slots[spec.n_slots++] = (struct check_slot){ .name = word, .path = path + 1 };
	}
	spec.is_adopted = spec.n_slots == 0 || getenv("CHECK_ADOPTED");
	spec.is_idle = getenv("CHECK_IDLE") != NULL;
	spec.memory_bytes = getenv("CHECK_MEMORY") ? strtoull(getenv("CHECK_MEMORY"), NULL, 10) : 0;
	spec.threads = getenv("CHECK_THREADS") ? (unsigned)atoi(getenv("CHECK_THREADS")) : 2;
	spec.scrub_usec = getenv("CHECK_SCRUB") ? strtoull(getenv("CHECK_SCRUB"), NULL, 10) : 0;
	r = check_run(&spec, all, &result, &f);
	findings_sort(all);
	print(all);
	findings_free(all);
	printf("done %d %llu %llu %llu %s\n", r, (unsigned long long)result.objects, (unsigned long long)result.objects_read,
	       (unsigned long long)result.elapsed_usec, f.text);
	fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	struct memo *memo = argc > 1 && strcmp(argv[1], "--memo") == 0 ? memo_new() : NULL;
	struct fault f = FAULT_NONE;
	static char line[1 << 16];
	int r = repo_global_init(&f);

	if (r < 0) {
		fprintf(stderr, "%s\n", f.text);
		return 1;
	}
	while (r == 0 && fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (memo && strcmp(line, "forget") == 0) {
			memo_free(memo);
			memo = memo_new();
		} else {
			r = check_line(line, memo);
		}
	}
	memo_free(memo);
	return r;
}
