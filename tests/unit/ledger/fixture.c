/* Records with something in every field. */
#include "fixture.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

bool is_under_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "vgpreload");
}

char *path_of(const char *dir, const char *name)
{
	char *path = text_printf("%s/%s", dir, name);

	if (!path)
		abort();
	return path;
}

void remove_at(const char *dir, const char *name)
{
	_cleanup_(freep) char *path = path_of(dir, name);

	if (fs_remove_tree(path, NULL) < 0)
		abort();
}

void make_dir_at(const char *dir, const char *name)
{
	_cleanup_(freep) char *path = path_of(dir, name);

	if (fs_mkdir_all(path, 0700, NULL) < 0)
		abort();
}

void flip_bit(const char *path, off_t bit)
{
	_cleanup_(closep) int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	if (fd < 0 || pread(fd, &byte, 1, bit / 8) != 1)
		abort();
	byte ^= (uint8_t)(1 << bit % 8);
	if (pwrite(fd, &byte, 1, bit / 8) != 1)
		abort();
}

#define FILL(s)                                  \
	do {                                     \
		memset((s), 'x', sizeof(s) - 1); \
		(s)[sizeof(s) - 1] = '\0';       \
	} while (0)

static void name_set(char *to, const char *name)
{
	snprintf(to, NAME_SIZE, "%s", name);
}

struct pool_record pool_empty(const char *name)
{
	struct pool_record r;

	memset(&r, 0, sizeof(r));
	name_set(r.name, name);
	r.state = POOL_STATE_OPENING;
	return r;
}

struct slot_record slot_empty(const char *name)
{
	struct slot_record r;

	memset(&r, 0, sizeof(r));
	name_set(r.name, name);
	r.state = SLOT_STATE_CREATING;
	return r;
}

struct lease_record lease_empty(void)
{
	struct lease_record r;

	memset(&r, 0, sizeof(r));
	return r;
}

struct key_record key_empty(uint32_t uid, const char *key)
{
	struct key_record r;

	memset(&r, 0, sizeof(r));
	r.uid = uid;
	snprintf(r.key, sizeof(r.key), "%s", key);
	return r;
}

struct event_record event_empty(const char *kind)
{
	struct event_record r;

	memset(&r, 0, sizeof(r));
	snprintf(r.kind, sizeof(r.kind), "%s", kind);
	return r;
}

static struct moment moment_full(void)
{
	struct moment m = { .wall_usec = UINT64_MAX, .boot_usec = UINT64_MAX - 1 };

	memset(&m.boot, 0xee, sizeof(m.boot));
	return m;
}

struct pool_record pool_full(void)
{
	struct pool_record r;

	memset(&r, 0, sizeof(r));
	FILL(r.name);
	FILL(r.url);
	FILL(r.path);
	FILL(r.ref);
	r.ready = INT32_MAX;
	r.max = -1;
	r.from_file = r.paused = r.draining = r.delete_store = true;
	r.state = POOL_STATE_REMOVING;
	FILL(r.problem);
	FILL(r.common_dir);
	FILL(r.full_ref);
	FILL(r.head);
	r.fetched = moment_full();
	r.created_usec = UINT64_MAX;
	FILL(r.unsupported);
	return r;
}

struct slot_record slot_full(void)
{
	struct slot_record r;

	memset(&r, 0, sizeof(r));
	FILL(r.name);
	FILL(r.pool);
	r.state = SLOT_STATE_REMOVING;
	r.discard = true;
	FILL(r.reason);
	FILL(r.head);
	FILL(r.branch);
	FILL(r.target);
	memset(&r.lease, 0xab, sizeof(r.lease));
	r.token = r.dev = r.ino = r.since_usec = UINT64_MAX;
	r.created_usec = r.released_usec = r.allocations = r.used_usec = UINT64_MAX - 2;
	r.disk_bytes = r.isolated_usec = UINT64_MAX - 3;
	FILL(r.isolated_by);
	FILL(r.last_agent);
	FILL(r.last_branch);
	r.attempts = UINT32_MAX;
	memset(&r.boot, 0xcd, sizeof(r.boot));
	memset(&r.left_lease, 0xab, sizeof(r.left_lease));
	r.left_uid = UINT32_MAX;
	FILL(r.left_task);
	FILL(r.left_base);
	r.left_since_usec = r.left_usec = UINT64_MAX - 4;
	FILL(r.warmed);
	r.port_base = r.port_count = UINT32_MAX;
	r.hook_due = true;
	r.unsure = true;
	FILL(r.left_by);
	return r;
}

