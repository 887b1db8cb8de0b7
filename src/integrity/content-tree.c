/* Entries in order, each once, under names that are harmless everywhere. For some 60 million a check. */
#include "integrity/content-private.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "integrity/dotgit.h"

#define S_IFGITLINK 0160000
#define OID_BYTES GIT_OID_RAWSZ
#define CANDIDATES 64
#define SHOWN 160

struct entry {
	const unsigned char *start, *oid; /* its mode's first digit; its last part */
	const char *name;
	size_t name_len;
	uint32_t mode; /* the last 16 bits of it, as git keeps it */
	bool has_slash, has_backslash;
};

/* files that may have a directory's name, so that one comes later which is the same: "a", "a.c", "a/" */
struct candidate {
	const char *name;
	size_t len;
};

struct tree_pass {
	const struct content_pass *p;
	const unsigned char *end;
	struct candidate few[CANDIDATES];
	struct candidate *candidates; /* few, or allocated */
	size_t n_candidates, candidates_size;
	const char *first[FSCK_IDS]; /* the name of the first entry that has it */
};

#define EACH_BYTE 0x0101010101010101ull

/* 0x80 at the lowest byte of @word that is @c; perhaps at others above it, but at none below */
static uint64_t bytes_that_are(uint64_t word, unsigned char c)
{
	uint64_t zero = word ^ (EACH_BYTE * c);

	return (zero - EACH_BYTE) & ~zero & (EACH_BYTE << 7);
}

/*
 * The length of a name and what is in it, in one go. There are more than 7 bytes behind its NUL: those of the
 * object's name.
 */
static void scan_name(struct entry *e)
{
	uint64_t slash = 0, backslash = 0, nul, word, before;
	const char *at = e->name;

	for (;; at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		word = le64toh(word);
		nul = bytes_that_are(word, '\0');
		before = nul ? (nul & -nul) - 1 : UINT64_MAX;
		slash |= bytes_that_are(word, '/') & before;
		backslash |= bytes_that_are(word, '\\') & before;
		if (nul)
			break;
	}
	e->name_len = (size_t)(at - e->name) + (size_t)__builtin_ctzll(nul) / 8;
	e->has_slash = slash;
	e->has_backslash = backslash;
}

/* false: there is no whole entry. A NUL where the last name must end at the latest keeps all in bounds */
static bool decode(const unsigned char *at, const unsigned char *end, struct entry *ret)
{
	uint32_t mode = 0;

	if (end - at < OID_BYTES + 3 || end[-(OID_BYTES + 1)] != '\0')
		return false;
	ret->start = at;
	if (*at == ' ')
		return false;
	for (; *at != ' '; at++) {
		if (*at < '0' || *at > '7')
			return false;
		mode = mode << 3 | (uint32_t)(*at - '0');
	}
	ret->mode = (uint16_t)mode;
	ret->name = (const char *)at + 1;
	if (*ret->name == '\0')
		return false;
	scan_name(ret);
	ret->oid = (const unsigned char *)ret->name + ret->name_len + 1;
	return true;
}

static void note(struct tree_pass *t, enum fsck_id id, const struct entry *e)
{
	if (!t->first[id])
		t->first[id] = e->name;
}

static int tell_special(struct tree_pass *t, enum content_special what, const struct entry *e)
{
	const struct content_sink *sink = t->p->sink;
	int r = sink->on_special ? sink->on_special(what, e->oid, sink->userdata) : 0;

	return r < 0 ? r : 0;
}

static int check_modules(struct tree_pass *t, const struct entry *e)
{
	if (!S_ISLNK(e->mode))
		return tell_special(t, CONTENT_GITMODULES, e);
	note(t, FSCK_GITMODULES_SYMLINK, e);
	return 0;
}

static int check_attributes(struct tree_pass *t, const struct entry *e)
{
	if (!S_ISLNK(e->mode))
		return tell_special(t, CONTENT_GITATTRIBUTES, e);
	note(t, FSCK_GITATTRIBUTES_SYMLINK, e);
	return 0;
}

/* most names with a g or an m at their start end here */
static bool has_short_name(const struct entry *e)
{
	return e->name_len >= 5 && memchr(e->name, '~', e->name_len < 7 ? e->name_len : 7);
}

