/* Which socket, by the environment. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "slotd/slot.h"
#include "util/cleanup.h"

static void expect_path(enum slot_scope scope, const char *expected)
{
	_cleanup_(freep) char *path = NULL;

	cr_assert(eq(int, slot_socket_path(scope, &path), 0));
	cr_expect(eq(str, path, (char *)expected));
}

Test(path, the_named_socket_comes_first)
{
	setenv("SLOTD_SOCKET", "/somewhere/else.sock", 1);
	expect_path(SLOT_SCOPE_ANY, "/somewhere/else.sock");
	expect_path(SLOT_SCOPE_SYSTEM, "/run/slotd/slotd.sock");
}

Test(path, the_users_socket_lies_in_the_runtime_directory)
{
	setenv("XDG_RUNTIME_DIR", "/some/runtime", 1);
	expect_path(SLOT_SCOPE_USER, "/some/runtime/slotd/slotd.sock");
}

Test(path, an_empty_name_counts_as_none)
{
	setenv("SLOTD_SOCKET", "", 1);
	setenv("XDG_RUNTIME_DIR", "/some/runtime", 1);
	if (access("/run/slotd/slotd.sock", F_OK) == 0)
		expect_path(SLOT_SCOPE_ANY, "/run/slotd/slotd.sock");
	else
		expect_path(SLOT_SCOPE_ANY, "/some/runtime/slotd/slotd.sock");
}

/* a uid of this process's own, so that neither /run/user nor /tmp has anything of it yet */
static bool become_nobody_else(char *directory, size_t size)
{
	uid_t uid = 60000 + (uid_t)getpid() % 5000;

	unsetenv("XDG_RUNTIME_DIR");
	snprintf(directory, size, "/tmp/slotd-%u", (unsigned)uid);
	return geteuid() == 0 && setresuid(uid, uid, uid) == 0;
}

Test(path, without_runtime_directories_it_is_in_tmp_if_that_is_ours_alone)
{
	char directory[64], socket[96];
	char *path = NULL;

	if (!become_nobody_else(directory, sizeof(directory)))
		cr_skip_test("needs root to be somebody else");
	snprintf(socket, sizeof(socket), "%s/slotd.sock", directory);
	expect_path(SLOT_SCOPE_USER, socket);

	cr_assert(eq(int, mkdir(directory, 0700), 0));
	expect_path(SLOT_SCOPE_USER, socket);

	chmod(directory, 0755);
	cr_expect(eq(int, slot_socket_path(SLOT_SCOPE_USER, &path), -EACCES));
	rmdir(directory);

	cr_assert(eq(int, symlink("/tmp", directory), 0));
	cr_expect(eq(int, slot_socket_path(SLOT_SCOPE_USER, &path), -EACCES));
	unlink(directory);
	cr_expect(eq(ptr, path, NULL));
}

Test(path, a_directory_of_somebody_else_is_refused)
{
	char directory[64];
	char *path = NULL;
	uid_t uid = 60000 + (uid_t)getpid() % 5000;
	int r;

	if (geteuid() != 0)
		cr_skip_test("needs root to be somebody else");
	snprintf(directory, sizeof(directory), "/tmp/slotd-%u", (unsigned)uid);
	unsetenv("XDG_RUNTIME_DIR");
	cr_assert(eq(int, mkdir(directory, 0700), 0));
	cr_assert(eq(int, seteuid(uid), 0));
	r = slot_socket_path(SLOT_SCOPE_USER, &path);
	cr_assert(eq(int, seteuid(0), 0));
	rmdir(directory);
	cr_expect(eq(int, r, -EACCES));
}

Test(path, an_unknown_scope_is_refused)
{
	char *path = NULL;

	cr_expect(eq(int, slot_socket_path((enum slot_scope)17, &path), -EINVAL));
	cr_expect(eq(ptr, path, NULL));
}

Test(path, a_client_refuses_what_can_be_no_socket)
{
	struct slot_client *client = NULL;
	char longest[200];

	for (size_t i = 0; i < sizeof(longest); i++)
		longest[i] = i + 1 < sizeof(longest) ? 'x' : '\0';
	cr_expect(eq(int, slot_client_new("", &client), -EINVAL));
	cr_expect(eq(int, slot_client_new(longest, &client), -ENAMETOOLONG));
	cr_expect(eq(ptr, client, NULL));
}
