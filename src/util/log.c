/* Where the sentences go. */
#include "util/log.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

static struct {
	const char *ident;
	const char *parts;
	int max_level;
	bool to_journal;
	bool to_file; /* which has no times of its own */
} sink = { .ident = "slotd", .max_level = LOG_INFO };

/* systemd sets JOURNAL_STREAM to device:inode of the stream it connected */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

static bool stderr_is_file(void)
{
	struct stat st;

	return fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode);
}

void log_open(const char *ident, int max_level)
{
	sink.ident = ident;
	sink.max_level = max_level;
	sink.parts = getenv("SLOTD_DEBUG");
	sink.to_journal = stderr_is_journal();
	sink.to_file = !sink.to_journal && stderr_is_file();
}

int log_level_from_string(const char *text, int *ret)
{
	static const struct {
		const char *name;
		int level;
	} levels[] = { { "error", LOG_ERR },
		       { "warning", LOG_WARNING },
		       { "notice", LOG_NOTICE },
		       { "info", LOG_INFO },
		       { "debug", LOG_DEBUG } };

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcmp(text, levels[i].name) == 0) {
			*ret = levels[i].level;
			return 0;
		}
	}
	return -EINVAL;
}

static bool part_is_listed(const char *parts, const char *part)
{
	size_t len = strlen(part);

	while (parts && *parts) {
		size_t n = strcspn(parts, ",");

		if ((n == len && strncmp(parts, part, n) == 0) ||
		    (n == 3 && strncmp(parts, "all", 3) == 0))
			return true;
		parts += n + (parts[n] == ',');
	}
	return false;
}

bool log_part_is_on(const char *part)
{
	return sink.max_level >= LOG_DEBUG || part_is_listed(sink.parts, part);
}

size_t log_fields(const char *line, char (*ret)[LOG_FIELD_SIZE], size_t max)
{
	const char *end = line + strlen(line);
	size_t n = 0;

	while (n < max) {
		const char *word = end;
		size_t name, len;

		while (word > line && word[-1] != ' ')
			word--;
		name = strspn(word, "abcdefghijklmnopqrstuvwxyz_");
		len = (size_t)(end - word);
		if (name == 0 || name >= len || word[name] != '=' ||
		    len > LOG_FIELD_SIZE - sizeof("SLOTD_"))
			break;
		snprintf(ret[n], LOG_FIELD_SIZE, "SLOTD_%.*s", (int)len, word);
		for (char *p = ret[n]; *p != '='; p++)
			*p = (char)toupper((unsigned char)*p);
		n++;
		if (word == line)
			break;
		end = word - 1;
	}
	return n;
}

#define MAX_FIELDS 8

static int send_to_journal(int level, const char *line)
{
	char fields[3 + MAX_FIELDS][LOG_FIELD_SIZE];
	struct iovec iov[4 + MAX_FIELDS];
	char message[1100];
	size_t n = 2;

	snprintf(message, sizeof(message), "MESSAGE=%s", line);
	snprintf(fields[0], LOG_FIELD_SIZE, "PRIORITY=%i", level);
	snprintf(fields[1], LOG_FIELD_SIZE, "SYSLOG_IDENTIFIER=%s", sink.ident);
	n += log_fields(line, fields + n, MAX_FIELDS);
	for (size_t i = 0; i < n; i++)
		iov[i] = (struct iovec){ fields[i], strlen(fields[i]) };
	iov[n] = (struct iovec){ message, strlen(message) };
	return sd_journal_sendv(iov, (int)n + 1);
}

#define STAMP_SIZE sizeof("-2147481748-12-31T23:59:59Z ")

/* "2026-01-31T12:00:00Z ", or nothing where somebody else says when */
static const char *stamp(char *ret)
{
	time_t now = time(NULL);
	struct tm tm;

	ret[0] = '\0';
	if (sink.to_file && gmtime_r(&now, &tm))
		strftime(ret, STAMP_SIZE, "%Y-%m-%dT%H:%M:%SZ ", &tm);
	return ret;
}

void log_line(int level, const char *fmt, ...)
{
	char line[1024], when[STAMP_SIZE];
	va_list ap;
	int saved = errno;

	/* a debug line was asked for by its part already */
	if (level > sink.max_level && level != LOG_DEBUG)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7F)
			*p = '?';
	if (!sink.to_journal || send_to_journal(level, line) < 0)
		dprintf(STDERR_FILENO, "%s%s: %s\n", stamp(when), sink.ident, line);
	errno = saved;
}