static int check_dot_name(struct tree_pass *t, const struct entry *e)
{
	unsigned char first = (unsigned char)e->name[0];
	int r = 0;

	if (first < 0x80 && first != '.' && !has_short_name(e))
		return 0;
	if (strcmp(e->name, ".") == 0)
		note(t, FSCK_HAS_DOT, e);
	if (strcmp(e->name, "..") == 0)
		note(t, FSCK_HAS_DOTDOT, e);
	if (dotgit_is_git(e->name))
		note(t, FSCK_HAS_DOTGIT, e);
	if (dotgit_is_file(e->name, DOTGIT_MODULES))
		r = check_modules(t, e);
	if (r == 0 && dotgit_is_file(e->name, DOTGIT_ATTRIBUTES))
		r = check_attributes(t, e);
	if (r == 0 && S_ISLNK(e->mode) && dotgit_is_file(e->name, DOTGIT_IGNORE))
		note(t, FSCK_GITIGNORE_SYMLINK, e);
	if (r == 0 && S_ISLNK(e->mode) && dotgit_is_file(e->name, DOTGIT_MAILMAP))
		note(t, FSCK_MAILMAP_SYMLINK, e);
	return r;
}

/* on Windows a backslash divides names */
static int check_behind_backslashes(struct tree_pass *t, const struct entry *e)
{
	const char *at = e->name;
	int r = 0;

	while (r == 0 && (at = strchr(at, '\\'))) {
		at++;
		if (dotgit_is_git_on_ntfs(at))
			note(t, FSCK_HAS_DOTGIT, e);
		if (dotgit_is_file_on_ntfs(at, DOTGIT_MODULES))
			r = check_modules(t, e);
	}
	return r;
}

static bool is_null(const unsigned char *oid)
{
	static const unsigned char null[OID_BYTES];

	return oid[0] == 0 && memcmp(oid, null, OID_BYTES) == 0;
}

/* by its own bytes alone */
static inline int check_entry(struct tree_pass *t, const struct entry *e)
{
	int r = 0;

	if (__builtin_expect(is_null(e->oid), false))
		note(t, FSCK_NULL_SHA1, e);
	if (__builtin_expect(e->start[0] == '0', false))
		note(t, FSCK_ZERO_PADDED_FILEMODE, e);
	if (__builtin_expect(e->has_slash, false))
		note(t, FSCK_FULL_PATHNAME, e);
	if (dotgit_is_possible((unsigned char)e->name[0]))
		r = check_dot_name(t, e);
	if (__builtin_expect(e->has_backslash, false) && r == 0)
		r = check_behind_backslashes(t, e);
	return r;
}

static inline bool is_mode(uint32_t mode)
{
	switch (mode) {
	case S_IFREG | 0644:
	case S_IFREG | 0755:
	case S_IFREG | 0664: /* of early days; git minds it with --strict alone */
	case S_IFLNK:
	case S_IFDIR:
	case S_IFGITLINK:
		return true;
	default:
		return false;
	}
}

static bool is_before_slash(char c)
{
	return c > '\0' && c < '/';
}

static int push(struct tree_pass *t, const struct entry *e)
{
	if (t->n_candidates == t->candidates_size) {
		size_t size = t->candidates_size * 2;
		bool is_first = t->candidates == t->few;
		struct candidate *v = reallocarray(is_first ? NULL : t->candidates, size, sizeof(*v));

		if (!v)
			return -ENOMEM;
		if (is_first)
			memcpy(v, t->few, sizeof(t->few));
		t->candidates = v;
		t->candidates_size = size;
	}
	t->candidates[t->n_candidates++] = (struct candidate){ e->name, e->name_len };
	return 0;
}

/* @e: a directory; candidates that no later name can go on in are dropped */
static void check_candidates(struct tree_pass *t, const struct entry *e)
{
	while (t->n_candidates > 0) {
		const struct candidate *c = &t->candidates[--t->n_candidates];

		if (c->len > e->name_len || memcmp(c->name, e->name, c->len) != 0)
			continue;
		if (c->len == e->name_len) {
			note(t, FSCK_DUPLICATE_ENTRIES, e);
			return;
		}
		if (is_before_slash(e->name[c->len])) {
			t->n_candidates++;
			return;
		}
	}
}

/* the byte behind a name as it counts in the order */
static char last_byte(const struct entry *e, size_t len)
{
	return e->name[len] == '\0' && S_ISDIR(e->mode) ? '/' : e->name[len];
}

/* as long as the shorter is, both are the same */
static int check_same_start(struct tree_pass *t, const struct entry *before, const struct entry *e, size_t len)
{
	char a = last_byte(before, len), b = last_byte(e, len);
	int r = 0;

	if (before->name_len == e->name_len) {
		note(t, FSCK_DUPLICATE_ENTRIES, e);
		return 0;
	}
	if (a == '\0' && is_before_slash(b))
		r = push(t, before);
	else if (b == '/' && is_before_slash(a))
		check_candidates(t, e);
	if ((unsigned char)a >= (unsigned char)b)
		note(t, FSCK_TREE_NOT_SORTED, e);
	return r;
}

