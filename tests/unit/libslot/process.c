/* Signals, threads and forked children. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "util/cleanup.h"
#include "util/clock.h"

TestSuite(process, .fini = fixture_stop, .timeout = 60);

static void cancel_on_signal(int signal)
{
	slot_client_cancel(client);
}

static void do_nothing(int signal)
{
}

static void on_usr1(void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler };

	sigaction(SIGUSR1, &action, NULL);
}

Test(process, a_signal_handler_can_end_a_waiting_acquire)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ },	     { PEER_PAUSE, NULL, 30 },
		{ PEER_KICK },	 { PEER_AWAIT_END }, { PEER_END },
	};
	struct slot_lease *lease = NULL;

	on_usr1(cancel_on_signal);
	fixture_start(steps);
	cr_expect(eq(int, fixture_acquire(&lease), -ECANCELED));
	cr_assert(peer_finish(&peer));
}

Test(process, any_other_signal_does_not_disturb)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_PAUSE, NULL, 30 },
		{ PEER_KICK },
		{ PEER_PAUSE, NULL, 30 },
		{ PEER_SEND, "{}" },
		{ PEER_END },
	};

	on_usr1(do_nothing);
	fixture_start(steps);
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), 0));
	cr_assert(peer_finish(&peer));
}

Test(process, a_cancel_before_the_call_ends_it_and_only_that_one)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ },	      { PEER_SEND, "{}" },
		{ PEER_READ },	 { PEER_SEND, "{}" }, { PEER_END },
	};

	fixture_start(steps);
	slot_client_cancel(client);
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), -ECANCELED));
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), 0));
	slot_client_cancel(client);
	slot_client_clear_cancel(client);
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), 0));
	cr_assert(peer_finish(&peer));
}

static sem_t kicked;

static void on_kick(int signal)
{
	sem_post(&kicked);
}

static void *cancel_from_thread(void *unused)
{
	while (sem_wait(&kicked) < 0)
		;
	usleep(50000); /* the signal woke the call: it goes to sleep again */
	slot_client_cancel(client);
	return NULL;
}

Test(process, another_thread_can_end_a_call_between_two_attempts)
{
	/* the first attempt ends with a hang-up, the second lies far away */
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_CLOSE }, { PEER_KICK }, { PEER_END },
	};
	_cleanup_(freep) char *called = NULL;
	uint64_t before = clock_boot_usec();
	pthread_t thread;

	sem_init(&kicked, 0, 0);
	on_usr1(on_kick);
	fixture_start(steps);
	slot_client_set_await_daemon(client, true);
	cr_assert(eq(int, slot_client_set_retry(client, 50000 * MS, 0, 20000 * MS, 20000 * MS), 0));
	cr_assert(eq(int, pthread_create(&thread, NULL, cancel_from_thread, NULL), 0));
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), -ECANCELED));
	cr_expect(lt(u64, clock_boot_usec() - before, 10000 * MS));
	pthread_join(thread, NULL);
	cr_assert(peer_finish(&peer));
	called = fixture_method(0);
	cr_expect(eq(str, called, (char *)"io.slotd.pool.Ping"));
}

/* the descriptors that are open, as bits */
static uint64_t open_descriptors(void)
{
	uint64_t set = 0;

	for (int fd = 0; fd < 64; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			set |= (uint64_t)1 << fd;
	return set;
}

Test(process, no_descriptor_goes_to_a_program_that_the_caller_starts)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },    { PEER_READ }, { PEER_SEND, "{}" },
		{ PEER_AWAIT_END }, { PEER_END },
	};
	uint64_t before, own;
	int n = 0;

	peer_start(&peer, steps);
	before = open_descriptors();
	fixture_open();
	cr_assert(eq(int, slot_call(client, "Ping", NULL, NULL), 0));
	own = open_descriptors() & ~before;
	for (int fd = 0; fd < 64; fd++) {
		if (!(own >> fd & 1))
			continue;
		n++;
		cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC, "descriptor %d", fd);
	}
	cr_expect(ge(int, n, 3)); /* the socket, the epoll set, what wakes it */
	slot_client_unref(TAKE(client));
	cr_expect(eq(u64, open_descriptors() & ~before, 0));
	cr_assert(peer_finish(&peer));
}

