/*
 * A block of ports for each slot, on which nobody else listens.
 *
 * A slot keeps its block for as long as it can be used. It is looked at when it is given out, as well: a port on which
 * somebody else has begun to listen makes the slot change its block, while nobody has the slot.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/log.h"

#define PORTS 65536

/* a bit for each port that is in some slot's block */
struct taken {
	uint8_t bits[PORTS / 8];
};

static void mark(struct taken *t, uint32_t base, uint32_t count)
{
	for (uint32_t port = base; port < base + count && port < PORTS; port++)
		t->bits[port / 8] |= (uint8_t)(1U << port % 8);
}

static bool is_marked(const struct taken *t, uint32_t base, uint32_t count)
{
	for (uint32_t port = base; port < base + count; port++)
		if (t->bits[port / 8] & 1U << port % 8)
			return true;
	return false;
}

/* of all slots of this slotd but one, whatever their state */
static void mark_taken(struct pools *p, const struct slot *but, struct taken *ret)
{
	const struct pool *pool;
	const struct slot *slot;

	memset(ret, 0, sizeof(*ret));
	list_for_each(pool, &p->pools, link)
		for (int i = 0; i < SLOT_STATES; i++)
			list_for_each(slot, &pool->slots[i], link)
				if (slot != but && !slot->gone)
					mark(ret, slot->rec.port_base, slot->rec.port_count);
}

/* on all addresses, of both protocols where there are two: any listener is in the way of that */
static int bind_everywhere(uint16_t port)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port) };
	_cleanup_(closep) int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1, off = 0;

	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
		if (bind(fd, (struct sockaddr *)&six, sizeof(six)) == 0)
			return 0;
		if (errno != EADDRNOTAVAIL && errno != EAFNOSUPPORT)
			return -errno;
		closep(&fd);
	}
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* connections that are over and wait for their last packets are in nobody's way */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return bind(fd, (struct sockaddr *)&four, sizeof(four)) < 0 ? -errno : 0;
}

/* what cannot be tried (no descriptors) counts as free: it was so when it was taken */
static bool is_free(uint32_t base, uint32_t count)
{
	for (uint32_t port = base; port < base + count; port++) {
		int r = bind_everywhere((uint16_t)port);

		if (r == -EADDRINUSE || r == -EACCES)
			return false;
	}
	return true;
}

/* 0: there is none */
static uint32_t find_block(const struct taken *t, uint32_t from, uint32_t count)
{
	for (uint32_t base = from; base + count <= PORTS; base += count)
		if (!is_marked(t, base, count) && is_free(base, count))
			return base;
	return 0;
}

/* one of the blocks that the configuration speaks of */
static bool is_wanted(const struct slot *slot, const struct conf_pool *conf)
{
	uint32_t base = slot->rec.port_base, count = conf->slots.ports.count;

	return slot->rec.port_count == count && base >= conf->slots.ports.base &&
	       (base - conf->slots.ports.base) % count == 0;
}

static void set_block(struct slot *slot, uint32_t base, uint32_t count)
{
	struct pools *p = slot->pool->pools;
	uint32_t was = slot->rec.port_base;

	slot_edit(slot);
	slot->rec.port_base = base;
	slot->rec.port_count = count;
	slot_put(slot);
	if (was && base)
		pools_event(p, "ports_moved", slot->pool, slot, NULL, UID_SLOTD, "from %u to %u", was, base);
}

bool slot_take_ports(struct slot *slot)
{
	const struct conf_pool *conf = slot->pool->conf;
	uint32_t count = conf->slots.ports.count, base;
	struct taken taken;

	if (conf->slots.ports.base == 0) {
		if (slot->rec.port_base)
			set_block(slot, 0, 0);
		return true;
	}
	if (is_wanted(slot, conf) && is_free(slot->rec.port_base, count))
		return true;
	mark_taken(slot->pool->pools, slot, &taken);
	base = find_block(&taken, conf->slots.ports.base, count);
	if (base == 0)
		return false;
	if (slot->rec.port_base)
		log_info("somebody listens in a slot's block of ports, or it was configured anew: it gets another "
			 "slot=%s from=%u to=%u", slot->rec.name, slot->rec.port_base, base);
	set_block(slot, base, count);
	return true;
}