static inline int check_order(struct tree_pass *t, const struct entry *before, const struct entry *e)
{
	size_t len = before->name_len < e->name_len ? before->name_len : e->name_len;
	int order = (unsigned char)before->name[0] - (unsigned char)e->name[0];

	if (order == 0)
		order = memcmp(before->name, e->name, len);
	if (order > 0)
		note(t, FSCK_TREE_NOT_SORTED, e);
	return order == 0 ? check_same_start(t, before, e, len) : 0;
}

/* submodules' commits are elsewhere; and so is for git what has a mode of no known kind */
static inline int tell_link(struct tree_pass *t, const struct entry *e)
{
	struct content_link link = { .oid = e->oid, .type = GIT_OBJECT_BLOB,
				     .name = e->name, .name_len = e->name_len };

	if (S_ISDIR(e->mode))
		link.type = GIT_OBJECT_TREE;
	else if (!S_ISREG(e->mode) && !S_ISLNK(e->mode))
		return 0;
	return content_link(t->p, &link);
}

/*
 * An entry is held against the one before it only when what comes behind it can be read, too: so does git, and so
 * a damaged tree has the same messages.
 */
static int check_entries(struct tree_pass *t, const unsigned char *at)
{
	struct entry entries[3], *before = NULL, *e = &entries[0], *next = &entries[1];
	bool is_last = false;
	int r = 0;

	if (!decode(at, t->end, e))
		return content_tell(t->p, FSCK_BAD_TREE, "its first entry cannot be read");
	while (r == 0 && !is_last) {
		struct entry *spare = before ? before : &entries[2];

		r = check_entry(t, e);
		if (r == 0)
			r = tell_link(t, e);
		if (r < 0)
			return r;
		at = e->oid + OID_BYTES;
		is_last = at == t->end;
		if (!is_last && !decode(at, t->end, next))
			return content_tellf(t->p, FSCK_BAD_TREE, "what comes behind \"%.*s\" cannot be read",
					     SHOWN, e->name);
		if (!is_mode(e->mode))
			note(t, FSCK_BAD_FILEMODE, e);
		if (before)
			r = check_order(t, before, e);
		before = e;
		e = next;
		next = spare;
	}
	return r;
}

/* of the whole tree, each once, with the first entry that has it */
static int tell_noted(const struct tree_pass *t)
{
	static const char *const what[FSCK_IDS] = {
		[FSCK_BAD_FILEMODE] = "has a mode that git does not write",
		[FSCK_DUPLICATE_ENTRIES] = "is there twice",
		[FSCK_FULL_PATHNAME] = "has a slash in it",
		[FSCK_GITATTRIBUTES_SYMLINK] = "is a symbolic link in the place of .gitattributes",
		[FSCK_GITIGNORE_SYMLINK] = "is a symbolic link in the place of .gitignore",
		[FSCK_GITMODULES_SYMLINK] = "is a symbolic link in the place of .gitmodules",
		[FSCK_HAS_DOT] = "stands for the directory itself",
		[FSCK_HAS_DOTDOT] = "stands for the directory above",
		[FSCK_HAS_DOTGIT] = "is \".git\", or is taken for it on some system",
		[FSCK_MAILMAP_SYMLINK] = "is a symbolic link in the place of .mailmap",
		[FSCK_NULL_SHA1] = "has the null name",
		[FSCK_TREE_NOT_SORTED] = "is not in its place in the order",
		[FSCK_ZERO_PADDED_FILEMODE] = "has a mode with a zero before it",
	};
	int r = 0;

	for (int id = 0; id < FSCK_IDS && r >= 0; id++)
		if (t->first[id])
			r = content_tellf(t->p, (enum fsck_id)id, "\"%.*s\" %s", SHOWN, t->first[id], what[id]);
	return r;
}

int content_check_tree(const struct content_pass *p, const unsigned char *data, size_t len)
{
	struct tree_pass t;
	int r;

	if (len == 0)
		return 0;
	t.p = p;
	t.end = data + len;
	t.candidates = t.few;
	t.n_candidates = 0;
	t.candidates_size = CANDIDATES;
	memset(t.first, 0, sizeof(t.first));
	r = check_entries(&t, data);
	if (r >= 0)
		r = tell_noted(&t);
	if (t.candidates != t.few)
		free(t.candidates);
	return r;
}
