/* The contract of scripts. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "slotctl/exit.h"
#include "util/cleanup.h"

Test(exit, each_answer_has_its_status)
{
	static const struct {
		const char *error;
		int status;
	} cases[] = {
		{ "io.slotd.pool.Busy", 3 },
		{ "io.slotd.pool.Unavailable", 3 },
		{ "io.slotd.pool.QuotaReached", 3 },
		{ "io.slotd.pool.NotFound", 4 },
		{ "io.slotd.pool.LeaseGone", 5 },
		{ "io.slotd.pool.ShuttingDown", 6 },
		{ "io.slotd.pool.NotPermitted", 8 },
		{ "io.slotd.pool.Isolated", 1 },
		{ "io.slotd.pool.KeyReused", 1 },
		{ "io.slotd.pool.Unsupported", 1 },
		{ "io.slotd.pool.Exists", 1 },
		{ "io.slotd.pool.Conflict", 1 },
		{ "io.slotd.pool.BranchInUse", 1 },
		{ "io.slotd.pool.GitFailed", 1 },
		{ "io.slotd.pool.HookFailed", 1 },
		{ "io.slotd.pool.LedgerFailed", 1 },
		{ "io.slotd.pool.LimitReached", 1 },
		{ "io.slotd.pool.Internal", 1 },
		{ "io.slotd.pool.FromTheFuture", 1 },
		{ "org.varlink.service.InvalidParameter", 2 },
		{ "com.example.Busy", 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		cr_expect(eq(int, (int)exit_status_of(cases[i].error, -EIO), cases[i].status), "%s",
			  cases[i].error);
}

Test(exit, a_daemon_that_cannot_be_reached_is_six)
{
	static const int codes[] = { -ENOENT, -ECONNREFUSED, -ECONNRESET, -EACCES, -ETIMEDOUT };

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		cr_expect(eq(int, (int)exit_status_of(NULL, codes[i]), 6));
	cr_expect(eq(int, (int)exit_status_of(NULL, -ENOMEM), 1));
	cr_expect(eq(int, (int)exit_status_of(NULL, -EPROTO), 1));
}

Test(exit, the_code_does_not_matter_when_the_daemon_gave_a_name)
{
	cr_expect(eq(int, (int)exit_status_of("io.slotd.pool.Internal", -ENOENT), 1));
	cr_expect(eq(int, (int)exit_status_of("io.slotd.pool.NotFound", -ENOENT), 4));
}
