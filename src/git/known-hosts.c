/* One line at a time. */
#include "git/known-hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define KNOWN_HOSTS_BYTES (4 * 1024 * 1024)

struct question {
	const char *host; /* as the file names it: "host" or "[host]:2222" */
	const uint8_t *key;
	size_t len;
};

/* bytes of a base64 text, or -1; out holds 3/4 of the text and 3 more */
static int decode(const char *text, size_t len, uint8_t *out)
{
	int n = EVP_DecodeBlock(out, (const unsigned char *)text, (int)len);

	if (n < 0)
		return -1;
	while (len > 0 && text[len - 1] == '=') {
		len--;
		n--;
	}
	return n;
}

/* "|1|salt|hash": HMAC-SHA1 of the name */
static bool hashed_matches(const char *field, size_t len, const char *host)
{
	uint8_t salt[64], want[64], is[EVP_MAX_MD_SIZE];
	const char *bar = memchr(field + 3, '|', len - 3);
	unsigned is_len = 0;
	int salt_len, want_len;

	if (!bar || bar - field > 48 || (field + len) - bar > 48)
		return false;
	salt_len = decode(field + 3, (size_t)(bar - field - 3), salt);
	want_len = decode(bar + 1, (size_t)(field + len - bar - 1), want);
	if (salt_len <= 0 || want_len != 20)
		return false;
	if (!HMAC(EVP_sha1(), salt, salt_len, (const unsigned char *)host, strlen(host), is,
		  &is_len))
		return false;
	return is_len == 20 && memcmp(is, want, 20) == 0;
}

static bool names_host(const char *field, size_t len, const char *host)
{
	if (len > 3 && strncmp(field, "|1|", 3) == 0)
		return hashed_matches(field, len, host);
	while (len > 0) {
		const char *comma = memchr(field, ',', len);
		size_t n = comma ? (size_t)(comma - field) : len;

		if (n == strlen(host) && strncasecmp(field, host, n) == 0)
			return true;
		field += n + (comma != NULL);
		len -= n + (comma != NULL);
	}
	return false;
}

/* does the key begin with this type's name? */
static bool is_of_type(const struct question *q, const char *type, size_t len)
{
	uint32_t n;

	if (q->len < 4)
		return false;
	n = (uint32_t)q->key[0] << 24 | (uint32_t)q->key[1] << 16 | (uint32_t)q->key[2] << 8 |
	    q->key[3];
	return n == len && q->len >= 4 + len && memcmp(q->key + 4, type, len) == 0;
}

static bool is_key(const struct question *q, const char *text, size_t len)
{
	_cleanup_(freep) uint8_t *key = malloc(len / 4 * 3 + 4);
	int n = key ? decode(text, len, key) : -1;

	return n >= 0 && (size_t)n == q->len && memcmp(key, q->key, q->len) == 0;
}

static const char *next_field(const char **line, size_t *ret_len)
{
	const char *field = *line + strspn(*line, " \t");

	*ret_len = strcspn(field, " \t\r");
	*line = field + *ret_len;
	return field;
}

/* 0, an outcome, or KNOWN_HOSTS_E_ABSENT when the line says nothing about it */
static int judge_line(const struct question *q, const char *line)
{
	size_t marker_len = 0, hosts_len, type_len, key_len;
	const char *hosts, *type, *key;
	bool revoked;

	line += strspn(line, " \t");
	if (*line == '#' || *line == '\0')
		return KNOWN_HOSTS_E_ABSENT;
	revoked = text_has_prefix(line, "@revoked");
	if (*line == '@')
		next_field(&line, &marker_len);
	if (marker_len > 0 && !revoked)
		return KNOWN_HOSTS_E_ABSENT;
	hosts = next_field(&line, &hosts_len);
	type = next_field(&line, &type_len);
	key = next_field(&line, &key_len);
	if (!names_host(hosts, hosts_len, q->host) || !is_of_type(q, type, type_len))
		return KNOWN_HOSTS_E_ABSENT;
	if (is_key(q, key, key_len))
		return revoked ? KNOWN_HOSTS_E_REVOKED : 0;
	return revoked ? KNOWN_HOSTS_E_ABSENT : KNOWN_HOSTS_E_CHANGED;
}

/* revoked wins over known, known over changed */
static int judge(const struct question *q, char *text)
{
	int result = KNOWN_HOSTS_E_ABSENT;
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		int is = judge_line(q, line);

		if (is == KNOWN_HOSTS_E_REVOKED)
			return is;
		if (is == 0 || (is == KNOWN_HOSTS_E_CHANGED && result == KNOWN_HOSTS_E_ABSENT))
			result = is;
	}
	return result;
}

int known_hosts_check(const char *path, const char *host, unsigned port, const uint8_t *key,
		      size_t len, struct fault *f)
{
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) char *name = NULL;
	struct question q = { .key = key, .len = len };
	int r = fs_read_file_at(AT_FDCWD, path, KNOWN_HOSTS_BYTES, &text, NULL);

	if (r < 0)
		return fault_errno(f, r, "cannot read credentials.known_hosts %s", path);
	name = port == 22 ? strdup(host) : text_printf("[%s]:%u", host, port);
	if (!name)
		return fault_oom(f);
	q.host = name;
	return judge(&q, text);
}
