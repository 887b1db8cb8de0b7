/* What people write, in numbers. */
#include "util/parse.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/text.h"

#define MAX_DURATION (100ULL * 365 * USEC_PER_DAY)
#define MAX_SIZE     ((1ULL << 53) - 1)

/* digits at *p; -EINVAL: none; -ERANGE: beyond limit */
static int take_number(const char **p, uint64_t limit, uint64_t *ret)
{
	uint64_t n = 0;

	if (!isdigit((unsigned char)**p))
		return -EINVAL;
	while (isdigit((unsigned char)**p)) {
		n = n * 10 + (uint64_t)(**p - '0');
		if (n > limit)
			return -ERANGE;
		(*p)++;
	}
	*ret = n;
	return 0;
}

static uint64_t duration_unit(const char **p)
{
	static const struct {
		const char *name;
		uint64_t usec;
	} units[] = {
		{ "ms", USEC_PER_MSEC }, { "us", 1 },	       { "s", USEC_PER_SEC },
		{ "m", USEC_PER_MIN },	 { "h", USEC_PER_HOUR }, { "d", USEC_PER_DAY },
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (text_has_prefix(*p, units[i].name)) {
			*p += strlen(units[i].name);
			return units[i].usec;
		}
	}
	return 0;
}

int parse_duration(const char *text, uint64_t *ret_usec)
{
	const char *p = text;
	uint64_t total = 0, n, unit;
	bool is_first = true;
	int r;

	do {
		r = take_number(&p, MAX_DURATION, &n);
		if (r < 0)
			return r;
		unit = *p == '\0' && is_first ? USEC_PER_SEC : duration_unit(&p);
		if (unit == 0)
			return -EINVAL;
		if (n > MAX_DURATION / unit)
			return -ERANGE;
		total += n * unit;
		if (total > MAX_DURATION)
			return -ERANGE;
		is_first = false;
	} while (*p);
	*ret_usec = total;
	return 0;
}

int parse_size(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "KMGT";
	const char *p = text, *unit;
	uint64_t n;
	unsigned shift = 0;
	int r;

	r = take_number(&p, MAX_SIZE, &n);
	if (r < 0)
		return r;
	unit = *p ? strchr(units, *p) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		p++;
		if (text_has_prefix(p, "iB"))
			p += 2;
		else if (*p == 'B')
			p++;
	} else if (*p == 'B') {
		p++;
	}
	if (*p)
		return -EINVAL;
	if (n > (MAX_SIZE >> shift))
		return -ERANGE;
	*ret_bytes = n << shift;
	return 0;
}

int parse_int(const char *text, int64_t *ret)
{
	char *end;
	long long n;

	if (!isdigit((unsigned char)text[text[0] == '-']))
		return -EINVAL;
	errno = 0;
	n = strtoll(text, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno == ERANGE)
		return -ERANGE;
	*ret = n;
	return 0;
}

int parse_ratio(const char *text, double *ret)
{
	char *end;
	double n;

	/* strtod() also reads hexadecimal numbers and names of what is no number */
	if ((!isdigit((unsigned char)text[0]) && text[0] != '.') || strpbrk(text, "xX"))
		return -EINVAL;
	n = strtod(text, &end);
	if (strcmp(end, "%") == 0)
		n /= 100;
	else if (*end)
		return -EINVAL;
	if (!isfinite(n))
		return -ERANGE;
	*ret = n;
	return 0;
}

int parse_bool(const char *text, int *ret)
{
	static const char *const yes[] = { "true", "yes", "on" };
	static const char *const no[] = { "false", "no", "off" };

	for (int i = 0; i < 3; i++) {
		if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
			*ret = strcmp(text, yes[i]) == 0;
			return 0;
		}
	}
	return -EINVAL;
}

static bool ends_in_number(const char *name)
{
	size_t len = strlen(name), at = len;

	while (at > 0 && isdigit((unsigned char)name[at - 1]))
		at--;
	return at < len && at > 0 && name[at - 1] == '-';
}

