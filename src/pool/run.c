/* The operator's commands in slots: what they are told, where they may write, what they said. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"
#define SLACK_USEC   USEC_PER_MIN /* the worker keeps the time; this is for when it does not */
#define OUTPUT_EVENT_BYTES 480	  /* of what a command said, in one event */

/* --- what it is told --- */

static void set_number(json_object *env, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	json_set_string(env, name, text);
}

static void copy_variable(json_object *env, const char *name, const char *fallback)
{
	const char *value = getenv(name);

	if (value || fallback)
		json_set_string(env, name, value ? value : fallback);
}

/* of the pool's own, below the state directory; allocated */
static char *home_of(const struct pool *pool)
{
	const char *own = pool->conf->warmup.home;

	return own ? strdup(own) :
		     text_printf("%s/" POOL_HOMES "/%s", pool->pools->conf->state_dir, pool->rec.name);
}

json_object *slot_run_environment(const struct slot *slot)
{
	const struct pools *p = slot->pool->pools;
	_cleanup_(freep) char *path = slot_path(slot), *tmp = slot_tmp_path(slot);
	json_object *env = json_object_new_object();

	copy_variable(env, "PATH", DEFAULT_PATH);
	copy_variable(env, "USER", NULL);
	copy_variable(env, "LOGNAME", NULL);
	json_set_string(env, "LANG", "C.UTF-8");
	json_set_string(env, "TMPDIR", tmp);
	json_set_string(env, "SLOT_PATH", path);
	json_set_string(env, "SLOT_ID", slot->rec.name);
	json_set_string(env, "SLOT_POOL", slot->rec.pool);
	json_set_string(env, "SLOT_TMPDIR", tmp);
	json_set_string(env, "SLOTD_SOCKET", p->conf->socket);
	if (slot->rec.port_base) {
		set_number(env, "SLOT_PORT_BASE", slot->rec.port_base);
		set_number(env, "SLOT_PORT_COUNT", slot->rec.port_count);
	}
	return env;
}

/* the operator's own last: they may replace any */
static void add_configured(json_object *env, const struct conf_list *own)
{
	for (size_t i = 0; i < own->n; i++) {
		_cleanup_(freep) char *name = strdup(own->items[i]);
		char *value = name ? strchr(name, '=') : NULL;

		if (!value)
			continue;
		*value++ = '\0';
		json_set_string(env, name, value);
	}
}

static json_object *to_words(json_object *env)
{
	json_object *words = json_object_new_array();

	json_object_object_foreach(env, name, value)
	{
		_cleanup_(freep) char *word =
			text_printf("%s=%s", name, value ? json_object_get_string(value) : "");

		if (word)
			json_object_array_add(words, json_object_new_string(word));
	}
	return words;
}

json_object *conf_list_to_json(const struct conf_list *list)
{
	json_object *words = json_object_new_array();

	for (size_t i = 0; i < list->n; i++)
		json_object_array_add(words, json_object_new_string(list->items[i]));
	return words;
}

/* --- its start --- */

int slot_start_run(struct slot *slot, const struct run_wish *wish, json_object *env, job_done_fn done)
{
	const struct conf_pool *conf = slot->pool->conf;
	_cleanup_(freep) char *home = home_of(slot->pool);
	json_object *params = json_object_new_object();
	struct job_spec spec = {
		.method = "SlotRun",
		.params = params,
		.lock = slot->rec.name,
		.deadline_usec = wish->timeout_usec + SLACK_USEC,
		.done = done,
		.userdata = slot,
	};

	json_set_string(env, "HOME", home);
	add_configured(env, &conf->warmup.env);
	json_set_string(params, "slot", slot->rec.name);
	json_set_int(params, "dev", (int64_t)slot->rec.dev);
	json_set_int(params, "ino", (int64_t)slot->rec.ino);
	json_set(params, "run", conf_list_to_json(wish->run));
	json_set(params, "environment", to_words(env));
	json_set_string(params, "home", home);
	json_set(params, "writable", conf_list_to_json(&conf->warmup.writable));
	json_set_int(params, "timeoutUsec", (int64_t)wish->timeout_usec);
	json_set_bool(params, "low", wish->low);
	json_object_put(env);
	slot->run_since_usec = clock_boot_usec();
	return job_start(slot->pool->run_site, &spec, &slot->job);
}

/* --- what it said --- */

/* as many whole lines as fit, else as many letters */
static size_t one_event(const char *text, size_t len)
{
	size_t n = len < OUTPUT_EVENT_BYTES ? len : OUTPUT_EVENT_BYTES;
	const char *end = n < len ? memrchr(text, '\n', n) : NULL;

	if (end && end > text)
		return (size_t)(end - text) + 1;
	while (n < len && n > 1 && ((unsigned char)text[n] & 0xC0) == 0x80)
		n--;
	return n;
}

void slot_note_output(struct slot *slot, const struct job_result *r)
{
	const char *text = json_get_string(r->params, "output");
	size_t left = text ? strlen(text) : 0, n;

	for (; left > 0; text += n, left -= n) {
		n = one_event(text, left);
		pools_event(slot->pool->pools, "command_output", slot->pool, slot, NULL, UID_SLOTD, "%.*s",
			    (int)(text[n - 1] == '\n' ? n - 1 : n), text);
	}
}

static size_t trimmed(const char *text)
{
	size_t len = text ? strlen(text) : 0;

	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
		len--;
	return len;
}

void slot_describe_run(const struct slot *slot, const struct job_result *r, char *ret, size_t size)
{
	const char *output = json_get_string(r->params, "output");
	size_t len = trimmed(output);
	const char *line = len ? memrchr(output, '\n', len) : NULL;
	uint64_t took = clock_boot_usec() - slot->run_since_usec;

	line = line ? line + 1 : output;
	if (r->outcome != JOB_DONE)
		snprintf(ret, size, "%s", r->message);
	else if (json_get_bool(r->params, "ok", false) || len == 0)
		snprintf(ret, size, "%s after %.1fs", json_get_string(r->params, "ended"),
			 (double)took / USEC_PER_SEC);
	else
		snprintf(ret, size, "%s: %.*s", json_get_string(r->params, "ended"),
			 (int)(output + len - line), line);
	text_mend_utf8(ret);
}

bool run_is_ok(const struct job_result *r)
{
	return r->outcome == JOB_DONE && json_get_bool(r->params, "ok", false);
}
