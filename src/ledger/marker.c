/* Which ledger it was, told from outside. */
#include "ledger/marker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

static int open_dir(const char *dir, struct fault *f)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? fault_errno(f, -errno, "cannot open %s", dir) : fd;
}

int marker_read(const char *state_dir, struct id *ret, struct fault *f)
{
	_cleanup_(closep) int dirfd = open_dir(state_dir, f);
	_cleanup_(freep) char *text = NULL;
	size_t len;
	int r;

	if (dirfd < 0)
		return dirfd;
	r = fs_read_file_at(dirfd, MARKER_FILE, ID_TEXT_SIZE, &text, &len);
	if (r == -ENOENT)
		return MARKER_ABSENT;
	if (r < 0 && r != -EFBIG && r != -EINVAL && r != -ELOOP)
		return fault_errno(f, r, "cannot read %s/" MARKER_FILE, state_dir);
	/* 32 digits and a newline */
	if (r == 0 && len == ID_TEXT_SIZE && text[len - 1] == '\n') {
		text[len - 1] = '\0';
		if (id_from_string(text, ret) == 0)
			return 0;
	}
	return fault(f, -EUCLEAN, "%s/" MARKER_FILE " does not hold a generation", state_dir);
}

int marker_write(const char *state_dir, const struct id *generation, struct fault *f)
{
	_cleanup_(closep) int dirfd = open_dir(state_dir, f);
	char text[ID_TEXT_SIZE];
	int r;

	if (dirfd < 0)
		return dirfd;
	id_to_string(generation, text);
	text[ID_TEXT_SIZE - 1] = '\n';
	r = fs_write_file_at(dirfd, MARKER_FILE, text, ID_TEXT_SIZE, 0600);
	return r < 0 ? fault_errno(f, r, "cannot write %s/" MARKER_FILE, state_dir) : 0;
}

int marker_ensure(const char *state_dir, const struct id *generation, struct fault *f)
{
	struct id there;
	int r;

	r = marker_read(state_dir, &there, f);
	if (r == MARKER_ABSENT)
		return marker_write(state_dir, generation, f);
	if (r < 0)
		return r;
	if (!id_is_equal(&there, generation))
		return fault(f, -EUCLEAN, "%s/" MARKER_FILE " names another ledger", state_dir);
	return 0;
}