struct lease_record lease_full(void)
{
	struct lease_record r;

	memset(&r, 0, sizeof(r));
	memset(&r.id, 0x5a, sizeof(r.id));
	FILL(r.slot);
	FILL(r.pool);
	r.token = r.sequence = UINT64_MAX;
	r.uid = UINT32_MAX - 1;
	r.pid = UINT32_MAX;
	r.pid_start = UINT64_MAX;
	FILL(r.agent);
	FILL(r.task);
	FILL(r.branch);
	FILL(r.ref);
	FILL(r.base);
	FILL(r.meta);
	r.bind = LEASE_BIND_TTL | LEASE_BIND_PROCESS | LEASE_BIND_CONNECTION | LEASE_BIND_MANUAL;
	r.bound_pid = UINT32_MAX;
	r.bound_start = UINT64_MAX;
	r.bound_end = moment_full();
	r.priority = INT32_MIN;
	FILL(r.labels);
	r.estimate_usec = r.asked_ttl_usec = UINT64_MAX;
	r.acquired = r.renewed = r.heard = r.seen = r.deadline = moment_full();
	r.ttl_usec = r.grace_usec = UINT64_MAX;
	memset(r.rhythm, 0x77, sizeof(r.rhythm));
	r.renewals = r.without_progress = UINT32_MAX;
	r.stuck = true;
	r.progress = -1;
	FILL(r.message);
	r.warned = true;
	r.verdict = r.reason = UINT8_MAX;
	r.extensions = UINT32_MAX;
	r.suspect = moment_full();
	memset(&r.handoff, 0x5a, sizeof(r.handoff));
	r.told_age_usec = r.heard_slept_usec = r.seen_slept_usec = UINT64_MAX;
	return r;
}

struct key_record key_full(void)
{
	struct key_record r;

	memset(&r, 0, sizeof(r));
	r.uid = 0x01020304;
	FILL(r.key);
	memset(r.request, 0x77, sizeof(r.request));
	memset(&r.lease, 0x5a, sizeof(r.lease));
	FILL(r.slot);
	r.end = LEASE_END_FORCED;
	r.created_usec = r.ended_usec = UINT64_MAX;
	return r;
}

struct handoff_record handoff_empty(void)
{
	struct handoff_record r;

	memset(&r, 0, sizeof(r));
	r.end = LEASE_END_RELEASED;
	return r;
}

struct handoff_record handoff_full(void)
{
	struct handoff_record r;

	memset(&r, 0, sizeof(r));
	memset(&r.lease, 0x5a, sizeof(r.lease));
	FILL(r.slot);
	FILL(r.pool);
	r.uid = UINT32_MAX;
	FILL(r.agent);
	FILL(r.task);
	FILL(r.branch);
	FILL(r.base);
	r.end = LEASE_END_FORCED;
	r.declared = LEASE_DECLARED_BLOCKED;
	r.discarded = true;
	FILL(r.reason);
	r.progress = -1;
	FILL(r.message);
	r.held_usec = UINT64_MAX;
	r.ended = moment_full();
	return r;
}

struct salvage_record salvage_empty(const char *slot, uint64_t n)
{
	struct salvage_record r;

	memset(&r, 0, sizeof(r));
	name_set(r.slot, slot);
	r.n = n;
	return r;
}

struct salvage_record salvage_full(void)
{
	struct salvage_record r;

