/* Names nobody can guess. */
#include "util/id.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void id_random(struct id *ret)
{
	size_t at = 0;

	while (at < sizeof(ret->bytes)) {
		ssize_t n = getrandom(ret->bytes + at, sizeof(ret->bytes) - at, 0);

		if (n > 0)
			at += (size_t)n;
		else if (errno != EINTR)
			abort(); /* without random numbers a lease id is no key */
	}
}

char *id_to_string(const struct id *id, char *ret)
{
	static const char hex[] = "0123456789abcdef";

	for (int i = 0; i < 16; i++) {
		ret[2 * i] = hex[id->bytes[i] >> 4];
		ret[2 * i + 1] = hex[id->bytes[i] & 15];
	}
	ret[32] = '\0';
	return ret;
}

int id_from_string(const char *text, struct id *ret)
{
	static const char hex[] = "0123456789abcdef";
	struct id id = { { 0 } };

	if (strlen(text) != 32)
		return -EINVAL;
	for (int i = 0; i < 32; i++) {
		const char *digit = strchr(hex, text[i]);

		if (!digit)
			return -EINVAL;
		id.bytes[i / 2] = (uint8_t)(id.bytes[i / 2] << 4 | (digit - hex));
	}
	*ret = id;
	return 0;
}

bool id_is_equal(const struct id *a, const struct id *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool id_is_null(const struct id *id)
{
	static const struct id null;

	return id_is_equal(id, &null);
}
