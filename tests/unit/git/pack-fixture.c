/* The same bytes each time. */
#include "pack-fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "git-fixture.h"
#include "util/text.h"

int objects = -1;
struct fault pack_fault_text;

void pack_fixture_init(void)
{
	fixture_init();
	cr_assert(
		sh("git init -q -b main r && cd r && echo a > a && git add a && git commit -qm x"));
	objects = open(in_dir("r/.git/objects"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(objects, 0);
}

void pack_fixture_deinit(void)
{
	close(objects);
	fixture_deinit();
}

/* Source: Marsaglia, "Xorshift RNGs"; 0 stays 0 */
static uint64_t next(uint64_t state)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^ state << 17;
}

ssize_t maker_read(void *buf, size_t n, void *userdata)
{
	struct maker *m = userdata;
	uint8_t *p = buf;

	if (m->interrupted++ == 0)
		return -EINTR;
	if (m->left == 0)
		return m->fail;
	if (n > m->left)
		n = m->left;
	for (size_t i = 0; i < n; i++) {
		unsigned byte = m->given++ & 7;

		if (byte == 0)
			m->state = next(m->state);
		p[i] = (uint8_t)(m->state >> 8 * byte);
	}
	m->left -= n;
	return (ssize_t)n;
}

struct pack_writer *writer_new(void)
{
	struct pack_writer *w = NULL;

	cr_assert_eq(pack_writer_new(objects, &w, &pack_fault_text), 0, "%s", pack_fault_text.text);
	return w;
}

static char *hex(const git_oid *oid)
{
	return fixture_keep(text_dup(git_oid_tostr_s(oid)));
}

char *add(struct pack_writer *w, git_object_t type, const void *data, size_t len)
{
	git_oid oid;

	cr_assert_eq(pack_writer_add(w, type, data, len, &oid, &pack_fault_text), 0, "%s",
		     pack_fault_text.text);
	cr_assert(pack_writer_has(w, &oid));
	return hex(&oid);
}

char *add_text(struct pack_writer *w, const char *text)
{
	return add(w, GIT_OBJECT_BLOB, text, strlen(text));
}

char *add_stream(struct pack_writer *w, uint64_t size, uint64_t state)
{
	struct maker m = { .left = size, .state = state };
	git_oid oid;

	cr_assert_eq(pack_writer_add_stream(w, size, maker_read, &m, &oid, &pack_fault_text), 0,
		     "%s", pack_fault_text.text);
	cr_assert_eq(m.left, 0);
	cr_assert(pack_writer_has(w, &oid));
	return hex(&oid);
}

char *finish(struct pack_writer *w)
{
	char name[PACK_NAME_SIZE];

	cr_assert_eq(pack_writer_finish(w, "slotd salvage\n", name, &pack_fault_text), 0, "%s",
		     pack_fault_text.text);
	pack_writer_free(w);
	return fixture_keep(text_dup(name));
}

char *pack_files(void)
{
	return sh_text("LC_ALL=C ls -A r/.git/objects/pack");
}

void assert_good(const char *name)
{
	cr_assert(sh("cd r/.git/objects/pack && git verify-pack -v %s.idx && "
		     "git index-pack --verify --strict %s.pack",
		     name, name));
	cr_assert(sh("git -C r fsck --strict --full --no-dangling 2>&1"));
	cr_assert_str_eq(
		sh_text("cd r/.git/objects/pack && stat -c %%a %s.pack %s.idx | uniq", name, name),
		"444");
}

void refuse(int nr, unsigned arg, uint32_t mask, uint32_t value, int code)
{
	unsigned low = (unsigned)(offsetof(struct seccomp_data, args) + 8 * arg);
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0, "%s",
		     strerror(errno));
}
