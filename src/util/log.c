/* Where the sentences go. */
#include "util/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#include <unistd.h>

static struct {
	const char *ident;
	const char *parts;
	int max_level;
	bool to_journal;
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

void log_open(const char *ident, int max_level)
{
	sink.ident = ident;
	sink.max_level = max_level;
	sink.parts = getenv("SLOTD_DEBUG");
	sink.to_journal = stderr_is_journal();
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

void log_line(int level, const char *fmt, ...)
{
	char line[1024];
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
	if (sink.to_journal)
		sd_journal_send("MESSAGE=%s", line, "PRIORITY=%i", level, "SYSLOG_IDENTIFIER=%s",
				sink.ident, NULL);
	else
		dprintf(STDERR_FILENO, "%s: %s\n", sink.ident, line);
	errno = saved;
}
