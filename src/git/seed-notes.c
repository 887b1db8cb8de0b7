/* Which files are still as they were copied: by inode, size, times and permissions. */
#include "git/seed-notes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define NOTES_FILE  "slotd-seeds" /* in the slot's administration */
#define NOTES_BYTES (4 * 1024 * 1024)

/*
 * A line a file, ended by NUL: what stat(2) says, a space, and the path. Lines are compared as they
 * are: there is nothing to be read but whether one is there.
 */
struct seed_notes {
	struct text lines;
};

static char *line_of(const char *path, const struct stat *st)
{
	return text_printf("%" PRIu64 " %" PRId64 " %" PRId64 ".%09ld %" PRId64 ".%09ld %o %s",
			   (uint64_t)st->st_ino, (int64_t)st->st_size, (int64_t)st->st_mtim.tv_sec,
			   st->st_mtim.tv_nsec, (int64_t)st->st_ctim.tv_sec, st->st_ctim.tv_nsec,
			   st->st_mode, path);
}

struct seed_notes *seed_notes_new(void)
{
	return calloc(1, sizeof(struct seed_notes));
}

void seed_notes_free(struct seed_notes *notes)
{
	if (!notes)
		return;
	text_deinit(&notes->lines);
	free(notes);
}

int seed_notes_add(struct seed_notes *notes, const char *path, const struct stat *st)
{
	_cleanup_(freep) char *line = line_of(path, st);

	if (!line)
		return -ENOMEM;
	text_add(&notes->lines, line, strlen(line) + 1);
	return notes->lines.failed ? -ENOMEM : 0;
}

int seed_notes_save(const struct seed_notes *notes, int admin_fd, struct fault *f)
{
	_cleanup_(freep) char *old = NULL;
	size_t len = 0;
	int r = fs_read_file_at(admin_fd, NOTES_FILE, NOTES_BYTES, &old, &len);

	if (r == 0 && len == notes->lines.len && memcmp(old, notes->lines.data, len) == 0)
		return 0;
	r = fs_write_file_at(admin_fd, NOTES_FILE, notes->lines.len ? notes->lines.data : "",
			     notes->lines.len, 0644);
	return r < 0 ? fault_errno(f, r, "cannot note what was seeded") : 0;
}

int seed_notes_load(int admin_fd, struct seed_notes **ret)
{
	_cleanup_(freep) char *data = NULL;
	struct seed_notes *notes = seed_notes_new();
	size_t len = 0;

	if (!notes)
		return -ENOMEM;
	if (fs_read_file_at(admin_fd, NOTES_FILE, NOTES_BYTES, &data, &len) == 0)
		text_add(&notes->lines, data, len);
	*ret = notes;
	return 0;
}

static bool has_line(const struct seed_notes *notes, const char *line)
{
	const char *at = notes->lines.data;
	const char *end = at ? at + notes->lines.len : NULL;

	while (at && at < end) {
		size_t len = strnlen(at, (size_t)(end - at));

		if (strncmp(at, line, len + 1) == 0)
			return true;
		at += len + 1;
	}
	return false;
}

static bool covers_file(const struct seed_notes *notes, int slot_fd, const char *path)
{
	_cleanup_(closep) int fd = fs_open_beneath(slot_fd, path, O_PATH | O_NOFOLLOW, 0);
	_cleanup_(freep) char *line = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return false;
	line = line_of(path, &st);
	return line && has_line(notes, line);
}

/* is there a seed at or below it at all? else nothing has to be listed */
static bool has_below(const struct seed_notes *notes, const char *dir)
{
	size_t len = strlen(dir);

	for (size_t at = 0; at < notes->lines.len;) {
		const char *line = notes->lines.data + at;
		const char *path = line;

		for (int i = 0; path && i < 5; i++) {
			path = strchr(path, ' ');
			path += path != NULL;
		}
		if (path && strncmp(path, dir, len) == 0)
			return true;
		at += strlen(line) + 1;
	}
	return false;
}

static bool covers_dir(const struct seed_notes *notes, int slot_fd, const char *dir)
{
	int fd = has_below(notes, dir) ? fs_open_beneath(slot_fd, dir, O_RDONLY | O_DIRECTORY, 0) : -1;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	bool covered = d != NULL;
	struct dirent *e;

	if (fd >= 0 && !d)
		close(fd);
	while (covered && (errno = 0, e = readdir(d))) {
		_cleanup_(freep) char *path = NULL;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		path = text_printf("%s%s%s", dir, e->d_name, e->d_type == DT_DIR ? "/" : "");
		covered = path && seed_notes_cover(notes, slot_fd, path);
	}
	covered = covered && errno == 0;
	if (d)
		closedir(d);
	return covered;
}

bool seed_notes_cover(const struct seed_notes *notes, int slot_fd, const char *path)
{
	if (notes->lines.len == 0)
		return false;
	return text_has_suffix(path, "/") ? covers_dir(notes, slot_fd, path) :
					    covers_file(notes, slot_fd, path);
}