	memset(&r, 0, sizeof(r));
	FILL(r.slot);
	memset(&r.lease, 0x5a, sizeof(r.lease));
	r.n = r.bytes = r.taken_usec = UINT64_MAX;
	FILL(r.pool);
	FILL(r.agent);
	FILL(r.task);
	r.uid = r.drop_uid = UINT32_MAX;
	FILL(r.commit);
	r.known = moment_full();
	FILL(r.summary);
	FILL(r.dropping);
	return r;
}

struct note_record note_empty(const char *pool, const char *name)
{
	struct note_record r;

	memset(&r, 0, sizeof(r));
	snprintf(r.pool, sizeof(r.pool), "%s", pool);
	snprintf(r.name, sizeof(r.name), "%s", name);
	return r;
}

struct note_record note_full(void)
{
	struct note_record r;

	memset(&r, 0, sizeof(r));
	FILL(r.pool);
	FILL(r.name);
	r.note.len = sizeof(r.note.data);
	memset(r.note.data, 0xa5, sizeof(r.note.data));
	return r;
}

struct check_record check_empty(const char *pool)
{
	struct check_record r;

	memset(&r, 0, sizeof(r));
	snprintf(r.pool, sizeof(r.pool), "%s", pool);
	r.depth = VERIFIED_PLAIN;
	return r;
}

struct check_record check_full(void)
{
	struct check_record r;

	memset(&r, 0, sizeof(r));
	FILL(r.pool);
	r.depth = VERIFIED_FULL;
	r.at = r.scrubbed = moment_full();
	r.errors = r.warnings = r.infos = UINT64_MAX;
	r.objects = r.packs = r.objects_read = r.elapsed_usec = UINT64_MAX;
	r.truncated = true;
	return r;
}

struct finding_record finding_empty(const char *pool, const char *key)
{
	struct finding_record r;

	memset(&r, 0, sizeof(r));
	snprintf(r.pool, sizeof(r.pool), "%s", pool);
	snprintf(r.key, sizeof(r.key), "%s", key);
	return r;
}

struct finding_record finding_full(void)
{
	struct finding_record r;

	memset(&r, 0, sizeof(r));
	FILL(r.pool);
	FILL(r.key);
	r.severity = 2;
	FILL(r.id);
	FILL(r.where);
	FILL(r.slot);
	FILL(r.object);
	FILL(r.path);
	r.since_usec = UINT64_MAX;
	return r;
}

struct ticket_record ticket_empty(uint32_t uid, const char *key)
{
	struct ticket_record r;

	memset(&r, 0, sizeof(r));
	r.uid = uid;
	snprintf(r.key, sizeof(r.key), "%s", key);
	return r;
}

struct ticket_record ticket_full(void)
{
	struct ticket_record r;

	memset(&r, 0, sizeof(r));
	r.uid = 0x01020304;
	FILL(r.key);
	memset(r.request, 0x77, sizeof(r.request));
	FILL(r.pool);
	FILL(r.agent);
	FILL(r.task);
	FILL(r.branch);
	r.number = r.wait_usec = UINT64_MAX;
	r.priority = -1;
	r.since = moment_full();
	return r;
}

struct lease_stats_record lease_stats_full(void)
{
	struct lease_stats_record r;

	memset(&r, 0xff, sizeof(r));
	return r;
}

struct token_record token_full(void)
{
	return (struct token_record){ .token = UINT64_MAX, .next_n = UINT64_MAX - 1 };
}

struct event_record event_full(void)
{
	struct event_record r;

	memset(&r, 0, sizeof(r));
	r.sequence = UINT64_MAX;
	r.at_usec = UINT64_MAX;
	FILL(r.kind);
	FILL(r.pool);
	FILL(r.slot);
	FILL(r.lease);
	r.uid = UINT32_MAX;
	r.token = UINT64_MAX;
	FILL(r.detail);
	return r;
}

struct generation_record generation_full(void)
{
	struct generation_record r;

	memset(&r, 0, sizeof(r));
	r.schema = UINT32_MAX;
	memset(&r.generation, 0x11, sizeof(r.generation));
	r.created_usec = r.token_floor = r.next_sequence = UINT64_MAX;
	memset(&r.boot, 0x22, sizeof(r.boot));
	return r;
}
