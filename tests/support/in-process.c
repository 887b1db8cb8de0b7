/*
 * A main() for Criterion executables that forks for each test instead of executing the program anew.
 *
 * Criterion starts every test by executing its executable once more. Under valgrind that costs a second a
 * test, all of it for reading the same libraries again; a forked child inherits them as they are. This is
 * preloaded (tests/support/criterion.py), so that its functions come before those of libcriterion, and the
 * executables stay the ones that run everywhere else. Of Criterion it has what our tests use: init, fini and
 * timeout, no parameters, no expected signal or exit status.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <elf.h>
#include <err.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { STATUS_SKIPPED = 77 };

/* what the linker collected in a section of the executable: pointers to tests, or to suites */
struct section {
	void **items;
	size_t n;
};

static const struct criterion_test *current;
static const struct criterion_suite *current_suite;
static bool failed;
static jmp_buf end_of_body;

static int first_object(struct dl_phdr_info *info, size_t size, void *ret)
{
	*(ElfW(Addr) *)ret = info->dlpi_addr;
	return 1;
}

static const char *map_executable(void)
{
	const char *path = (const char *)getauxval(AT_EXECFN);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	const char *map;

	if (fd < 0 || fstat(fd, &st) < 0)
		err(EXIT_FAILURE, "%s", path);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		err(EXIT_FAILURE, "%s", path);
	close(fd);
	return map;
}

static struct section find_section(const char *map, const char *name)
{
	const ElfW(Ehdr) *header = (const void *)map;
	const ElfW(Shdr) *all = (const void *)(map + header->e_shoff);
	const char *names = map + all[header->e_shstrndx].sh_offset;
	ElfW(Addr) base = 0;

	dl_iterate_phdr(first_object, &base);
	for (size_t i = 0; i < header->e_shnum; i++)
		if (strcmp(names + all[i].sh_name, name) == 0)
			return (struct section){ (void **)(base + all[i].sh_addr), all[i].sh_size / sizeof(void *) };
	return (struct section){ NULL, 0 };
}

static const struct criterion_suite *suite_of(struct section suites, const struct criterion_test *test)
{
	for (size_t i = 0; i < suites.n; i++) {
		const struct criterion_suite *suite = suites.items[i];

		if (suite && strcmp(suite->name, test->category) == 0)
			return suite;
	}
	return NULL;
}

/* ---- what a test calls -------------------------------------------------------------------------- */

EXPORT void criterion_internal_test_setup(void)
{
	if (current_suite && current_suite->data->init)
		current_suite->data->init();
	if (current->data->init)
		current->data->init();
}

EXPORT void criterion_internal_test_main(void (*body)(void))
{
	if (setjmp(end_of_body) == 0)
		body();
}

EXPORT void criterion_internal_test_teardown(void)
{
	if (current->data->fini)
		current->data->fini();
	if (current_suite && current_suite->data->fini)
		current_suite->data->fini();
}

EXPORT void criterion_abort_test(void)
{
	failed = true;
	longjmp(end_of_body, 1);
}

EXPORT void criterion_continue_test(void)
{
	failed = true;
}

__attribute__((format(printf, 1, 2))) EXPORT void criterion_skip_test(const char *format, ...)
{
	va_list ap;

	printf("[SKIP] %s/%s: ", current->category, current->name);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	exit(STATUS_SKIPPED);
}

EXPORT void criterion_send_assert(struct criterion_assert_stats *stats)
{
	if (stats->passed)
		return;
	failed = true;
	printf("%s:%u: %s/%s: %s\n", stats->file, stats->line, current->category, current->name, stats->message);
	fflush(stdout);
}

static void print_node(const struct cri_assert_node *node, int depth)
{
	if (node->pass)
		return;
	printf("%*s%s %s\n", 2 * depth, "", node->repr ? node->repr : "", node->message ? node->message : "");
	for (size_t i = 0; i < node->nchild; i++)
		print_node(&node->children[i], depth + 1);
}

EXPORT void cri_assert_node_send(const char *file, size_t line, struct cri_assert_node *tree)
{
	if (tree->pass)
		return;
	failed = true;
	printf("%s:%zu: %s/%s:\n", file, line, current->category, current->name);
	print_node(tree, 1);
	fflush(stdout);
}

EXPORT void cri_asserts_passed_incr(void)
{
}

/* ---- the tests one after the other --------------------------------------------------------------- */

static _Noreturn void run_here(void)
{
	double timeout = current->data->timeout;

	if (timeout <= 0 && current_suite)
		timeout = current_suite->data->timeout;
	if (timeout > 0)
		alarm((unsigned)timeout + 1);
	current->test();
	exit(failed ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* the wait status of the child that ran it */
static int run_in_child(void)
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		run_here();
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		err(EXIT_FAILURE, "%s/%s", current->category, current->name);
	return status;
}

EXPORT int main(void)
{
	const char *map = map_executable();
	struct section tests = find_section(map, "cr_tst"), suites = find_section(map, "cr_sts");
	size_t n = 0, passing = 0, failing = 0, crashing = 0;

	for (size_t i = 0; i < tests.n; i++) {
		int status;

		current = tests.items[i];
		if (!current) /* padding of the section */
			continue;
		current_suite = suite_of(suites, current);
		status = run_in_child();
		if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_SKIPPED)
			continue;
		n++;
		if (status == 0)
			passing++;
		else if (WIFEXITED(status))
			failing++;
		else
			crashing++;
		if (status != 0)
			printf("[FAIL] %s/%s: %s %d\n", current->category, current->name,
			       WIFEXITED(status) ? "exit status" : "signal",
			       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	}
	printf("[====] Synthesis: Tested: %zu | Passing: %zu | Failing: %zu | Crashing: %zu\n", n, passing, failing,
	       crashing);
	return failing + crashing > 0;
}
