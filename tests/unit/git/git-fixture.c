/* git(1) tells what is so. */
#include "git-fixture.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "git/repo.h"
#include "scratch.h"
#include "util/text.h"

char *fixture_dir;

static char **kept;
static size_t n_kept, kept_size;

char *fixture_keep(char *s)
{
	if (n_kept == kept_size) {
		kept_size = kept_size ? kept_size * 2 : 64;
		kept = reallocarray(kept, kept_size, sizeof(*kept));
		if (!kept)
			abort();
	}
	kept[n_kept++] = s;
	return s;
}

void fixture_init(void)
{
	fixture_dir = scratch_make();
	if (repo_global_init(NULL) < 0)
		abort();
	setenv("HOME", fixture_dir, 1);
	setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
	setenv("GIT_AUTHOR_NAME", "A U Thor", 1);
	setenv("GIT_AUTHOR_EMAIL", "author@example.org", 1);
	setenv("GIT_COMMITTER_NAME", "C O Mitter", 1);
	setenv("GIT_COMMITTER_EMAIL", "committer@example.org", 1);
	setenv("GIT_AUTHOR_DATE", "1700000000 +0000", 1);
	setenv("GIT_COMMITTER_DATE", "1700000000 +0000", 1);
	setenv("LC_ALL", "C", 1);
	unsetenv("XDG_CONFIG_HOME");
}

void fixture_deinit(void)
{
	while (n_kept > 0)
		free(kept[--n_kept]);
	free(kept);
	kept = NULL;
	kept_size = 0;
	scratch_remove(fixture_dir);
	git_libgit2_shutdown();
}

__attribute__((format(printf, 1, 0))) static FILE *sh_open(const char *fmt, va_list ap)
{
	char *cmd = NULL, *whole;
	FILE *out;

	if (vasprintf(&cmd, fmt, ap) < 0)
		abort();
	whole = text_printf("cd '%s' && { %s\n}", fixture_dir, cmd);
	fflush(NULL);
	out = popen(whole, "r");
	free(whole);
	free(cmd);
	return out;
}

static char *read_stream(FILE *in)
{
	struct text t = { 0 };
	char buf[4096];
	size_t n;

	while ((n = fread(buf, 1, sizeof(buf), in)) > 0)
		text_add(&t, buf, n);
	return text_take(&t);
}

bool sh(const char *fmt, ...)
{
	va_list ap;
	FILE *out;
	char *text;
	int rc;

	va_start(ap, fmt);
	out = sh_open(fmt, ap);
	va_end(ap);
	text = read_stream(out);
	rc = pclose(out);
	if (rc != 0)
		fprintf(stderr, "%s\n", text);
	free(text);
	return rc == 0;
}

char *sh_text(const char *fmt, ...)
{
	va_list ap;
	FILE *out;
	char *text;
	size_t len;

	va_start(ap, fmt);
	out = sh_open(fmt, ap);
	va_end(ap);
	text = fixture_keep(read_stream(out));
	if (pclose(out) != 0)
		text[0] = '\0';
	len = strlen(text);
	if (len > 0 && text[len - 1] == '\n')
		text[len - 1] = '\0';
	return text;
}

char *in_dir(const char *name)
{
	return fixture_keep(text_printf("%s/%s", fixture_dir, name));
}
