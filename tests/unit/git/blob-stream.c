#include "git/blob-stream.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git-fixture.h"

/* large enough to be streamed, and not alike all along */
#define MAKE                                                                                    \
	"python3 -c \"import random; random.seed(%d); print(random.randbytes(1 << 20).hex() * " \
	"%d)\" > r/f%d"

static struct repo *repo;
static struct fault f;

static void init(void)
{
	fixture_init();
	cr_assert(sh("git init -q -b main r"));
}

static void deinit(void)
{
	repo_close(repo);
	repo = NULL;
	fixture_deinit();
}

TestSuite(blob_stream, .init = init, .fini = deinit, .timeout = 120);

static void open_repo(void)
{
	repo_close(repo);
	cr_assert_eq(repo_open(in_dir("r/.git"), &repo, &f), 0, "%s", f.text);
}

static int to_file(const char *hex)
{
	int fd = open(in_dir("out"), O_RDWR | O_CREAT | O_TRUNC, 0644), r;
	git_oid oid;

	cr_assert_geq(fd, 0);
	cr_assert_eq(git_oid_fromstr(&oid, hex), 0, "%s", hex);
	open_repo();
	r = blob_to_fd(repo, &oid, fd, &f);
	close(fd);
	return r;
}

static void assert_comes_out(const char *file)
{
	char *hex = sh_text("git -C r hash-object %s", file);
	struct stat st;
	git_oid oid;
	int fd;

	cr_assert_eq(to_file(hex), 0, "%s: %s", file, f.text);
	cr_assert(sh("cmp out r/%s", file));
	git_oid_fromstr(&oid, hex);
	fd = open(in_dir("out"), O_RDONLY);
	cr_assert_geq(fd, 0);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_eq(blob_is_fd(&oid, fd, (uint64_t)st.st_size), 1);
	cr_assert_eq(blob_is_fd(&oid, fd, (uint64_t)st.st_size), st.st_size == 0, "at its end");
	lseek(fd, 0, SEEK_SET);
	cr_assert_eq(blob_is_fd(&oid, fd, (uint64_t)st.st_size + 1), 0);
	close(fd);
}

Test(blob_stream, comes_out_loose_and_packed_and_as_a_delta)
{
	cr_assert(sh(MAKE, 1, 6, 1) && sh(MAKE, 1, 7, 2) && sh(": > r/f3; echo small > r/f4"));
	cr_assert(sh("cd r && git add . && git commit -qm all"));
	for (int i = 1; i <= 4; i++)
		assert_comes_out(i == 1 ? "f1" : i == 2 ? "f2" : i == 3 ? "f3" : "f4");
	cr_assert(sh("cd r && git -c pack.window=0 repack -adq && test -z \"$(ls "
		     ".git/objects/[0-9a-f]*/* "
		     "2>&-)\""));
	assert_comes_out("f1");
	assert_comes_out("f2");
	cr_assert(sh("cd r && git repack -adfq --depth=10 && git verify-pack -v "
		     ".git/objects/pack/*.idx | "
		     "awk '$2 == \"blob\" && NF == 7' | grep ."));
	assert_comes_out("f1");
	assert_comes_out("f2");
}

Test(blob_stream, comes_out_of_an_alternate)
{
	cr_assert(sh(MAKE, 2, 5, 1));
	cr_assert(sh(
		"cd r && git add . && git commit -qm all && cd .. && mv r x && git clone -qs x r"));
	assert_comes_out("f1");
}

/* the content at the end is damaged; by then nearly all of it has been written */
Test(blob_stream, what_is_damaged_is_no_blob_and_another_copy_will_do)
{
	char *hex;

	cr_assert(sh(MAKE, 3, 5, 1));
	cr_assert(
		sh("cd r && git add . && git commit -qm all && git -c pack.window=0 repack -adq && "
		   "chmod 644 .git/objects/pack/*.pack && python3 -c \"import glob,os; "
		   "p = glob.glob('.git/objects/pack/*.pack')[0]; f = open(p, 'r+b'); "
		   "f.seek(os.path.getsize(p) // 2); f.write(b'xxxx')\""));
	hex = sh_text("git -C r hash-object f1");
	cr_assert_eq(to_file(hex), -EUCLEAN, "%s", f.text);
	cr_assert(sh("cd r && mv .git/objects/pack ../pack && git hash-object -w f1 && "
		     "mkdir -p .git/objects/pack && mv ../pack/* .git/objects/pack/"));
	assert_comes_out("f1");
	cr_assert_eq(to_file("1111111111111111111111111111111111111111"), -EUCLEAN);
	cr_assert_eq(to_file(sh_text("git -C r rev-parse HEAD^{tree}")), -EUCLEAN);
}

/* with less memory than it has bytes */
Test(blob_stream, a_gigabyte_costs_no_gigabyte)
{
#if defined(__SANITIZE_ADDRESS__)
	const unsigned mib = 64; /* a limit on addresses is not for a sanitizer */
#else
	const unsigned mib = 1024;
	struct rlimit limit = { 400 << 20, 400 << 20 };
#endif
	char *hex;

	cr_assert(sh("cd r && truncate -s %uM big && git -c core.compression=1 add big && git -c "
		     "core.compression=1 "
		     "-c core.bigFileThreshold=1m commit -qm big && git -c core.compression=1 -c "
		     "core.bigFileThreshold=1m repack -adq",
		     mib));
	hex = sh_text("git -C r rev-parse HEAD:big");
	cr_assert(sh("rm r/big"));
#if !defined(__SANITIZE_ADDRESS__)
	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
#endif
	cr_assert_eq(to_file(hex), 0, "%s", f.text);
	cr_assert(sh("test $(stat -c %%s out) = $((%u << 20)) && test $(git hash-object out) = %s "
		     "&& rm out",
		     mib, hex));
}

/* past the limit a write fails as on a full disk */
Test(blob_stream, what_cannot_be_written_is_told_as_the_file_system_says_it)
{
	struct rlimit limit = { 1 << 20, 1 << 20 };
	char *hex;

	cr_assert(sh(MAKE, 4, 5, 1));
	cr_assert(sh("cd r && git add . && git -c pack.window=0 repack -adq"));
	hex = sh_text("git -C r hash-object f1");
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_assert_eq(to_file(hex), -EFBIG, "%s", f.text);
}
