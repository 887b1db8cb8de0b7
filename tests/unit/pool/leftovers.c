/* Who is in a slot is said by the test here, in place of pool/look.c: what no real look can be made to say. */
#include "world.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/process.h"

static struct {
	bool is_unknown;
	size_t n;
	struct process_found found[PROCESSES_MOST];
	unsigned looks;
} there;

static sd_event_source *answer;

static int on_answer(sd_event_source *s, void *userdata)
{
	struct look_ask *a = userdata;

	list_del(&a->link);
	there.looks++;
	a->fn(a, !there.is_unknown, there.n, there.found);
	return 0;
}

int look_ask(struct look_ask *a)
{
	list_append(&a->slot->pool->look_asks, &a->link);
	sd_event_source_disable_unref(answer);
	cr_assert_geq(sd_event_add_defer(world.event, &answer, on_answer, a), 0);
	return 0;
}

void look_stop(struct pool *pool)
{
	sd_event_source_disable_unref(answer);
}

static pid_t child;

static void open_with_child(void)
{
	world_open();
	world_add_pool(1, 1);
	child = fork();
	cr_assert_geq(child, 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
}

static void close_with_child(void)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	world_close();
}

TestSuite(leftovers, .init = open_with_child, .fini = close_with_child, .timeout = 60);

static void configure(enum conf_processes processes, uint64_t wait_usec)
{
	struct conf_pool *conf = (struct conf_pool *)world.pool->conf;

	conf->clean.processes = processes;
	conf->clean.wait_usec = wait_usec;
}

static struct process_found found_as(pid_t pid, uint64_t start)
{
	return (struct process_found){ .id = { pid, start }, .use = PROCESS_WRITES, .name = "agent" };
}

static struct slot *give_one_back(void)
{
	struct acquire_spec spec = spec_of("a");
	struct answer a;

	ask_and_wait(&spec, &a);
	cr_assert_str_empty(a.error, "%s", a.text);
	give_back(&a, false);
	return slot_of(a.slot);
}

static bool is_alive(pid_t pid)
{
	int status;

	return waitpid(pid, &status, WNOHANG) == 0;
}

Test(leftovers, a_process_is_ended_by_its_start_and_not_by_its_number)
{
	struct slot *slot;

	configure(CONF_PROCESSES_END, USEC_PER_MIN);
	there.n = 1;
	there.found[0] = found_as(child, process_start_time(child) + 1);
	slot = give_one_back();
	RUN_UNTIL(there.looks >= 4);
	cr_expect(is_alive(child), "the number was used again: this is somebody else");
	cr_expect_eq(slot->rec.state, SLOT_STATE_CLEANING);
	there.found[0].id.start--;
	RUN_UNTIL(!is_alive(child));
	there.n = 0;
	RUN_UNTIL(slot->rec.state == SLOT_STATE_READY);
}

Test(leftovers, as_long_as_it_is_not_known_nothing_is_cleaned)
{
	struct slot *slot;

	configure(CONF_PROCESSES_WAIT, USEC_PER_SEC);
	there.is_unknown = true;
	slot = give_one_back();
	RUN_UNTIL(there.looks >= 1);
	RUN_UNTIL(slot->rec.state == SLOT_STATE_ISOLATED);
	cr_expect_str_eq(slot->rec.reason, "whether processes are in it could not be found out");
	there.is_unknown = false;
	cr_assert(slot_reset(slot, 0));
	RUN_UNTIL(slot->rec.state == SLOT_STATE_READY);
}

Test(leftovers, more_than_a_sentence_can_name_are_counted)
{
	struct slot *slot;

	configure(CONF_PROCESSES_WAIT, USEC_PER_MIN);
	there.n = 1000;
	for (size_t i = 0; i < PROCESSES_MOST; i++)
		there.found[i] = found_as(getpid(), process_start_time(getpid()));
	slot = give_one_back();
	RUN_UNTIL(strstr(slot->rec.reason, "waiting up to"));
	cr_expect_not_null(strstr(slot->rec.reason, "agent ("), "%s", slot->rec.reason);
	cr_expect_not_null(strstr(slot->rec.reason, ", and 968 more"), "%s", slot->rec.reason);
	there.n = 0;
	RUN_UNTIL(slot->rec.state == SLOT_STATE_READY);
}