static const char *name_objection(const char *name)
{
	size_t len = strlen(name);

	if (len == 0)
		return "a name cannot be empty";
	if (len > 63)
		return "a name has at most 63 characters";
	if (!islower((unsigned char)name[0]) && !isdigit((unsigned char)name[0]))
		return "a name begins with a lower-case letter or a digit";
	for (const char *p = name; *p; p++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789._-", *p))
			return "a name has only lower-case letters, digits, '.', '_' and '-'";
	if (strstr(name, ".."))
		return "a name has no '..'";
	if (name[len - 1] == '.' || text_has_suffix(name, ".lock"))
		return "a name does not end in '.' or '.lock'";
	return NULL;
}

int parse_pool_name(const char *name, const char **ret_why)
{
	const char *why = name_objection(name);

	if (!why && ends_in_number(name))
		why = "a pool's name does not end in '-' and a number (slots do)";
	if (why && ret_why)
		*ret_why = why;
	return why ? -EINVAL : 0;
}

static bool is_component(const char *s, size_t len)
{
	return len > 0 && s[0] != '.' && !(len >= 5 && strncmp(s + len - 5, ".lock", 5) == 0);
}

int parse_branch_name(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || name[0] == '-' || name[len - 1] == '.' || strcmp(name, "@") == 0 ||
	    strcmp(name, "HEAD") == 0 || strstr(name, "..") || strstr(name, "@{"))
		return -EINVAL;
	for (const char *p = name; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7F || strchr(" ~^:?*[\\", *p))
			return -EINVAL;
	for (const char *p = name;; p++) {
		size_t n = strcspn(p, "/");

		if (!is_component(p, n))
			return -EINVAL;
		p += n;
		if (*p == '\0')
			return 0;
	}
}

int parse_slot_name(const char *name, size_t *ret_pool_len, uint64_t *ret_n)
{
	const char *dash = strrchr(name, '-'), *p;
	char pool[64];
	uint64_t n;

	if (!dash || dash == name || dash - name > 63 || dash[1] == '0')
		return -EINVAL;
	memcpy(pool, name, (size_t)(dash - name));
	pool[dash - name] = '\0';
	p = dash + 1;
	if (parse_pool_name(pool, NULL) < 0 || take_number(&p, UINT32_MAX, &n) < 0 || *p)
		return -EINVAL;
	*ret_pool_len = (size_t)(dash - name);
	*ret_n = n;
	return 0;
}

char *format_duration(uint64_t usec, char *ret)
{
	static const struct {
		uint64_t usec;
		const char *name;
	} units[] = { { USEC_PER_DAY, "d" },  { USEC_PER_HOUR, "h" },	{ USEC_PER_MIN, "m" },
		      { USEC_PER_SEC, "s" }, { USEC_PER_MSEC, "ms" }, { 1, "us" } };
	size_t at = 0;

	if (usec == 0) {
		snprintf(ret, DURATION_TEXT_SIZE, "0s");
		return ret;
	}
	for (size_t i = 0; i < 6; i++) {
		uint64_t n = usec / units[i].usec;

		if (n == 0 || at >= DURATION_TEXT_SIZE)
			continue;
		at += (size_t)snprintf(ret + at, DURATION_TEXT_SIZE - at, "%llu%s",
				       (unsigned long long)n, units[i].name);
		usec %= units[i].usec;
	}
	return ret;
}

char *format_age(uint64_t usec, char *ret)
{
	static const struct {
		uint64_t seconds;
		const char *name;
	} units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } };
	uint64_t seconds = usec / USEC_PER_SEC + (usec % USEC_PER_SEC >= USEC_PER_SEC / 2);
	size_t i = 0;

	while (units[i].seconds > 1 && seconds < 2 * units[i].seconds)
		i++;
	snprintf(ret, DURATION_TEXT_SIZE, "%llu %s",
		 (unsigned long long)((seconds + units[i].seconds / 2) / units[i].seconds),
		 units[i].name);
	return ret;
}

char *format_size(uint64_t bytes, char *ret)
{
	static const char units[] = "KMGTPE";
	uint64_t tenths = 0;
	int unit = -1;

	for (; bytes >= 1024; bytes /= 1024, unit++)
		tenths = bytes % 1024 * 10 / 1024;
	if (unit < 0)
		snprintf(ret, SIZE_TEXT_SIZE, "%llu B", (unsigned long long)bytes);
	else if (bytes < 10 && tenths > 0)
		snprintf(ret, SIZE_TEXT_SIZE, "%llu.%llu %ciB", (unsigned long long)bytes,
			 (unsigned long long)tenths, units[unit]);
	else
		snprintf(ret, SIZE_TEXT_SIZE, "%llu %ciB", (unsigned long long)bytes, units[unit]);
	return ret;
}
