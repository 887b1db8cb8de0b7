/* A good repository, damaged again and again. */
#include "files-fixture.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git-fixture.h"
#include "git/oid-set.h"
#include "git/sha1.h"
#include "integrity/refs-check.h"
#include "integrity/worktrees-check.h"
#include "util/clock.h"
#include "util/text.h"

static struct files_result last;
static uint64_t slot_dev, slot_ino;
static struct oid_set objects; /* that git knows */

/* a slot as slotd lays it out */
#define MAKE_SLOT                                                                     \
	"git -C r worktree add -q --detach ../slots/a-1 && "                          \
	"mv r/.git/worktrees/a-1 r/.git/worktrees/slotd-a-1 && "                      \
	"echo \"gitdir: $PWD/r/.git/worktrees/slotd-a-1\" >slots/a-1/.git && "        \
	"echo slotd >r/.git/worktrees/slotd-a-1/locked && mkdir r/.git/slotd"

/* as the ledger does: the directory that was made, whatever is in its place later */
static void remember_slot(void)
{
	struct stat st;

	cr_assert_eq(stat(in_dir("slots/a-1"), &st), 0);
	slot_dev = st.st_dev;
	slot_ino = st.st_ino;
}

void files_init(void)
{
	fixture_init();
	cr_assert(sh("git init -q -b main r && cd r && mkdir -p d/e && echo 1 >f && echo 2 >d/g && echo 3 >d/e/h && "
		     "git add . && git commit -qm one && git branch other && git tag -am t v1 && echo 4 >>f && "
		     "git commit -qam two && git update-ref refs/remotes/origin/main HEAD && "
		     "git symbolic-ref refs/remotes/origin/HEAD refs/remotes/origin/main && "
		     "git update-ref refs/slotd/pin/a-1 HEAD && git pack-refs --all && git update-ref refs/heads/loose HEAD && "
		     "cd .. && mkdir slots && " MAKE_SLOT " && git -C slots/a-1 reset -q --hard && "
		     "mkdir good && cp -a r slots good"));
	remember_slot();
}

static void result_deinit(void)
{
	findings_free(last.findings);
	roots_free(last.roots);
	last = (struct files_result){ 0 };
}

void files_deinit(void)
{
	result_deinit();
	oid_set_deinit(&objects);
	fixture_deinit();
}

void files_restore(void)
{
	cr_assert(sh("chmod -R u+rwX . && find . -mindepth 1 -maxdepth 1 ! -name good -exec rm -rf {} + && "
		     "cp -a good/r good/slots ."));
	remember_slot();
}