Test(leftovers, what_cannot_be_recorded_is_looked_at_again)
{
	struct slot *slot;

	configure(CONF_PROCESSES_WAIT, USEC_PER_MIN);
	there.n = 1;
	there.found[0] = found_as(child, process_start_time(child));
	slot = give_one_back();
	RUN_UNTIL(there.looks >= 1);
	break_ledger();
	there.n = 0;
	kill(child, SIGKILL);
	RUN_UNTIL(there.looks >= 3);
	cr_expect_eq(slot->rec.state, SLOT_STATE_CLEANING);
	mend_ledger();
	RUN_UNTIL(slot->rec.state == SLOT_STATE_READY);
}

static void remove_first(bool discard)
{
	struct refusal no = { 0 };

	cr_assert_eq(slot_remove(slot_of("p-1"), discard, 0, &no), 0, "%s", no.why.text);
	slot_note_leaver(slot_of("p-1"), getpid());
}

Test(leftovers, nothing_is_removed_under_a_process_whoever_had_the_slot)
{
	configure(CONF_PROCESSES_WAIT, USEC_PER_SEC);
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
	for (int i = 0; i < 2; i++) {
		there.n = 1;
		there.looks = 0;
		there.found[0] = found_as(child, process_start_time(child));
		remove_first(i > 0);
		RUN_UNTIL(there.looks >= 2);
		cr_expect_eq(slot_of("p-1")->rec.state, SLOT_STATE_REMOVING);
		cr_expect_null(slot_of("p-1")->job);
		RUN_UNTIL(slot_of("p-1")->rec.state == SLOT_STATE_ISOLATED);
		cr_expect(strstr(slot_of("p-1")->rec.reason, "processes are still in it: agent ("), "%s",
			  slot_of("p-1")->rec.reason);
		cr_expect(slot_is_held_by_processes(slot_of("p-1")));
	}
	cr_expect(is_alive(child));
	remove_first(false);
	RUN_UNTIL(there.looks >= 8);
	there.n = 0;
	RUN_UNTIL(!slot_of("p-1"));
}

Test(leftovers, whether_somebody_is_in_what_goes_has_to_be_known)
{
	configure(CONF_PROCESSES_WAIT, USEC_PER_SEC);
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
	there.is_unknown = true;
	remove_first(true);
	RUN_UNTIL(slot_of("p-1")->rec.state == SLOT_STATE_ISOLATED);
	cr_expect_str_eq(slot_of("p-1")->rec.reason, "whether processes are in it could not be found out");
	there.is_unknown = false;
	remove_first(true);
	RUN_UNTIL(!slot_of("p-1"));
}

Test(leftovers, who_has_it_removed_is_neither_ended_nor_waited_for)
{
	configure(CONF_PROCESSES_END, USEC_PER_MIN);
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
	there.n = 2;
	there.found[0] = found_as(getpid(), process_start_time(getpid()));
	there.found[1] = found_as(child, process_start_time(child));
	remove_first(false);
	RUN_UNTIL(!is_alive(child));
	there.n = 1;
	RUN_UNTIL(slot_of("p-1")->rec.state == SLOT_STATE_ISOLATED);
	cr_expect(strstr(slot_of("p-1")->rec.reason, "processes are still in it: agent ("), "%s",
		  slot_of("p-1")->rec.reason);
}

Test(leftovers, who_gave_it_back_is_remembered_until_it_is_clean)
{
	struct acquire_spec spec = spec_of("a");
	struct process_id line[2];
	struct slot *slot;
	struct answer a;

	configure(CONF_PROCESSES_WAIT, USEC_PER_MIN);
	there.n = 1;
	there.found[0] = found_as(child, process_start_time(child));
	ask_and_wait(&spec, &a);
	slot = slot_of(a.slot);
	slot_note_leaver(slot, getpid());
	give_back(&a, false);
	RUN_UNTIL(there.looks >= 1);
	cr_assert_geq(process_line_from_string(slot->rec.left_by, line, 2), 1);
	cr_expect(line[0].pid == getpid() && line[0].start == process_start_time(getpid()));
	there.n = 0;
	RUN_UNTIL(slot->rec.state == SLOT_STATE_READY);
	cr_expect_str_empty(slot->rec.left_by);
}
