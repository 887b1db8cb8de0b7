/* What a service is made of, what each uid uses of it, and how it ends. */
#include "rpc/service-private.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/cleanup.h"
#include "util/clock.h"
#include "util/text.h"

static const struct rpc_limits default_limits = {
	.message_bytes = FRAME_MESSAGE_BYTES,
	.depth = FRAME_DEPTH,
	.out_bytes = 1024 * 1024,
	.out_bytes_per_uid = 64 * 1024 * 1024,
	.connections_per_uid = 64,
	.pending_per_uid = 256,
	.read_usec = 10 * USEC_PER_SEC,
};

static void service_freep(struct rpc_service **s)
{
	rpc_service_free(*s);
}

int rpc_service_new(sd_event *event, const char *vendor, const char *product, const char *version,
		    const char *url, void *userdata, struct rpc_service **ret, struct fault *f)
{
	_cleanup_(service_freep) struct rpc_service *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return fault_oom(f);
	list_init(&s->interfaces);
	list_init(&s->accounts);
	list_init(&s->conns);
	list_init(&s->calls);
	s->event = sd_event_ref(event);
	s->userdata = userdata;
	s->limits = default_limits;
	s->priority = SD_EVENT_PRIORITY_NORMAL;
	s->vendor = strdup(vendor);
	s->product = strdup(product);
	s->version = strdup(version);
	s->url = strdup(url);
	if (!s->vendor || !s->product || !s->version || !s->url)
		return fault_oom(f);
	r = rpc_service_add_interface(s, org_varlink_service_varlink, service_methods, f);
	if (r < 0)
		return r;
	*ret = TAKE(s);
	return 0;
}

void rpc_service_free(struct rpc_service *s)
{
	struct rpc_interface *i, *next_i;
	struct rpc_conn *c;
	struct rpc_call *call;

	if (!s)
		return;
	/* closing one tells its handler, who may free others: always take the first */
	while ((c = list_first(&s->conns, struct rpc_conn, link)))
		conn_close(c);
	while ((call = list_first(&s->calls, struct rpc_call, link)))
		call_detach(call);
	list_for_each_safe (i, next_i, &s->interfaces, link) {
		idl_free(i->idl);
		free(i);
	}
	sd_event_unref(s->event);
	free(s->vendor);
	free(s->product);
	free(s->version);
	free(s->url);
	free(s);
}

void rpc_service_set_limits(struct rpc_service *s, const struct rpc_limits *limits)
{
	s->limits = *limits;
}

void rpc_service_set_priority(struct rpc_service *s, int64_t priority)
{
	s->priority = priority;
}

void rpc_service_on_conn_gone(struct rpc_service *s, rpc_conn_gone_fn fn)
{
	s->conn_gone = fn;
}

unsigned rpc_service_count_conns(const struct rpc_service *s)
{
	return s->n_conns;
}

unsigned rpc_service_count_calls(const struct rpc_service *s)
{
	return s->n_calls;
}

/* --- interfaces --- */

struct rpc_interface *service_find_interface(struct rpc_service *s, const char *name, size_t len)
{
	struct rpc_interface *i;

	list_for_each (i, &s->interfaces, link)
		if (strlen(idl_name(i->idl)) == len && memcmp(idl_name(i->idl), name, len) == 0)
			return i;
	return NULL;
}

int rpc_service_add_interface(struct rpc_service *s, const char *idl_text,
			      const struct rpc_method *methods, struct fault *f)
{
	_cleanup_(freep) struct rpc_interface *i = calloc(1, sizeof(*i));
	const char *name;
	int r;

	if (!i)
		return fault_oom(f);
	r = idl_parse(idl_text, &i->idl, f);
	if (r < 0)
		return r;
	name = idl_name(i->idl);
	if (service_find_interface(s, name, strlen(name))) {
		fault(f, 0, "the interface %s is served already", name);
		idl_free(i->idl);
		return -EEXIST;
	}
	i->methods = methods;
	list_append(&s->interfaces, &i->link);
	TAKE(i);
	return 0;
}

static bool has_handler(const struct rpc_interface *i, const char *method)
{
	for (const struct rpc_method *m = i->methods; m->name; m++)
		if (strcmp(m->name, method) == 0)
			return true;
	return false;
}

static bool has_method(const struct rpc_interface *i, const char *handler)
{
	for (size_t k = 0; k < idl_count_methods(i->idl); k++)
		if (strcmp(idl_method_name(i->idl, k), handler) == 0)
			return true;
	return false;
}

static int check_interface(const struct rpc_interface *i, struct fault *f)
{
	for (size_t k = 0; k < idl_count_methods(i->idl); k++) {
		const char *name = idl_method_name(i->idl, k);

		if (!has_handler(i, name))
			return fault(f, -EINVAL, "nothing serves %s.%s", idl_name(i->idl), name);
	}
	for (const struct rpc_method *m = i->methods; m->name; m++)
		if (!has_method(i, m->name))
			return fault(f, -EINVAL, "%s has no method %s to serve", idl_name(i->idl),
				     m->name);
	return 0;
}

int rpc_service_check(struct rpc_service *s, struct fault *f)
{
	struct rpc_interface *i;

	list_for_each (i, &s->interfaces, link) {
		int r = check_interface(i, f);

		if (r < 0)
			return r;
	}
	return 0;
}

/* --- accounts --- */

struct rpc_account *service_get_account(struct rpc_service *s, uid_t uid)
{
	struct rpc_account *a;

	list_for_each (a, &s->accounts, link)
		if (a->uid == uid)
			return a;
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->uid = uid;
	list_append(&s->accounts, &a->link);
	return a;
}

void service_settle_account(struct rpc_account *account)
{
	if (account->conns > 0 || account->pending > 0)
		return;
	list_del(&account->link);
	free(account);
}

/* --- the end --- */

void rpc_service_stop_reading(struct rpc_service *s)
{
	struct rpc_conn *c;

	s->stopped = true;
	list_for_each (c, &s->conns, link)
		conn_arm(c);
}

unsigned rpc_service_fail_calls(struct rpc_service *s, const char *error, const char *message)
{
	struct rpc_call *call;
	unsigned n = 0;

	while ((call = list_first(&s->calls, struct rpc_call, link))) {
		call_withdraw(call, error, message);
		n++;
	}
	return n;
}

static uint64_t now_usec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

/* one round of writing; the sockets that did not take all go to @polls */
static size_t flush_round(struct rpc_service *s, struct pollfd *polls, nfds_t *ret_n)
{
	struct rpc_conn *c;
	size_t left = 0;

	*ret_n = 0;
	list_for_each (c, &s->conns, link) {
		size_t bytes = conn_flush(c);

		left += bytes;
		if (bytes > 0 && polls && !c->broken)
			polls[(*ret_n)++] = (struct pollfd){ .fd = c->fd, .events = POLLOUT };
	}
	return left;
}

size_t rpc_service_flush(struct rpc_service *s, uint64_t usec)
{
	_cleanup_(freep) struct pollfd *polls = calloc(s->n_conns + 1, sizeof(*polls));
	uint64_t now = now_usec();
	uint64_t until = usec > UINT64_MAX - now ? UINT64_MAX : now + usec;
	size_t left;
	nfds_t n;

	while ((left = flush_round(s, polls, &n)) > 0 && n > 0 && now < until) {
		struct timespec wait = {
			.tv_sec = (time_t)((until - now) / USEC_PER_SEC),
			.tv_nsec = (long)((until - now) % USEC_PER_SEC * 1000),
		};

		ppoll(polls, n, &wait, NULL);
		now = now_usec();
	}
	return left;
}
