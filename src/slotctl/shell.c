/* "sh -c COMMAND" comes and goes with its command. */
#include "slotctl/shell.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fs.h"
#include "util/process.h"
#include "util/text.h"

#define MAX_SHELLS 64 /* one inside the other: nobody means more */

/* its name, as in "-bash" or "/bin/sh" */
static bool is_shell(const char *name)
{
	static const char *const shells[] = { "sh", "bash", "dash", "zsh", "ksh", "ash", "fish" };
	const char *slash = strrchr(name, '/');

	name = slash ? slash + 1 : name;
	name += name[0] == '-';
	for (size_t i = 0; i < ARRAY_SIZE(shells); i++)
		if (strcmp(name, shells[i]) == 0)
			return true;
	return false;
}

/* "-o pipefail" and "+O extglob": the next word is no operand */
static bool takes_next(const char *option)
{
	size_t len = strlen(option);

	return option[1] != '-' && (option[len - 1] == 'o' || option[len - 1] == 'O');
}

bool shell_is_brief_line(const char *line, size_t len)
{
	const char *end = line + len, *word = line + strlen(line) + 1;

	if (len == 0 || !is_shell(line))
		return false;
	for (; word < end && (word[0] == '-' || word[0] == '+'); word += strlen(word) + 1) {
		if (!word[1] || strcmp(word, "--") == 0)
			return false;
		if (word[0] == '-' && word[1] != '-' && strchr(word, 'c'))
			return true;
		if (takes_next(word))
			word += strlen(word) + 1;
		if (word >= end)
			return false;
	}
	return false;
}

bool shell_is_brief(pid_t pid)
{
	_cleanup_(freep) char *path = text_printf("/proc/%d/cmdline", (int)pid);
	_cleanup_(freep) char *line = NULL;
	size_t len;

	if (!path || fs_read_file_at(AT_FDCWD, path, 1 << 20, &line, &len) < 0)
		return false;
	return shell_is_brief_line(line, len);
}

pid_t shell_find_user(void)
{
	pid_t pid = getppid();

	for (int i = 0; i < MAX_SHELLS && pid > 1 && shell_is_brief(pid); i++)
		pid = process_parent(pid);
	return pid;
}
