/* One buffer, walked both ways. */
#include "ledger/journal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/log.h"

#define JOURNAL_BYTES	   (64 << 10)
#define JOURNAL_KEPT_BYTES (1 << 20) /* a larger one is not kept for the next batch */

static size_t pad(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

int journal_init(struct journal *j)
{
	uint8_t *buf = malloc(JOURNAL_BYTES);

	if (!buf)
		return -ENOMEM;
	*j = (struct journal){ .buf = buf, .size = JOURNAL_BYTES };
	return 0;
}

void journal_deinit(struct journal *j)
{
	free(j->buf);
	*j = (struct journal){ 0 };
}

void journal_clear(struct journal *j)
{
	if (j->size > JOURNAL_KEPT_BYTES)
		journal_deinit(j);
	*j = (struct journal){ .buf = j->buf, .size = j->size };
}

static bool is_write(uint8_t type)
{
	return type == ENTRY_PUT || type == ENTRY_EVENT || type == ENTRY_DELETE ||
	       type == ENTRY_CLEAR;
}

/* tries to keep half of the buffer free */
static void grow_early(struct journal *j, size_t need)
{
	size_t size = j->size ? j->size : JOURNAL_BYTES;
	uint8_t *buf;

	while (size / 2 < need)
		size *= 2;
	if (size == j->size)
		return;
	buf = realloc(j->buf, size);
	if (!buf)
		return;
	j->buf = buf;
	j->size = size;
}

static bool reserve(struct journal *j, enum entry_type type, size_t need)
{
	grow_early(j, need);
	if (need <= (is_write(type) ? j->size / 2 : j->size))
		return true;
	if (is_write(type)) {
		j->failed = true;
		return false;
	}
	log_error("memory ran out while a change was being recorded; leaving, to start again from "
		  "the ledger");
	abort();
}

struct entry *journal_add(struct journal *j, enum entry_type type, size_t max)
{
	struct entry *e;

	if (!reserve(j, type, j->len + pad(sizeof(*e) + max)))
		return NULL;
	e = journal_at(j, j->len);
	*e = (struct entry){ .type = (uint8_t)type, .prev_size = j->last_size };
	return e;
}

void journal_end(struct journal *j, struct entry *e, size_t used)
{
	e->size = (uint32_t)pad(sizeof(*e) + used);
	j->len += e->size;
	j->last_size = e->size;
	j->writes += is_write(e->type);
}

size_t journal_before(const struct journal *j, size_t end)
{
	return end - (end == j->len ? j->last_size : journal_at(j, end)->prev_size);
}

static size_t count_writes(const struct journal *j, size_t from, size_t to)
{
	size_t n = 0;

	for (size_t at = from; at < to; at += journal_at(j, at)->size)
		n += is_write(journal_at(j, at)->type);
	return n;
}

void journal_cut(struct journal *j, size_t from, size_t to)
{
	uint32_t before;

	assert(from <= to && to <= j->len);
	if (from == to)
		return;
	before = journal_at(j, from)->prev_size;
	j->writes -= count_writes(j, from, to);
	if (to == j->len) {
		j->last_size = before;
	} else {
		journal_at(j, to)->prev_size = before;
		memmove(j->buf + from, j->buf + to, j->len - to);
	}
	j->len -= to - from;
	if (j->len == 0)
		j->failed = false;
}