/* is there anything for the caller's loop to do? */
static int is_awake(void)
{
	struct pollfd p = { .fd = slot_client_fd(client), .events = POLLIN };

	return poll(&p, 1, 0);
}

/* 0 when everything in the child is as slot.h says, else the number of what is not */
static int use_in_child(struct slot_lease *lease)
{
	if (slot_call(client, "Ping", NULL, NULL) != -ECHILD)
		return 1;
	if (slot_renew(client, lease, 1, NULL) != -ECHILD)
		return 2;
	if (slot_client_fd(client) != -ECHILD || slot_client_process(client) != -ECHILD)
		return 3;
	slot_client_cancel(client);
	slot_lease_releasep(&lease);
	slot_client_unref(client);
	return 0;
}

Test(process, a_forked_child_can_only_free_and_the_parent_goes_on)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_READ },
		{ PEER_SEND, LEASE_REPLY },
		{ PEER_READ },
		{ PEER_SEND, "{}" },
		{ PEER_READ },
		{ PEER_SEND, RELEASE_REPLY },
		{ PEER_AWAIT_END },
		{ PEER_END },
	};
	struct slot_lease *lease = NULL;
	int status;
	pid_t pid;

	fixture_start(steps);
	cr_assert(eq(int, fixture_acquire(&lease), 0));
	pid = fork();
	if (pid == 0)
		_exit(use_in_child(lease));
	cr_assert(eq(int, waitpid(pid, &status, 0), pid));
	cr_assert(eq(int, WEXITSTATUS(status), 0));
	cr_expect(eq(int, is_awake(), 0)); /* the child's cancel stayed its own */
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), 0));
	slot_lease_releasep(&lease);
	cr_expect(eq(ptr, lease, NULL));
	slot_client_unref(TAKE(client));
	cr_assert(peer_finish(&peer));
	fixture_expect_called(2, "io.slotd.pool.Release", "lease", LEASE_ID);
}

Test(process, the_daemon_sees_the_end_though_a_child_holds_the_socket)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },    { PEER_READ }, { PEER_SEND, "{}" },
		{ PEER_AWAIT_END }, { PEER_END },
	};
	pid_t pid;

	fixture_start(steps);
	cr_assert(eq(int, slot_call(client, "Ping", NULL, NULL), 0));
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	slot_client_unref(TAKE(client));
	cr_expect(peer_finish(&peer));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

Test(process, a_closed_connection_is_quiet_though_a_child_holds_the_socket)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT }, { PEER_READ }, { PEER_SEND, "{}" }, { PEER_CLOSE }, { PEER_END },
	};
	pid_t pid;

	fixture_start(steps);
	cr_assert(eq(int, slot_call(client, "Ping", NULL, NULL), 0));
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	cr_assert(peer_finish(&peer));
	cr_expect(eq(int, is_awake(), 1));
	cr_assert(eq(int, slot_client_process(client), 0));
	cr_expect(eq(int, is_awake(), 0));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

Test(process, a_peer_that_hangs_up_raises_no_sigpipe)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT },
		{ PEER_CLOSE },
		{ PEER_UNLISTEN },
		{ PEER_END },
	};

	fixture_start(steps);
	cr_assert(eq(int, slot_client_set_retry(client, 30 * MS, 0, 5 * MS, 50 * MS), 0));
	cr_assert(eq(int, slot_client_connect(client), 0));
	cr_assert(peer_finish(&peer));
	cr_expect(eq(int, slot_call(client, "Ping", NULL, NULL), -ENOENT));
}

Test(process, its_version_is_the_projects)
{
	cr_expect(eq(str, (char *)slot_version(), (char *)SLOTD_VERSION));
}
