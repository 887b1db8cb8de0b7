#include "util/process.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

Test(holder, process_descends_from_itself_and_its_parent)
{
	pid_t me = getpid(), parent = getppid();

	cr_expect(process_descends_from(me, me, process_start_time(me)));
	cr_expect(process_descends_from(me, parent, process_start_time(parent)));
	cr_expect_not(process_descends_from(parent, me, process_start_time(me)));
}

Test(holder, grandchild_is_a_descendant_and_a_sibling_is_not)
{
	int pipes[2];
	pid_t child, grandchild = 0, sibling;

	cr_assert_eq(pipe(pipes), 0);
	child = fork();
	if (child == 0) {
		grandchild = fork();
		if (grandchild == 0) {
			pause();
			_exit(0);
		}
		cr_assert_eq(write(pipes[1], &grandchild, sizeof(grandchild)), sizeof(grandchild));
		pause();
		_exit(0);
	}
	cr_assert_eq(read(pipes[0], &grandchild, sizeof(grandchild)), sizeof(grandchild));
	sibling = fork();
	if (sibling == 0) {
		pause();
		_exit(0);
	}
	cr_expect(process_descends_from(grandchild, child, process_start_time(child)));
	cr_expect(process_descends_from(grandchild, getpid(), process_start_time(getpid())));
	cr_expect_not(process_descends_from(sibling, child, process_start_time(child)));
	kill(grandchild, SIGKILL);
	kill(child, SIGKILL);
	kill(sibling, SIGKILL);
	while (wait(NULL) > 0)
		;
}

Test(holder, number_that_was_used_again_is_another_process)
{
	pid_t me = getpid();

	cr_expect_not(process_descends_from(me, me, process_start_time(me) + 1));
}

Test(holder, process_that_is_gone_has_no_start_and_no_descendants)
{
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
	cr_expect_eq(process_start_time(child), 0);
	cr_expect_not(process_descends_from(getpid(), child, 0));
	cr_expect_not(process_descends_from(child, getpid(), process_start_time(getpid())));
	cr_expect_eq(process_start_time(0), 0);
	cr_expect_eq(process_start_time(-1), 0);
}

Test(holder, process_that_only_waits_for_its_parent_lives_no_more)
{
	siginfo_t info;
	pid_t child;

	cr_expect(process_lives(getpid()));
	child = fork();
	if (child == 0)
		_exit(0);
	cr_assert_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	cr_expect_neq(process_start_time(child), 0, "it is still there");
	cr_expect_not(process_lives(child));
	waitpid(child, NULL, 0);
	cr_expect_not(process_lives(child));
	cr_expect_not(process_lives(0));
}

Test(holder, the_line_of_a_process_leads_up_to_the_first_and_no_further_than_asked)
{
	struct process_id line[64];
	size_t n = process_line(getpid(), line, 64);

	cr_assert_geq(n, 1);
	cr_expect_eq(line[0].pid, getpid());
	cr_expect_eq(line[0].start, process_start_time(getpid()));
	for (size_t i = 0; i + 1 < n; i++) {
		cr_expect_eq(process_parent(line[i].pid), line[i + 1].pid);
		cr_expect(process_is(&line[i]));
	}
	cr_expect_neq(line[n - 1].pid, 1, "which is everybody's ancestor");
	cr_expect_eq(process_line(getpid(), line, 1), 1);
	cr_expect_eq(process_line(0, line, 64), 0);
	line[0].start++;
	cr_expect_not(process_is(&line[0]), "somebody else had that pid");
	cr_expect_not(process_is(&(struct process_id){ getpid(), 0 }));
}

Test(holder, a_line_is_the_same_after_it_was_a_text)
{
	struct process_id line[] = { { 4711, 0x123456789abcdef }, { 1, 1 }, { 4194303, UINT64_MAX } }, back[4];
	char text[80], all[] = "4711:123456789abcdef 1:1 4194303:ffffffffffffffff";

	process_line_to_string(line, 3, text, sizeof(text));
	cr_expect_str_eq(text, all);
	for (size_t max = 0; max <= 4; max++) {
		size_t n = process_line_from_string(text, back, max);

		cr_assert_eq(n, max < 3 ? max : 3);
		for (size_t i = 0; i < n; i++)
			cr_expect(back[i].pid == line[i].pid && back[i].start == line[i].start);
	}
	for (size_t size = 1; size <= sizeof(all); size++) {
		char *tight = malloc(size); /* so that a sanitizer sees a step beyond it */
		size_t n;

		process_line_to_string(line, 3, tight, size);
		n = process_line_from_string(tight, back, 4);
		cr_expect_eq(n, size > 49 ? 3 : size > 24 ? 2 : size > 20 ? 1 : 0, "%zu: %s", size, tight);
		for (size_t i = 0; i < n; i++)
			cr_expect(back[i].pid == line[i].pid && back[i].start == line[i].start);
		free(tight);
	}
	cr_expect_eq(process_line_from_string("", back, 4), 0);
	cr_expect_eq(process_line_from_string("nonsense 1:1", back, 4), 0);
}
