/* The client object: what it is set to, and how its last call ended. */
#include "libslot/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

SLOT_API const char *slot_version(void)
{
	return SLOTD_VERSION;
}

/* ---- life ---- */

static int resolve_path(const char *path, char **ret)
{
	_cleanup_(freep) char *resolved = NULL;
	int r;

	if (!path) {
		r = slot_socket_path(SLOT_SCOPE_ANY, &resolved);
		if (r < 0)
			return r;
	} else {
		resolved = text_dup(path);
		if (!resolved)
			return -ENOMEM;
	}
	if (!resolved[0])
		return -EINVAL;
	if (strlen(resolved) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return -ENAMETOOLONG;
	*ret = TAKE(resolved);
	return 0;
}

static int open_wake(struct slot_client *client)
{
	struct epoll_event event = { .events = EPOLLIN };

	client->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (client->wake_fd < 0)
		return -errno;
	if (epoll_ctl(client->conn.epoll_fd, EPOLL_CTL_ADD, client->wake_fd, &event) < 0)
		return -errno;
	return 0;
}

SLOT_API int slot_client_new(const char *path, struct slot_client **ret)
{
	_cleanup_(slot_client_unrefp) struct slot_client *client = NULL;
	int r;

	client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	client->refs = 1;
	client->pid = getpid();
	client->wake_fd = -1;
	client->retry = retry_default;
	r = conn_init(&client->conn);
	if (r == 0)
		r = resolve_path(path, &client->path);
	if (r == 0)
		r = open_wake(client);
	if (r < 0)
		return r;
	*ret = TAKE(client);
	return 0;
}

SLOT_API int slot_connect(const char *path, struct slot_client **ret)
{
	_cleanup_(slot_client_unrefp) struct slot_client *client = NULL;
	int r;

	r = slot_client_new(path, &client);
	if (r == 0)
		r = slot_client_connect(client);
	if (r < 0)
		return r;
	*ret = TAKE(client);
	return 0;
}

SLOT_API struct slot_client *slot_client_ref(struct slot_client *client)
{
	if (client)
		client->refs++;
	return client;
}

SLOT_API void slot_client_unref(struct slot_client *client)
{
	if (!client || --client->refs > 0)
		return;
	call_free(TAKE(client->call));
	conn_deinit(&client->conn, client->pid != getpid());
	closep(&client->wake_fd);
	outcome_clear(&client->outcome);
	free(client->path);
	free(client);
}

SLOT_API void slot_client_unrefp(struct slot_client **client)
{
	slot_client_unref(*client);
}

int client_check(struct slot_client *client)
{
	if (!client)
		return -EINVAL;
	if (client->pid == getpid())
		return 0;
	outcome_clear(&client->outcome);
	return fault(&client->outcome.fault, -ECHILD, "the client belongs to the parent process");
}

int client_refuse(struct slot_client *client, const char *sentence)
{
	if (!client || client->call)
		return -EINVAL;
	outcome_clear(&client->outcome);
	return fault(&client->outcome.fault, -EINVAL, "%s", sentence);
}

/* ---- settings ---- */

SLOT_API const char *slot_client_path(const struct slot_client *client)
{
	return client->path;
}

SLOT_API int slot_client_set_retry(struct slot_client *client, uint64_t deadline_usec,
				   unsigned attempts, uint64_t base_usec, uint64_t cap_usec)
{
	if (base_usec == 0 || cap_usec < base_usec)
		return -EINVAL;
	client->retry = (struct retry_policy){
		.deadline_usec = deadline_usec,
		.base_usec = base_usec,
		.cap_usec = cap_usec,
		.attempts = attempts,
	};
	return 0;
}

SLOT_API void slot_client_set_await_daemon(struct slot_client *client, bool await)
{
	client->await_daemon = await;
}

SLOT_API void slot_client_set_timeout(struct slot_client *client, uint64_t timeout_usec)
{
	client->timeout_usec = timeout_usec;
}

/* ---- cancellation ---- */

void client_wake(struct slot_client *client)
{
	uint64_t one = 1;

	/* fails only when the counter is full, and then it is awake */
	if (write(client->wake_fd, &one, sizeof(one)) < 0)
		return;
}

SLOT_API void slot_client_cancel(struct slot_client *client)
{
	int saved = errno;

	/* the counter is shared with the parent: a child must not wake it */
	if (client->pid == getpid()) {
		atomic_store(&client->is_cancelled, true);
		client_wake(client);
	}
	errno = saved;
}

SLOT_API void slot_client_clear_cancel(struct slot_client *client)
{
	atomic_store(&client->is_cancelled, false);
}

/* ---- the last outcome ---- */

void outcome_clear(struct outcome *outcome)
{
	json_object_put(TAKE(outcome->answer));
	outcome->fault.text[0] = '\0';
}

static const char *parameters_json(const struct slot_client *client, bool of_error)
{
	json_object *answer = client->outcome.answer;

	if (!answer || of_error != (json_get_string(answer, "error") != NULL))
		return NULL;
	return json_object_to_json_string_ext(json_get_object(answer, "parameters"),
					      JSON_C_TO_STRING_PLAIN |
						      JSON_C_TO_STRING_NOSLASHESCAPE);
}

SLOT_API const char *slot_client_error_name(const struct slot_client *client)
{
	return json_get_string(client->outcome.answer, "error");
}

SLOT_API const char *slot_client_error_message(const struct slot_client *client)
{
	const char *name = slot_client_error_name(client);
	const char *message;

	if (!name)
		return client->outcome.fault.text;
	message = json_get_string(json_get_object(client->outcome.answer, "parameters"), "message");
	return message ? message : name;
}

SLOT_API const char *slot_client_error_parameters_json(const struct slot_client *client)
{
	return parameters_json(client, true);
}

SLOT_API const char *slot_client_reply_json(const struct slot_client *client)
{
	return parameters_json(client, false);
}
