/* What an acquire asks for, collected as the call's parameters. */
#include "libslot/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

#define INTEGER_LIMIT (INT64_C(1) << 53)

SLOT_API int slot_request_new(struct slot_request **ret)
{
	_cleanup_(slot_request_freep) struct slot_request *request = calloc(1, sizeof(*request));

	if (!request)
		return -ENOMEM;
	request->params = json_object_new_object();
	if (!request->params)
		return -ENOMEM;
	*ret = TAKE(request);
	return 0;
}

SLOT_API void slot_request_free(struct slot_request *request)
{
	if (!request)
		return;
	json_object_put(request->params);
	free(request);
}

SLOT_API void slot_request_freep(struct slot_request **request)
{
	slot_request_free(*request);
}

static int refuse(struct slot_request *request, const char *key)
{
	request->bad = key;
	return -EINVAL;
}

static bool is_utf8(const char *s)
{
	return text_is_utf8(s, strlen(s));
}

static int set_string(struct slot_request *request, const char *key, const char *value)
{
	if (!value) {
		json_object_object_del(request->params, key);
		return 0;
	}
	if (!is_utf8(value))
		return refuse(request, key);
	json_set_string(request->params, key, value);
	return 0;
}

static int set_int(struct slot_request *request, const char *key, int64_t value)
{
	if (value >= INTEGER_LIMIT || value <= -INTEGER_LIMIT)
		return refuse(request, key);
	json_set_int(request->params, key, value);
	return 0;
}

static int set_usec(struct slot_request *request, const char *key, uint64_t value)
{
	if (value >= (uint64_t)INTEGER_LIMIT)
		return refuse(request, key);
	return set_int(request, key, (int64_t)value);
}

SLOT_API int slot_request_set_pool(struct slot_request *request, const char *pool)
{
	return set_string(request, "pool", pool);
}

SLOT_API int slot_request_set_directory(struct slot_request *request, const char *directory)
{
	return set_string(request, "directory", directory);
}

SLOT_API int slot_request_set_common_dir(struct slot_request *request, const char *common_dir)
{
	return set_string(request, "commonDir", common_dir);
}

SLOT_API int slot_request_set_ref(struct slot_request *request, const char *ref)
{
	return set_string(request, "ref", ref);
}

SLOT_API int slot_request_set_branch(struct slot_request *request, const char *branch)
{
	return set_string(request, "branch", branch);
}

SLOT_API int slot_request_set_agent(struct slot_request *request, const char *agent)
{
	return set_string(request, "agent", agent);
}

SLOT_API int slot_request_set_task(struct slot_request *request, const char *task)
{
	return set_string(request, "task", task);
}

SLOT_API int slot_request_set_key(struct slot_request *request, const char *key)
{
	return set_string(request, "key", key);
}

SLOT_API int slot_request_set_bind(struct slot_request *request, const char *bind)
{
	return set_string(request, "bind", bind);
}

SLOT_API int slot_request_set_resume(struct slot_request *request, const char *resume)
{
	return set_string(request, "resume", resume);
}

SLOT_API int slot_request_set_wait_usec(struct slot_request *request, uint64_t wait_usec)
{
	return set_usec(request, "waitUsec", wait_usec);
}

SLOT_API int slot_request_set_ttl_usec(struct slot_request *request, uint64_t ttl_usec)
{
	return set_usec(request, "ttlUsec", ttl_usec);
}

SLOT_API int slot_request_set_estimate_usec(struct slot_request *request, uint64_t estimate_usec)
{
	return set_usec(request, "estimateUsec", estimate_usec);
}

SLOT_API int slot_request_set_holder(struct slot_request *request, int64_t pid)
{
	return set_int(request, "holder", pid);
}

SLOT_API int slot_request_set_priority(struct slot_request *request, int64_t priority)
{
	return set_int(request, "priority", priority);
}

SLOT_API int slot_request_add_label(struct slot_request *request, const char *label)
{
	json_object *labels = json_get_array(request->params, "labels");
	json_object *value;

	if (!label || !is_utf8(label))
		return refuse(request, "labels");
	if (!labels) {
		labels = json_object_new_array();
		json_set(request->params, "labels", labels);
	}
	value = json_object_new_string(label);
	if (!value || json_object_array_add(labels, value) < 0) {
		json_object_put(value);
		return -ENOMEM;
	}
	return 0;
}

SLOT_API int slot_request_add_meta(struct slot_request *request, const char *name,
				   const char *value)
{
	json_object *meta = json_get_object(request->params, "meta");

	if (!name || !is_utf8(name) || (value && !is_utf8(value)))
		return refuse(request, "meta");
	if (!meta) {
		meta = json_object_new_object();
		json_set(request->params, "meta", meta);
	}
	if (value)
		json_set_string(meta, name, value);
	else
		json_object_object_del(meta, name);
	return 0;
}
