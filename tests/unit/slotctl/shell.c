/* Which shells are gone as soon as their command is. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "slotctl/shell.h"
#include "util/cleanup.h"

/* words with a space between them; as /proc has it */
static bool is_brief(const char *words)
{
	char line[128] = "";
	size_t len = strlen(words) + 1;

	memcpy(line, words, len);
	for (size_t i = 0; i < len; i++)
		if (line[i] == ' ')
			line[i] = '\0';
	return shell_is_brief_line(line, len);
}

Test(shell, for_one_command_is_brief)
{
	static const char *const lines[] = {
		"sh -c true",		"/bin/sh -c true",	"bash -lc true",
		"sh -x -c true",	"sh -e -u -x -c true",	"sh -exc true",
		"bash -c -l true",	"bash --norc -c true",	"bash -o pipefail -c true",
		"sh -eo pipefail -c x", "bash +O extglob -c x", "sh +x -c true",
		"-bash -c true",	"/usr/bin/zsh -f -c x", "sh -c",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		cr_expect(is_brief(lines[i]), "%s", lines[i]);
}

Test(shell, with_a_person_or_a_script_stays)
{
	static const char *const lines[] = {
		"sh",
		"-bash",
		"bash -l",
		"bash -x",
		"sh script -c",
		"sh -x script -c",
		"bash --rcfile -x",
		"sh -- -c",
		"sh - -c",
		"bash -o pipefail",
		"bash -o",
		"sh +c",
		"python3 -c pass",
		"shx -c true",
		"bash -o errtrace",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		cr_expect(not(is_brief(lines[i])), "%s", lines[i]);
}

Test(shell, a_line_without_its_last_nul_is_read_to_its_end_only)
{
	cr_expect(not(shell_is_brief_line("sh\0-c", 2)));
	cr_expect(not(shell_is_brief_line("sh\0-x\0-c", 5)));
	cr_expect(not(shell_is_brief_line("sh\0-o\0x\0-c", 7)));
	cr_expect(shell_is_brief_line("sh\0-c", 5));
	cr_expect(not(shell_is_brief_line("", 0)));
}

Test(shell, user_of_a_process_is_its_parent_when_that_is_no_shell)
{
	pid_t parent = getpid();
	int status;
	pid_t pid = fork();

	cr_assert(pid >= 0);
	if (pid == 0)
		_exit(shell_find_user() == parent ? 0 : 1);
	cr_assert(eq(int, waitpid(pid, &status, 0), pid));
	cr_expect(eq(int, status, 0));
}
