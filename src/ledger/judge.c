/* What is on disk speaks for itself, in a child, and is held against what lies beside it. */
#include "ledger/ledger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "ledger/marker.h"
#include "ledger/scan.h"
#include "util/text.h"

/* --- was there ever one? --- */

static DIR *open_dir_at(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !dir)
		close(fd);
	return dir;
}

/* is there an entry whose name begins so? 1, 0 or a negative errno */
static int has_entry(int dirfd, const char *name, const char *prefix)
{
	struct dirent *entry;
	int found = 0;
	DIR *dir;

	dir = open_dir_at(dirfd, name);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (!found && (errno = 0, entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			found = text_has_prefix(entry->d_name, prefix);
	}
	if (!found && errno)
		found = -errno;
	closedir(dir);
	return found;
}

/* 1: a ledger has been here; 0: nothing says so */
static int has_trace(const char *state_dir, struct fault *f)
{
	static const struct {
		const char *dir, *prefix;
	} traces[] = {
		{ ".", MARKER_FILE },  { ".", LEDGER_COPY_DIR }, { ".", LEDGER_DAMAGED },
		{ ".", LEDGER_OLDER }, { "stores", "" },	 { "slots", "" },
	};
	_cleanup_(closep) int dirfd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (dirfd < 0)
		return errno == ENOENT ? 0 : fault_errno(f, -errno, "cannot open %s", state_dir);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(traces); i++)
		r = has_entry(dirfd, traces[i].dir, traces[i].prefix);
	return r < 0 ? fault_errno(f, r, "cannot look into %s", state_dir) : r;
}

static int judge_absent(const char *state_dir, enum ledger_verdict *ret, struct fault *f)
{
	int r = has_trace(state_dir, f);

	if (r < 0)
		return r;
	*ret = r ? LEDGER_VERDICT_MISSING : LEDGER_VERDICT_FRESH;
	if (r)
		fault(f, 0, "the ledger in %s/" LEDGER_DIR " is gone or empty, but there was one",
		      state_dir);
	return 0;
}

/* --- is it the right one, and whole? --- */

static int judge_marker(const char *state_dir, const struct id *generation,
			enum ledger_verdict *ret, struct fault *f)
{
	struct id marker;
	int r = marker_read(state_dir, &marker, f);

	if (r < 0 && r != -EUCLEAN)
		return r;
	/* absent: it is written after the first commit, and slotd may have been killed between */
	if (r == MARKER_ABSENT || (r == 0 && id_is_equal(&marker, generation))) {
		*ret = LEDGER_VERDICT_GOOD;
		return 0;
	}
	if (r == 0)
		fault(f, 0,
		      "%s/" MARKER_FILE " names another ledger than the one in %s/" LEDGER_DIR,
		      state_dir, state_dir);
	*ret = LEDGER_VERDICT_DAMAGED;
	return 0;
}

static int scan_in_child(void *arg, void *result, struct fault *f)
{
	return scan_all(arg, result, f);
}

static int judge_present(const char *state_dir, char *dir, enum ledger_verdict *ret,
			 struct fault *f)
{
	struct child_limits limits = scan_limits(dir);
	struct seen seen = { 0 };
	struct fault why = FAULT_NONE;
	int r;

	r = child_run(scan_in_child, dir, &seen, sizeof(seen), &limits, &why);
	if (r == 0)
		return judge_marker(state_dir, &seen.generation.generation, ret, f);
	if (r == SCAN_EMPTY)
		return judge_absent(state_dir, ret, f);
	if (r == -EUCLEAN || r == CHILD_DIED)
		*ret = LEDGER_VERDICT_DAMAGED;
	else if (r == -EPROTONOSUPPORT)
		*ret = LEDGER_VERDICT_NEWER;
	else
		return fault(f, r, "%s", why.text);
	if (r == CHILD_DIED)
		fault(f, 0, "the ledger in %s is damaged: %s", dir, why.text);
	else
		fault(f, 0, "%s", why.text);
	return 0;
}

int ledger_judge(const char *state_dir, enum ledger_verdict *ret, struct fault *f)
{
	_cleanup_(freep) char *dir = text_printf("%s/" LEDGER_DIR, state_dir);
	off_t bytes;

	if (!dir)
		return fault_oom(f);
	bytes = scan_data_bytes(dir, f);
	if (bytes == -EUCLEAN) {
		*ret = LEDGER_VERDICT_DAMAGED;
		return 0;
	}
	if (bytes < 0)
		return (int)bytes;
	if (bytes == 0)
		return judge_absent(state_dir, ret, f);
	return judge_present(state_dir, dir, ret, f);
}