/* @at_once: the slot alone, without the second look that waits whether somebody is at work */
static const struct files_result *check(enum check_depth depth, bool at_once)
{
	struct check_slot slot = { .name = "a-1", .path = in_dir("slots/a-1"),
				   .dev = slot_dev, .ino = slot_ino };
	struct check_spec spec = { .common_dir = in_dir("r/.git"),
				   .is_adopted = true,
				   .depth = depth,
				   .slots = &slot,
				   .n_slots = 1,
				   .threads = 1,
				   .now_usec = clock_wall_usec() };
	struct check c = { .spec = &spec, .is_sha1 = true };

	result_deinit();
	c.findings = last.findings = findings_new();
	c.roots = last.roots = roots_new();
	c.common_fd = open(spec.common_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(c.common_fd, 0);
	if (depth != CHECK_QUICK)
		cr_assert_eq(store_files_check(&c), 0);
	cr_assert_eq(at_once ? worktree_check_slot(&c, &slot) : worktrees_check(&c), 0);
	close(c.common_fd);
	last.is_sha1 = c.is_sha1;
	findings_sort(last.findings);
	return &last;
}

const struct files_result *files_check(enum check_depth depth)
{
	return check(depth, depth == CHECK_QUICK);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char *files_found(const struct files_result *result)
{
	size_t n = findings_kept(result->findings);
	const char **ids = calloc(n + 1, sizeof(*ids));
	struct text t = { 0 };

	for (size_t i = 0; i < n; i++)
		ids[i] = findings_at(result->findings, i)->id;
	qsort(ids, n, sizeof(*ids), compare);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(ids[i], ids[i - 1]) != 0)
			text_addf(&t, "%s%s", t.len ? " " : "", ids[i]);
	free(ids);
	return fixture_keep(text_take(&t));
}

bool files_git_complains(void)
{
	return !sh("timeout 5 git -C r fsck --no-dangling >/dev/null 2>&1 && "
		   "timeout 5 git -C slots/a-1 fsck --no-dangling >/dev/null 2>&1");
}

static void load_objects(void)
{
	char *all = sh_text("git -C r cat-file --batch-all-objects --batch-check='%%(objectname)'");

	oid_set_deinit(&objects);
	objects = (struct oid_set){ 0 };
	for (char *line = strtok(all, "\n"); line; line = strtok(NULL, "\n")) {
		git_oid oid;

		cr_assert_eq(git_oid_fromstr(&oid, line), 0);
		oid_set_add(&objects, &oid, 0);
	}
}

size_t files_missing(const struct files_result *result)
{
	size_t n = 0;

	if (oid_set_count(&objects) == 0)
		load_objects();
	for (size_t i = 0; i < roots_count(result->roots); i++)
		n += !oid_set_has(&objects, &roots_at(result->roots, i)->oid);
	return n;
}

static bool is_told(const struct files_result *result)
{
	return findings_count(result->findings, FINDING_ERROR) +
		       findings_count(result->findings, FINDING_WARNING) + files_missing(result) >
	       0;
}

static void write_byte(int fd, size_t at, unsigned char byte)
{
	cr_assert_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
}

static void seal(int fd)
{
	unsigned char data[65536];
	ssize_t n = pread(fd, data, sizeof(data), 0);
	struct sha1 sha1;
	git_oid digest;

	cr_assert(n > GIT_OID_RAWSZ && n < (ssize_t)sizeof(data));
	n -= GIT_OID_RAWSZ;
	sha1_init(&sha1);
	sha1_update(&sha1, data, (size_t)n);
	cr_assert_eq(sha1_final(&sha1, &digest), 0);
	cr_assert_eq(pwrite(fd, digest.id, GIT_OID_RAWSZ, n), GIT_OID_RAWSZ);
}

static int open_file(const char *path)
{
	int fd = open(in_dir(path), O_RDWR | O_CLOEXEC);

	cr_assert_geq(fd, 0, "%s", path);
	return fd;
}

void files_seal(const char *path)
{
	int fd = open_file(path);

	seal(fd);
	close(fd);
}

static void flip_one(int fd, const char *path, size_t at, unsigned char mask, bool is_sealed)
{
	unsigned char byte = 0;

	cr_assert_eq(pread(fd, &byte, 1, (off_t)at), 1);
	write_byte(fd, at, byte ^ mask);
	if (is_sealed)
		seal(fd);
	if (!is_told(check(CHECK_FULL, true)))
		cr_expect(!files_git_complains(), "%s: byte %zu as %02x", path, at, byte ^ mask);
	write_byte(fd, at, byte);
	if (is_sealed)
		seal(fd);
}

static void flip(const char *path, unsigned char mask, size_t step, bool is_sealed)
{
	int fd = open_file(path);
	size_t size;
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	size = (size_t)st.st_size - (is_sealed ? GIT_OID_RAWSZ : 0);
	load_objects();
	for (size_t at = 0; at < size; at += step)
		flip_one(fd, path, at, mask, is_sealed);
	close(fd);
	cr_expect_str_eq(files_found(files_check(CHECK_FULL)), "", "%s", path);
}

void files_flip(const char *path, unsigned char mask, size_t step)
{
	flip(path, mask, step, false);
}

void files_flip_sealed(const char *path, unsigned char mask, size_t step)
{
	flip(path, mask, step, true);
}

void files_describe(const struct files_result *result)
{
	for (size_t i = 0; i < findings_kept(result->findings); i++) {
		const struct finding *f = findings_at(result->findings, i);

		cr_log_info("  %s %s: %s", f->id, f->where ? f->where : "-", f->detail);
	}
}

static void run(const struct files_row *rows, size_t n, bool with_git)
{
	for (size_t i = 0; i < n; i++) {
		const struct files_result *result;
		char *found;

		files_restore();
		cr_assert(sh(FILES_VARIABLES "%s", rows[i].does), "%s", rows[i].does);
		result = files_check(CHECK_FULL);
		found = files_found(result);
		cr_expect_str_eq(found, rows[i].finds, "%s: found \"%s\", not \"%s\"", rows[i].does, found,
				 rows[i].finds);
		if (strcmp(found, rows[i].finds) != 0)
			files_describe(result);
		if (with_git && findings_count(result->findings, FINDING_ERROR) +
					findings_count(result->findings, FINDING_WARNING) ==
				0)
			cr_expect(!files_git_complains(), "%s: git says an error", rows[i].does);
	}
}

void files_run(const struct files_row *rows, size_t n)
{
	run(rows, n, true);
}

void files_run_alone(const struct files_row *rows, size_t n)
{
	run(rows, n, false);
}
