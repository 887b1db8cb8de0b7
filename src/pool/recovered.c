/* lease.recovered.run: the operator's command hears of each lease that ended without its holder. */
#include <stdlib.h>
#include <string.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/text.h"

#define TELL_USEC (30 * USEC_PER_SEC) /* the command is ended after */
#define VARIABLES 12

static void free_variables(char **env)
{
	for (size_t i = 0; i < VARIABLES; i++)
		free(env[i]);
}

/* false: no memory */
static bool make_variables(const struct lease *lease, uint64_t held_usec, const char *reason, char **env)
{
	const struct lease_record *r = &lease->rec;
	size_t n = 0;

	env[n++] = text_printf("SLOT_LEASE=%s", lease->id_text);
	env[n++] = text_printf("SLOT_POOL=%s", r->pool);
	env[n++] = text_printf("SLOT_ID=%s", r->slot);
	env[n++] = text_printf("SLOT_TASK=%s", r->task);
	env[n++] = text_printf("SLOT_AGENT=%s", r->agent);
	env[n++] = text_printf("SLOT_BRANCH=%s", r->branch);
	env[n++] = text_printf("SLOT_TOKEN=%llu", (unsigned long long)r->token);
	env[n++] = text_printf("SLOT_HELD=%llu", (unsigned long long)held_usec / USEC_PER_SEC);
	env[n++] = r->progress >= 0 ? text_printf("SLOT_PROGRESS=%d", r->progress) : text_dup("SLOT_PROGRESS=");
	env[n++] = text_printf("SLOT_MESSAGE=%s", r->message);
	env[n++] = text_printf("SLOT_REASON=%s", reason);
	for (size_t i = 0; i < n; i++)
		if (!env[i])
			return false;
	return true;
}

void recovered_tell(struct lease *lease, uint64_t held_usec, const char *reason)
{
	const struct pool *pool = lease->slot->pool;
	const struct conf_list *run = &pool->conf->lease.recovered.run;
	_cleanup_(freep) char *what = text_printf("lease.recovered.run of pool %s", pool->rec.name);
	_cleanup_(freep) char **argv = calloc(run->n + 1, sizeof(*argv));
	struct command_spec spec = { .what = what, .argv = argv, .timeout_usec = TELL_USEC };
	char *env[VARIABLES] = { NULL };
	struct fault f = FAULT_NONE;

	if (run->n == 0 || !what || !argv)
		return;
	memcpy(argv, run->items, run->n * sizeof(*argv));
	spec.env = env;
	/* what becomes of it is its own business: the lease is over */
	if (!make_variables(lease, held_usec, reason, env) || command_start(pool->pools->commands, &spec, &f) < 0)
		log_warning("a recovered lease could not be told of: %s slot=%s",
			    f.text[0] ? f.text : "out of memory", lease->rec.slot);
	free_variables(env);
}
